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
    let Some(own) = own_address().await else { return };
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

/// A peer never hears of a part, and then of the rest: before everything was listed once there is no session, and then one with all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_said_before_everything_is_known() {
    let net = Net::new(142);
    let Some(own) = own_address().await.map(|own| own.to_string()) else { return };
    let server = ApiServer::start().await.unwrap();
    server.order(&Order { forbidden: Some(["endpointslices".to_owned()].into()), ..Order::default() });
    server.put(node(&net, "n1", RR, Value::Null));
    server.put(metallb("IPAddressPool", "v1beta1", "public", json!({"addresses": ["203.0.113.0/24"]})));
    server.put(metallb("BGPAdvertisement", "v1beta1", "all", json!({})));
    server.put(peer(&net, "tor", CLIENT, &own, Value::Null));
    (1..=9).for_each(|i| put(&server, &format!("s{i}"), &format!("203.0.113.{i}"), Some("n1"), "Local"));
    let identity = format!("router: {{ id: 10.0.0.9 }}\nlisten: [{{ address: {own}, port: {} }}]\n", net.port);
    let speaker = follower(&net, &server, "nodeName: n1, roles: [vip]", &identity);
    let tor = tor(&net, CLIENT, &own, None);
    let says = |words: &str| speaker.get("/readyz?verbose").is_some_and(|(_, body)| body.contains(words)).then_some(());
    eventually("it says what it waits for", || says("endpointslices is forbidden"));
    assert!(names(&speaker).is_empty() && !is_ready(&speaker));
    server.order(&Order { forbidden: Some(BTreeSet::new()), ..Order::default() });
    (1..=9).for_each(|i| tor.has("show rib in", &format!("203.0.113.{i}/32")));
    eventually("the end of the table", || (tor.neighbor("rr")["families"][0]["eorReceived"] == true).then_some(()));
    // All addresses have the same attributes: they left in one message, and nothing but the end of the table after it.
    let sent = updates(&speaker, "tor");
    assert!(sent <= 2, "{sent} messages");
}

/// A node sees the Services and the pools, and so why one has no address, though no allocator tells it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_knows_why_a_service_has_no_address() {
    let net = Net::new(139);
    let server = ApiServer::start().await.unwrap();
    server.put(node(&net, "n1", RR, Value::Null));
    server.put(metallb("IPAddressPool", "v1beta1", "tiny", json!({"addresses": ["203.0.113.1/32"]})));
    let pinned = json!({"namespaceSelectors": [{"matchLabels": {"team": "a"}}]});
    server.put(metallb("IPAddressPool", "v1beta1", "team", json!({"addresses": ["203.0.113.8/32"], "serviceAllocation": pinned})));
    server.put(metallb("IPAddressPool", "v1beta1", "manual", json!({"addresses": ["203.0.113.9/32"], "autoAssign": false})));
    put(&server, "first", "203.0.113.1", None, "Cluster");
    put(&server, "second", "", None, "Cluster");
    let speaker = follower(&net, &server, "nodeName: n1, roles: [vip]", "router: { asn: 64512, id: 10.0.0.9 }\nlisten: []\n");
    has_reasons(&speaker, &[("first", "notOwner"), ("second", "poolExhausted")]);
    let row = &speaker.items("show service shop/second")[0];
    let pools = json!([{"pool": "manual", "reason": "poolNotAutomatic"}, {"pool": "tiny", "reason": "poolExhausted"}]);
    assert_eq!(row["refusal"]["pools"], pools, "{row}");
    let tiny = speaker.items("show pools").into_iter().find(|pool| pool["name"] == "tiny").unwrap();
    assert_eq!((&tiny["families"][0]["free"], &tiny["refused"]), (&json!(0), &json!({"poolExhausted": 1})), "{tiny}");
    let said = speaker.ok("explain svc/shop/second");
    assert!(said.contains("=> poolExhausted") && said.contains("`team` depends on the labels of namespaces"), "{said}");

    // With a free address it is the allocator who is missed.
    server.put(metallb("IPAddressPool", "v1beta1", "tiny", json!({"addresses": ["203.0.113.1-203.0.113.2"]})));
    has_reasons(&speaker, &[("first", "notOwner"), ("second", "noAddress")]);
    let said = speaker.ok("explain svc/shop/second");
    assert!(said.contains("203.0.113.2 of pool `tiny` would be free for it") && said.contains("role `allocator` leads"), "{said}");
}

/// A peer of AS 64512 at `host`, which sees us as `own` and signs with the key in its file, if it has one.
fn tor(net: &Net, host: u8, own: &str, key: Option<&str>) -> Daemon {
    let key_file = net.directory.path().join(format!("{host}.key"));
    let password = key.map_or_else(String::new, |key| {
        std::fs::write(&key_file, key).unwrap();
        format!(", password: {{ file: {} }}", key_file.display())
    });
    let neighbor = net.neighbor("rr", host, RR, &format!("asn: internal{password}"));
    let neighbor = neighbor.replace(&format!("address: {},", net.ip(RR)), &format!("address: {own},"));
    net.start(host, &net.config(host, 64512, &neighbor, ""))
}

fn peer(net: &Net, name: &str, host: u8, own: &str, more: Value) -> Value {
    let mut spec = json!({"myASN": 64512, "peerASN": 64512, "peerAddress": net.ip(host), "peerPort": net.port, "sourceAddress": own});
    if let (Some(all), Some(more)) = (spec.as_object_mut(), more.as_object()) {
        all.extend(more.clone());
    }
    metallb("BGPPeer", "v1beta2", name, spec)
}

/// UPDATE messages that a neighbor was sent.
fn updates(daemon: &Daemon, name: &str) -> u64 {
    daemon.neighbor(name)["messages"]["sent"]["update"].as_u64().unwrap()
}

fn attributes(tor: &Daemon, prefix: &str) -> Option<(Value, Value)> {
    let row = tor.items("show rib in").into_iter().find(|row| row["prefix"] == prefix)?;
    Some((row["localPref"].clone(), row["communities"].clone()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_for_one_peer_is_nothing_to_the_others() {
    let net = Net::new(108);
    let Some(own) = own_address().await.map(|own| own.to_string()) else { return };
    let server = ApiServer::start().await.unwrap();
    server.put(node(&net, "n1", RR, Value::Null));
    server.put(metallb("IPAddressPool", "v1beta1", "public", json!({"addresses": ["203.0.113.0/24"]})));
    server.put(metallb("BGPAdvertisement", "v1beta1", "all", json!({"communities": ["64512:1"]})));
    let for_a = json!({"peers": ["a"], "communities": ["64512:2", "no-export"], "localPref": 500});
    server.put(metallb("BGPAdvertisement", "v1beta1", "for-a", for_a));
    server.put(peer(&net, "a", 11, &own, Value::Null));
    server.put(peer(&net, "b", 12, &own, Value::Null));
    put(&server, "web", "203.0.113.1", Some("n1"), "Local");
    put(&server, "mail", "203.0.113.2", None, "Local");
    let identity = format!("router: {{ id: 10.0.0.9 }}\nlisten: [{{ address: {own}, port: {} }}]\n", net.port);
    let speaker = follower(&net, &server, "nodeName: n1, roles: [vip]", &identity);
    let (a, b) = (tor(&net, 11, &own, None), tor(&net, 12, &own, None));
    let web = "203.0.113.1/32";
    let plain = (json!(100), json!(["64512:1"]));
    let both = (json!(500), json!(["64512:1", "64512:2", "65535:65281"]));
    let has = |tor: &Daemon, prefix: &str, wanted: &Option<(Value, Value)>| {
        eventually(&format!("{prefix}: {wanted:?}"), || (attributes(tor, prefix) == *wanted).then_some(()));
    };
    has(&a, web, &Some(both.clone()));
    has(&b, web, &Some(plain.clone()));
    let config = speaker.ok("show config");
    assert!(config.contains("another localPref; the highest counts"), "{config}");

    // A prefix that comes is one message, one that goes another; that of the other Service is not sent again.
    let (to_a, to_b, since) = (updates(&speaker, "a"), updates(&speaker, "b"), speaker.neighbor("b")["stateSince"].clone());
    server.put(slice("mail", Some("n1")));
    has(&a, "203.0.113.2/32", &Some(both.clone()));
    has(&b, "203.0.113.2/32", &Some(plain.clone()));
    server.put(slice("web", None));
    has(&a, web, &None);
    has(&b, web, &None);
    assert_eq!((updates(&speaker, "a"), updates(&speaker, "b")), (to_a + 2, to_b + 2));
    // Peers that come, and change, are nothing to the others.
    server.delete("metallb.io/v1beta1/BGPAdvertisement", "default", "for-a");
    has(&a, "203.0.113.2/32", &Some(plain.clone()));
    has(&b, "203.0.113.2/32", &Some(plain.clone()));
    put(&server, "last", "203.0.113.3", Some("n1"), "Local");
    has(&b, "203.0.113.3/32", &Some(plain.clone()));
    let to_b = updates(&speaker, "b");
    server.put(peer(&net, "c", 13, &own, Value::Null));
    eventually("c is there", || names(&speaker).contains(&"c".to_owned()).then_some(()));
    server.put(peer(&net, "a", 11, &own, json!({"holdTime": "30s"})));
    eventually("a has another hold time", || (speaker.neighbor("a")["timers"]["holdSeconds"].as_f64() == Some(30.0)).then_some(()));
    has(&a, "203.0.113.2/32", &Some(plain));
    assert_eq!((speaker.neighbor("b")["stateSince"].clone(), updates(&speaker, "b")), (since, to_b));
}

/// base64 of the two keys.
const KEYS: [(&str, &str); 2] = [("swordfish", "c3dvcmRmaXNo"), ("sailfish", "c2FpbGZpc2g=")];

fn secret(encoded: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bgp", "namespace": "default"}, "type": "kubernetes.io/basic-auth",
        "data": {"password": encoded}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_from_a_secret_changes_without_an_end_of_the_session() {
    let net = Net::new(109);
    let Some(own) = own_address().await.map(|own| own.to_string()) else { return };
    let server = ApiServer::start().await.unwrap();
    server.put(node(&net, "n1", RR, Value::Null));
    server.put(metallb("IPAddressPool", "v1beta1", "public", json!({"addresses": ["203.0.113.0/24"]})));
    server.put(metallb("BGPAdvertisement", "v1beta1", "all", json!({})));
    server.put(secret(KEYS[0].1));
    server.put(peer(&net, "tor", CLIENT, &own, json!({"passwordSecret": {"name": "bgp"}})));
    put(&server, "web", "203.0.113.1", Some("n1"), "Local");
    let identity = format!("router: {{ id: 10.0.0.9 }}\nlisten: [{{ address: {own}, port: {} }}]\n", net.port);
    let speaker = follower(&net, &server, "nodeName: n1, roles: [vip]", &identity);
    let tor = tor(&net, CLIENT, &own, Some(KEYS[0].0));
    tor.has("show rib in", "203.0.113.1/32");
    let since = [speaker.neighbor("tor")["stateSince"].clone(), tor.neighbor("rr")["stateSince"].clone()];
    let (version, generation) = (speaker.json("show summary")["configGeneration"].as_u64().unwrap(), "configGeneration");
    server.put(secret(KEYS[1].1));
    eventually("the key is in force", || (speaker.json("show summary")[generation].as_u64().unwrap() > version).then_some(()));
    put(&server, "mail", "203.0.113.2", Some("n1"), "Local");
    std::fs::write(net.directory.path().join(format!("{CLIENT}.key")), KEYS[1].0).unwrap();
    tor.ok("reload");
    tor.has("show rib in", "203.0.113.2/32");
    let now = [speaker.neighbor("tor")["stateSince"].clone(), tor.neighbor("rr")["stateSince"].clone()];
    assert_eq!(now, since, "both ends keep their session");
    assert!(!speaker.ok("show config").contains("sailfish"));
}
