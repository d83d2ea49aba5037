//! Sessions: kinds, families, transports.

use crate::lab::{Lab, v4, v6};
use crate::peers::{ALL, Kind, Peer, Setup};
use crate::us::Kubgpd;

/// One session with each daemon, both families over one transport; `asn` gives the other's AS.
fn both_families(asn: impl Fn(Kind) -> u32, transport: impl Fn(u8) -> String) {
    if !crate::ready() {
        return;
    }
    let lab = Lab::new();
    let us = lab.host(1);
    let neighbors: String = ALL
        .iter()
        .map(|kind| {
            format!(
                "  - {{ address: \"{}\", asn: {}, families: [ipv4-unicast, ipv6-unicast], connectRetryTime: 1s, import: [all] }}\n",
                transport(kind.number()),
                asn(*kind)
            )
        })
        .collect();
    let _kubgpd = Kubgpd::start(
        &us,
        64512,
        &format!(
            "policies: {{ all: [{{ action: accept }}] }}\nneighbors:\n{neighbors}originate:\n  networks:\n    \
             - {{ prefix: 10.1.0.0/24, med: 7 }}\n    - {{ prefix: \"fd01::/64\", med: 7 }}\n"
        ),
    );
    let peers: Vec<Peer> = ALL
        .iter()
        .map(|kind| {
            let host = lab.host(kind.number());
            let setup = Setup { us: transport(1), own: transport(host.number), ..Setup::new(&host, asn(*kind)) };
            let n = host.number;
            Peer::start(*kind, &host, setup.both_families().networks(&[&format!("10.{n}.0.0/24"), &format!("fd0{n}::/64")]))
        })
        .collect();
    for peer in &peers {
        peer.wait_established();
        println!("{:?} {:?}", peer.kind, peer.established());
        for p in ["10.1.0.0/24", "fd01::/64"] {
            peer.wait_route(p, "from us", |r| r.med == Some(7));
            println!("{:#?}", peer.paths(p));
        }
    }
}

#[test]
fn ebgp_over_ipv4() {
    both_families(|kind| 65000 + u32::from(kind.number()), v4);
}

#[test]
fn ebgp_over_ipv6() {
    both_families(|kind| 65000 + u32::from(kind.number()), v6);
}
