//! VIPs of the file: the address is on the loopback interface while it is announced, and traffic goes where the service works.

use crate::lab::{Host, Lab, PATIENCE, eventually, v4};
use crate::peers::{Kind, Peer, Setup};
use crate::us::{Kubgpd, neighbor};

const VIP: &str = "203.0.113.20";

fn lo(host: &Host) -> String {
    host.run("ip address show dev lo")
}

fn has(host: &Host, address: &str) -> bool {
    lo(host).contains(&format!("inet {address}/32"))
}

/// A service that works while a file is there.
fn service(host: &Host, rest: &str) -> String {
    format!(
        "vips: {{ services: [{{ name: web, addresses: [{VIP}], check: {{ type: exec, command: [/usr/bin/test, -e, {}], interval: 100ms, \
         rise: 1, fall: 1 }} }}] }}\n{rest}",
        host.folder.join("works").display()
    )
}

/// Bound while it works, given back at the end, taken over or removed after a crash, and never taken from others; without kernel routes,
/// then with them.
#[test]
fn an_address_is_bound_while_its_service_works() {
    if !crate::ready() {
        return;
    }
    for install in ["", "fib: { install: best }\n"] {
        let lab = Lab::new();
        let host = lab.host(1);
        host.address("lo", "203.0.113.99/32");
        let works = host.write("works", "");
        let mut daemon = Kubgpd::start(&host, 64512, &service(&host, install));
        eventually(PATIENCE, "the address is bound", || has(&host, VIP));
        std::fs::remove_file(&works).unwrap();
        eventually(PATIENCE, "the address is gone", || !has(&host, VIP));
        host.write("works", "");
        eventually(PATIENCE, "the address is back", || has(&host, VIP));
        daemon.stop();
        assert!(!has(&host, VIP), "the end takes it away\n{}", lo(&host));

        daemon.restart();
        eventually(PATIENCE, "the address is bound again", || has(&host, VIP));
        daemon.kill();
        assert!(has(&host, VIP), "nobody removed it");
        std::fs::remove_file(&works).unwrap();
        daemon.restart();
        eventually(PATIENCE, "the leftover is removed", || !has(&host, VIP));
        assert!(has(&host, "203.0.113.99"), "this is another's\n{}", lo(&host));
    }
}

/// Two nodes behind one router have the VIP; what answers on the preferred one dies, and the client's next request after the withdrawal
/// is served by the other.
#[test]
fn the_next_request_goes_to_the_node_that_works() {
    if !crate::ready() {
        return;
    }
    let lab = Lab::new();
    let (one, other, client) = (lab.host(1), lab.host(5), lab.lone_host(8));
    let tor = lab.host(Kind::Frr.number());
    lab.cable("out", &tor, &client);
    tor.address("out", "198.51.100.1/24");
    client.address("out", "198.51.100.10/24");
    client.run("ip route add default via 198.51.100.1");
    // The file that is served is the answer to the check too, and tells who served it.
    let serve = |host: &Host| {
        host.run(&format!("ip route add default via {}", v4(tor.number)));
        host.write("who", &host.number.to_string());
        host.start("python3", &["-m", "http.server", "--directory", host.folder.to_str().unwrap(), "6443"])
    };
    let second = format!(
        "router bgp 65002\n neighbor {0} remote-as 64512\n neighbor {0} timers connect 1\n address-family ipv4 unicast\n  neighbor {0} activate\n \
         exit-address-family\nexit\n",
        v4(5)
    );
    let peer = Peer::start(Kind::Frr, &tor, Setup { global: second, kernel: true, ..Setup::new(&tor, 65002) });
    let node = |host: &Host, med: u8| {
        let vips = format!(
            "vips:\n  advertise: [{{ med: {med} }}]\n  services:\n    - name: web\n      addresses: [{VIP}]\n      check: {{ type: http, \
             target: \"127.0.0.1:6443\", path: /who, interval: 200ms, timeout: 200ms, rise: 1, fall: 2 }}\n"
        );
        Kubgpd::start(host, 64512, &(neighbor(&peer.setup.own, 65002, "") + &vips))
    };
    let (mut first_server, _second_server) = (serve(&one), serve(&other));
    let (_first, _second) = (node(&one, 7), node(&other, 9));
    let fetch = || client.query(&["curl", "-s", "-m", "2", &format!("http://{VIP}:6443/who")]);
    eventually(PATIENCE, "both ways are known", || peer.paths(&format!("{VIP}/32")).len() == 2);
    eventually(PATIENCE, "the first serves", || fetch() == "1");
    first_server.kill();
    eventually(PATIENCE, "its way is withdrawn", || peer.paths(&format!("{VIP}/32")).len() == 1);
    eventually(PATIENCE, "the kernel knows", || tor.query(&["ip", "route", "get", VIP]).contains(&format!("via {} ", v4(5))));
    assert_eq!(fetch(), "5", "the next request");
    eventually(PATIENCE, "the address is gone there", || !has(&one, VIP));
    assert!(has(&other, VIP));
}
