//! Update groups: what is advertised to whom, encoded once for all members that share every octet.
//!
//! Owns the groups' slots (what is advertised), the journal (a compacted log of encoded chunks) and the cursors with which
//! members read it; packs NLRI into messages.
//!
//! Invariants: when a member has read the whole journal, it holds exactly the routes that slots advertise and that are not
//! kept from it (split horizon, RFC 4456 8); each key is live in at most one chunk; no message is longer than the group's limit;
//! nothing is kept per route and member.
//!
//! Must never know: sockets, who is slow, sessions, configuration.

mod chunk;
mod cursor;
mod desire;
mod group;
mod journal;
mod key;
mod key_list;
mod keys;
mod log;
mod members;
mod pack;
mod route;
mod slot;
#[cfg(test)]
mod tests;

pub use cursor::{Cursor, Poll, Slices};
pub use group::{Advertised, Group, GroupId, Laggard, Params};
pub use journal::{Chunk, Journal, View};
pub use key::{AddPath, GroupKey, NextHopMode, NextHopRule};
pub use log::Stats;
