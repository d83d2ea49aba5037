//! The decision process (RFC 4271 9.1.2.2, RFC 4456 9, RFC 5004, RFC 9494 4.3): one total order of two candidates, and the choice
//! of the winner among many.

use super::PeerId;
use crate::policy::PeerKind;
use crate::wire::attr::{AttrHead, AttrSet, Marks};
use smallvec::SmallVec;
use std::cmp::Ordering::{self, Equal};
use std::fmt;
use std::net::IpAddr;

/// Knobs of the decision process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rules {
    /// LOCAL_PREF of a route that carries none (RFC 4271 5.1.5 leaves it to us; 100 by custom).
    pub default_local_pref: u32,
    /// A missing MED counts as the worst one, not as 0.
    pub missing_med_worst: bool,
    /// Between eBGP paths, keep the present best rather than look at router ids (RFC 5004).
    pub prefer_older_ebgp: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { default_local_pref: 100, missing_med_worst: false, prefer_older_ebgp: true }
    }
}

impl Rules {
    /// MED as it is compared.
    pub(super) fn med(&self, attrs: &AttrSet) -> u32 {
        attrs.med().unwrap_or(if self.missing_med_worst { u32::MAX } else { 0 })
    }
}

/// An eligible path with everything that the decision looks at.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    pub attrs: &'a AttrSet,
    pub kind: PeerKind,
    /// BGP identifier of the peer.
    pub router_id: u32,
    /// Address of the peer.
    pub addr: IpAddr,
    /// Interior cost to the next hop.
    pub cost: u32,
    /// Router id of the present best path if that came over eBGP (RFC 5004): every path from there counts as the older one,
    /// so that parallel sessions to one router do not make the order circular.
    pub incumbent: Option<u32>,
    /// Path identifier as received (RFC 7911), 0 without add-path.
    pub path_id: u32,
    pub source: PeerId,
}

impl Candidate<'_> {
    /// RFC 4456 9: ORIGINATOR_ID stands for the BGP identifier.
    fn id(&self) -> u32 {
        self.attrs.head().originator_id.map_or(self.router_id, |id| id.get())
    }

    fn is_older_ebgp(&self) -> bool {
        self.kind == PeerKind::Ebgp && self.incumbent == Some(self.router_id)
    }

    /// MEDs are comparable within one neighbor AS; paths without any AS are all of our own. A leading AS_SET names no neighbor.
    fn same_neighbor(&self, other: &Self) -> bool {
        let (this, other) = (self.attrs.head(), other.attrs.head());
        match (this.neighbor_as, other.neighbor_as) {
            (None, None) => this.path_len == 0 && other.path_len == 0,
            (one, two) => one == two,
        }
    }
}

/// The step of the decision process that told two paths apart, in the order in which they apply.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Step {
    /// Nothing to compare with.
    OnlyPath,
    LlgrStale,
    LocalPref,
    LocalOrigin,
    AsPathLength,
    Origin,
    Med,
    EbgpOverIbgp,
    IgpCost,
    OlderEbgp,
    RouterId,
    ClusterListLength,
    PeerAddress,
    PathId,
}

impl Step {
    /// The code as it stands in JSON.
    pub const fn code(self) -> &'static str {
        match self {
            Self::OnlyPath => "onlyPath",
            Self::LlgrStale => "llgrStale",
            Self::LocalPref => "localPref",
            Self::LocalOrigin => "localOrigin",
            Self::AsPathLength => "asPathLength",
            Self::Origin => "origin",
            Self::Med => "med",
            Self::EbgpOverIbgp => "ebgpOverIbgp",
            Self::IgpCost => "igpCost",
            Self::OlderEbgp => "olderEbgp",
            Self::RouterId => "routerId",
            Self::ClusterListLength => "clusterListLength",
            Self::PeerAddress => "peerAddress",
            Self::PathId => "pathId",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OnlyPath => "only path",
            Self::LlgrStale => "not long-lived stale",
            Self::LocalPref => "higher LOCAL_PREF",
            Self::LocalOrigin => "originated locally",
            Self::AsPathLength => "shorter AS_PATH",
            Self::Origin => "lower ORIGIN",
            Self::Med => "lower MED",
            Self::EbgpOverIbgp => "eBGP over iBGP",
            Self::IgpCost => "lower IGP cost to the next hop",
            Self::OlderEbgp => "older eBGP path",
            Self::RouterId => "lower router id",
            Self::ClusterListLength => "shorter CLUSTER_LIST",
            Self::PeerAddress => "lower peer address",
            Self::PathId => "lower path id",
        })
    }
}

/// `Less` when `a` is preferred; and the step that says so. Never `Equal` for two different paths of one destination.
///
/// Total and transitive among candidates of one neighbor AS, and among candidates that agree in MED.
pub fn decide(a: &Candidate<'_>, b: &Candidate<'_>, rules: &Rules) -> (Ordering, Step) {
    let (x, y) = (a.attrs.head(), b.attrs.head());
    let local_pref = |h: &AttrHead| h.local_pref().unwrap_or(rules.default_local_pref);
    let stale = |h: &AttrHead| h.marks.contains(Marks::LLGR_STALE);
    let lower = |step: Step, order: Ordering| (order != Equal).then_some((order, step));
    None.or_else(|| lower(Step::LlgrStale, stale(x).cmp(&stale(y))))
        .or_else(|| lower(Step::LocalPref, local_pref(y).cmp(&local_pref(x))))
        .or_else(|| lower(Step::LocalOrigin, (a.kind != PeerKind::Local).cmp(&(b.kind != PeerKind::Local))))
        .or_else(|| lower(Step::AsPathLength, x.path_len.cmp(&y.path_len)))
        .or_else(|| lower(Step::Origin, x.origin.cmp(&y.origin)))
        .or_else(|| lower(Step::Med, if a.same_neighbor(b) { rules.med(a.attrs).cmp(&rules.med(b.attrs)) } else { Equal }))
        .or_else(|| lower(Step::EbgpOverIbgp, a.kind.is_internal().cmp(&b.kind.is_internal())))
        .or_else(|| lower(Step::IgpCost, a.cost.cmp(&b.cost)))
        .or_else(|| lower(Step::OlderEbgp, if rules.prefer_older_ebgp { b.is_older_ebgp().cmp(&a.is_older_ebgp()) } else { Equal }))
        .or_else(|| lower(Step::RouterId, a.id().cmp(&b.id())))
        .or_else(|| lower(Step::ClusterListLength, x.cluster_len.cmp(&y.cluster_len)))
        .or_else(|| lower(Step::PeerAddress, a.addr.cmp(&b.addr)))
        .unwrap_or_else(|| ((a.path_id, a.source).cmp(&(b.path_id, b.source)), Step::PathId))
}

/// Whether `a` and `b` may share traffic with each other: they tie up to and including IGP cost, and look alike enough that
/// neither loops (same neighbor AS for eBGP; the caller compares AS_PATH contents for iBGP).
pub(super) fn ties_for_multipath(a: &Candidate<'_>, b: &Candidate<'_>, rules: &Rules, relax: bool) -> bool {
    decide(a, b, rules).1 > Step::IgpCost && (relax || a.kind != PeerKind::Ebgp || a.same_neighbor(b))
}

/// Position and candidate of the winner of each neighbor AS, in order of arrival.
pub(super) type Winners<'a> = SmallVec<[(usize, Candidate<'a>); 4]>;

/// The winner of each neighbor AS. Within one, MED orders the paths; between two, it does not count, and pairwise comparison of
/// all paths could be circular (RFC 4271 9.1.2.2 c).
pub(super) fn group_winners<'a>(candidates: impl Iterator<Item = (usize, Candidate<'a>)>, rules: &Rules) -> Winners<'a> {
    let mut winners = Winners::new();
    for (index, candidate) in candidates {
        match winners.iter_mut().find(|(_, w)| w.same_neighbor(&candidate)) {
            Some(winner) if decide(&candidate, &winner.1, rules).0.is_lt() => *winner = (index, candidate),
            Some(_) => {}
            None => winners.push((index, candidate)),
        }
    }
    winners
}

/// The best of `candidates` where MED cannot make comparison circular: they all have the same one, or are group winners.
pub(super) fn best<'a>(candidates: impl Iterator<Item = (usize, Candidate<'a>)>, rules: &Rules) -> Option<usize> {
    candidates.reduce(|best, other| if decide(&other.1, &best.1, rules).0.is_lt() { other } else { best }).map(|(index, _)| index)
}
