//! One command on the daemons of a cluster: `kubectl` finds their pods and leads to their admin sockets, so that whatever context and
//! credentials a person uses hold here too.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::process::Command as Process;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::args::{Cli, Cluster, Command, Monitor, Network, Output, Policy, Show};
use super::failure::Failure;
use super::output::{Gathered, Lines, Printer, Style};
use super::{Context, ask};
use crate::api::client::Client;
use crate::api::types::API_VERSION;

/// Where a command goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Target<'a> {
    Socket,
    Node(&'a str),
    All,
}

/// The plugin's name makes all nodes the default of what only looks.
pub(super) fn target<'a>(cli: &'a Cli, is_plugin: bool) -> Result<Target<'a>, Failure> {
    let cluster = &cli.global.cluster;
    match (&cluster.node, cluster.all_nodes) {
        (Some(node), _) => Ok(Target::Node(node)),
        (None, true) => one_answer(&cli.command).map(|()| Target::All),
        (None, false) if is_plugin && changes(&cli.command) => {
            Err(Failure::usage("this changes something: say where with --node NAME or --all-nodes"))
        }
        (None, false) if is_plugin => one_answer(&cli.command).map(|()| Target::All),
        (None, false) => Ok(Target::Socket),
    }
}

/// What has no end, or a screen of its own, is for one node.
fn one_answer(command: &Command) -> Result<(), Failure> {
    let follows = matches!(command, Command::Show { what: Some(Show::Events { follow: true }) });
    match command {
        Command::Monitor { what: Monitor::Neighbors { .. } | Monitor::Rib { .. } | Monitor::Events { .. } }
        | Command::Top { .. }
        | Command::Mrt { .. }
        | Command::Bundle { .. } => Err(Failure::usage("this is for one node: name it with --node NAME")),
        _ if follows => Err(Failure::usage("this is for one node: name it with --node NAME")),
        _ => Ok(()),
    }
}

const fn changes(command: &Command) -> bool {
    match command {
        Command::Clear { .. }
        | Command::Neighbor { .. }
        | Command::Drain { .. }
        | Command::Undrain
        | Command::Confirm
        | Command::Rollback
        | Command::Log { .. } => true,
        Command::Reload { dry_run, .. } => !*dry_run,
        Command::Network { action } => !matches!(action, Network::List),
        Command::Policy { action: Policy::Test(_) } => false,
        _ => false,
    }
}

/// The way to the daemon of one node.
pub(super) async fn client(cluster: &Cluster, node: &str) -> Result<Client, Failure> {
    let mut pods = pods(cluster).await?;
    let pod = pods.remove(node).ok_or_else(|| {
        let known: Vec<&String> = pods.keys().collect();
        Failure::Missing(format!("no pod of kubgp runs on node `{node}`; they run on {known:?}"))
    })?;
    Ok(pod.client(cluster, node))
}

/// Runs the command on all nodes, and prints what came of it as one answer.
pub(super) async fn everywhere(cli: Arc<Cli>, style: Style, out: &mut (dyn std::io::Write + Send)) -> Result<(), Failure> {
    let pods = pods(&cli.global.cluster).await?;
    if pods.is_empty() {
        return Err(Failure::Missing(format!("no pod with the labels {LABELS} runs")));
    }
    let mut tasks = JoinSet::new();
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    for (node, pod) in pods {
        let (cli, style, turns) = (Arc::clone(&cli), style.clone(), Arc::clone(&turns));
        tasks.spawn(async move {
            let _turn = turns.acquire_owned().await;
            let client = pod.client(&cli.global.cluster, &node);
            (node, of_node(&cli, client, style).await)
        });
    }
    let mut answers = BTreeMap::new();
    while let Some(done) = tasks.join_next().await {
        let (node, answer) = done.map_err(|error| Failure::Refused(error.to_string()))?;
        answers.insert(node, answer);
    }
    let mut printer = Printer { out, output: cli.global.output(), style, gathered: None };
    print(&answers, &mut printer)?;
    outcome(answers)
}

/// What one node said.
struct Answer {
    text: Vec<u8>,
    tables: Vec<Gathered>,
    outcome: Result<(), Failure>,
}

async fn of_node(cli: &Cli, client: Client, style: Style) -> Answer {
    let (mut text, mut tables) = (Vec::new(), Vec::new());
    let output = match cli.global.output() {
        Output::Ndjson | Output::Yaml => Output::Json,
        other => other,
    };
    let printer = Printer { out: &mut text, output, style, gathered: Some(&mut tables) };
    let mut context = Context { client, global: &cli.global, printer };
    let outcome = ask(&cli.command, &mut context).await;
    Answer { text, tables, outcome }
}

fn print(answers: &BTreeMap<String, Answer>, printer: &mut Printer<'_>) -> Result<(), Failure> {
    match printer.output {
        Output::Table | Output::Wide => tables(answers, printer),
        Output::Name => {
            for (node, answer) in answers {
                for line in String::from_utf8_lossy(&answer.text).lines() {
                    writeln!(printer.out, "{node}/{line}")?;
                }
            }
            Ok(())
        }
        Output::Json | Output::Ndjson | Output::Yaml => {
            let merged = merge(answers)?;
            match printer.output {
                Output::Json => printer.json(&merged)?,
                Output::Yaml => printer.yaml(&merged)?,
                _ => merged["items"].as_array().into_iter().flatten().try_for_each(|item| printer.line(item))?,
            }
            Ok(())
        }
    }
}

/// Texts below the names of their nodes, then one table with the rows of all.
fn tables(answers: &BTreeMap<String, Answer>, printer: &mut Printer<'_>) -> Result<(), Failure> {
    for (node, answer) in answers {
        let text = String::from_utf8_lossy(&answer.text);
        if !text.trim().is_empty() {
            writeln!(printer.out, "{node}:\n{}\n", text.trim_end())?;
        }
    }
    let Some(first) = answers.values().flat_map(|answer| &answer.tables).next() else { return Ok(()) };
    let mut lines = Lines::of_nodes(&first.columns, first.max_width.map(|width| width + NODE_WIDTH), &printer.style);
    let mut rows = Vec::new();
    for (node, answer) in answers {
        for row in answer.tables.iter().flat_map(|table| &table.rows) {
            let mut row = row.clone();
            row.cells.insert(0, node.clone());
            rows.push(row);
        }
    }
    Ok(lines.write(printer.out, rows)?)
}

/// One list; each item says which node it is of.
fn merge(answers: &BTreeMap<String, Answer>) -> Result<Value, Failure> {
    let mut kind = None;
    let mut items = Vec::new();
    for (node, answer) in answers {
        for document in serde_json::Deserializer::from_slice(&answer.text).into_iter::<Value>() {
            let mut document = document.map_err(|error| Failure::Refused(format!("{node}: {error}")))?;
            let own = document["kind"].as_str().unwrap_or_default().to_owned();
            let list = document.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take);
            kind.get_or_insert_with(|| if list.is_some() { own } else { format!("{own}List") });
            for mut item in list.unwrap_or_else(|| vec![document]) {
                if let Some(fields) = item.as_object_mut() {
                    fields.insert("node".to_owned(), Value::from(node.as_str()));
                }
                items.push(item);
            }
        }
    }
    let failed = answers.iter().filter_map(|(node, answer)| Some((node, answer.outcome.as_ref().err()?)));
    let errors: Vec<Value> = failed.map(|(node, failure)| json!({ "node": node, "message": failure.to_string() })).collect();
    let metadata = if errors.is_empty() { json!({}) } else { json!({ "errors": errors }) };
    Ok(json!({ "apiVersion": API_VERSION, "kind": kind.unwrap_or_else(|| "List".to_owned()), "items": items, "metadata": metadata }))
}

/// All well: 0. The same everywhere: that. Conditions that do not hold: 6. Else the result is partial.
fn outcome(answers: BTreeMap<String, Answer>) -> Result<(), Failure> {
    let nodes = answers.len();
    let failed: Vec<(String, Failure)> =
        answers.into_iter().filter_map(|(node, answer)| answer.outcome.err().map(|failure| (node, failure))).collect();
    let Some(code) = failed.first().map(|(_, failure)| failure.code()) else { return Ok(()) };
    let is_same = failed.iter().all(|(_, failure)| failure.code() == code);
    let code = if is_same && (failed.len() == nodes || code == CONDITION) { code } else { PARTIAL };
    Err(Failure::Nodes(code, failed.iter().map(|(node, failure)| format!("{node}: {failure}")).collect()))
}

/// A pod that runs a daemon.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Pod {
    namespace: String,
    name: String,
    container: String,
}

impl Pod {
    fn client(&self, cluster: &Cluster, node: &str) -> Client {
        let words = ["exec", "-i", "-n", &self.namespace, &self.name, "-c", &self.container, "--", "bgpctl", "connect"];
        Client::through(&format!("node {node} (pod {}/{})", self.namespace, self.name), kubectl(cluster, &words))
    }
}

fn kubectl(cluster: &Cluster, words: &[&str]) -> Vec<OsString> {
    let mut line = vec![OsString::from("kubectl")];
    if let Some(file) = &cluster.kubeconfig {
        line.extend([OsString::from("--kubeconfig"), file.into()]);
    }
    if let Some(name) = &cluster.context {
        line.extend([OsString::from("--context"), name.into()]);
    }
    line.extend(words.iter().map(OsString::from));
    line
}

/// Pods of daemons that run, by node.
async fn pods(cluster: &Cluster) -> Result<BTreeMap<String, Pod>, Failure> {
    let space = cluster.kube_namespace.as_deref();
    let mut words = vec!["get", "pods", "-o", "json", "-l", LABELS, "--field-selector", "status.phase=Running"];
    words.extend(space.map_or_else(|| vec!["--all-namespaces"], |space| vec!["-n", space]));
    let line = kubectl(cluster, &words);
    let (program, arguments) = line.split_first().expect("the line begins with kubectl");
    let missing = |error| Failure::Refused(format!("kubectl cannot be started: {error}; all nodes are reached through it"));
    let output = Process::new(program).args(arguments).output().await.map_err(missing)?;
    if !output.status.success() {
        return Err(Failure::Refused(format!("kubectl: {}", String::from_utf8_lossy(&output.stderr).trim())));
    }
    let list: Value = serde_json::from_slice(&output.stdout).map_err(|error| Failure::Refused(format!("kubectl: {error}")))?;
    Ok(list["items"].as_array().into_iter().flatten().filter_map(pod).collect())
}

fn pod(item: &Value) -> Option<(String, Pod)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let (metadata, spec) = (&item["metadata"], &item["spec"]);
    // One that is going has a successor.
    if metadata.get("deletionTimestamp").is_some() {
        return None;
    }
    let containers = spec["containers"].as_array()?;
    let container = containers.iter().find(|container| container["name"] == "kubgp").or(containers.first())?;
    let pod = Pod { namespace: text(&metadata["namespace"])?, name: text(&metadata["name"])?, container: text(&container["name"])? };
    Some((text(&spec["nodeName"])?, pod))
}

/// What the manifests give the pods of daemons with sessions.
const LABELS: &str = "app.kubernetes.io/name=kubgp,app.kubernetes.io/component!=allocator";
/// Nodes that are asked at a time: each costs a process here and a stream at the API server.
const AT_ONCE: usize = 16;
/// Room for the name of a node in tables that are shortened.
const NODE_WIDTH: usize = 20;
const PARTIAL: u8 = 5;
const CONDITION: u8 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_that_end_and_other_containers_are_left_out() {
        let item = json!({
            "metadata": { "namespace": "kubgp-system", "name": "kubgp-vip-1" },
            "spec": { "nodeName": "n1", "containers": [{ "name": "proxy" }, { "name": "kubgp" }] },
        });
        let expected = Pod { namespace: "kubgp-system".to_owned(), name: "kubgp-vip-1".to_owned(), container: "kubgp".to_owned() };
        assert_eq!(pod(&item), Some(("n1".to_owned(), expected)));
        let mut ending = item;
        ending["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(pod(&ending), None);
    }
}
