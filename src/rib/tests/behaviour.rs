//! What peers, operators and the rooms above can rely on, one by one.

use super::*;
use crate::policy::Reason;
use crate::wire::attr::Marks;
use ipnet::IpNet;

const P: &str = "203.0.113.0/24";

fn prefixes(dests: impl Iterator<Item = IpNet>) -> Vec<String> {
    dests.map(|p| p.to_string()).collect()
}

/// In order of the peers.
fn verdicts(dest: DestRef<'_>) -> Vec<Verdict> {
    let mut explained = dest.explain();
    explained.sort_by_key(|v| v.path.source);
    explained.into_iter().map(|v| v.verdict).collect()
}

#[test]
fn an_identical_announcement_changes_nothing_but_staleness() {
    let mut rib = rib(&[PeerKind::Client]);
    rib.announce(PeerId(1), V4, &nlri(P), &set(&[7], |_| {}), None);
    let changed = rib.decide(V4);
    assert_eq!((changed.best.len(), changed.paths.len()), (1, 1));
    assert!(rib.begin_refresh(PeerId(1), V4));
    assert_eq!(rib.counters(PeerId(1), V4).stale, 1);
    rib.announce(PeerId(1), V4, &nlri(P), &set(&[7], |_| {}), None);
    assert_eq!(rib.counters(PeerId(1), V4).stale, 0);
    assert!(rib.decide(V4).is_empty());
}

#[test]
fn a_loser_that_changes_is_no_change_of_the_best() {
    let mut rib = rib(&[PeerKind::Client, PeerKind::Client]);
    for peer in [1, 2] {
        rib.announce(PeerId(peer), V4, &nlri(P), &set(&[7], |_| {}), None);
    }
    rib.decide(V4);
    rib.announce(PeerId(2), V4, &nlri(P), &set(&[7, 8], |_| {}), None);
    let changed = rib.decide(V4);
    assert_eq!((changed.best.len(), changed.paths.len()), (0, 1));
    rib.announce(PeerId(2), V4, &nlri(P), &set(&[], |_| {}), None);
    assert_eq!(rib.decide(V4).best.len(), 1);
    assert_eq!(best(&rib, P), Some(PeerId(2)));
}

#[test]
fn a_newcomer_wins_although_the_unusable_path_before_it_goes() {
    let mut rib = rib(&[PeerKind::Client; 2]);
    rib.announce(PeerId(1), V4, &nlri(P), &set(&[7], |_| {}), Some(Reason::NoPolicy));
    rib.announce(PeerId(2), V4, &nlri(P), &set(&[7], |_| {}), None);
    rib.withdraw(PeerId(1), V4, &nlri(P));
    assert_eq!(rib.decide(V4).best.len(), 1);
    assert_eq!(best(&rib, P), Some(PeerId(2)));
}

#[test]
fn med_does_not_make_the_best_path_depend_on_the_order_of_arrival() {
    // Pairwise: a beats b by MED, b beats c and c beats a by router id: circular.
    let routes = [(3, 7, 10), (1, 7, 20), (2, 8, 0)];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut rib = rib(&[PeerKind::Client; 3]);
        for (peer, neighbor, med) in order.map(|i| routes[i]) {
            rib.announce(PeerId(peer), V4, &nlri(P), &set(&[neighbor], |a| a.med = Some(med)), None);
            rib.decide(V4);
        }
        assert_eq!(best(&rib, P), Some(PeerId(2)), "order {order:?}");
        let explained = rib.lookup(&P.parse().unwrap()).unwrap().explain();
        let verdict = |peer| explained.iter().find(|v| v.path.source == PeerId(peer)).unwrap().verdict;
        assert_eq!(verdict(1), Verdict::NotBest(Step::Med), "it lost within its neighbor AS");
        assert_eq!(verdict(2), Verdict::Best(Step::RouterId));
        assert_eq!(verdict(3), Verdict::NotBest(Step::RouterId));
    }
}

#[test]
fn the_older_ebgp_path_stays_unless_told_otherwise() {
    for (older, winner) in [(true, PeerId(2)), (false, PeerId(1))] {
        let mut rib = Rib::new(Params { rules: Rules { prefer_older_ebgp: older, ..Rules::default() }, ..params() });
        for n in [2, 1] {
            rib.peer_up(PeerId(u32::from(n)), peer(n, PeerKind::Ebgp));
            rib.announce(PeerId(u32::from(n)), V4, &nlri(P), &set(&[7], |_| {}), None);
            rib.decide(V4);
        }
        assert_eq!(best(&rib, P), Some(winner));
    }
}

#[test]
fn multipath_needs_a_tie_and_another_next_hop() {
    let mut rib = rib(&[PeerKind::Client; 6]);
    let hop = |n: u8, path: &[u32]| set(path, |a| a.next_hop = IpAddr::from([192, 0, 2, n]).into());
    for (peer, set) in [(1, hop(1, &[7])), (2, hop(2, &[7])), (3, hop(2, &[7])), (4, hop(4, &[8])), (5, hop(5, &[7, 7])), (6, hop(6, &[7]))]
    {
        rib.announce(PeerId(peer), V4, &nlri(P), &set, None);
    }
    rib.decide(V4);
    let dest = rib.lookup(&P.parse().unwrap()).unwrap();
    let sources: Vec<u32> = dest.multipath().iter().map(|p| p.source.0).collect();
    assert_eq!(sources, [1, 2, 6], "3 has the next hop of 2, 4 another AS_PATH, 5 a longer one");
    let verdicts = verdicts(dest);
    assert_eq!(verdicts[1], Verdict::Multipath(Step::RouterId));
    assert_eq!(verdicts[4], Verdict::NotBest(Step::AsPathLength));
}

#[test]
fn unusable_paths_are_kept_with_their_reason() {
    let mut rib = rib(&[PeerKind::Client; 4]);
    rib.set_own_addresses(&["192.0.2.9".parse().unwrap()]);
    let hop = |address: &str| set(&[7], |a| a.next_hop = address.parse::<IpAddr>().unwrap().into());
    rib.announce(PeerId(1), V4, &nlri(P), &hop("192.0.2.9"), None);
    rib.announce(PeerId(2), V4, &nlri(P), &hop("127.1.2.3"), None);
    rib.announce(PeerId(3), V4, &nlri(P), &hop("224.0.0.1"), None);
    rib.announce(PeerId(4), V4, &nlri(P), &hop("192.0.2.1"), Some(Reason::RejectedByLoop));
    let changed = rib.decide(V4);
    assert!(changed.best.is_empty());
    let dest = rib.lookup(&P.parse().unwrap()).unwrap();
    let verdicts = verdicts(dest);
    let invalid = Verdict::Ineligible(Reason::NextHopInvalid);
    assert_eq!(verdicts, [invalid, invalid, invalid, Verdict::Ineligible(Reason::RejectedByLoop)]);
    assert_eq!((dest.paths().count(), dest.all_paths().count()), (0, 4));
    rib.set_own_addresses(&[]);
    assert_eq!(rib.decide(V4).best.len(), 1);
    assert_eq!(best(&rib, P), Some(PeerId(1)));
}

#[test]
fn a_next_hop_event_marks_exactly_the_routes_that_use_it() {
    let mut rib = Rib::new(Params { next_hop_tracking: true, ..params() });
    rib.peer_up(PeerId(1), peer(1, PeerKind::Client));
    let hop = |n: u8| IpAddr::from([192, 0, 2, n]);
    for n in 1..=3 {
        rib.announce(PeerId(1), V4, &nlri(&format!("10.{n}.0.0/16")), &set(&[7], |a| a.next_hop = hop(n).into()), None);
    }
    let interest: Vec<_> = std::iter::from_fn(|| rib.poll_next_hop()).collect();
    assert_eq!(interest, [1, 2, 3].map(|n| NextHopInterest::Watch(hop(n))));
    assert!(rib.decide(V4).best.is_empty(), "nothing resolves yet");
    let dest = rib.lookup(&"10.1.0.0/16".parse().unwrap()).unwrap();
    assert_eq!(dest.explain()[0].verdict, Verdict::Ineligible(Reason::NextHopUnresolved));
    let reachable = |cost| Resolution::Reachable { cost, connected: false, through: None };
    rib.next_hop_changed(hop(2), reachable(5));
    let changed = rib.decide(V4);
    assert_eq!(prefixes(changed.best.iter().map(|id| rib.dest(V4, *id).unwrap().prefix())), ["10.2.0.0/16"]);
    rib.next_hop_changed(hop(2), reachable(6));
    let changed = rib.decide(V4);
    assert_eq!((changed.best.len(), changed.paths.len()), (0, 1), "the cost changed, the winner did not");
    rib.next_hop_changed(hop(2), Resolution::Unreachable);
    assert_eq!(rib.decide(V4).best.len(), 1);
    rib.withdraw(PeerId(1), V4, &nlri("10.2.0.0/16"));
    assert_eq!(rib.poll_next_hop(), Some(NextHopInterest::Unwatch(hop(2))));
    assert_eq!(rib.poll_next_hop(), None);
}

#[test]
fn a_route_cannot_resolve_through_itself() {
    let mut rib = Rib::new(Params { next_hop_tracking: true, ..params() });
    rib.peer_up(PeerId(1), peer(1, PeerKind::Client));
    let hop = IpAddr::from([203, 0, 113, 1]);
    rib.announce(PeerId(1), V4, &nlri(P), &set(&[7], |a| a.next_hop = hop.into()), None);
    rib.poll_next_hop();
    for (through, connected, eligible) in
        [(P, false, false), ("203.0.0.0/16", false, false), ("203.0.113.0/28", false, true), (P, true, true)]
    {
        rib.next_hop_changed(hop, Resolution::Reachable { cost: 1, connected, through: Some(through.parse().unwrap()) });
        rib.decide(V4);
        assert_eq!(best(&rib, P).is_some(), eligible, "through {through}, connected: {connected}");
    }
}

#[test]
fn link_local_next_hops_are_taken_for_granted() {
    let mut rib = Rib::new(Params { next_hop_tracking: true, ..params() });
    rib.peer_up(PeerId(1), peer(1, PeerKind::Ebgp));
    let route = set(&[7], |a| a.next_hop = "fe80::1".parse::<IpAddr>().unwrap().into());
    rib.announce(PeerId(1), V6, &nlri("2001:db8::/32"), &route, None);
    assert_eq!(rib.poll_next_hop(), None);
    assert_eq!(rib.decide(V6).best.len(), 1);
}

#[test]
fn restarts_keep_routes_until_end_of_rib() {
    let mut rib = rib(&[PeerKind::Client]);
    let (one, two) = ("10.1.0.0/16", "10.2.0.0/16");
    for prefix in [one, two] {
        rib.announce(PeerId(1), V4, &nlri(prefix), &set(&[7], |_| {}), None);
    }
    rib.announce(PeerId(1), V6, &nlri("2001:db8::/32"), &set(&[7], |_| {}), None);
    rib.decide(V4);
    rib.peer_down(PeerId(1), [V4].into_iter().collect());
    assert!(rib.decide(V4).is_empty(), "other peers see no change");
    assert_eq!((rib.counters(PeerId(1), V4).stale, rib.counters(PeerId(1), V6).received), (2, 0));
    rib.peer_up(PeerId(1), peer(1, PeerKind::Client));
    assert!(!rib.begin_refresh(PeerId(1), V4), "BoRR before End-of-RIB is ignored");
    rib.announce(PeerId(1), V4, &nlri(one), &set(&[7], |_| {}), None);
    assert!(rib.decide(V4).is_empty());
    // A second restart before End-of-RIB: what is still stale is gone, what came again is kept.
    rib.peer_down(PeerId(1), FamilySet::ALL);
    rib.decide(V4);
    assert_eq!((best(&rib, one), best(&rib, two)), (Some(PeerId(1)), None));
    rib.peer_up(PeerId(1), peer(1, PeerKind::Client));
    rib.end_of_rib(PeerId(1), V4);
    assert_eq!(rib.decide(V4).best.len(), 1);
    assert_eq!(rib.counters(PeerId(1), V4), PrefixCounters::default());
}

#[test]
fn epochs_may_wrap_around() {
    let mut rib = rib(&[PeerKind::Client]);
    let old = "10.1.0.0/16";
    rib.announce(PeerId(1), V4, &nlri(old), &set(&[7], |_| {}), None);
    for round in 0..1000 {
        // One route is refreshed in each round, the other never.
        assert!(rib.begin_refresh(PeerId(1), V4));
        rib.announce(PeerId(1), V4, &nlri(P), &set(&[7], |_| {}), None);
        assert_eq!(rib.counters(PeerId(1), V4).stale, 1, "round {round}");
        assert!(rib.lookup(&old.parse().unwrap()).unwrap().all_paths().all(|p| p.stale), "round {round}");
    }
    rib.end_refresh(PeerId(1), V4);
    rib.decide(V4);
    assert_eq!((best(&rib, old), best(&rib, P)), (None, Some(PeerId(1))));
}

#[test]
fn long_lived_stale_routes_come_last() {
    let mut rib = rib(&[PeerKind::Client; 2]);
    let other = "10.1.0.0/16";
    rib.announce(PeerId(1), V4, &nlri(P), &set(&[7], |_| {}), None);
    rib.announce(PeerId(1), V4, &nlri(other), &set(&[7], |a| a.communities = vec![0xffff_0007]), None);
    rib.announce(PeerId(2), V4, &nlri(P), &set(&[7, 8], |_| {}), None);
    rib.decide(V4);
    rib.peer_down(PeerId(1), FamilySet::ALL);
    rib.begin_long_lived(PeerId(1), FamilySet::ALL);
    rib.decide(V4);
    assert_eq!((best(&rib, P), best(&rib, other)), (Some(PeerId(2)), None));
    let path = rib.lookup(&P.parse().unwrap()).unwrap().all_paths().find(|p| p.source == PeerId(1)).unwrap();
    assert!(path.stale && path.attrs.head().marks.contains(Marks::LLGR_STALE));
    assert_eq!(rib.counters(PeerId(1), V4).stale, 1);
    rib.peer_up(PeerId(1), peer(1, PeerKind::Client));
    rib.announce(PeerId(1), V4, &nlri(P), &set(&[7], |_| {}), None);
    rib.decide(V4);
    assert_eq!(best(&rib, P), Some(PeerId(1)));
}

#[test]
fn add_path_keeps_paths_apart_and_their_identifiers() {
    let mut rib = rib(&[PeerKind::Client]);
    let with = |path_id| [Nlri { path_id, ..nlri(P)[0] }];
    for id in [10, 20, 30] {
        rib.announce(PeerId(1), V4, &with(id), &set(&[id], |_| {}), None);
    }
    rib.decide(V4);
    let ids = |rib: &Rib| -> Vec<(u32, u32)> {
        let mut ids: Vec<_> = rib.lookup(&P.parse().unwrap()).unwrap().paths().map(|p| (p.path_id_rx, p.path_id_tx)).collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(ids(&rib), [(10, 1), (20, 2), (30, 3)]);
    rib.withdraw(PeerId(1), V4, &with(10));
    rib.announce(PeerId(1), V4, &with(20), &set(&[21], |_| {}), None);
    assert_eq!(ids(&rib), [(20, 2), (30, 3)]);
    assert_eq!(rib.counters(PeerId(1), V4).received, 2);
    let ranked: Vec<u32> = rib.lookup(&P.parse().unwrap()).unwrap().ranked(1).iter().map(|p| p.path_id_rx).collect();
    assert_eq!(ranked, [20]);
}

#[test]
fn a_destination_id_is_not_reused_while_it_is_held() {
    let mut rib = rib(&[PeerKind::Client]);
    let route = set(&[7], |_| {});
    rib.announce(PeerId(1), V4, &nlri(P), &route, None);
    let id = rib.decide(V4).best[0];
    rib.hold_dest(V4, id);
    rib.withdraw(PeerId(1), V4, &nlri(P));
    rib.decide(V4);
    rib.decide(V4);
    assert_eq!(rib.dest(V4, id).unwrap().prefix().to_string(), P);
    assert!(rib.lookup(&P.parse().unwrap()).is_none());
    rib.announce(PeerId(1), V4, &nlri("10.0.0.0/8"), &route, None);
    assert_ne!(rib.decide(V4).best, [id]);
    rib.release_dest(V4, id);
    rib.decide(V4);
    assert!(rib.dest(V4, id).is_none());
    rib.announce(PeerId(1), V4, &nlri("11.0.0.0/8"), &route, None);
    assert_eq!(rib.decide(V4).best, [id]);
}

#[test]
fn a_withdrawn_destination_can_be_read_until_the_next_decision() {
    let mut rib = rib(&[PeerKind::Client]);
    rib.announce(PeerId(1), V4, &nlri(P), &set(&[7], |_| {}), None);
    rib.decide(V4);
    rib.withdraw(PeerId(1), V4, &nlri(P));
    let changed = rib.decide(V4);
    let dest = rib.dest(V4, changed.best[0]).unwrap();
    assert_eq!((dest.prefix().to_string().as_str(), dest.best().is_none()), (P, true));
}

#[test]
fn a_held_attribute_set_keeps_its_id() {
    let mut rib = rib(&[PeerKind::Client]);
    rib.announce(PeerId(1), V4, &nlri(P), &set(&[7], |_| {}), None);
    rib.decide(V4);
    let id = rib.lookup(&P.parse().unwrap()).unwrap().best().unwrap().attr_id;
    rib.hold_attr(id);
    rib.announce(PeerId(1), V4, &nlri(P), &set(&[8], |_| {}), None);
    assert_eq!(rib.attrs(id), &set(&[7], |_| {}));
    assert_eq!(rib.memory().attribute_sets, 2);
    rib.release_attr(id);
    assert_eq!(rib.memory().attribute_sets, 1);
}

#[test]
fn our_own_routes_win_by_local_origin_and_need_no_next_hop() {
    let mut rib = Rib::new(Params { next_hop_tracking: true, ..params() });
    rib.peer_up(PeerId(1), peer(1, PeerKind::Ebgp));
    rib.announce(PeerId(1), V4, &nlri(P), &set(&[], |_| {}), None);
    rib.poll_next_hop();
    let connected = Resolution::Reachable { cost: 0, connected: true, through: None };
    rib.next_hop_changed(IpAddr::from([192, 0, 2, 1]), connected);
    rib.originate(P.parse().unwrap(), &set(&[], |a| a.next_hop = IpAddr::from([0, 0, 0, 0]).into()));
    rib.decide(V4);
    assert_eq!(best(&rib, P), Some(PeerId::LOCAL));
    rib.unoriginate(P.parse().unwrap());
    rib.decide(V4);
    assert_eq!(best(&rib, P), Some(PeerId(1)));
}

#[test]
fn deferral_holds_decisions_back() {
    let mut rib = rib(&[PeerKind::Client]);
    rib.set_deferred(V4, true);
    rib.announce(PeerId(1), V4, &nlri(P), &set(&[7], |_| {}), None);
    assert!(rib.decide(V4).is_empty());
    let dest = rib.lookup(&P.parse().unwrap()).unwrap();
    assert!(dest.best().is_none() && dest.explain()[0].verdict == Verdict::Undecided);
    rib.set_deferred(V4, false);
    assert_eq!(rib.decide(V4).best.len(), 1);
}

#[test]
fn a_changed_kind_of_peer_is_decided_and_reported() {
    let mut rib = rib(&[PeerKind::Client]);
    rib.announce(PeerId(1), V4, &nlri(P), &set(&[7], |_| {}), None);
    rib.decide(V4);
    rib.peer_up(PeerId(1), peer(1, PeerKind::NonClient));
    assert_eq!(rib.counters(PeerId(1), V4).stale, 0, "the session stays");
    assert_eq!(rib.decide(V4).best.len(), 1);
    assert!(rib.set_kind(PeerId(1), PeerKind::Client));
    assert_eq!(rib.decide(V4).best.len(), 1);
    assert!(!rib.set_kind(PeerId(1), PeerKind::Client));
    assert!(rib.decide(V4).is_empty());
}

#[test]
fn late_messages_of_a_peer_that_is_down_are_ignored() {
    let mut rib = rib(&[PeerKind::Client]);
    rib.peer_down(PeerId(1), FamilySet::NONE);
    assert!(rib.peer(PeerId(1)).is_none());
    rib.announce(PeerId(1), V4, &nlri(P), &set(&[7], |_| {}), None);
    assert_eq!(rib.memory().paths, 0);
}

#[test]
fn lookups_find_exact_longest_and_covering_prefixes() {
    let mut rib = rib(&[PeerKind::Client]);
    for prefix in ["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "::/0", "2001:db8::/32", "2001:db8::1/128"] {
        let prefix: IpNet = prefix.parse().unwrap();
        rib.announce(PeerId(1), Family::of(&prefix), &[Nlri::from(prefix)], &set(&[7], |_| {}), None);
    }
    let net = |text: &str| text.parse::<IpNet>().unwrap();
    let longest = |text| rib.longest_match(&net(text)).map(|d| d.prefix().to_string());
    assert_eq!(longest("10.1.2.3/32").as_deref(), Some("10.1.2.0/24"));
    assert_eq!(longest("10.1.0.0/17").as_deref(), Some("10.1.0.0/16"));
    assert_eq!(longest("11.0.0.1/32").as_deref(), Some("0.0.0.0/0"));
    assert_eq!(longest("2001:db8::1/128").as_deref(), Some("2001:db8::1/128"));
    assert_eq!(longest("2001:db9::/48").as_deref(), Some("::/0"));
    assert!(rib.lookup(&net("10.1.2.0/25")).is_none());
    assert_eq!(rib.lookup(&net("10.1.2.9/24")).unwrap().prefix(), net("10.1.2.0/24"));
    assert_eq!(prefixes(rib.covering(&net("10.1.2.3/32")).map(|d| d.prefix())), ["10.1.2.0/24", "10.1.0.0/16", "10.0.0.0/8", "0.0.0.0/0"]);
    let mut cursor = Some(DumpCursor::default());
    assert_eq!(prefixes(rib.covered(&net("10.1.0.0/16"), &mut cursor).map(|d| d.prefix())), ["10.1.0.0/16", "10.1.2.0/24"]);
}

#[test]
fn dumps_resume_and_cover_the_table_once() {
    let mut rib = rib(&[PeerKind::Client; 2]);
    let net = |i: u32| IpNet::new(std::net::Ipv4Addr::from(i << 8).into(), 24).unwrap();
    let routes: Vec<Nlri> = (0..10_000).map(|i| Nlri::from(net(i))).collect();
    rib.announce(PeerId(1), V4, &routes, &set(&[7], |_| {}), None);
    rib.announce(PeerId(2), V4, &routes[..5000], &set(&[7], |_| {}), None);
    rib.decide(V4);
    type Step<'a> = Box<dyn FnMut(&mut Option<DumpCursor>) -> Vec<IpNet> + 'a>;
    let all = |mut step: Step<'_>| {
        let (mut cursor, mut found, mut steps) = (Some(DumpCursor::default()), Vec::new(), 0);
        while cursor.is_some() {
            let part = step(&mut cursor);
            assert!(part.len() <= 4096);
            found.extend(part);
            steps += 1;
        }
        (found, steps)
    };
    let expected: Vec<IpNet> = (0..10_000).map(net).collect();
    assert_eq!(all(Box::new(|c| rib.dump(V4, c).map(|d| d.prefix()).collect())), (expected.clone(), 3));
    let of_two = all(Box::new(|c| rib.dump_peer(PeerId(2), V4, c).map(|d| d.prefix()).collect()));
    assert_eq!(of_two, (expected[..5000].to_vec(), 2));
}

#[test]
fn users_of_a_next_hop_do_not_pile_up() {
    let mut rib = rib(&[]);
    rib.originate(P.parse().unwrap(), &set(&[7], |_| {}));
    let before = rib.memory().next_hop_bytes;
    for n in 1..10_000 {
        rib.peer_up(PeerId(n), peer(1, PeerKind::Client));
        rib.announce(PeerId(n), V4, &nlri(P), &set(&[7], |_| {}), None);
        rib.peer_down(PeerId(n), FamilySet::NONE);
        rib.decide(V4);
    }
    assert!(rib.memory().next_hop_bytes < before + 2000, "{} bytes", rib.memory().next_hop_bytes);
}
