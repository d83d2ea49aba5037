//! Reason codes as sentences, and what to do about them.

use crate::policy::Reason;

/// One sentence without a full stop.
pub(super) fn sentence(reason: Reason) -> String {
    match reason {
        Reason::DeniedByPolicy(rule) => format!("rejected by rule {rule} of the policies"),
        Reason::NoPolicy => "rejected because an eBGP neighbor without a policy passes nothing (RFC 8212)".to_owned(),
        Reason::RejectedByLoop => "rejected because it has been here before: our AS, router id or cluster id is in it".to_owned(),
        Reason::NextHopUnresolved => "its next hop does not resolve".to_owned(),
        Reason::NextHopInvalid => "its next hop is no usable address, or our own".to_owned(),
        Reason::NextHopFamily => "its next hop is of a family that the neighbor did not negotiate".to_owned(),
        Reason::LimitReached => "beyond the prefix limit".to_owned(),
        Reason::RouteLeak => "a route leak by the roles of RFC 9234".to_owned(),
        Reason::NotBest => "another path is better".to_owned(),
        Reason::SplitHorizon => "it came from this neighbor".to_owned(),
        Reason::NotReflected => "from one iBGP neighbor to another only a route reflector passes it, and neither is our client".to_owned(),
        Reason::WellKnownCommunity => "a well-known community such as NO_EXPORT keeps it here".to_owned(),
        Reason::FamilyNotNegotiated => "the session does not carry this address family".to_owned(),
        Reason::NoSession => "the session is not established, or does not carry this address family".to_owned(),
        Reason::TooLong => "its attributes do not fit into one message".to_owned(),
        Reason::PendingSend => "waits for the neighbor to take it".to_owned(),
        Reason::Draining => "we are draining".to_owned(),
        Reason::Advertised => "advertised".to_owned(),
    }
}

/// What the operator can do about it; `None` where all is as it should be.
pub(in crate::api) const fn remedy(reason: Reason) -> Option<&'static str> {
    Some(match reason {
        Reason::DeniedByPolicy(_) => "`bgpctl show policies` lists the rules; `bgpctl policy test` tries one on a route",
        Reason::NoPolicy => "name policies under `import` and `export` of the neighbor",
        Reason::RejectedByLoop => {
            "expected for our own routes that come back; else compare AS numbers, router ids and cluster ids, or set `allowOwnAsn`"
        }
        Reason::NextHopUnresolved => "check `bgpctl show nexthops` and the kernel's route to the next hop",
        Reason::NextHopInvalid => "let the neighbor announce an address of its own as next hop",
        Reason::NextHopFamily => "set `nextHop: self`, or negotiate `extendedNextHop` on both sides",
        Reason::LimitReached => "raise `maxPrefixes.limit`, or find out who leaks",
        Reason::RouteLeak => "compare `role` on both sides",
        Reason::NotBest => "`bgpctl show route PREFIX` shows which path is better and why",
        Reason::NotReflected => "set `routeReflectorClient` where this router is to reflect",
        Reason::WellKnownCommunity => "remove the community by a policy if the route is to go on",
        Reason::FamilyNotNegotiated | Reason::NoSession => "`bgpctl show neighbor PEER` says why; check `families` on both sides",
        Reason::TooLong => "set `extendedMessages` on both sides, or shorten AS path and communities",
        Reason::PendingSend => "`bgpctl show neighbor PEER` shows whether the neighbor reads",
        Reason::SplitHorizon | Reason::Draining | Reason::Advertised => return None,
    })
}
