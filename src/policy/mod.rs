//! Match and action on one route: prefix sets, communities, AS path, MED, LOCAL_PREF, local tags; the import checks of RFC 4271
//! and RFC 4456; and the fixed reason codes with which any room says why a route is not used or not sent.
//!
//! Invariants: pure; a route that no rule changes keeps its allocation; every rejection carries a [`Reason`].
//!
//! Must never know: where a route lives, the RIB, I/O.

pub mod as_path;
mod chain;
pub mod community;
mod drain;
mod edit;
mod import;
mod matcher;
pub mod params;
mod reason;
pub mod role;
#[cfg(test)]
mod tests;

pub use chain::{AtEnd, Chain, Outcome, Policy, PolicyError, Step, Trace};
pub use drain::drained;
pub use import::Import;
pub use params::Params;
pub use reason::Reason;

use crate::wire::attr::{AttrSet, Tags};
use ipnet::IpNet;
use std::net::IpAddr;

/// Says to the session that sends the route: put your own address as next hop, whatever your rule is.
pub const NEXT_HOP_SELF: Tags = Tags(1 << 31);
/// Says to the session that sends the route: leave the next hop as it is, whatever your rule is.
pub const NEXT_HOP_UNCHANGED: Tags = Tags(1 << 30);
/// Says of a route of our own that traffic is to leave it: it is sent as [`drained`] makes it, whatever export policy says.
pub const DRAINING: Tags = Tags(1 << 29);
/// How many tags have names; the bits above are ours, as the three above.
pub const NAMED_TAGS: u32 = 24;

/// One route as policies see it: what it says and where it comes from, also when it is on its way out.
#[derive(Clone, Copy, Debug)]
pub struct RouteView<'a> {
    pub prefix: &'a IpNet,
    pub attrs: &'a AttrSet,
    /// The address of the peer that it comes from; `None` for a route of our own.
    pub neighbor: Option<IpAddr>,
    /// The kind of the peer that it comes from.
    pub kind: PeerKind,
}

impl<'a> RouteView<'a> {
    /// The same route, with other attributes where there are any.
    fn with<'b>(self, attrs: Option<&'b AttrSet>) -> RouteView<'b>
    where
        'a: 'b,
    {
        RouteView { prefix: self.prefix, attrs: attrs.unwrap_or(self.attrs), neighbor: self.neighbor, kind: self.kind }
    }
}

/// How we relate to the peer that a route comes from or goes to (RFC 4456 2, RFC 4271 9).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum PeerKind {
    /// Ourselves.
    Local,
    Ebgp,
    /// iBGP, route reflector client of ours.
    Client,
    /// iBGP, not a client.
    NonClient,
}

impl PeerKind {
    pub const fn is_internal(self) -> bool {
        matches!(self, Self::Client | Self::NonClient)
    }
}
