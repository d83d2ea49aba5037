//! `kubectl bgp`: the binary under its other name, with daemons in memory behind a stand-in for kubectl that knows their pods and
//! leads into them. Also what else is written to files: the support bundle and the manual pages.

use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;

use crate::{Daemon, daemon};

struct Cluster {
    _daemons: Vec<Daemon>,
    directory: tempfile::TempDir,
}

/// Pods on n1, n2 and n3; nobody is at home in the last.
async fn cluster() -> Cluster {
    let directory = tempfile::tempdir().unwrap();
    let daemons = vec![daemon().await, daemon().await];
    let pod = |node: &str| {
        format!(
            r#"{{"metadata":{{"namespace":"kubgp-system","name":"pod-{node}"}},"spec":{{"nodeName":"{node}","containers":[{{"name":"kubgp"}}]}}}}"#
        )
    };
    let list = ["n1", "n2", "n3"].map(pod).join(",");
    let sockets: String = daemons.iter().zip(1..).map(|(d, n)| format!("pod-n{n}) socket={};;\n", d.socket.display())).collect();
    let script = format!(
        r#"#!/bin/sh
case "$1" in
get) [ "$*" = "get pods -o json -l app.kubernetes.io/name=kubgp,app.kubernetes.io/component!=allocator --field-selector status.phase=Running --all-namespaces" ] || exit 9
     echo '{{"items":[{list}]}}' ;;
exec) [ "$2 $3 $4 $6 $7 $8 $9" = "-i -n kubgp-system -c kubgp -- bgpctl" ] || exit 9
     case "$5" in
     {sockets}
     *) echo "error: unable to upgrade connection: container not found" >&2; exit 1;;
     esac
     exec {bgpctl} --socket "$socket" connect ;;
esac
"#,
        bgpctl = env!("CARGO_BIN_EXE_bgpctl")
    );
    let kubectl = directory.path().join("kubectl");
    std::fs::write(&kubectl, script).unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&kubectl, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_bgpctl"), directory.path().join("kubectl-bgp")).unwrap();
    Cluster { _daemons: daemons, directory }
}

impl Cluster {
    async fn run(&self, line: &str) -> (i32, String, String) {
        let path: PathBuf = self.directory.path().join("kubectl-bgp");
        let search = format!("{}:{}", self.directory.path().display(), std::env::var("PATH").unwrap());
        let output: Output = tokio::process::Command::new(path)
            .env("PATH", search)
            .args(["--utc", "--color", "never"])
            .args(line.split(' '))
            .output()
            .await
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    }
}

#[tokio::test]
async fn all_nodes_answer_in_one_table_and_who_does_not_is_named() {
    let cluster = cluster().await;
    let (code, out, err) = cluster.run("show neighbors").await;
    assert_eq!(code, 5, "{err}");
    assert!(
        err.contains("n3: kubgpd does not answer on node n3 (pod kubgp-system/pod-n3)") && err.contains("container not found"),
        "{err}"
    );
    insta::assert_snapshot!("all_nodes", out);

    let (code, out, _) = cluster.run("show neighbors -j --type ebgp").await;
    let list: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, list["kind"].as_str(), list["items"].as_array().unwrap().len()), (5, Some("NeighborList"), 4));
    assert_eq!((list["items"][0]["node"].as_str(), list["items"][2]["node"].as_str()), (Some("n1"), Some("n2")));
    assert_eq!(list["metadata"]["errors"][0]["node"], "n3");
    let (_, out, _) = cluster.run("show version -o ndjson").await;
    assert_eq!(out.lines().count(), 2);
    assert_eq!(cluster.run("show rib best -o name limit 1").await.1, "n1/10.1.0.0/24\nn2/10.1.0.0/24\n");
    let (_, out, _) = cluster.run("show version").await;
    assert!(out.starts_with("n1:\n") && out.contains("\nn2:\n"), "{out}");
}

#[tokio::test]
async fn one_node_is_named_and_nothing_is_changed_on_all_by_accident() {
    let cluster = cluster().await;
    let (code, out, err) = cluster.run("--node n2 show neighbors -o name").await;
    assert_eq!((code, out.as_str(), err.as_str()), (0, "10.0.0.1\n10.0.0.2\nfd00::11\n10.0.9.9\n", ""));
    assert_eq!(cluster.run("--node n2 drain").await.0, 0);
    let (code, _, err) = cluster.run("drain").await;
    assert!(code == 2 && err.contains("--node NAME or --all-nodes"), "{err}");
    assert_eq!(cluster.run("drain --all-nodes").await.0, 5);
    assert_eq!(cluster.run("top").await.0, 2);
    assert_eq!(cluster.run("show neighbors -w").await.0, 2);
    let (code, _, err) = cluster.run("--node n3 show").await;
    assert!(code == 3 && err.contains("container not found") && !err.contains("systemctl"), "{err}");
    let (code, _, err) = cluster.run("--node n9 show").await;
    assert!(code == 4 && err.contains("n9") && err.contains("n1"), "{err}");
    assert_eq!(cluster.run("show neighbor nobody").await.0, 5, "two do not know it, one does not answer");
}

#[tokio::test]
async fn a_bundle_holds_what_the_daemon_says() {
    let daemon = daemon().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bundle.tar.gz");
    let name = file.to_str().unwrap();
    assert!(daemon.ok(&format!("bundle {name}")).await.starts_with(name));
    let tar = std::process::Command::new("tar").args(["-xzf", name, "--strip-components=1"]).current_dir(directory.path()).status();
    assert!(tar.unwrap().success());
    let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
    let neighbors: Value = serde_json::from_str(&read("neighbors.json")).unwrap();
    assert_eq!(neighbors["items"].as_array().unwrap().len(), 4);
    assert_eq!(read("log.txt"), "a line\n");
    assert!(read("metrics.txt").contains("kubgp_up") && read("README.txt").contains("neighbors.json"));
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let (code, err) = daemon.code(&format!("bundle {name}")).await;
    assert!(code == 1 && err.contains("cannot be written"), "nothing is overwritten: {err}");
}

#[tokio::test]
async fn every_command_has_a_manual_page() {
    let daemon = daemon().await;
    let directory = tempfile::tempdir().unwrap();
    daemon.ok(&format!("man --dir {}", directory.path().display())).await;
    let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
    assert!(read("bgpctl.1").contains("Exit codes"));
    assert!(read("bgpctl-show-rib.1").contains("large") && read("bgpctl-reload.1").contains("confirm"));
    assert!(!directory.path().join("bgpctl-connect.1").exists(), "for ourselves only");
    assert!(daemon.ok("man").await.contains(".TH bgpctl 1"));
}
