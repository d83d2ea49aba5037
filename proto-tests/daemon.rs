//! Real daemons on loopback addresses, asked with the real `bgpctl`: sessions, routes, views, reloads, orders, exit codes, HTTP.
//!
//! Each test has a network of its own below 127.0.0.0/8 and a free port in it, so that tests run side by side.

#[path = "daemon/bmp.rs"]
mod bmp;
#[path = "daemon/setup.rs"]
mod setup;
#[path = "daemon/top.rs"]
mod top;
#[path = "daemon/vips.rs"]
mod vips;

use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use kubgp::api::client::Client;
use kubgp::api::query::{NeighborQuery, RibQuery};
use kubgp::api::types::{Neighbor, RibEntry, SessionState, WatchEvent, WatchKind};

use crate::setup::{Daemon, Net, bgpctl, eventually};

const A: u8 = 11;
const B: u8 = 12;
const X: u8 = 13;
const RR: u8 = 1;

/// A reflector with two clients.
fn reflector(net: &Net) -> (Daemon, Daemon, Daemon) {
    let clients = net.neighbor("a", RR, A, "asn: internal, routeReflectorClient: true")
        + &net.neighbor("b", RR, B, "asn: internal, routeReflectorClient: true");
    let rr = net.start(RR, &net.config(RR, 64512, &clients, ""));
    let a = net.config(
        A,
        64512,
        &net.neighbor("rr", A, RR, "asn: internal"),
        &Net::originate("{ prefix: 198.51.100.0/24, nextHop: 10.8.8.8, med: 5, communities: [\"64512:100\"] }"),
    );
    let a = net.start(A, &a);
    let b = net.start(B, &net.config(B, 64512, &net.neighbor("rr", B, RR, "asn: internal"), ""));
    rr.established("a");
    rr.established("b");
    (rr, a, b)
}

#[test]
fn routes_are_reflected_and_every_view_tells_the_same() {
    let net = Net::new(1);
    let (rr, _a, b) = reflector(&net);
    b.has("show rib", "198.51.100.0/24");
    let row = b.items("show rib")[0].clone();
    assert_eq!((row["nextHop"].as_str(), row["peerName"].as_str()), (Some("10.8.8.8"), Some("rr")));
    assert_eq!((row["med"].as_u64(), row["localPref"].as_u64(), row["best"].as_bool()), (Some(5), Some(100), Some(true)));
    assert_eq!((row["originatorId"].as_str(), row["communities"][0].as_str()), (Some("10.0.0.11"), Some("64512:100")));
    assert_eq!(row["clusterList"][0], "10.0.0.1");

    assert_eq!(rr.prefixes("show rib in neighbor a"), ["198.51.100.0/24"]);
    assert_eq!(rr.prefixes("show rib out neighbor b"), ["198.51.100.0/24"]);
    assert!(rr.prefixes("show rib out neighbor a").is_empty(), "a route goes not back to its source");
    assert_eq!(rr.prefixes("show rib community 64512:100"), ["198.51.100.0/24"]);
    assert!(rr.prefixes("show rib community 64512:101").is_empty());
    assert_eq!(rr.prefixes("show rib 198.51.100.9"), ["198.51.100.0/24"], "an address finds the prefix that holds it");
    assert_eq!(rr.prefixes("show rib 198.51.0.0/16 longer"), ["198.51.100.0/24"]);
    assert!(rr.prefixes("show rib 198.51.0.0/16").is_empty());
    assert_eq!(rr.ok("show rib count").trim(), "1 prefixes, 1 paths");

    // Another implementation reads our dump of the tables.
    let dump = net.directory.path().join("rib.mrt");
    rr.ok(&format!("mrt dump {}", dump.display()));
    let elements: Vec<_> = bgpkit_parser::BgpkitParser::from_reader(std::fs::File::open(&dump).unwrap()).into_iter().collect();
    assert_eq!(elements.len(), 1, "{elements:?}");
    let element = &elements[0];
    assert_eq!((element.prefix.prefix.to_string().as_str(), element.peer_ip.to_string()), ("198.51.100.0/24", net.ip(A)));
    assert_eq!(
        (element.next_hop.map(|a| a.to_string()).as_deref(), element.med, element.local_pref),
        (Some("10.8.8.8"), Some(5), Some(100))
    );
    assert_eq!((element.peer_asn.to_u32(), element.communities.as_ref().map(Vec::len)), (64512, Some(1)));

    let row = rr.neighbor("a");
    assert_eq!((row["type"].as_str(), row["families"][0]["received"].as_u64()), (Some("rr-client"), Some(1)));
    let table = rr.ok("show neighbors");
    assert!(table.contains("Established"), "{table}");
    let route = rr.json("show route 198.51.100.9");
    assert_eq!(route["paths"][0]["decision"], "best: only path");
    let told = |name: &str| {
        let sent = route["sentTo"].as_array().unwrap().clone();
        sent.into_iter().find(|s| s["name"] == name).map(|s| s["reason"].as_str().unwrap().to_owned())
    };
    assert_eq!((told("a").as_deref(), told("b").as_deref()), (Some("splitHorizon"), Some("advertised")));
    // What came was measured on its way; End-of-RIB is an UPDATE too.
    let (_, metrics) = rr.get("/metrics").unwrap();
    let counted = metrics.lines().find_map(|l| l.strip_prefix("kubgp_convergence_seconds_count ")?.parse().ok());
    assert!(counted.is_some_and(|n: u64| n >= 1), "{metrics}");
}

#[test]
fn what_import_rejects_is_shown_and_explained() {
    let net = Net::new(2);
    let rr = net.neighbor("x", RR, X, "asn: 65001") + &net.neighbor("gone", RR, B, "asn: 65002");
    let rr = net.start(RR, &net.config(RR, 64512, &rr, &Net::originate("{ prefix: 203.0.113.0/24, nextHop: 10.9.9.9 }")));
    let x = net.config(X, 65001, &net.neighbor("rr", X, RR, "asn: 64512"), &Net::originate("{ prefix: 192.0.2.0/24, nextHop: 10.7.7.7 }"));
    let _x = net.start(X, &x);
    rr.established("x");
    rr.has("show rib filtered", "192.0.2.0/24");
    assert!(!rr.prefixes("show rib").contains(&"192.0.2.0/24".to_owned()));
    let row = rr.items("show rib filtered")[0].clone();
    assert_eq!((row["reason"].as_str(), row["filtered"].as_bool(), row["asPath"][0].as_u64()), (Some("noPolicy"), Some(true), Some(65001)));

    let trace = rr.json("explain 192.0.2.0/24");
    assert_eq!((trace["ok"].as_bool(), trace["reason"].as_str()), (Some(false), Some("noPolicy")));
    assert!(trace["remedy"].as_str().unwrap().contains("import"), "{trace}");
    eventually("our own route is sent", || (rr.json("explain 203.0.113.0/24 --to x")["reason"] == "advertised").then_some(()));
    assert_eq!(rr.json("explain 203.0.113.0/24 --to gone")["reason"], "noSession");
    assert_eq!(rr.json("explain 100.64.0.1")["reason"], "notReceived");
    assert!(rr.neighbor("gone")["lastTcpError"]["remedy"].as_str().unwrap().starts_with("nobody listens"));
}

#[test]
fn a_reload_leaves_unchanged_neighbors_alone_and_a_bad_one_changes_nothing() {
    let net = Net::new(3);
    let (rr, a, _b) = reflector(&net);
    let good = std::fs::read_to_string(&rr.file).unwrap();
    let before = rr.neighbor("a");

    rr.write(&good.replace("name: b,", "name: b, holdTime: 30s,"));
    let plan = rr.json("reload --dry-run");
    assert_eq!((plan["applied"].as_bool(), plan["changes"][0]["subject"].as_str()), (Some(false), Some("neighbor b")));
    assert_eq!(plan["changes"][0]["resetsSession"], true);
    assert_eq!(rr.json("show summary")["configGeneration"], 1);
    rr.signal("HUP");
    eventually("b comes back with the new hold time", || {
        let row = rr.neighbor("b");
        (row["timers"]["holdSeconds"] == 30.0 && row["establishedCount"] == 2).then_some(())
    });
    let after = rr.neighbor("a");
    assert_eq!(after["establishedCount"], 1);
    assert!(after["upForSeconds"].as_f64() > before["upForSeconds"].as_f64());

    rr.write(&good.replace("asn: internal", "asn: nobody"));
    let outcome = rr.run("reload");
    assert_eq!(outcome.code, 7, "{outcome:?}");
    assert!(outcome.err.contains("nobody"), "{outcome:?}");
    assert!(rr.metric("kubgp_config_last_reload_successful 0"));
    assert!(rr.json("show summary")["configError"].is_string());
    assert_eq!(rr.neighbor("a")["establishedCount"], 1);
    assert!(rr.ok("show events").contains("configRejected"));

    // What another policy would do to which routes is known before.
    let policies = "policies: { narrow: [{ match: { prefixes: [10.0.0.0/8] }, action: accept }, { action: reject }] }\n";
    let running = good.replace("name: b,", "name: b, holdTime: 30s,");
    let narrowed = running.replace("name: b,", "name: b, export: [narrow],").replace("name: a,", "name: a, import: [narrow],");
    rr.write(&(narrowed + policies));
    let plan = rr.json("reload --dry-run");
    let impact = |name: &str| plan["routes"].as_array().unwrap().iter().find(|impact| impact["neighbor"] == name).cloned();
    let (from_a, to_b) = (impact("a").unwrap(), impact("b").unwrap());
    assert_eq!((from_a["direction"].as_str(), from_a["removed"].as_u64()), (Some("import"), Some(1)), "{plan}");
    assert_eq!((to_b["direction"].as_str(), to_b["removed"].as_u64()), (Some("export"), Some(1)), "{plan}");
    assert_eq!(
        (to_b["routes"][0]["prefix"].as_str(), to_b["routes"][0]["reason"].as_str()),
        (Some("198.51.100.0/24"), Some("deniedByPolicy(rule 2)"))
    );
    rr.write(&(running + policies));
    rr.ok("reload");
    let table = rr.json("policy test narrow --rib in --neighbor a");
    assert_eq!((table["accepted"].as_u64(), table["rejected"].as_u64(), table["routes"][0]["rule"].as_u64()), (Some(0), Some(1), Some(2)));
    assert_eq!(rr.run("policy test none --rib loc").code, 4);

    rr.write(&good);
    let generation = rr.json("show summary")["configGeneration"].as_u64().unwrap();
    rr.ok("reload --confirm 1s");
    eventually("nobody confirms it, and the former one comes back", || {
        (rr.json("show summary")["configGeneration"].as_u64() == Some(generation + 2)).then_some(())
    });
    assert_eq!(rr.run("confirm").code, 1, "it is too late");
    rr.ok("reload --confirm 60s");
    assert!(rr.metric("kubgp_config_last_reload_successful 1"));
    rr.ok("rollback");
    assert_eq!(rr.run("rollback").code, 1, "nothing waits any more");
    eventually("the former hold time is back", || (rr.neighbor("b")["timers"]["holdSeconds"] == 30.0).then_some(()));
    assert_eq!(a.neighbor("rr")["droppedCount"], 0);
}

#[test]
fn a_route_that_comes_malformed_is_counted_where_one_looks() {
    let net = Net::new(9);
    let receiver = net.start(1, &net.config(1, 64512, &net.neighbor("sender", 1, 2, "asn: 64512, passive: true"), ""));
    // No router may take a loopback address as next hop (RFC 4271 6.3).
    let networks = Net::originate("{ prefix: 203.0.113.9/32, nextHop: 127.0.0.9 }");
    let _sender = net.start(2, &net.config(2, 64512, &net.neighbor("receiver", 2, 1, "asn: 64512"), &networks));
    let shown = eventually("the fault is shown", || Some(receiver.ok("show neighbor sender")).filter(|t| t.contains("Malformed")));
    assert!(shown.contains("1 UPDATEs treated as withdrawn"), "{shown}");
    assert!(shown.contains("Established"), "{shown}");
    assert!(receiver.ok("show rib").lines().count() == 1, "only the heading");
}

#[test]
fn a_mounted_configuration_is_followed() {
    let net = Net::new(10);
    let folder = net.directory.path().join("mount");
    let version = |name: &str, networks: &str| {
        std::fs::create_dir_all(folder.join(name)).unwrap();
        std::fs::write(folder.join(name).join("kubgp.yaml"), net.config(1, 64512, "", networks)).unwrap();
    };
    // Kubernetes mounts a ConfigMap as files that lead through a link, and moves the link.
    version("..1", "");
    std::os::unix::fs::symlink("..1", folder.join("..data")).unwrap();
    std::os::unix::fs::symlink("..data/kubgp.yaml", folder.join("kubgp.yaml")).unwrap();
    let child =
        Command::new(env!("CARGO_BIN_EXE_kubgpd")).arg("--config").arg(folder.join("kubgp.yaml")).stderr(Stdio::null()).spawn().unwrap();
    let http = format!("{}:{}", net.ip(1), net.http());
    let daemon = Daemon { child, socket: net.socket(1), file: folder.join("kubgp.yaml"), http };
    eventually("the admin socket answers", || (daemon.run("show version").code == 0).then_some(()));
    version("..2", &Net::originate("{ prefix: 203.0.113.7/32, nextHop: 192.0.2.1 }"));
    std::os::unix::fs::symlink("..2", folder.join("..new")).unwrap();
    std::fs::rename(folder.join("..new"), folder.join("..data")).unwrap();
    eventually("the new version runs", || daemon.ok("show rib").contains("203.0.113.7/32").then_some(()));
}

#[test]
fn networks_come_and_go_at_run_time() {
    let net = Net::new(4);
    let (_rr, a, b) = reflector(&net);
    a.ok("network add 192.0.2.0/24 nexthop 10.1.1.1 localpref 200 community 64512:7");
    b.has("show rib", "192.0.2.0/24");
    let row = b.items("show rib 192.0.2.0/24")[0].clone();
    assert_eq!((row["localPref"].as_u64(), row["communities"][0].as_str()), (Some(200), Some("64512:7")));
    let source =
        |prefix: &str| a.items("network list").iter().find(|n| n["prefix"] == prefix).map(|n| n["source"].as_str().unwrap().to_owned());
    assert_eq!((source("192.0.2.0/24").as_deref(), source("198.51.100.0/24").as_deref()), (Some("runtime"), Some("config")));
    a.ok("network delete 192.0.2.0/24");
    b.lacks("show rib", "192.0.2.0/24");
    let changes: Vec<_> = b.items("show history 192.0.2.0/24").iter().map(|c| (c["kind"].clone(), c["peerName"].clone())).collect();
    assert_eq!(changes, [("best".into(), "rr".into()), ("gone".into(), serde_json::Value::Null)]);
    assert_eq!(b.items("show history 192.0.0.0/16 longer").len(), 2);
    assert_eq!(b.items("show history 192.0.2.77").len(), 2, "an address finds the prefixes that hold it");
    assert_eq!(b.run("show history 100.64.0.0/24").code, 4);
    assert_eq!(a.run("network delete 192.0.2.0/24").code, 4);
    assert_eq!(a.run("network delete 198.51.100.0/24").code, 1, "the file has it");
}

#[test]
fn orders_reach_the_other_side_with_their_text() {
    let net = Net::new(5);
    let (rr, a, b) = reflector(&net);
    b.has("show rib", "198.51.100.0/24");
    let outcome = bgpctl(&rr.socket, &["neighbor", "a", "down", "new switch"]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    eventually("a hears the reason", || (a.neighbor("rr")["lastError"]["message"] == "new switch").then_some(()));
    let error = a.neighbor("rr")["lastError"].clone();
    assert_eq!((error["direction"].as_str(), error["text"].as_str()), (Some("received"), Some("Cease/Administrative Shutdown")));
    assert!(error["remedy"].is_string());
    assert_eq!(rr.neighbor("a")["admin"], "down");
    b.lacks("show rib", "198.51.100.0/24");
    assert_eq!(rr.json("show summary")["neighbors"]["adminDown"], 1);
    // Both sides remember who said what, and explain it.
    let said = |daemon: &Daemon, name: &str| {
        let history = daemon.json(&format!("show neighbor {name} history"));
        let errors: Vec<_> = history["entries"].as_array().unwrap().iter().map(|entry| entry["error"].clone()).collect();
        errors.into_iter().find(|error| error["message"] == "new switch").map(|error| error["direction"].as_str().unwrap().to_owned())
    };
    assert_eq!((said(&rr, "a").as_deref(), said(&a, "rr").as_deref()), (Some("sent"), Some("received")));
    let trace = rr.json("explain neighbor a");
    assert_eq!((trace["reason"].as_str(), trace["ok"].as_bool()), (Some("admin"), Some(false)));
    assert!(trace["remedy"].as_str().unwrap().contains("neighbor PEER up"), "{trace}");
    eventually("a explains it too", || {
        let reason = a.json("explain neighbor rr")["reason"].clone();
        (reason == "notificationReceived" || reason == "tcp").then_some(())
    });
    rr.ok("neighbor a up");
    rr.established("a");
    b.has("show rib", "198.51.100.0/24");

    let updates = |d: &Daemon| d.neighbor("rr")["messages"]["received"]["update"].as_u64().unwrap();
    let before = updates(&b);
    rr.ok("clear b soft out");
    eventually("b gets its routes again", || (updates(&b) > before).then_some(()));
    let asked = a.neighbor("rr")["messages"]["received"]["routeRefresh"].as_u64().unwrap();
    rr.ok("clear a soft in");
    eventually("a is asked for its routes", || {
        (a.neighbor("rr")["messages"]["received"]["routeRefresh"].as_u64() > Some(asked)).then_some(())
    });
    rr.ok("clear b hard");
    eventually("b comes back", || (rr.neighbor("b")["establishedCount"] == 2 && rr.neighbor("b")["state"] == "established").then_some(()));
    let history = rr.ok("show neighbor b history");
    assert!(history.contains("Established -> Idle"), "{history}");
    let events = rr.items("show events");
    assert!(events.iter().any(|e| e["type"] == "sessionDown" && e["name"] == "b"), "{events:?}");
}

/// Configurations of other daemons become ours, and ours is good.
#[test]
fn imported_configurations_pass_the_check() {
    let directory = tempfile::tempdir().unwrap();
    let lab = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-tests/lab.d");
    for (format, file, code) in [("frr", "node3.frr.conf", 0), ("frr", "tor.frr.conf", 0), ("bird", "node2.bird.conf", 5)] {
        let made = Command::new(env!("CARGO_BIN_EXE_bgpctl")).args(["import", format]).arg(lab.join(file)).output().unwrap();
        assert_eq!(made.status.code(), Some(code), "{file}: {}", String::from_utf8_lossy(&made.stderr));
        let path = directory.path().join(file).with_extension("yaml");
        std::fs::write(&path, made.stdout).unwrap();
        let checked = Command::new(env!("CARGO_BIN_EXE_kubgpd")).arg("--check").arg("--config").arg(&path).output().unwrap();
        assert_eq!(checked.status.code(), Some(0), "{file}: {}", String::from_utf8_lossy(&checked.stderr));
    }
    let schema = Command::new(env!("CARGO_BIN_EXE_bgpctl")).args(["check-config", "--schema"]).output().unwrap();
    let schema: serde_json::Value = serde_json::from_slice(&schema.stdout).unwrap();
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn a_bundle_holds_the_log_and_no_secret() {
    let net = Net::new(12);
    let key = net.directory.path().join("key");
    std::fs::write(&key, "correct horse battery").unwrap();
    let more = format!("asn: 65002, password: {{ file: \"{}\" }}", key.display());
    let lone = net.start(RR, &net.config(RR, 64512, &net.neighbor("gone", RR, B, &more), ""));
    let file = net.directory.path().join("bundle.tar.gz");
    lone.ok(&format!("bundle {}", file.display()));
    let unpacked = Command::new("tar").arg("-xzOf").arg(&file).output().unwrap();
    let text = String::from_utf8(unpacked.stdout).unwrap();
    assert!(
        unpacked.status.success() && text.contains("\"running\"") && text.contains("kubgp_session_up") && text.contains("password"),
        "{text}"
    );
    assert!(!text.contains("battery"));
}

#[test]
fn exit_codes_and_http_follow_the_contract() {
    let net = Net::new(6);
    let lone = net.start(RR, &net.config(RR, 64512, &net.neighbor("gone", RR, B, "asn: 65002"), ""));
    assert_eq!(lone.run("show neighbor nobody").code, 4);
    assert_eq!(lone.run("show route 10.0.0.0/8").code, 4);
    assert_eq!(lone.run("show rib out").code, 2, "whose?");
    assert_eq!(lone.run("show rib as-path (").code, 2);
    assert_eq!(lone.run("neighbor nobody down").code, 4);
    assert_eq!(lone.run("clear gone soft in").code, 1, "not established");
    let refused = eventually("the refusal is remembered", || {
        let history = lone.json("show neighbor gone history");
        let entries = history["entries"].as_array().unwrap().clone();
        entries.into_iter().find(|entry| entry["tcpError"] == "connection refused")
    });
    assert_eq!(refused["reason"], "connect failed");
    let trace = lone.json("explain neighbor gone");
    assert_eq!(trace["reason"], "tcp");
    assert!(trace["remedy"].as_str().unwrap().starts_with("nobody listens"), "{trace}");
    assert_eq!(lone.run("healthcheck").code, 0);
    assert_eq!(lone.run("healthcheck --require-established all").code, 6);
    assert_eq!(lone.run("confirm").code, 1);
    assert_eq!(lone.run("log level debug --for 1s").code, 0);
    assert_eq!(lone.run("log level kubgp=loud").code, 2);
    assert_eq!(bgpctl(Path::new("/nonexistent/kubgp.sock"), &["show", "neighbors"]).code, 3);

    let (status, body) = lone.get("/readyz").unwrap();
    assert!(status.contains("200") && body == "ok\n", "{status} {body}");
    assert!(lone.get("/livez").unwrap().0.contains("200"));
    assert!(lone.get("/v1/neighbors").unwrap().0.contains("404"), "TCP serves nothing but health and metrics");
    let peer = net.ip(B);
    assert!(lone.metric(&format!("kubgp_session_up{{peer=\"{peer}\",name=\"gone\",remote_asn=\"65002\",type=\"ebgp\"}} 0")));
    assert!(lone.metric(&format!("metallb_bgp_session_up{{peer=\"{peer}\"}} 0")));

    let config = std::fs::read_to_string(&lone.file).unwrap();
    lone.write(&config.replace(&lone.http, &format!("{}:{}", net.ip(77), net.http())));
    lone.ok("reload");
    eventually("metrics leave their old address", || lone.get("/livez").is_none().then_some(()));
    let moved = format!("{}:{}", net.ip(77), net.http());
    eventually("metrics are at the new one", || TcpStream::connect(&moved).ok());
}

/// Communities and LOCAL_PREF of a prefix, where there is a path.
fn marks(daemon: &Daemon, prefix: &str) -> Option<(Vec<String>, u64)> {
    let row = daemon.items("show rib").into_iter().find(|row| row["prefix"] == prefix)?;
    let communities = row["communities"].as_array().into_iter().flatten().filter_map(|c| c.as_str().map(str::to_owned));
    Some((communities.collect(), row["localPref"].as_u64()?))
}

fn is_marked(daemon: &Daemon, prefix: &str) -> bool {
    marks(daemon, prefix).is_some_and(|(communities, local_pref)| communities.contains(&"65535:0".to_owned()) && local_pref == 0)
}

#[test]
fn a_drain_marks_then_withdraws_and_gives_back() {
    let net = Net::new(14);
    let rr = net.neighbor("a", RR, A, "asn: internal");
    let rr = net.start(RR, &net.config(RR, 64512, &rr, ""));
    // Neither can this policy undo what a drain says, nor a reload.
    let policy = "policies: { own: [{ set: { localPref: 200, communities: { replace: [\"64512:7\"] } }, action: accept }] }\n";
    let networks = "{ prefix: 198.51.100.0/24, nextHop: 10.8.8.8 }, { prefix: 198.51.101.0/24, nextHop: 10.8.8.8, onDrain: keep }";
    let config = |grace: &str| {
        let rest = format!("{policy}{}drain: {{ gracePeriod: {grace} }}\n", Net::originate(networks));
        net.config(A, 64512, &net.neighbor("rr", A, RR, "asn: internal, export: own"), &rest)
    };
    let mut a = net.start(A, &config("1h"));
    a.established("rr");
    let is_served = |prefix: &str| marks(&rr, prefix) == Some((vec!["64512:7".to_owned()], 200));
    eventually("both are announced", || (is_served("198.51.100.0/24") && is_served("198.51.101.0/24")).then_some(()));
    assert!(a.metric("kubgp_drain_state 0"));

    let drain = a.json("drain");
    assert_eq!((&drain["stage"], &drain["causes"]), (&"leaving".into(), &serde_json::json!(["operator"])), "{drain}");
    eventually("the prefix carries the marks", || is_marked(&rr, "198.51.100.0/24").then_some(()));
    assert!(is_served("198.51.101.0/24"), "this one is kept");
    a.ok("network add 198.51.102.0/24 nexthop 10.8.8.8");
    eventually("and so does one that comes now", || is_marked(&rr, "198.51.102.0/24").then_some(()));
    a.write(&config("2h"));
    a.ok("reload");
    assert!(is_marked(&rr, "198.51.100.0/24") && a.metric("kubgp_drain_state 1"), "a reload does not end it");
    assert_eq!((a.json("show summary")["drain"].as_bool(), a.neighbor("rr")["drain"].as_bool()), (Some(true), Some(true)));
    assert!(a.ok("show summary").contains("(bgpctl drain)"));
    a.ok("undrain");
    eventually("all is as before", || (is_served("198.51.100.0/24") && is_served("198.51.102.0/24")).then_some(()));

    a.write(&config("100ms"));
    a.ok("reload");
    assert_eq!(a.json("drain --wait --timeout 20s")["stage"], "left");
    eventually("all are withdrawn but one", || (rr.prefixes("show rib") == ["198.51.101.0/24"]).then_some(()));
    let trace = a.json("explain 198.51.100.0/24");
    assert!(trace.to_string().contains("draining"), "{trace}");
    assert!(a.metric("kubgp_drain_state 2"));
    assert_eq!(rr.neighbor("a")["state"], "established");
    a.ok("undrain");
    rr.has("show rib", "198.51.100.0/24");

    // The end is a drain too; who says it twice does not wait for it.
    a.write(&config("1h"));
    a.ok("reload");
    a.signal("TERM");
    eventually("the prefix carries the marks", || is_marked(&rr, "198.51.100.0/24").then_some(()));
    assert_eq!(a.json("show summary")["drainState"]["causes"], serde_json::json!(["stop"]));
    a.signal("TERM");
    eventually("a ends", || a.child.try_wait().unwrap());
    rr.lacks("show rib", "198.51.101.0/24");
}

#[test]
fn a_stop_says_good_bye_and_takes_the_socket_along() {
    let net = Net::new(7);
    let (rr, mut a, b) = reflector(&net);
    b.has("show rib", "198.51.100.0/24");
    a.write(&format!("{}drain: {{ gracePeriod: 200ms }}\n", std::fs::read_to_string(&a.file).unwrap()));
    a.ok("reload");
    a.signal("TERM");
    let status = eventually("a ends", || a.child.try_wait().unwrap());
    assert!(status.success(), "{status}");
    assert!(!a.socket.exists());
    eventually("the reflector hears it", || (rr.neighbor("a")["lastError"]["text"] == "Cease/Administrative Shutdown").then_some(()));
    b.lacks("show rib", "198.51.100.0/24");
}

#[tokio::test]
async fn watches_list_what_is_there_and_then_what_changes() {
    let net = Net::new(8);
    let (rr, a, b) = reflector(&net);
    b.has("show rib", "198.51.100.0/24");
    let client = Client::new(&b.socket);
    let mut routes = client.stream("/v1/rib", &RibQuery { watch: true, ..RibQuery::default() }).await.unwrap();
    let mut next = async || routes.next::<WatchEvent<RibEntry>>().await.unwrap().unwrap();
    assert_eq!(next().await.kind, WatchKind::Added);
    assert_eq!(next().await.kind, WatchKind::Bookmark);
    a.ok("network add 192.0.2.0/24 nexthop 10.1.1.1");
    let added = next().await;
    assert_eq!((added.kind, added.object.unwrap().prefix.to_string().as_str()), (WatchKind::Added, "192.0.2.0/24"));
    a.ok("network add 192.0.2.0/24 nexthop 10.1.1.1 med 9");
    let modified = next().await;
    assert_eq!((modified.kind, modified.object.unwrap().med), (WatchKind::Modified, Some(9)));
    a.ok("network delete 192.0.2.0/24");
    assert_eq!(next().await.kind, WatchKind::Deleted);

    let query = NeighborQuery { watch: true, changes_only: true, neighbor: Some("rr".to_owned()), ..NeighborQuery::default() };
    let mut sessions = client.stream("/v1/neighbors", &query).await.unwrap();
    assert_eq!(sessions.next::<WatchEvent<Neighbor>>().await.unwrap().unwrap().kind, WatchKind::Bookmark);
    rr.ok("neighbor b down");
    loop {
        let event = sessions.next::<WatchEvent<Neighbor>>().await.unwrap().unwrap();
        if event.object.unwrap().state != SessionState::Established {
            break;
        }
    }
}
