//! The fixed codes that the CLI, metrics, Events and `explain` share.

use std::fmt;

/// Why a route is rejected, not best, not sent or not installed.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Reason {
    /// A policy rule said so; the rule's number within its chain, from 1.
    DeniedByPolicy(u16),
    /// eBGP without a policy (RFC 8212).
    NoPolicy,
    /// Own AS in AS_PATH (RFC 4271 9.1.2), own id in ORIGINATOR_ID or own cluster in CLUSTER_LIST (RFC 4456 8).
    RejectedByLoop,
    /// The next hop cannot be used: our own address, unresolved, of a family that the receiver did not negotiate.
    NextHopUnresolved,
    NextHopInvalid,
    NextHopFamily,
    /// The prefix limit of the peer.
    LimitReached,
    /// RFC 9234 5: a route leak.
    RouteLeak,
    /// The decision process prefers another path.
    NotBest,
    /// The receiver is where the route came from.
    SplitHorizon,
    /// Learned from a non-client and not for a non-client (RFC 4456 6).
    NotReflected,
    /// NO_EXPORT, NO_ADVERTISE, NO_LLGR and their kin (RFC 1997, RFC 9494).
    WellKnownCommunity,
    FamilyNotNegotiated,
    NoSession,
    /// Does not fit into one message of this session (RFC 8654 4).
    TooLong,
    PendingSend,
    Draining,
    Advertised,
}

impl Reason {
    pub const ALL: [Self; 18] = [
        Self::DeniedByPolicy(1),
        Self::NoPolicy,
        Self::RejectedByLoop,
        Self::NextHopUnresolved,
        Self::NextHopInvalid,
        Self::NextHopFamily,
        Self::LimitReached,
        Self::RouteLeak,
        Self::NotBest,
        Self::SplitHorizon,
        Self::NotReflected,
        Self::WellKnownCommunity,
        Self::FamilyNotNegotiated,
        Self::NoSession,
        Self::TooLong,
        Self::PendingSend,
        Self::Draining,
        Self::Advertised,
    ];

    /// The code as it stands in JSON, metric labels and conditions.
    pub const fn code(self) -> &'static str {
        match self {
            Self::DeniedByPolicy(_) => "deniedByPolicy",
            Self::NoPolicy => "noPolicy",
            Self::RejectedByLoop => "rejectedByLoop",
            Self::NextHopUnresolved => "nextHopUnresolved",
            Self::NextHopInvalid => "nextHopInvalid",
            Self::NextHopFamily => "nextHopFamily",
            Self::LimitReached => "limitReached",
            Self::RouteLeak => "routeLeak",
            Self::NotBest => "notBest",
            Self::SplitHorizon => "splitHorizon",
            Self::NotReflected => "notReflected",
            Self::WellKnownCommunity => "wellKnownCommunity",
            Self::FamilyNotNegotiated => "familyNotNegotiated",
            Self::NoSession => "noSession",
            Self::TooLong => "tooLong",
            Self::PendingSend => "pendingSend",
            Self::Draining => "draining",
            Self::Advertised => "advertised",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeniedByPolicy(rule) => write!(f, "deniedByPolicy(rule {rule})"),
            other => f.write_str(other.code()),
        }
    }
}
