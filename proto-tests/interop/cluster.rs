//! A cluster's API server inside a namespace: this test program once more, told over its standard input which objects there are.

use crate::apiserver::ApiServer;
use crate::lab::{Host, PATIENCE, eventually};
use serde_json::Value;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

pub struct Cluster {
    server: Child,
    kubeconfig: PathBuf,
}

impl Cluster {
    /// Starts it where `host` reaches it on loopback.
    pub fn start(host: &Host) -> Self {
        let kubeconfig = host.folder.join("kubeconfig");
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &host.namespace]).arg(std::env::current_exe().unwrap());
        command.args(["--exact", "cluster::serve", "--ignored", "--nocapture"]).env(KUBECONFIG, &kubeconfig);
        let server = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let cluster = Self { server, kubeconfig };
        eventually(PATIENCE, "the API server runs", || std::fs::exists(&cluster.kubeconfig).unwrap());
        cluster
    }

    /// The section of the configuration file that leads here.
    pub fn section(&self, node: &str, roles: &str) -> String {
        format!("kubernetes: {{ enabled: true, kubeconfig: {}, nodeName: {node}, roles: [{roles}] }}\n", self.kubeconfig.display())
    }

    pub fn put(&mut self, object: Value) {
        writeln!(self.server.stdin.as_mut().unwrap(), "{object}").unwrap();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The other end of [`Cluster`]; without being told where to write how it is reached, there is nothing to do.
#[test]
#[ignore = "serves the tests that start a cluster"]
fn serve() {
    let Some(kubeconfig) = std::env::var_os(KUBECONFIG).map(PathBuf::from) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = runtime.block_on(ApiServer::start()).unwrap();
    let written = kubeconfig.with_extension("new");
    server.write_kubeconfig(&written).unwrap();
    std::fs::rename(written, kubeconfig).unwrap();
    for line in std::io::stdin().lock().lines() {
        server.put(serde_json::from_str(&line.unwrap()).unwrap());
    }
}

const KUBECONFIG: &str = "KUBGP_INTEROP_KUBECONFIG";
