//! MetalLB's objects, without MetalLB: what they say, which addresses Services get, what this node announces, and what that means as
//! configuration.
//!
//! `objects` and the ConfigMap ([`legacy`]) -> [`check`] -> [`model::Config`] -> [`allocator`] (addresses) and [`announce`] (prefixes)
//! -> [`peers`] (a fragment of configuration); [`status`] is what is told about it.
//!
//! Invariants: pure, no clock and no I/O; a bad object is reported and everything else keeps working, with its last valid version in
//! force; nobody holds an address without right, and nobody loses one without reason; peers of these objects import nothing.
//!
//! Must never know: the API client, sessions, the RIB.

pub mod allocator;
pub mod announce;
pub mod check;
pub mod class;
pub mod complaint;
pub mod event;
pub mod legacy;
pub mod model;
pub mod objects;
pub mod peers;
pub mod ranges;
pub mod reason;
pub mod selector;
pub mod status;
pub mod values;
