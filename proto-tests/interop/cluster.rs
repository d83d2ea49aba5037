//! A cluster's API server in memory, inside a namespace: this program runs itself there, and orders go to its standard input, one line
//! each.

use crate::apiserver;
use crate::lab::{Host, PATIENCE, eventually, v4};
use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

/// A running API server. It ends when it is dropped. Any host of the segment reaches it.
pub struct Cluster {
    child: Child,
    orders: ChildStdin,
    host: Host,
}

impl Cluster {
    pub fn start(host: &Host) -> Self {
        let address = format!("{}:{PORT}", v4(host.number));
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &host.namespace]).arg(std::env::current_exe().unwrap());
        command.args(["--exact", "cluster::serve", "--ignored", "--nocapture"]).env(ADDRESS, address);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let orders = child.stdin.take().unwrap();
        let cluster = Self { child, orders, host: host.clone() };
        eventually(PATIENCE, "the API server listens", || cluster.host.run("ss -ltnH").contains(&format!(":{PORT} ")));
        cluster
    }

    /// Creates or replaces an object.
    pub fn put(&mut self, object: Value) {
        self.order(&json!({ "put": object }));
    }

    /// Deletes an object of the cluster; `kind` is `apiVersion/Kind`.
    pub fn delete(&mut self, kind: &str, name: &str) {
        self.order(&json!({ "delete": [kind, name] }));
    }

    /// The section of the configuration file of a host that leads here.
    pub fn section(&self, of: &Host, node: &str, roles: &str) -> String {
        let text = format!(
            "{{apiVersion: v1, kind: Config, current-context: t, clusters: [{{name: t, cluster: {{server: \"http://{}:{PORT}\"}}}}], \
             users: [{{name: t, user: {{}}}}], contexts: [{{name: t, context: {{cluster: t, user: t, namespace: default}}}}]}}",
            v4(self.host.number)
        );
        let kubeconfig = of.write("kubeconfig", &text);
        format!("kubernetes: {{ enabled: true, kubeconfig: {}, nodeName: {node}, roles: [{roles}] }}\n", kubeconfig.display())
    }

    fn order(&mut self, order: &Value) {
        writeln!(self.orders, "{order}").unwrap();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `object` with the keys of `more`, which may be null.
pub fn with(mut object: Value, more: Value) -> Value {
    if let (Some(all), Value::Object(more)) = (object.as_object_mut(), more) {
        all.extend(more);
    }
    object
}

/// An object of Calico's first API group.
pub fn calico(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "crd.projectcalico.org/v1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

#[test]
#[ignore = "is the API server of other tests, which run it in a namespace"]
fn serve() {
    let Ok(address) = std::env::var(ADDRESS) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = runtime.block_on(apiserver::ApiServer::start_at(address.parse().unwrap())).unwrap();
    for line in std::io::stdin().lock().lines() {
        let order: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if order["put"].is_object() {
            server.put(order["put"].clone());
        } else {
            let word = |i: usize| order["delete"][i].as_str().unwrap().to_owned();
            server.delete(&word(0), "", &word(1));
        }
    }
}

const ADDRESS: &str = "KUBGP_TEST_API";
const PORT: u16 = 8001;
