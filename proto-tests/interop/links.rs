//! What others do to our interfaces and addresses while sessions run.

use crate::lab::{Lab, PATIENCE, eventually};
use crate::peers::{Kind, Peer, Setup};
use crate::us::{ACCEPT_ALL, Kubgpd, neighbor, networks};

#[test]
fn a_link_that_flaps_and_an_address_that_comes_back() {
    if !crate::ready() {
        return;
    }
    let lab = Lab::new();
    let us = lab.host(1);
    let frr = lab.host(2);
    let peer = Peer::start(Kind::Frr, &frr, Setup::new(&frr, 65002).networks(&["10.2.0.0/24"]));
    let config = ACCEPT_ALL.to_owned()
        + "fib: { install: best }\n"
        + &neighbor(&peer.setup.own, 65002, "import: all, export: all, localAddress: 10.0.0.1")
        + &networks(&["10.1.0.0/24"]);
    let kubgpd = Kubgpd::start(&us, 64512, &config);
    let installed = || us.run("ip route show proto 179").contains("10.2.0.0/24 via 10.0.0.2");
    let whole = || installed() && peer.established() && !peer.paths("10.1.0.0/24").is_empty();
    eventually(PATIENCE, "all is there", whole);
    // The kernel takes the routes of a link that goes down away, and says nothing of each.
    us.run("ip link set lan down");
    eventually(PATIENCE, "our route is gone", || !installed());
    us.run("ip link set lan up");
    eventually(PATIENCE, "and back", whole);
    us.run("ip address del 10.0.0.1/24 dev lan");
    eventually(PATIENCE, "nothing leads to the next hop", || !installed());
    us.run("ip address add 10.0.0.1/24 dev lan");
    eventually(PATIENCE, "and now again", whole);
    assert!(!kubgpd.log().contains("session down"), "the session outlives both");
}
