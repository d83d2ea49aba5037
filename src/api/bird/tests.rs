//! The grammar that readers of BIRD's control socket rely on.

use super::*;
use crate::api::types::{Messages, Queues};
use serde_json::{Value, json};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn facts() -> Facts {
    Facts {
        version: "1.2.3",
        router_id: "10.0.0.1".into(),
        now: at("2026-05-02T12:00:00Z"),
        booted: at("2026-05-01T01:02:03Z"),
        reconfigured: at("2026-05-02T11:59:58Z"),
        is_recovering: false,
    }
}

fn neighbor(name: Option<&str>, state: &str, more: Value) -> Neighbor {
    let family = json!({"family": "ipv4-unicast", "received": 5, "accepted": 4, "filtered": 1, "best": 3, "advertised": 2,
        "eorReceived": true, "eorSent": true, "stale": 0, "gr": "none"});
    let mut all = json!({"name": name, "address": "10.0.0.2", "port": 179, "type": "rr-client", "localAsn": 64512, "remoteAsn": 64512,
        "localAddress": "10.0.0.1", "routerId": "10.0.0.2", "admin": "up", "state": state, "stateSince": "2026-05-02T11:00:07Z",
        "establishedCount": 1, "droppedCount": 0, "auth": "none", "families": [family], "drain": false, "messages": Messages::default(), "queues": Queues::default(),
        "timers": {"holdSeconds": 90.0, "keepaliveSeconds": 30.0, "configuredHoldSeconds": 90.0, "holdExpiresInSeconds": 81.6,
            "keepaliveInSeconds": 12.2}});
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(all).unwrap()
}

fn ask(line: &str, neighbors: &[Neighbor]) -> String {
    Question::read(line).unwrap().answer(&facts(), neighbors, &[])
}

#[test]
fn protocols_have_the_columns_that_readers_split_at_blanks() {
    let error = json!({"lastTcpError": {"text": "Connection refused", "at": "2026-05-02T11:00:07Z"}, "stateSince": "2026-04-01T00:00:00Z"});
    let neighbors = [
        neighbor(Some("Mesh_10_0_0_2"), "established", json!({})),
        neighbor(Some("Node_10_0_0_3"), "active", error),
        neighbor(Some("Global_10_0_0_4"), "idle", json!({"admin": "down"})),
        neighbor(None, "connect", json!({})),
    ];
    let text = ask("show protocols", &neighbors);
    assert_eq!(
        text,
        "2002-name     proto    table    state  since       info\n\
         1002-Mesh_10_0_0_2 BGP      master   up     11:00:07    Established   \n\
         1002-Node_10_0_0_3 BGP      master   start  2026-04-01  Active        Socket: Connection refused\n\
         1002-Global_10_0_0_4 BGP      master   down   11:00:07    Down          \n\
         1002-Neighbor_10_0_0_2 BGP      master   start  11:00:07    Connect       \n\
         0000 \n"
    );
    assert_eq!(ask("show protocols", &[]), "2002-name     proto    table    state  since       info\n0000 \n");
}

#[test]
fn details_of_one_protocol() {
    let neighbors = [neighbor(Some("Mesh_10_0_0_2"), "established", json!({})), neighbor(Some("Node_x"), "active", json!({}))];
    let text = ask("show protocols all \"Mesh_10_0_0_2\"", &neighbors);
    for line in [
        "1002-Mesh_10_0_0_2 BGP      master   up     11:00:07    Established   ",
        "1006-  Preference:     100",
        "   Routes:         4 imported, 1 filtered, 2 exported, 3 preferred",
        "   BGP state:          Established",
        "     Neighbor address: 10.0.0.2",
        "     Neighbor AS:      64512",
        "     Session:          internal multihop route-reflector AS4",
        "     Hold timer:       82/90",
    ] {
        assert!(text.lines().any(|l| l == line), "{line:?} in {text}");
    }
    assert!(text.ends_with("0000 \n") && !text.contains("Node_x"), "{text}");
    assert_eq!(ask("show protocols all Mesh_*", &neighbors), text);
    assert_eq!(ask("show protocols all nobody", &neighbors), "8003 No protocols match\n");
}

#[test]
fn status() {
    let mut facts = facts();
    let ask = |facts: &Facts| Question::Status.answer(facts, &[], &[]);
    assert_eq!(
        ask(&facts),
        "1000-BIRD kubgp-1.2.3\n1011-Router ID is 10.0.0.1\n Current server time is 2026-05-02 12:00:00\n \
         Last reboot on 2026-05-01 01:02:03\n Last reconfiguration on 2026-05-02 11:59:58\n0013 Daemon is up and running\n"
    );
    facts.is_recovering = true;
    assert!(ask(&facts).contains("\n0024-Graceful restart recovery in progress\n0013 "));
}

#[test]
fn only_questions_are_understood() {
    let protocols = |all, name: Option<&str>| Some(Question::Protocols { all, name: name.map(str::to_owned) });
    assert_eq!(Question::read("show protocols all"), protocols(true, None));
    assert_eq!(Question::read("sh proto Mesh_a"), protocols(false, Some("Mesh_a")));
    assert_eq!(Question::read("show status"), Some(Question::Status));
    for line in ["", "show", "configure", "disable Mesh_a", "show protocols all a b", "show status x", "down"] {
        assert_eq!(Question::read(line), None, "{line}");
    }
    assert!(refusal().starts_with("9001 ") && greeting("1.2.3").starts_with("0001 BIRD kubgp-1.2.3 ready."));
}

fn route(prefix: &str, best: bool, more: Value) -> Route {
    let mut all = json!({"prefix": prefix, "best": best, "asPath": [], "origin": "igp", "communities": [], "largeCommunities": [], "valid": true,
        "stale": false, "filtered": false, "local": false, "internal": true, "multipath": false, "advertised": false, "clusterList": []});
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let interface = all.as_object_mut().unwrap().remove("interface").map(|name| name.as_str().unwrap().to_owned());
    Route { entry: serde_json::from_value(all).unwrap(), interface, since: at("2026-05-02T11:00:07Z") }
}

#[test]
fn routes_have_the_form_that_readers_of_bird_know() {
    let mesh = json!({"peer": "10.0.0.2", "peerName": "Mesh_10_0_0_2", "nextHop": "10.0.0.2", "interface": "eth0", "localPref": 100});
    let reflected = json!({"peer": "10.0.0.9", "peerName": "Node_10_0_0_9", "nextHop": "10.0.0.2"});
    let outside = json!({"peer": "10.0.0.254", "nextHop": "10.0.0.254", "interface": "eth0", "asPath": [65001, 65002],
        "communities": ["65001:7"], "localPref": 100});
    let routes = [
        route("10.244.1.0/26", true, json!({"local": true})),
        route("10.244.2.0/26", true, mesh),
        route("10.244.2.0/26", false, reflected),
        route("198.51.100.0/24", true, outside),
    ];
    let ask = |line: &str, routes: &[Route]| Question::read(line).unwrap().answer(&facts(), &[], routes);
    assert_eq!(
        ask("show route", &routes),
        "1007-10.244.1.0/26      blackhole [static1 11:00:07] * (200)\n \
         10.244.2.0/26      via 10.0.0.2 on eth0 [Mesh_10_0_0_2 11:00:07] * (100/0) [i]\n \
         \x20                  via 10.0.0.2 [Node_10_0_0_9 11:00:07 from 10.0.0.9] (100/0) [i]\n \
         198.51.100.0/24    via 10.0.0.254 on eth0 [Neighbor_10_0_0_254 11:00:07] * (100/0) [AS65002i]\n\
         0000 \n"
    );
    assert_eq!(ask("show route primary protocol Node_*", &routes), "0000 \n");
    assert_eq!(
        ask("sh r all 198.51.100.0/24", &routes[3..]),
        "1007-198.51.100.0/24    via 10.0.0.254 on eth0 [Neighbor_10_0_0_254 11:00:07] * (100/0) [AS65002i]\n\
         1008-\tType: BGP unicast univ\n1012-\tBGP.as_path: 65001 65002\n \tBGP.next_hop: 10.0.0.254\n \tBGP.local_pref: 100\n \
         \tBGP.community: (65001,7)\n0000 \n"
    );
    assert_eq!(ask("show route for 192.0.2.1", &[]), "8001 Network not in table\n");
    assert_eq!(Question::read("show route for"), None);
    assert_eq!(Question::read("show route count"), None);
}
