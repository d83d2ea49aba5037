//! What `bgpctl` says about Services: every reason that keeps one from being announced, and the way of each.

use super::*;

/// A Service of a name with an address, and as many endpoints on `n1` as it takes.
fn put(server: &ApiServer, name: &str, address: &str, endpoint: Option<&str>, policy: &str) {
    let mut object = service(name, address);
    object["spec"]["externalTrafficPolicy"] = json!(policy);
    server.put(object);
    server.put(slice(name, endpoint));
}

/// Pools that each fail at another gate, and one that does not.
fn objects(net: &Net, server: &ApiServer, own: &str) {
    server.put(node(net, "n1", RR, Value::Null));
    for (name, addresses) in [("public", "203.0.113.0/28"), ("silent", "203.0.113.16/28"), ("picky", "203.0.113.32/28")] {
        server.put(metallb("IPAddressPool", "v1beta1", name, json!({"addresses": [addresses]})));
    }
    for (name, addresses) in [("orphan", "203.0.113.48/28"), ("dark", "203.0.113.64/28")] {
        server.put(metallb("IPAddressPool", "v1beta1", name, json!({"addresses": [addresses]})));
    }
    let advertise = |name: &str, spec: Value| server.put(metallb("BGPAdvertisement", "v1beta1", name, spec));
    let large = "large:64512:1:2";
    advertise("all", json!({"ipAddressPools": ["public"], "peers": ["tor"], "communities": ["no-export", large]}));
    let elsewhere = json!([{"matchLabels": {"rack": "other"}}]);
    advertise("elsewhere", json!({"ipAddressPools": ["silent"], "nodeSelectors": elsewhere}));
    advertise("labelled", json!({"ipAddressPools": ["picky"], "serviceSelectors": [{"matchLabels": {"expose": "yes"}}]}));
    advertise("nobody", json!({"ipAddressPools": ["orphan"], "peers": ["gone"]}));
    advertise("dark", json!({"ipAddressPools": ["dark"], "peers": ["dark"]}));
    let peer =
        |host: u8| json!({"myASN": 64512, "peerASN": 64512, "peerAddress": net.ip(host), "peerPort": net.port, "sourceAddress": own});
    server.put(metallb("BGPPeer", "v1beta2", "tor", peer(CLIENT)));
    server.put(metallb("BGPPeer", "v1beta2", "dark", peer(40)));
    put(server, "web", "203.0.113.1", Some("n1"), "Local");
    put(server, "away", "203.0.113.2", Some("n2"), "Local");
    put(server, "empty", "203.0.113.3", None, "Cluster");
    put(server, "silent", "203.0.113.17", Some("n1"), "Cluster");
    put(server, "picky", "203.0.113.33", Some("n1"), "Cluster");
    put(server, "orphan", "203.0.113.49", Some("n1"), "Cluster");
    put(server, "dark", "203.0.113.65", Some("n1"), "Cluster");
    put(server, "stray", "198.18.0.1", Some("n1"), "Cluster");
    put(server, "none", "", Some("n1"), "Cluster");
}

const REASONS: [(&str, &str); 9] = [
    ("away", "noLocalEndpoints"),
    ("dark", "noSession"),
    ("empty", "noEndpoints"),
    ("none", "noAddress"),
    ("orphan", "noPeer"),
    ("picky", "noMatchingAdvertisement"),
    ("silent", "notOwner"),
    ("stray", "ipNotAllowed"),
    ("web", "advertised"),
];

fn reasons(daemon: &Daemon) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    daemon.items("show services").iter().map(|row| (text(&row["name"]), text(&row["reason"]))).collect()
}

fn has_reasons(daemon: &Daemon, wanted: &[(&str, &str)]) {
    let wanted: Vec<_> = wanted.iter().map(|(name, reason)| ((*name).to_owned(), (*reason).to_owned())).collect();
    let mut last = Vec::new();
    eventually(&format!("{wanted:?}"), || {
        let now = reasons(daemon);
        if now != last {
            println!("{now:?}");
            last.clone_from(&now);
        }
        (now == wanted).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_reason_is_shown_and_explained() {
    let net = Net::new(107);
    let Some(own) = kubgp::speaker::local_host().await.first_ipv4 else {
        println!("SKIP: this machine has no IPv4 address but those on loopback");
        return;
    };
    let server = ApiServer::start().await.unwrap();
    objects(&net, &server, &own.to_string());
    let identity = format!("router: {{ id: 10.0.0.9 }}\nlisten: [{{ address: {own}, port: {} }}]\n", net.port);
    let speaker = follower(&net, &server, "nodeName: n1, roles: [vip]", &identity);
    let tor = peer_of(&net, CLIENT, &own.to_string());
    tor.established("rr");
    has_reasons(&speaker, &REASONS);
    for (name, reason) in REASONS {
        let outcome = speaker.run(&format!("explain svc/shop/{name}"));
        assert_eq!(outcome.code, 0, "{outcome:?}");
        assert!(outcome.out.lines().any(|line| line.starts_with("=> ") && line.contains(reason)), "{}", outcome.out);
        // Whoever is held back is told what helps.
        assert!(reason == "advertised" || outcome.out.lines().last().is_some_and(|line| line.starts_with("   ")), "{}", outcome.out);
    }
    to_one_peer(&speaker);
    lists(&speaker);

    // What is wrong with the node holds back everything that gets so far.
    let gates = ["away", "dark", "empty", "orphan", "web"];
    let all = |reason: &'static str| REASONS.map(|(name, other)| (name, if gates.contains(&name) { reason } else { other }));
    let mut changed = node(&net, "n1", RR, Value::Null);
    changed["metadata"]["labels"] = json!({"node.kubernetes.io/exclude-from-external-load-balancers": ""});
    server.put(changed.clone());
    has_reasons(&speaker, &all("nodeLabeledExcludeBalancers"));
    changed["status"] = json!({"conditions": [{"type": "NetworkUnavailable", "status": "True"}]});
    server.put(changed);
    has_reasons(&speaker, &all("nodeNetworkUnavailable"));
    server.put(node(&net, "n1", RR, Value::Null));
    has_reasons(&speaker, &REASONS);
}

/// The whole chain to one peer, to one that is not meant, and what is not there.
fn to_one_peer(speaker: &Daemon) {
    let trace = speaker.json("explain svc/shop/web --to tor");
    let stages: Vec<_> = trace["steps"].as_array().unwrap().iter().map(|step| step["stage"].as_str().unwrap()).collect();
    let wanted = [
        "service",
        "address",
        "pool",
        "advertisement",
        "node",
        "endpoints",
        "announce",
        "received",
        "import",
        "decision",
        "export",
        "send",
    ];
    assert_eq!((&stages[..], &trace["ok"], &trace["service"]), (&wanted[..], &json!(true), &json!("shop/web")), "{trace}");
    let trace = speaker.json("explain svc/shop/web --to dark");
    assert_eq!(trace["reason"], json!("noPeer"), "{trace}");
    let trace = speaker.json("explain svc/shop/dark --to dark");
    assert_eq!((&trace["reason"], &trace["ok"]), (&json!("noSession"), &json!(false)), "{trace}");
    assert_eq!(speaker.run("explain svc/shop/nothing").code, 4);
    assert_eq!(speaker.run("explain svc/shop/web --to nobody").code, 4);
    assert_eq!(speaker.run("show service shop/nothing").code, 4);
}

fn lists(speaker: &Daemon) {
    let row = &speaker.items("show service shop/web")[0];
    assert_eq!((&row["pool"], &row["nodes"], &row["prefixes"]), (&json!("public"), &json!(["n1"]), &json!(["203.0.113.1/32"])), "{row}");
    assert_eq!((&row["peers"][0]["name"], &row["peers"][0]["advertised"]), (&json!("tor"), &json!(true)), "{row}");
    assert_eq!(speaker.ok("show services --pool silent -o name"), "shop/silent\n");
    assert_eq!(speaker.ok("show services --reason noEndpoints -o name"), "shop/empty\n");
    assert_eq!(speaker.ok("show services -6 -o name"), "");
    let pools = speaker.items("show pools");
    let public = pools.iter().find(|pool| pool["name"] == "public").unwrap();
    let usage = json!([{"family": "ipv4-unicast", "total": 16, "used": 3, "free": 13}]);
    assert_eq!((&public["families"], &public["services"], &public["advertisements"]), (&usage, &json!(3), &json!(["all"])), "{public}");
    let addresses: Vec<_> = speaker.items("show allocations").iter().map(|row| row["address"].as_str().unwrap().to_owned()).collect();
    assert_eq!(addresses.len(), 8, "{addresses:?}");
    let advertisements = speaker.items("show advertisements");
    let all = advertisements.iter().find(|row| row["name"] == "all").unwrap();
    assert_eq!((&all["services"], &all["prefixes"], &all["peers"]), (&json!(1), &json!(1), &json!(["tor"])), "{all}");
    assert_eq!((&all["communities"], &all["largeCommunities"]), (&json!(["65535:65281"]), &json!(["64512:1:2"])), "{all}");
    let nobody = advertisements.iter().find(|row| row["name"] == "nobody").unwrap();
    assert!(nobody["problems"][0].as_str().unwrap().contains("no usable peer `gone`"), "{nobody}");
}
