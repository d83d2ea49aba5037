//! Graceful shutdown of what we originate, on the sending side (RFC 8326 4.1).

use super::DRAINING;
use crate::wire::attr::community::Community;
use crate::wire::attr::{AttrSet, PathAttributes, Tags};

/// The attributes with which a route is sent while traffic is to leave us: GRACEFUL_SHUTDOWN for the other AS, which makes the route
/// its last resort, and LOCAL_PREF 0 for our own (it is not sent to an external peer).
pub fn drained(attrs: &AttrSet) -> AttrSet {
    let mut edited = PathAttributes::from(attrs);
    let community = Community::GRACEFUL_SHUTDOWN.0;
    if let Err(place) = edited.communities.binary_search(&community) {
        edited.communities.insert(place, community);
    }
    edited.local_pref = Some(0);
    edited.tags = Tags(edited.tags.0 & !DRAINING.0);
    AttrSet::from(&edited)
}
