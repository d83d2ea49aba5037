//! One hostile session beside a bystander: announces routes, sends a case, announces a sentinel, and says what became of it all.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use kubgp::wire::attr::AttrSet;
use kubgp::wire::{FamilySet, FaultAction, FaultKind, Notification, Update, decode_update};

use crate::bystander::Bystander;
use crate::notation::Session;
use crate::peer::{BOUND, Came, NOTIFICATION, Peer, UPDATE, now, open_of};
use crate::victim::Victim;

/// How a case is put on the wire.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Split {
    OneWrite,
    OctetByOctet,
}

/// What became of the session.
#[derive(Debug)]
pub enum Verdict {
    Kept,
    /// With the NOTIFICATION of the daemon, if it sent one.
    Ended(Option<Notification>),
}

/// The hostile side.
pub struct Driver<'a> {
    victim: &'a Victim,
    pub bystander: Bystander,
    session: Session,
    hostile: Option<Peer>,
    /// Each connection that follows a reset comes from another address, so that no back-off stands in its way.
    address: u16,
    /// Counts announcements before cases, to tell the routes of one from those of others.
    mark: u32,
    sentinel: u8,
}

impl<'a> Driver<'a> {
    pub fn new(victim: &'a Victim, session: Session) -> Self {
        let bystander = Bystander::new(victim.bystander, victim.address);
        Self { victim, bystander, session, hostile: None, address: 0, mark: 0, sentinel: 0 }
    }

    /// Goes on with a session of another kind.
    pub fn change(&mut self, session: Session) {
        if self.session != session {
            self.hostile = None;
            self.bystander.wait("routes of the former session go", BTreeMap::is_empty);
            self.session = session;
        }
    }

    /// An address that no session has come from yet.
    pub fn new_address(&mut self) -> Ipv4Addr {
        self.address += 1;
        self.victim.source(&self.session, self.address)
    }

    pub fn victim(&self) -> SocketAddr {
        self.victim.address
    }

    /// Sends octets, then a sentinel, and waits for the one or for the end of the session.
    pub fn send(&mut self, octets: &[u8], split: Split) -> Verdict {
        if self.hostile.is_none() {
            let address = self.new_address();
            self.hostile = Some(Peer::established(address, self.victim.address, &open_of(&self.session)));
        }
        let hostile = self.hostile.as_mut().expect("it was just made");
        match split {
            Split::OneWrite => hostile.send(octets),
            Split::OctetByOctet => hostile.send_octet_by_octet(octets),
        }
        // Two in a row: when the second is there, all that came before the first is. One more where the routes of another family may
        // be written after the sentinel of the same turn.
        for _ in 0..if self.session.families == FamilySet::ALL { 3 } else { 2 } {
            if let Some(end) = self.pass_sentinel() {
                self.hostile = None;
                return Verdict::Ended(end);
            }
        }
        Verdict::Kept
    }

    /// `Some`: the session ended meanwhile.
    fn pass_sentinel(&mut self) -> Option<Option<Notification>> {
        let hostile = self.hostile.as_mut().expect("a session");
        let id = if self.session.add_path { "00000063" } else { "" };
        let (last, next) = (self.sentinel, self.sentinel.wrapping_add(1));
        self.sentinel = next;
        hostile.send(&self.session.expand(&format!("U[{id} 20C00002{last:02X}|BASE|{id} 20C00002{next:02X}]")));
        let route: IpNet = format!("192.0.2.{next}/32").parse().expect("a prefix");
        let end = now() + BOUND;
        while !self.bystander.routes.contains_key(&route) {
            assert!(now() < end, "neither sentinel nor end of the session");
            match hostile.poll(Duration::ZERO) {
                Came::Message { kind: NOTIFICATION, body } => {
                    let notification = Notification::decode(&body).expect("a good NOTIFICATION");
                    assert!(hostile.end().is_none(), "one NOTIFICATION is enough");
                    return Some(Some(notification));
                }
                Came::Closed => return Some(None),
                Came::Message { .. } => continue,
                Came::Nothing => {}
            }
            self.bystander.look(Duration::from_millis(2));
        }
        None
    }

    /// Announces the routes that cases are about, each with a mark, and waits until the bystander has them.
    pub fn announce(&mut self) {
        self.mark += 1;
        let mark = format!("C0200C 0000FDE9 0000CAFE {:08X}", self.mark);
        let v6 = "800E1A000201 10 20010DB8 00*11 02 00 20 20010DB8";
        let mut octets = self.session.expand(&format!("U[|BASE {mark}|n1 n2]"));
        if self.session.families == FamilySet::ALL {
            octets.extend(self.session.expand(&format!("U[|{v6} OE PP LP {mark}|]")));
        }
        let verdict = self.send(&octets, Split::OneWrite);
        assert!(matches!(verdict, Verdict::Kept), "good routes are refused: {verdict:?}");
        let shown = self.tracked().iter().all(|p| self.bystander.routes.get(p).is_some_and(|a| self.is_marked(a)));
        assert!(shown, "good routes are not passed on");
    }

    fn is_marked(&self, attrs: &AttrSet) -> bool {
        attrs.large_communities().any(|c| c == [0xFDE9, 0xCAFE, self.mark])
    }

    /// The routes that were announced before.
    fn tracked(&self) -> Vec<IpNet> {
        let v6 = (self.session.families == FamilySet::ALL).then_some("2001:db8::/32");
        ["203.0.113.0/24", "198.51.100.0/24"].into_iter().chain(v6).map(|p| p.parse().expect("a prefix")).collect()
    }

    /// Runs a case that is to have `class`; says what is wrong, if anything is.
    pub fn judge(&mut self, octets: &[u8], class: &str, split: Split) -> Result<(), String> {
        let tracking = !self.session.add_path;
        if tracking {
            self.announce();
        }
        let verdict = self.send(octets, split);
        match (&verdict, class) {
            (Verdict::Kept, "K" | "W" | "D" | "I" | "L") => {}
            (Verdict::Ended(None), "C" | "K") if octets.get(18) == Some(&NOTIFICATION) => {}
            (Verdict::Ended(Some(n)), _) if class == format!("R{}/{}", n.code, n.subcode) => {
                // Nothing of ours leaks (CVE-2018-5378): what goes back has come before.
                if n.code == 3 && !n.data.is_empty() && !octets.windows(n.data.len()).any(|w| w == n.data) {
                    return Err(format!("the NOTIFICATION has octets that were never sent: {n:?}"));
                }
            }
            _ => return Err(format!("expected {class}, got {verdict:?}")),
        }
        if !tracking {
            return Ok(());
        }
        if matches!(verdict, Verdict::Ended(_)) {
            self.bystander.wait("routes of a session go with it", BTreeMap::is_empty);
            return Ok(());
        }
        if octets.get(18) != Some(&UPDATE) {
            return self.check_routes(None, class);
        }
        let body = octets.get(19..).unwrap_or_default();
        let update = decode_update(body, &self.session.context()).map_err(|n| format!("reference: {n}"))?;
        self.check_routes(Some(&update), class)
    }

    /// Whether the bystander has of the announced routes what this UPDATE should have left.
    fn check_routes(&mut self, update: Option<&Update>, class: &str) -> Result<(), String> {
        let (mut gone, mut replaced) = (0, 0);
        for prefix in self.tracked() {
            let names = |nlri: &[kubgp::wire::Nlri]| nlri.iter().any(|n| n.prefix == prefix);
            let reach = update.is_some_and(|u| u.reach.iter().any(|r| names(&r.nlri)));
            let withdrawn = update.is_some_and(|u| u.withdrawn.iter().any(|(_, n)| names(n)));
            gone += u32::from(!reach && withdrawn);
            replaced += u32::from(reach);
            let has = self.bystander.routes.get(&prefix);
            match has {
                None if reach && class == "L" || !reach && withdrawn => {}
                Some(attrs) if reach && class != "L" && !self.is_marked(attrs) => discarded(update, attrs)?,
                Some(attrs) if !reach && !withdrawn && self.is_marked(attrs) => {}
                other => return Err(format!("{prefix} (announced {reach}, withdrawn {withdrawn}) at the bystander: {other:?}")),
            }
        }
        match class {
            "W" if replaced > 0 => Err("a broken announcement was taken".to_owned()),
            "I" if gone > 0 => Err("what is to be ignored withdrew something".to_owned()),
            _ => Ok(()),
        }
    }
}

/// A discarded attribute goes no further.
fn discarded(update: Option<&Update>, attrs: &AttrSet) -> Result<(), String> {
    let faults = update.into_iter().flat_map(|u| &u.faults);
    let discarded = faults.filter(|f| f.action == FaultAction::Discard && f.why != FaultKind::Duplicate);
    // LOCAL_PREF is ours on an iBGP session.
    match discarded.filter(|f| f.code != kubgp::wire::attr::code::LOCAL_PREF).find(|f| attrs.value(f.code).is_some()) {
        Some(fault) => Err(format!("attribute {} was to be discarded and is passed on", fault.code)),
        None => Ok(()),
    }
}
