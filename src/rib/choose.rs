//! From the paths of a destination to candidates, and from candidates to the best path, the ranking and the multipath set.

use super::attrs::Interner;
use super::decide::{self, Candidate, Rules, Step, decide, group_winners};
use super::dest::{Path, Work};
use super::peer::Peers;
use super::{AttrId, PeerId};
use crate::policy::{PeerKind, Reason};
use crate::wire::attr::code;
use ipnet::IpNet;
use smallvec::SmallVec;

/// Indices into the paths of a destination.
pub(super) type Indices = SmallVec<[usize; 8]>;

/// Everything that the choice among the paths of one destination depends on, besides the paths.
#[derive(Clone, Copy)]
pub(super) struct Chooser<'a> {
    pub(super) attrs: &'a Interner,
    pub(super) peers: &'a Peers,
    pub(super) rules: &'a Rules,
    /// Most paths in a multipath set.
    pub(super) multipath: usize,
    /// Paths may share traffic although their AS_PATHs differ.
    pub(super) multipath_relax: bool,
}

impl<'a> Chooser<'a> {
    /// Interior cost of an eligible path, or why it is not eligible. Routes of our own need no next hop.
    pub(super) fn check(&self, path: &Path, prefix: impl FnOnce() -> IpNet) -> Result<u32, Reason> {
        match path.filtered() {
            Some(reason) => Err(reason),
            None if path.source == PeerId::LOCAL => Ok(0),
            None => self.attrs.next_hops.check(self.attrs.next_hop(path.attr), prefix),
        }
    }

    /// The best path after `work`, given the present one.
    pub(super) fn choose(&self, paths: &[Path], best: Option<usize>, work: Work, prefix: impl Fn() -> IpNet) -> Option<usize> {
        let incumbent = || self.incumbent(paths, best, &prefix);
        match (work, paths) {
            (Work::Nothing, _) => best,
            (_, []) => None,
            (_, [only]) => self.check(only, prefix).is_ok().then_some(0),
            (Work::Challenger(index), _) => {
                let incumbent = incumbent();
                let pair = best.into_iter().chain([index]);
                decide::best(pair.filter_map(|i| Some((i, self.candidate(paths.get(i)?, incumbent, &prefix)?))), self.rules)
            }
            (Work::All, _) => decide::best(self.candidates(paths, incumbent(), &prefix), self.rules),
            (Work::AllWithMed, _) => {
                decide::best(group_winners(self.candidates(paths, incumbent(), &prefix), self.rules).into_iter(), self.rules)
            }
        }
    }

    /// The first `limit` eligible paths in order of preference: each is the best of those that are left.
    pub(super) fn ranked(&self, paths: &[Path], best: Option<usize>, limit: usize, prefix: impl Fn() -> IpNet) -> Indices {
        let incumbent = self.incumbent(paths, best, &prefix);
        let mut left: Vec<_> = self.candidates(paths, incumbent, &prefix).collect();
        let mut ranked = Indices::new();
        while ranked.len() < limit
            && let Some(next) = decide::best(group_winners(left.iter().copied(), self.rules).into_iter(), self.rules)
        {
            ranked.push(next);
            left.retain(|(index, _)| *index != next);
        }
        ranked
    }

    /// The best path and those that may share traffic with it, in order of preference, one per next hop.
    pub(super) fn multipath(&self, paths: &[Path], best: Option<usize>, prefix: impl Fn() -> IpNet) -> Indices {
        let incumbent = self.incumbent(paths, best, &prefix);
        let Some((best, first)) = best.and_then(|b| Some((b, self.candidate(paths.get(b)?, incumbent, &prefix)?))) else {
            return Indices::new();
        };
        let mut ties: Vec<_> = self
            .candidates(paths, incumbent, &prefix)
            .filter(|(i, c)| *i != best && decide::ties_for_multipath(&first, c, self.rules, self.multipath_relax))
            .filter(|(i, _)| self.same_path(&first, paths[best].attr, paths[*i].attr))
            .collect();
        ties.sort_by(|(_, a), (_, b)| decide(a, b, self.rules).0);
        let mut set = Indices::from_slice(&[best]);
        for (index, candidate) in ties {
            if set.len() >= self.multipath {
                break;
            }
            if set.iter().all(|i| self.attrs.get(paths[*i].attr).next_hop() != candidate.attrs.next_hop()) {
                set.push(index);
            }
        }
        set
    }

    /// The step at which the path at `index` lost: to the winner of its neighbor AS, or that one to the best path. For the best
    /// path itself: the step at which the runner-up lost.
    pub(super) fn step(&self, paths: &[Path], best: usize, index: usize, prefix: impl Fn() -> IpNet) -> Option<Step> {
        let incumbent = self.incumbent(paths, Some(best), &prefix);
        let candidate = |i: usize| self.candidate(paths.get(i)?, incumbent, &prefix);
        if index == best {
            let ranked = self.ranked(paths, Some(best), 2, &prefix);
            return match ranked.get(1) {
                Some(second) => Some(decide(&candidate(best)?, &candidate(*second)?, self.rules).1),
                None => Some(Step::OnlyPath),
            };
        }
        let this = candidate(index)?;
        let winners = group_winners(self.candidates(paths, incumbent, &prefix), self.rules);
        // A path that is not preferred to the best one lost to it directly; otherwise MED kept it from the comparison.
        let (order, step) = decide(&candidate(best)?, &this, self.rules);
        if order.is_lt() {
            return Some(step);
        }
        winners.iter().map(|(_, w)| decide(w, &this, self.rules)).find(|(o, s)| o.is_lt() && *s == Step::Med).map(|(_, s)| s)
    }

    fn candidates<'b>(
        &'b self,
        paths: &'b [Path],
        incumbent: Option<u32>,
        prefix: &'b impl Fn() -> IpNet,
    ) -> impl Iterator<Item = (usize, Candidate<'a>)> + 'b {
        paths.iter().enumerate().filter_map(move |(i, p)| Some((i, self.candidate(p, incumbent, prefix)?)))
    }

    /// `None` if the path is not eligible.
    fn candidate(&self, path: &Path, incumbent: Option<u32>, prefix: &impl Fn() -> IpNet) -> Option<Candidate<'a>> {
        let cost = self.check(path, prefix).ok()?;
        let info = &self.peers.get(&path.source).expect("a peer is known as long as it has paths").info;
        Some(Candidate {
            attrs: self.attrs.get(path.attr),
            kind: info.kind,
            router_id: info.router_id.get(),
            addr: info.addr,
            cost,
            incumbent,
            path_id: path.path_id_rx,
            source: path.source,
        })
    }

    /// [`Candidate::incumbent`] of a destination.
    fn incumbent(&self, paths: &[Path], best: Option<usize>, prefix: &impl Fn() -> IpNet) -> Option<u32> {
        let path = paths.get(best?)?;
        let info = &self.peers.get(&path.source)?.info;
        (info.kind == PeerKind::Ebgp && self.check(path, prefix).is_ok()).then_some(info.router_id.get())
    }

    /// Between iBGP paths, traffic is shared only if they took the same way (unless relaxed).
    fn same_path(&self, first: &Candidate<'_>, one: AttrId, two: AttrId) -> bool {
        let as_path = |id| self.attrs.get(id).value(code::AS_PATH);
        self.multipath_relax || !first.kind.is_internal() || as_path(one) == as_path(two)
    }
}
