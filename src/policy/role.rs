//! Route leak prevention with Only-To-Customer (RFC 9234 5).

use crate::wire::attr::{AttrSet, PathAttributes, code};
use crate::wire::{Asn, Role};

/// The route went up or across after it had come down.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Leak;

/// On receipt; `role` is ours. `Some` are the attributes with OTC added.
pub fn ingress(role: Role, remote_as: Asn, attrs: &AttrSet) -> Result<Option<AttrSet>, Leak> {
    match (role, otc(attrs)) {
        // From a Customer or an RS-Client.
        (Role::Provider | Role::RouteServer, Some(_)) => Err(Leak),
        (Role::Provider | Role::RouteServer, None) => Ok(None),
        (Role::Peer, Some(otc)) if otc != remote_as.get() => Err(Leak),
        (Role::Peer | Role::Customer | Role::RouteServerClient, Some(_)) => Ok(None),
        // From a Provider, a Peer or an RS.
        (Role::Peer | Role::Customer | Role::RouteServerClient, None) => Ok(Some(with_otc(attrs, remote_as))),
    }
}

/// Before sending; `role` is ours. `Some` are the attributes with OTC added.
pub fn egress(role: Role, local_as: Asn, attrs: &AttrSet) -> Result<Option<AttrSet>, Leak> {
    match (role, otc(attrs)) {
        // To a Provider, a Peer or an RS.
        (Role::Customer | Role::Peer | Role::RouteServerClient, Some(_)) => Err(Leak),
        (Role::Provider | Role::RouteServer, Some(_)) | (Role::Customer | Role::RouteServerClient, None) => Ok(None),
        // To a Customer, a Peer or an RS-Client.
        (Role::Provider | Role::Peer | Role::RouteServer, None) => Ok(Some(with_otc(attrs, local_as))),
    }
}

fn otc(attrs: &AttrSet) -> Option<u32> {
    attrs.value(code::OTC).and_then(|value| value.try_into().ok()).map(u32::from_be_bytes)
}

fn with_otc(attrs: &AttrSet, asn: Asn) -> AttrSet {
    let mut edited = PathAttributes::from(attrs);
    edited.otc = Some(asn.get());
    AttrSet::from(&edited)
}
