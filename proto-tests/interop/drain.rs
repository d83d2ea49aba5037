//! Drains: the peers choose another way while ours still works (RFC 8326).

use crate::lab::{Host, Lab, PATIENCE, eventually, v4};
use crate::peers::{Kind, Peer, Setup};
use crate::us::{Kubgpd, neighbor};

const VIP: &str = "203.0.113.7";

/// A node that announces the VIP and passes what comes for it to the one who serves it, as kube-proxy does.
fn node(host: &Host, tor: &str, med: u8) -> Kubgpd {
    host.run(&format!("ip route add {VIP}/32 via {}", v4(7)));
    let networks = format!("originate: {{ networks: [{{ prefix: {VIP}/32, med: {med} }}] }}\ndrain: {{ gracePeriod: 2s }}\n");
    Kubgpd::start(host, 64512, &(neighbor(tor, 65002, "") + &networks))
}

/// Two nodes announce a VIP, the first is preferred, and a client fetches from it without a pause. The first node is drained and
/// ends: traffic has moved before the route goes, and not one request is lost.
#[test]
fn traffic_moves_before_a_drained_node_goes() {
    if !crate::ready() {
        return;
    }
    let lab = Lab::new();
    let (one, other, server, client) = (lab.host(1), lab.host(5), lab.host(7), lab.lone_host(8));
    let tor = lab.host(Kind::Frr.number());
    lab.cable("out", &tor, &client);
    tor.address("out", "198.51.100.1/24");
    client.address("out", "198.51.100.10/24");
    client.run("ip route add default via 198.51.100.1");
    server.address("lo", &format!("{VIP}/32"));
    server.run(&format!("ip route add default via {}", v4(tor.number)));
    // What answers HTTP is a daemon of ours without neighbors.
    server.write(
        "http.yaml",
        &format!(
            "router: {{ asn: 1, id: 10.255.0.7 }}\nlisten: []\napi: {{ socket: {} }}\nmetrics: {{ listen: \"{VIP}:80\" }}\n",
            server.folder.join("kubgp.sock").display()
        ),
    );
    let http = server.folder.join("http.yaml");
    let _server = server.start(env!("CARGO_BIN_EXE_kubgpd"), &["--config", http.to_str().unwrap()]);

    let second = format!(
        "router bgp 65002\n neighbor {0} remote-as 64512\n neighbor {0} timers connect 1\n address-family ipv4 unicast\n  neighbor {0} activate\n \
         exit-address-family\nexit\n",
        v4(5)
    );
    let peer = Peer::start(Kind::Frr, &tor, Setup { global: second, kernel: true, ..Setup::new(&tor, 65002) });
    let mut first = node(&one, &peer.setup.own, 7);
    let _second = node(&other, &peer.setup.own, 9);
    eventually(PATIENCE, "both ways are known", || peer.paths(&format!("{VIP}/32")).len() == 2);
    let way = || tor.query(&["ip", "route", "get", VIP]);
    eventually(PATIENCE, "the first is taken", || way().contains(&format!("via {} ", v4(1))));

    let fetch = format!("while :; do curl -s -o /dev/null -m 2 -w '%{{http_code}}\\n' http://{VIP}/livez; done");
    let fetching = client.start("sh", &["-c", &fetch]);
    let served = || fetching.log().lines().filter(|line| *line == "200").count();
    eventually(PATIENCE, "the client is served", || served() > 20);

    first.ask_to_stop();
    eventually(PATIENCE, "the second is taken", || way().contains(&format!("via {} ", v4(5))));
    let paths = peer.paths(&format!("{VIP}/32"));
    let going = paths.iter().find(|path| path.next_hop == v4(1)).unwrap();
    assert_eq!((going.local_pref, going.communities.as_slice()), (Some(0), &["graceful-shutdown".to_owned()][..]), "{paths:?}");
    assert!(!first.has_ended(), "the first way still works");
    first.ended();
    one.run(&format!("ip route del {VIP}/32"));
    assert_eq!(peer.paths(&format!("{VIP}/32")).len(), 1);
    let moved = served();
    eventually(PATIENCE, "the client is served by the second", || served() > moved + 20);
    let log = fetching.log();
    let lost: Vec<&str> = log.lines().filter(|line| *line != "200").collect();
    assert_eq!(lost, Vec::<&str>::new(), "of {} requests", served());
}
