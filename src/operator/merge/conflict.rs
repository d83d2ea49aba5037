//! What two objects can disagree about when they name one peer.

use super::{Pair, password};
use crate::config::file::{AdminState, Asn};
use crate::config::plan::Secret;
use crate::kube::calico::Report;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// One thing that both say differently.
#[derive(Debug)]
pub struct Conflict {
    /// Where it stands: in Calico's object, in MetalLB's.
    fields: (&'static str, &'static str),
    /// What each says, as part of a sentence.
    says: (String, String),
}

impl Conflict {
    fn new(fields: (&'static str, &'static str), says: (impl Into<String>, impl Into<String>)) -> Self {
        Self { fields, says: (says.0.into(), says.1.into()) }
    }

    /// For both objects, what the other says.
    pub fn reports(&self, address: IpAddr, (calico, metallb): (&str, &str), stays: &str) -> [Report; 2] {
        let report = |object: &str, field: &str, own: &str, other: &str, others: &str| {
            let message = format!("{own} for {address}, but {other} says {others}; {stays}");
            Report { severity: crate::kube::calico::Severity::Error, object: object.to_owned(), field: field.to_owned(), message }
        };
        let (calico_says, metallb_says) = (&self.says.0, &self.says.1);
        [
            report(calico, self.fields.0, calico_says, &format!("MetalLB's {metallb}"), metallb_says),
            report(metallb, self.fields.1, metallb_says, &format!("Calico's {calico}"), calico_says),
        ]
    }
}

/// What happens to the session meanwhile; `kept` tells whether something was in force, and for both.
pub const fn consequence(kept: Option<bool>) -> &'static str {
    match kept {
        Some(true) => "the session that carries the routes of both stays as it was",
        Some(false) => "the session stays as MetalLB's object had it, without Calico's routes",
        None => "the session is as Calico's object has it, without the addresses of MetalLB's",
    }
}

/// Everything that both say differently and that a session has once.
pub fn conflicts(pair: &Pair<'_>, own_asn: Option<Asn>, secrets: &BTreeMap<String, Secret>) -> Vec<Conflict> {
    let Pair { calico, metallb } = *pair;
    let mut found = Vec::new();
    let (ours, theirs) = (calico.local_asn.or(own_asn), metallb.local_asn.or(own_asn));
    if ours != theirs {
        found.push(Conflict::new(("spec.localASNumber", "spec.myASN"), (own(ours), own(theirs))));
    }
    let is_internal = calico.asn == ours;
    let same_peer = match metallb.asn {
        Some(Asn::Internal) => is_internal,
        Some(Asn::External) => !is_internal,
        number => number == calico.asn,
    };
    if !same_peer {
        found.push(Conflict::new(("spec.asNumber", "spec.peerASN"), (remote(calico.asn), remote(metallb.asn))));
    }
    if calico.port != metallb.port {
        let port = |port: Option<u16>| format!("port {}", port.unwrap_or_default());
        found.push(Conflict::new(("spec.peerIP", "spec.peerPort"), (port(calico.port), port(metallb.port))));
    }
    if let (Some(ours), Some(theirs)) = (calico.local_address, metallb.local_address)
        && ours != theirs
    {
        let from = |address: IpAddr| format!("a session from {address}");
        found.push(Conflict::new(("spec.sourceAddress", "spec.sourceAddress"), (from(ours), from(theirs))));
    }
    // A key that is missing is told about elsewhere; the session stays down until it is there.
    let is_down = calico.admin_state == Some(AdminState::Down);
    let (ours, theirs) = (password(calico, secrets), password(metallb, secrets));
    if !is_down && ours != theirs {
        let say = |key: Option<&Secret>, which: &str| if key.is_some() { which.to_owned() } else { "no password".to_owned() };
        found.push(Conflict::new(("spec.password", "spec.password"), (say(ours, "a password"), say(theirs, "another password"))));
    }
    found
}

fn own(asn: Option<Asn>) -> String {
    format!("{} on our side", remote(asn))
}

fn remote(asn: Option<Asn>) -> String {
    match asn {
        Some(Asn::Number(asn)) => format!("AS {asn}"),
        Some(Asn::Internal) => "our own AS".to_owned(),
        Some(Asn::External) => "any AS but ours".to_owned(),
        None => "no AS".to_owned(),
    }
}
