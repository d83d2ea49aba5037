//! Match and action on one route: prefix sets, communities, AS path, MED, LOCAL_PREF, local tags; the import checks of RFC 4271
//! and RFC 4456; and the fixed reason codes with which any room says why a route is not used or not sent.
//!
//! Invariants: pure; a route that no rule changes keeps its allocation; every rejection carries a [`Reason`].
//!
//! Must never know: where a route lives, the RIB, I/O.

mod reason;

pub use reason::Reason;

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
