//! Supervision by fault injection: a bug in a peer's own code costs that peer's session, any other ends the process, and so does a
//! thread that is stuck. The faults are ordered with `KUBGP_FAULTS`, which only debug builds know.

use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use crate::driver::{Driver, Split, Verdict};
use crate::notation::Session;
use crate::peer::{Came, NOTIFICATION, Peer, keepalive, open_of};
use crate::setup::eventually;
use crate::victim::Victim;

const FAULTS: &str = "panic-in-import=198.18.1.0/24,panic-in-rib=198.18.2.0/24,stall-rib=198.18.3.0/24,watchdog-ms=4800";

fn session() -> Session {
    Session::chosen(&["e4"])[0]
}

/// The UPDATE that triggers fault `number`.
fn trigger(number: u8) -> Vec<u8> {
    session().expand(&format!("U[|BASE|18C612{number:02X}]"))
}

fn wait_for_end(victim: &mut Victim) -> ExitStatus {
    eventually("the daemon ends", || victim.daemon.child.try_wait().expect("a child"))
}

#[test]
fn a_panic_in_the_code_of_one_peer_resets_that_peer_only() {
    let mut victim = Victim::with_environment(61, "info", &[("KUBGP_FAULTS", FAULTS)]);
    let mut driver = Driver::new(&victim, session());
    driver.announce();
    let other = victim.source(&session(), 999);
    let mut broken = Peer::established(other, victim.address, &open_of(&session()));
    broken.send(&session().expand("U[|BASE|18C61209]"));
    let route = "198.18.9.0/24".parse().expect("a prefix");
    driver.bystander.wait("the peer's good route", |routes| routes.contains_key(&route));
    broken.send(&trigger(1));
    assert!(broken.end().is_none_or(|n| (n.code, n.subcode) == (6, 8)));
    driver.bystander.wait("its routes go with it", |routes| !routes.contains_key(&route));
    assert!(matches!(driver.send(&keepalive(), Split::OneWrite), Verdict::Kept), "the session beside it");
    // It waits before it is let in again, or it would do nothing but that.
    let turned_away =
        Peer::try_connect(other, victim.address).map_or(true, |mut peer| matches!(peer.poll(crate::peer::BOUND), Came::Closed));
    assert!(turned_away);
    eventually("the peer is back", || {
        let mut again = Peer::try_connect(other, victim.address).ok()?;
        again.send(&open_of(&session()));
        matches!(again.poll(crate::peer::BOUND), Came::Message { kind, .. } if kind != NOTIFICATION).then_some(())
    });
    let bystander = driver.bystander;
    victim.is_unharmed();
    drop(bystander);
}

#[test]
fn a_panic_elsewhere_ends_the_process() {
    let mut victim = Victim::with_environment(62, "info", &[("KUBGP_FAULTS", FAULTS)]);
    let address: (IpAddr, SocketAddr) = (victim.source(&session(), 1).into(), victim.address);
    let IpAddr::V4(source) = address.0 else { unreachable!("IPv4") };
    let mut peer = Peer::established(source, address.1, &open_of(&session()));
    peer.send(&trigger(2));
    assert_eq!(wait_for_end(&mut victim).signal(), Some(6));
    assert!(peer.end().is_none(), "no NOTIFICATION: the routes stay with a helper (RFC 4724)");
}

#[test]
fn a_stuck_rib_shows_and_then_ends_the_process() {
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager.set_read_timeout(Some(crate::peer::BOUND)).expect("a socket");
    let path = path.to_str().expect("a path").to_owned();
    let mut victim = Victim::with_environment(63, "info", &[("KUBGP_FAULTS", FAULTS), ("NOTIFY_SOCKET", &path)]);
    let hear = || {
        let mut text = [0; 64];
        let n = manager.recv(&mut text).expect("a message to the service manager");
        String::from_utf8_lossy(&text[..n]).trim_end().to_owned()
    };
    let mut heard = Vec::new();
    while !["READY=1", "WATCHDOG=1"].iter().all(|wanted| heard.iter().any(|h| h == wanted)) {
        heard.push(hear());
    }
    victim.daemon.signal("HUP");
    let reloading = std::iter::repeat_with(hear).find(|text| text != "WATCHDOG=1").expect("a reload");
    let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("when the reload began");
    assert!(time.parse::<u64>().expect("microseconds") > 0);
    assert_eq!(std::iter::repeat_with(hear).find(|text| text != "WATCHDOG=1").as_deref(), Some("READY=1"));
    assert!(victim.daemon.get("/livez").expect("an answer").0.contains("200"));
    let source = victim.source(&session(), 1);
    let mut peer = Peer::established(source, victim.address, &open_of(&session()));
    peer.send(&trigger(3));
    // Between the warning and the end both can be asked.
    eventually("liveness shows it", || victim.daemon.get("/livez").filter(|(status, _)| status.contains("503")));
    if let Some((status, _)) = victim.daemon.get("/readyz") {
        assert!(status.contains("503"), "{status}");
    }
    assert_eq!(wait_for_end(&mut victim).signal(), Some(6));
}
