//! The decision order of two candidates.

use super::*;
use crate::wire::ClusterId;
use crate::wire::attr::Marks;
use proptest::prelude::*;
use std::cmp::Ordering;

#[derive(Debug)]
struct Path {
    attrs: AttrSet,
    kind: PeerKind,
    n: u8,
    addr: u8,
    cost: u32,
    path_id: u32,
    incumbent: Option<u32>,
}

impl Path {
    fn new(attrs: AttrSet) -> Self {
        Self { attrs, kind: PeerKind::Ebgp, n: 1, addr: 1, cost: 0, path_id: 0, incumbent: None }
    }

    fn candidate(&self) -> Candidate<'_> {
        Candidate {
            attrs: &self.attrs,
            kind: self.kind,
            router_id: u32::from(self.n),
            addr: IpAddr::from([10, 0, 0, self.addr]),
            cost: self.cost,
            incumbent: self.incumbent,
            path_id: self.path_id,
            source: PeerId(u32::from(self.addr)),
        }
    }
}

/// `winner` beats `loser` at `step`, from both sides.
#[track_caller]
fn beats(winner: &Path, loser: &Path, step: Step) {
    let rules = Rules::default();
    assert_eq!(decide(&winner.candidate(), &loser.candidate(), &rules), (Ordering::Less, step));
    assert_eq!(decide(&loser.candidate(), &winner.candidate(), &rules), (Ordering::Greater, step));
}

#[test]
fn every_step_decides_when_those_before_it_tie_and_those_behind_disagree() {
    let worse = |edit: fn(&mut PathAttributes)| Path { n: 9, addr: 9, path_id: 9, ..Path::new(set(&[1, 2], edit)) };
    let plain = || Path { n: 1, addr: 1, ..Path::new(set(&[1, 2], |_| {})) };
    let llgr = Path::new(set(&[1], |a| {
        a.communities = vec![0xffff_0006];
        a.local_pref = Some(200);
    }));
    assert!(llgr.attrs.head().marks.contains(Marks::LLGR_STALE));
    beats(&worse(|_| {}), &llgr, Step::LlgrStale);
    beats(&worse(|a| a.local_pref = Some(101)), &Path::new(set(&[1], |_| {})), Step::LocalPref);
    beats(&Path { kind: PeerKind::Local, ..worse(|a| a.origin = Origin::Egp) }, &plain(), Step::LocalOrigin);
    let short = Path { n: 9, addr: 9, ..Path::new(set(&[1], |a| a.origin = Origin::Incomplete)) };
    beats(&short, &plain(), Step::AsPathLength);
    let egp = Path::new(set(&[1, 2], |a| a.origin = Origin::Egp));
    beats(&worse(|a| a.med = Some(9)), &egp, Step::Origin);
    let med = Path::new(set(&[1, 2], |a| a.med = Some(10)));
    beats(&Path { kind: PeerKind::Client, ..worse(|a| a.med = Some(9)) }, &med, Step::Med);
    beats(&Path { cost: 9, ..worse(|_| {}) }, &Path { kind: PeerKind::Client, ..plain() }, Step::EbgpOverIbgp);
    beats(&Path { cost: 1, ..worse(|_| {}) }, &Path { cost: 2, ..plain() }, Step::IgpCost);
    let older = |p: Path| Path { incumbent: Some(9), ..p };
    beats(&older(worse(|_| {})), &older(plain()), Step::OlderEbgp);
    let clusters = |a: &mut PathAttributes| a.cluster_list = vec![ClusterId(1)];
    let inner = |p: Path| Path { kind: PeerKind::NonClient, ..p };
    beats(&inner(Path { n: 1, addr: 9, ..Path::new(set(&[1, 2], clusters)) }), &inner(Path { n: 2, ..plain() }), Step::RouterId);
    beats(&inner(Path { addr: 9, ..plain() }), &inner(Path::new(set(&[1, 2], clusters))), Step::ClusterListLength);
    beats(&Path { path_id: 9, ..plain() }, &Path { addr: 2, ..plain() }, Step::PeerAddress);
    beats(&plain(), &Path { path_id: 1, ..plain() }, Step::PathId);
}

#[test]
fn med_counts_within_one_neighbor_as_only() {
    let with = |path: &[u32], med, n| Path { n, addr: n, ..Path::new(set(path, |a| a.med = med)) };
    beats(&with(&[1, 2], Some(50), 1), &with(&[3, 2], Some(10), 2), Step::RouterId);
    beats(&with(&[1, 2], None, 2), &with(&[1, 3], Some(1), 1), Step::Med);
    // Paths without any AS are all of our own.
    beats(&with(&[], Some(1), 2), &with(&[], Some(2), 1), Step::Med);
    let as_set = |n: u8, med| {
        let first = Segment { kind: SegmentKind::Set, asns: vec![1, 2] };
        Path { n, addr: n, ..Path::new(set(&[], |a| (a.as_path, a.med) = (AsPath(vec![first]), Some(med)))) }
    };
    beats(&as_set(1, 9), &as_set(2, 3), Step::RouterId);
}

#[test]
fn originator_id_stands_for_the_router_id() {
    let reflected = Path { n: 9, addr: 9, kind: PeerKind::Client, ..Path::new(set(&[1], |a| a.originator_id = RouterId::new(3))) };
    beats(&reflected, &Path { n: 5, addr: 5, kind: PeerKind::Client, ..Path::new(set(&[1], |_| {})) }, Step::RouterId);
}

#[test]
fn default_local_pref_stands_for_a_missing_one() {
    let rules = Rules { default_local_pref: 300, ..Rules::default() };
    let (none, some) = (Path::new(set(&[1], |_| {})), Path { addr: 2, ..Path::new(set(&[1], |a| a.local_pref = Some(299))) });
    assert_eq!(decide(&none.candidate(), &some.candidate(), &rules), (Ordering::Less, Step::LocalPref));
}

fn path() -> impl Strategy<Value = Path> {
    let attrs = (0u8..2, 0u32..2, 0u8..2, prop::option::of(0u32..3), prop::collection::vec(1u32..3, 0..2), 0usize..2);
    let kind = prop_oneof![Just(PeerKind::Ebgp), Just(PeerKind::Client), Just(PeerKind::NonClient)];
    (attrs, kind, 1u8..4, 1u8..4, 0u32..2, 0u32..3).prop_map(|((llgr, pref, origin, med, tail, clusters), kind, n, addr, cost, path_id)| {
        let attrs = set(&[&[7], &tail[..]].concat(), |a| {
            a.local_pref = Some(pref);
            a.origin = if origin == 0 { Origin::Igp } else { Origin::Egp };
            a.med = med;
            a.communities = if llgr == 1 { vec![0xffff_0006] } else { vec![] };
            a.cluster_list = vec![ClusterId(1); clusters];
        });
        Path { attrs, kind, n, addr, cost, path_id, incumbent: Some(2) }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn total_within_a_neighbor_as(a in path(), b in path(), c in path()) {
        let rules = Rules::default();
        let order = |x: &Path, y: &Path| decide(&x.candidate(), &y.candidate(), &rules).0;
        prop_assert_eq!(order(&a, &b), order(&b, &a).reverse());
        prop_assert_eq!(order(&a, &a), Ordering::Equal);
        if order(&a, &b).is_le() && order(&b, &c).is_le() {
            prop_assert!(order(&a, &c).is_le(), "not transitive");
        }
    }
}
