//! The JSON that Alice-LG reads. The reader here is a model of its source `birdwatcher` of type `single_table`: which requests it makes,
//! which fields it takes for granted, and of which type each has to be.

use std::net::SocketAddr;

use serde_json::Value;

use crate::backend::Memo;
use crate::http::{fetch, get, local};
use crate::setup::{Net, eventually};

/// What Alice asserts of every answer before it reads on.
async fn answer(at: SocketAddr, path: &str) -> Value {
    let answer = get(at, &format!("/lg/api{path}")).await.json();
    let api = answer["api"].as_object().unwrap();
    assert!(api["Version"].is_string() && api["result_from_cache"] == false, "{answer}");
    let date = answer["api"]["cache_status"]["cached_at"]["date"].as_str().unwrap();
    for text in [date, answer["ttl"].as_str().unwrap()] {
        // servertime = 2006-01-02T15:04:05Z07:00
        assert!(has_shape(text, "0000-00-00T00:00:00Z"), "{text}");
    }
    answer
}

/// Whether a text has digits where the pattern has.
fn has_shape(text: &str, pattern: &str) -> bool {
    text.len() == pattern.len() && text.chars().zip(pattern.chars()).all(|(c, p)| if p == '0' { c.is_ascii_digit() } else { c == p })
}

/// servertime_short and servertime_ext.
fn is_time(value: &Value) -> bool {
    value.as_str().is_some_and(|text| has_shape(text, "0000-00-00 00:00:00"))
}

#[tokio::test]
async fn status() {
    let at = local(Memo::default()).await;
    let status = answer(at, "/status").await["status"].clone();
    for time in ["current_server", "last_reboot", "last_reconfig"] {
        assert!(is_time(&status[time]), "{time}: {status}");
    }
    assert_eq!(status["last_reconfig"], "2026-11-22 08:00:00");
    assert_eq!((status["router_id"].as_str(), status["version"].as_str()), (Some("10.0.0.21"), Some("kubgp 0.1.0")));
    assert!(status["message"].as_str().unwrap().contains("up and running"));
}

#[tokio::test]
async fn neighbors() {
    let at = local(Memo::default()).await;
    let protocols = answer(at, "/protocols/bgp").await["protocols"].clone();
    let protocols = protocols.as_object().unwrap();
    assert_eq!(protocols.len(), Memo::default().neighbors.len());
    for (id, protocol) in protocols {
        assert_eq!((protocol["bird_protocol"].as_str(), protocol["protocol"].as_str()), (Some("BGP"), Some(id.as_str())));
        assert!(
            is_time(&protocol["state_changed"]) && protocol["neighbor_as"].is_u64() && protocol["last_error"].is_string(),
            "{protocol}"
        );
        assert!(protocol["neighbor_address"].is_string() && protocol["description"].is_string(), "{protocol}");
        for count in ["imported", "filtered", "exported", "preferred"] {
            assert!(protocol["routes"][count].is_u64(), "{count}: {protocol}");
        }
    }
    let (up, down) = (&protocols["tor-a"], &protocols["tor-b"]);
    assert_eq!((up["state"].as_str(), up["description"].as_str()), (Some("up"), Some("rack 7")));
    assert_eq!((up["routes"]["imported"].as_u64(), up["routes"]["exported"].as_u64()), (Some(2), Some(41)));
    assert_eq!((down["state"].as_str(), down["connection"].as_str()), (Some("start"), Some("Active")));
    assert!(down["last_error"].as_str().unwrap().contains("Admin Shutdown"));

    let short = answer(at, "/protocols/short?uncached=true").await["protocols"].clone();
    assert_eq!(short.as_object().unwrap().len(), protocols.len());
    assert!(short.as_object().unwrap().values().all(|protocol| is_time(&protocol["since"]) && protocol["state"].is_string()), "{short}");
}

/// AS numbers, LOCAL_PREF and MED are texts, communities lists of numbers.
fn check_route(route: &Value) {
    for text in ["network", "gateway", "learnt_from", "from_protocol", "interface"] {
        assert!(route[text].is_string(), "{text}: {route}");
    }
    assert!(route["metric"].is_u64() && route["primary"].is_boolean() && is_time(&route["age"]), "{route}");
    assert!(route["type"].as_array().unwrap().iter().all(Value::is_string));
    let bgp = &route["bgp"];
    assert!(bgp["as_path"].as_array().unwrap().iter().all(|asn| asn.as_str().unwrap().parse::<u32>().is_ok()), "{route}");
    assert!(bgp["local_pref"].as_str().unwrap().parse::<u32>().is_ok() && bgp["origin"].is_string() && bgp["next_hop"].is_string());
    assert!(bgp["med"].is_null() || bgp["med"].is_string());
    for (name, parts) in [("communities", 2), ("large_communities", 3)] {
        for community in bgp[name].as_array().unwrap() {
            assert!(community.as_array().unwrap().len() == parts && community.as_array().unwrap().iter().all(Value::is_u64), "{route}");
        }
    }
    assert!(bgp["ext_communities"].as_array().unwrap().iter().all(|c| c.as_array().unwrap().iter().all(Value::is_string)));
}

#[tokio::test]
async fn routes() {
    let at = local(Memo::default()).await;
    for path in ["/routes/protocol/tor-a", "/routes/filtered/tor-a", "/routes/table/master", "/routes/table/master/filtered"] {
        let routes = answer(at, path).await["routes"].clone();
        let routes = routes.as_array().unwrap();
        assert!(!routes.is_empty(), "{path}");
        routes.iter().for_each(check_route);
    }
    let table = answer(at, "/routes/table/master").await["routes"].clone();
    let route = table.as_array().unwrap().iter().find(|route| route["from_protocol"] == "tor-a").unwrap();
    // Readers take a filtered route for that of the neighbor whose address is its gateway.
    assert_eq!((route["gateway"].as_str(), route["learnt_from"].as_str()), (Some("10.0.0.1"), Some("10.0.0.1")));
    let found = answer(at, "/routes/prefix?prefix=10.1.0.0/16").await["routes"].clone();
    assert!(found.as_array().unwrap().iter().all(|route| route["network"].as_str().unwrap().starts_with("10.1.")), "{found}");
    assert_eq!(get(at, "/lg/api/routes/protocol/nobody").await.status, 404);
    assert_eq!(get(at, "/lg/api/routes/table/other").await.status, 404);
}

/// A daemon with a session, as it is.
#[test]
fn of_a_real_daemon() {
    let net = Net::new(214);
    let accepts = "policies: { low: [{ match: { prefixes: [198.51.100.0/24] }, action: accept }, { action: reject }] }\n";
    let glass = net.config(1, 64512, &net.neighbor("edge", 1, 2, "asn: 65001, import: [low]"), accepts);
    let glass = net.start(1, &glass);
    let networks =
        "{ prefix: 198.51.100.0/24, nextHop: 10.8.8.8, communities: [\"65001:7\"] }, { prefix: 203.0.113.0/24, nextHop: 10.8.8.8 }";
    let edge = net.config(2, 65001, &net.neighbor("glass", 2, 1, "asn: 64512"), &Net::originate(networks));
    let _edge = net.start(2, &edge);
    glass.established("edge");
    glass.has("show rib filtered", "203.0.113.0/24");
    let body = |path: &str| -> Value {
        let text = fetch(&glass.http, &format!("/lg/api{path}"));
        serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap()
    };
    let counts = eventually("the counts are those of the session", || {
        let protocols = body("/protocols/bgp")["protocols"].clone();
        (protocols["edge"]["routes"]["filtered"] == 1).then(|| protocols["edge"].clone())
    });
    assert_eq!(
        (counts["state"].as_str(), counts["routes"]["imported"].as_u64(), counts["neighbor_as"].as_u64()),
        (Some("up"), Some(1), Some(65001))
    );
    for (path, prefix) in [("protocol", "198.51.100.0/24"), ("filtered", "203.0.113.0/24")] {
        let routes = body(&format!("/routes/{path}/edge"))["routes"].clone();
        assert_eq!((routes.as_array().map(Vec::len), routes[0]["network"].as_str()), (Some(1), Some(prefix)), "{path}: {routes}");
        check_route(&routes[0]);
        assert_eq!((routes[0]["gateway"].as_str(), routes[0]["bgp"]["next_hop"].as_str()), (Some(net.ip(2).as_str()), Some("10.8.8.8")));
        assert_eq!(routes[0]["bgp"]["as_path"][0], "65001");
    }
    let route = body("/routes/prefix?prefix=198.51.100.77")["routes"][0].clone();
    assert_eq!((route["network"].as_str(), route["bgp"]["communities"][0][1].as_u64()), (Some("198.51.100.0/24"), Some(7)));
}
