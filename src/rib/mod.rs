//! The routing tables: interned path attributes, Adj-RIB-In, the decision process, Loc-RIB, next-hop validity, stale marks.
//!
//! One copy of every route: the paths of a destination are Adj-RIB-In (after import policy) and the candidate list of the
//! decision process at once; Loc-RIB is the index of the winner among them.
//!
//! Invariants: equal attribute sets have equal [`AttrId`]s while anybody holds them; a [`DestId`] names one prefix until no path
//! and no hold is left and one [`Rib::decide`] has passed; what a peer announced is removed by touching its own destinations
//! only; counters are exact at any time; the outcome depends on the inputs and the seed, never on time.
//!
//! Must never know: sessions, message encoding, update groups, the kernel.

mod arena;
mod attrs;
mod choose;
mod decide;
mod dest;
mod idset;
mod nexthop;
mod peer;
mod stale;
mod table;
mod tables;
#[cfg(test)]
mod tests;
mod view;

pub(crate) use arena::Arena;
pub use attrs::AttrId;
pub use decide::{Candidate, Rules, Step, decide};
pub use nexthop::{NextHopInterest, Resolution};
pub use peer::{PeerInfo, PrefixCounters};
pub use tables::{Changed, Memory, Params, Rib};
pub use view::{DestRef, DumpCursor, PathRef, PathView, Verdict};

/// A source of routes. 0 is ourselves; other numbers are given by the caller and never reused while the process lives.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PeerId(pub u32);

impl PeerId {
    /// Ourselves.
    pub const LOCAL: Self = Self(0);
}

/// A destination (prefix) of one address family; dense, reused when nothing refers to it any more.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DestId(pub u32);
