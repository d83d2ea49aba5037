use super::params::{Action, Edit, Match, MedSet, Members, NextHopSet, PrefixRange, Prepend, Rule, Sets, Source};
use super::*;
use crate::policy::as_path::PathRegex;
use crate::policy::community::{ExtPattern, LargePattern, StandardPattern};
use crate::wire::attr::{AsPath, NextHop, Origin, PathAttributes, Segment, SegmentKind};
use crate::wire::{Asn, ClusterId, Family, Role, RouterId};
use std::sync::Arc;

fn asn(n: u32) -> Asn {
    Asn::new(n).unwrap()
}

fn attributes(path: &[u32]) -> PathAttributes {
    let segment = Segment { kind: SegmentKind::Sequence, asns: path.to_vec() };
    PathAttributes {
        origin: Origin::Igp,
        as_path: AsPath(if path.is_empty() { Vec::new() } else { vec![segment] }),
        next_hop: NextHop::V4([192, 0, 2, 1].into()),
        med: None,
        local_pref: None,
        atomic_aggregate: false,
        aggregator: None,
        communities: vec![64512 << 16 | 100],
        originator_id: None,
        cluster_list: Vec::new(),
        ext_communities: vec![[0, 2, 0xfc, 0, 0, 0, 0, 7]],
        large_communities: vec![[64512, 1, 2]],
        otc: None,
        opaque: Vec::new(),
        tags: Tags(0),
    }
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn policy(rules: Vec<Rule>) -> Arc<Policy> {
    Arc::new(Policy::new(Params { name: "p".into(), rules }).unwrap())
}

fn accept(matches: Match) -> Rule {
    Rule { matches, sets: Sets::default(), action: Action::Accept }
}

/// Whether a route of 192.0.2.9 (eBGP) with these attributes matches.
fn matches_route(matches: Match, prefix: &str, attributes: &PathAttributes) -> bool {
    let (prefix, attrs) = (net(prefix), AttrSet::from(attributes));
    let neighbor = Some("192.0.2.9".parse().unwrap());
    let view = RouteView { prefix: &prefix, attrs: &attrs, neighbor, kind: PeerKind::Ebgp };
    let chain = Chain::new(vec![policy(vec![accept(matches)])], AtEnd::Reject(Reason::NoPolicy));
    matches!(chain.apply(view), Outcome::Accept(_))
}

fn apply_sets(sets: Sets, before: &PathAttributes) -> PathAttributes {
    let (prefix, attrs) = (net("203.0.113.0/24"), AttrSet::from(before));
    let view = RouteView { prefix: &prefix, attrs: &attrs, neighbor: None, kind: PeerKind::Local };
    let rule = Rule { matches: Match::default(), sets, action: Action::Accept };
    match Chain::new(vec![policy(vec![rule])], AtEnd::Accept).apply(view) {
        Outcome::Accept(attrs) => PathAttributes::from(&attrs),
        Outcome::Reject(reason) => panic!("rejected: {reason}"),
    }
}

#[test]
fn prefix_lists_compare_the_prefix_and_its_length() {
    let a = attributes(&[64500]);
    let within =
        |ranges: &[PrefixRange], prefix: &str| matches_route(Match { prefixes: Some(ranges.to_vec()), ..Match::default() }, prefix, &a);
    let exact = [PrefixRange::exact(net("10.0.0.0/8"))];
    assert!(within(&exact, "10.0.0.0/8"));
    assert!(!within(&exact, "10.1.0.0/16"));
    let longer = [PrefixRange::or_longer(net("10.0.0.0/8")), PrefixRange::or_longer(net("2001:db8::/32"))];
    assert!(within(&longer, "10.1.0.0/16") && within(&longer, "10.0.0.0/8") && within(&longer, "2001:db8:1::/48"));
    assert!(!within(&longer, "11.0.0.0/8") && !within(&longer, "0.0.0.0/0") && !within(&longer, "2001:db9::/32"));
    // Two ranges of one prefix, and a range inside another.
    let range = |prefix, min, max| PrefixRange { prefix: net(prefix), min, max };
    let several = [range("10.0.0.0/8", 16, 16), range("10.0.0.0/8", 24, 32), range("10.1.0.0/16", 20, 20)];
    assert!(within(&several, "10.2.0.0/16") && within(&several, "10.2.3.0/24") && within(&several, "10.1.16.0/20"));
    assert!(!within(&several, "10.2.16.0/20") && !within(&several, "10.0.0.0/8"));
    assert!(!within(&[], "10.0.0.0/8"), "an empty list holds nothing");
}

#[test]
fn communities_match_any_and_all_with_wildcards() {
    let mut a = attributes(&[64500]);
    a.communities = vec![64512 << 16 | 100, 64513 << 16 | 7];
    let standard = |any: Option<&[&str]>, all: &[&str]| {
        let read = |texts: &[&str]| texts.iter().map(|t| StandardPattern::parse(t).unwrap()).collect::<Vec<_>>();
        let communities = Members { any: any.map(read), all: read(all) };
        matches_route(Match { communities, ..Match::default() }, "10.0.0.0/8", &a)
    };
    assert!(standard(Some(&["64512:*"]), &[]) && standard(Some(&["1:1", "*:7"]), &[]) && standard(None, &["64512:100", "64513:*"]));
    assert!(!standard(Some(&["64514:*"]), &[]) && !standard(None, &["64512:100", "no-export"]) && !standard(Some(&[]), &[]));
    let large = |text: &str| {
        let any = Some(vec![LargePattern::parse(text).unwrap()]);
        matches_route(Match { large_communities: Members { any, all: vec![] }, ..Match::default() }, "10.0.0.0/8", &a)
    };
    assert!(large("64512:1:2") && large("64512:*:*") && large("*:*:2") && !large("64512:*:3") && !large("64513:*:*"));
    let ext = |text: &str| {
        let any = Some(vec![ExtPattern::parse(text).unwrap()]);
        matches_route(Match { ext_communities: Members { any, all: vec![] }, ..Match::default() }, "10.0.0.0/8", &a)
    };
    assert!(ext("rt:64512:7") && ext("rt:64512:*") && ext("rt:*:*") && ext("0x0002fc0000000007"));
    assert!(!ext("rt:64512:8") && !ext("rt:64513:*") && !ext("soo:*:*") && !ext("soo:64512:7"));
    for text in ["", "*", "1:2:*", "70000:*", "x:*", "1:*x"] {
        assert!(StandardPattern::parse(text).is_err(), "{text}");
    }
    assert!(LargePattern::parse("1:*").is_err() && ExtPattern::parse("rt:x:*").is_err());
}

#[test]
fn path_expressions_know_borders() {
    let hit = |regex: &str, path: &str| PathRegex::new(regex).unwrap().is_match(path);
    assert!(hit("_64500_", "64500") && hit("_64500_", "1 64500 2") && hit("_64500_", "1 {64500 2}") && hit("_64500_", "(64500)"));
    assert!(!hit("_64500_", "164500") && !hit("_64500_", "645001") && !hit("_6450_", "64500"));
    assert!(hit("^$", "") && !hit("^$", "1") && hit("^64500_", "64500 1") && !hit("^64500_", "1 64500") && hit("_1_2_", "9 1 2"));
    assert!(hit(r"^(64500|64501)( \d+)*$", "64501 7 7") && hit("[0-9_]+", "1") && PathRegex::new("(").is_err());
    let a = attributes(&[64500, 64501]);
    let matches = |regex: &str| matches_route(Match { as_path: Some(vec![regex.into()]), ..Match::default() }, "10.0.0.0/8", &a);
    assert!(matches("^64500_64501$") && !matches("_64502_"));
}

#[test]
fn every_condition_is_asked() {
    let mut a = attributes(&[64500, 64501]);
    (a.med, a.local_pref, a.tags) = (Some(5), Some(200), Tags(0b110));
    let hit = |matches: Match| matches_route(matches, "10.0.0.0/8", &a);
    let none = Match::default;
    assert!(hit(none()));
    assert!(hit(Match { family: Some(Family::Ipv4Unicast), ..none() }) && !hit(Match { family: Some(Family::Ipv6Unicast), ..none() }));
    assert!(hit(Match { as_path_length: Some(2..=3), ..none() }) && !hit(Match { as_path_length: Some(3..=9), ..none() }));
    assert!(hit(Match { neighbors: Some(vec![net("192.0.2.0/24")]), ..none() }));
    assert!(!hit(Match { neighbors: Some(vec![net("192.0.2.8/32")]), ..none() }));
    assert!(hit(Match { sources: Some(vec![Source::Local, Source::Ebgp]), ..none() }));
    assert!(!hit(Match { sources: Some(vec![Source::Ibgp, Source::Client, Source::Local]), ..none() }));
    assert!(hit(Match { any_tag: Some(Tags(0b010)), ..none() }) && !hit(Match { any_tag: Some(Tags(0b001)), ..none() }));
    assert!(hit(Match { all_tags: Tags(0b110), ..none() }) && !hit(Match { all_tags: Tags(0b111), ..none() }));
    assert!(
        hit(Match { next_hops: Some(vec![net("192.0.2.0/24")]), ..none() })
            && !hit(Match { next_hops: Some(vec![net("10.0.0.0/8")]), ..none() })
    );
    assert!(hit(Match { origins: Some(vec![Origin::Igp]), ..none() }) && !hit(Match { origins: Some(vec![Origin::Egp]), ..none() }));
    assert!(hit(Match { med: Some(5..=5), ..none() }) && !hit(Match { med: Some(0..=4), ..none() }));
    assert!(hit(Match { local_pref: Some(200..=u32::MAX), ..none() }) && !hit(Match { local_pref: Some(0..=199), ..none() }));
    let not = |inner: Match| Match { not: Some(Box::new(inner)), ..none() };
    assert!(!hit(not(Match { med: Some(5..=5), ..none() })) && hit(not(Match { med: Some(6..=6), ..none() })));
    // All conditions together: one that fails is enough.
    assert!(!hit(Match { med: Some(5..=5), origins: Some(vec![Origin::Egp]), ..none() }));
}

#[test]
fn sets_change_what_they_say_and_nothing_else() {
    let before = attributes(&[64500]);
    assert_eq!(
        apply_sets(Sets { local_pref: Some(7), ..Sets::default() }, &before),
        PathAttributes { local_pref: Some(7), ..before.clone() }
    );
    let med = |set, from| apply_sets(Sets { med: Some(set), ..Sets::default() }, &PathAttributes { med: from, ..before.clone() }).med;
    assert_eq!(med(MedSet::To(9), None), Some(9));
    assert_eq!(med(MedSet::Add(9), Some(1)), Some(10));
    assert_eq!(med(MedSet::Add(9), Some(u32::MAX)), Some(u32::MAX));
    assert_eq!(med(MedSet::Subtract(9), Some(1)), Some(0));
    assert_eq!(med(MedSet::Remove, Some(1)), None);
    let edit =
        |remove: &str, add| Sets { communities: Edit { remove: vec![StandardPattern::parse(remove).unwrap()], add }, ..Sets::default() };
    assert_eq!(apply_sets(edit("64512:*", vec![5, 3, 5]), &before).communities, [3, 5]);
    assert_eq!(apply_sets(edit("64513:*", vec![]), &before).communities, before.communities);
    let large = Edit { remove: vec![LargePattern::ANY], add: vec![[1, 2, 3]] };
    assert_eq!(apply_sets(Sets { large_communities: large, ..Sets::default() }, &before).large_communities, [[1, 2, 3]]);
    let prepend = |path: &[u32]| {
        let sets = Sets { prepend: Some(Prepend { asn: asn(7), times: 2 }), ..Sets::default() };
        apply_sets(sets, &attributes(path)).as_path.0.iter().map(|s| s.asns.clone()).collect::<Vec<_>>()
    };
    assert_eq!(prepend(&[64500]), [vec![7, 7, 64500]]);
    assert_eq!(prepend(&[]), [vec![7, 7]]);
    assert_eq!(prepend(&[1; 254]), [vec![7; 2], vec![1; 254]]);
    let next_hop = |set| apply_sets(Sets { next_hop: Some(set), ..Sets::default() }, &before);
    assert_eq!(next_hop(NextHopSet::Address([10, 0, 0, 9].into())).next_hop, NextHop::V4([10, 0, 0, 9].into()));
    assert_eq!((next_hop(NextHopSet::Own).tags, next_hop(NextHopSet::Unchanged).tags), (NEXT_HOP_SELF, NEXT_HOP_UNCHANGED));
    assert_eq!(apply_sets(Sets { origin: Some(Origin::Egp), ..Sets::default() }, &before).origin, Origin::Egp);
    let tagged = PathAttributes { tags: Tags(0b11), ..before.clone() };
    assert_eq!(apply_sets(Sets { remove_tags: Tags(0b01), add_tags: Tags(0b100), ..Sets::default() }, &tagged).tags, Tags(0b110));
}

#[test]
fn the_first_decision_ends_the_chain_and_unchanged_routes_keep_their_allocation() {
    let (prefix, attrs) = (net("10.0.0.0/8"), AttrSet::from(&attributes(&[64500])));
    let view = RouteView { prefix: &prefix, attrs: &attrs, neighbor: None, kind: PeerKind::NonClient };
    let rule = |local_pref, action| Rule { matches: Match::default(), sets: Sets { local_pref, ..Sets::default() }, action };
    let when =
        |local_pref, action| Rule { matches: Match { local_pref: Some(local_pref), ..Match::default() }, sets: Sets::default(), action };
    assert!(matches!(Chain::accept_all().apply(view), Outcome::Accept(a) if a.ptr_eq(&attrs)));
    assert_eq!(Chain::reject_all(Reason::NoPolicy).apply(view), Outcome::Reject(Reason::NoPolicy));
    // A rule sees what earlier ones have set, also across policies; numbers count through the chain.
    let chain = Chain::new(
        vec![policy(vec![rule(Some(300), Action::Next)]), policy(vec![when(0..=299, Action::Accept), when(300..=300, Action::Reject)])],
        AtEnd::Accept,
    );
    assert_eq!(chain.apply(view), Outcome::Reject(Reason::DeniedByPolicy(3)));
    let trace = chain.trace(view);
    assert_eq!(
        trace.steps.iter().map(|s| (s.number, s.rule, s.failed)).collect::<Vec<_>>(),
        [(1, 1, None), (2, 1, Some("localPref")), (3, 2, None)]
    );
    assert!(!trace.by_default);
    assert_eq!(trace.outcome, chain.apply(view));
    // Setting what is already so changes nothing.
    let same = Chain::new(vec![policy(vec![rule(None, Action::Next)])], AtEnd::Accept);
    assert!(matches!(same.apply(view), Outcome::Accept(a) if a.ptr_eq(&attrs)));
    assert!(same.trace(view).by_default);
    // At the end of an eBGP export chain only routes of our own go out (RFC 8212).
    let only_local = Chain::new(vec![], AtEnd::OnlyLocal);
    assert_eq!(only_local.apply(view), Outcome::Reject(Reason::NoPolicy));
    assert!(matches!(only_local.apply(RouteView { kind: PeerKind::Local, ..view }), Outcome::Accept(_)));
}

#[test]
fn chains_are_equal_when_their_rules_are() {
    let chain = |local_pref, end| {
        let sets = Sets { local_pref: Some(local_pref), ..Sets::default() };
        Chain::new(vec![policy(vec![Rule { matches: Match::default(), sets, action: Action::Accept }])], end)
    };
    assert_eq!(chain(1, AtEnd::Accept), chain(1, AtEnd::Accept));
    assert_ne!(chain(1, AtEnd::Accept), chain(2, AtEnd::Accept));
    assert_ne!(chain(1, AtEnd::Accept), chain(1, AtEnd::OnlyLocal));
    let hash = |chain: &Chain| {
        let mut hasher = std::hash::DefaultHasher::new();
        std::hash::Hash::hash(chain, &mut hasher);
        std::hash::Hasher::finish(&hasher)
    };
    assert_eq!(hash(&chain(1, AtEnd::Accept)), hash(&chain(1, AtEnd::Accept)));
    assert_ne!(hash(&chain(1, AtEnd::Accept)), hash(&chain(2, AtEnd::Accept)));
    assert!(!chain(1, AtEnd::Accept).depends_on_prefix());
    let on_prefix = Match { not: Some(Box::new(Match { prefixes: Some(vec![]), ..Match::default() })), ..Match::default() };
    assert!(Chain::new(vec![policy(vec![accept(on_prefix)])], AtEnd::Accept).depends_on_prefix());
}

fn import() -> Import {
    Import {
        local_as: asn(64512),
        router_as: asn(64512),
        remote_as: asn(64500),
        router_id: RouterId::new(0x0a00_0001).unwrap(),
        cluster_id: Some(ClusterId(0x0a00_00ff)),
        allow_own_as: 0,
        ebgp: true,
        role: None,
        chain: Chain::accept_all(),
    }
}

fn run(import: &Import, attributes: &PathAttributes) -> Outcome {
    let (prefix, attrs) = (net("10.0.0.0/8"), AttrSet::from(attributes));
    import.apply(RouteView { prefix: &prefix, attrs: &attrs, neighbor: None, kind: PeerKind::Ebgp })
}

#[test]
fn loops_are_rejected_before_policy() {
    let looped = Outcome::Reject(Reason::RejectedByLoop);
    assert_eq!(run(&import(), &attributes(&[64500, 64512, 64501])), looped);
    assert_ne!(run(&import(), &attributes(&[64500, 64501])), looped);
    let tolerant = Import { allow_own_as: 1, ..import() };
    assert_ne!(run(&tolerant, &attributes(&[64500, 64512])), looped);
    assert_eq!(run(&tolerant, &attributes(&[64512, 64500, 64512])), looped);
    // In a set it is a loop as well.
    let mut in_set = attributes(&[64500]);
    in_set.as_path.0.push(Segment { kind: SegmentKind::Set, asns: vec![1, 64512] });
    assert_eq!(run(&import(), &in_set), looped);
    // The number of the session and that of the router both count (RFC 7705).
    let overridden = Import { local_as: asn(65000), ..import() };
    assert_eq!(run(&overridden, &attributes(&[64500, 64512])), looped);
    assert_eq!(run(&overridden, &attributes(&[64500, 65000])), looped);
    let ibgp = Import { ebgp: false, remote_as: asn(64512), ..import() };
    let own_id = PathAttributes { originator_id: RouterId::new(0x0a00_0001), ..attributes(&[]) };
    let own_cluster = PathAttributes { cluster_list: vec![ClusterId(1), ClusterId(0x0a00_00ff)], ..attributes(&[]) };
    assert_eq!(run(&ibgp, &own_id), looped);
    assert_eq!(run(&ibgp, &own_cluster), looped);
    assert_ne!(run(&ibgp, &PathAttributes { cluster_list: vec![ClusterId(1)], ..attributes(&[]) }), looped);
    assert_ne!(run(&Import { cluster_id: None, ..ibgp }, &own_cluster), looped);
}

#[test]
fn graceful_shutdown_of_an_external_peer_is_the_last_resort() {
    let shutdown = PathAttributes { communities: vec![0xffff_0000], ..attributes(&[64500]) };
    let local_pref = |import: &Import| match run(import, &shutdown) {
        Outcome::Accept(attrs) => attrs.head().local_pref(),
        Outcome::Reject(reason) => panic!("rejected: {reason}"),
    };
    assert_eq!(local_pref(&import()), Some(0));
    assert_eq!(local_pref(&Import { ebgp: false, ..import() }), None);
    let chain = |sets| Chain::new(vec![policy(vec![Rule { matches: Match::default(), sets, action: Action::Accept }])], AtEnd::Accept);
    let raised = chain(Sets { local_pref: Some(300), ..Sets::default() });
    assert_eq!(local_pref(&Import { chain: raised, ..import() }), Some(0));
    let removed = Edit { remove: vec![StandardPattern::ANY], add: vec![] };
    let opted_out = chain(Sets { local_pref: Some(300), communities: removed, ..Sets::default() });
    assert_eq!(local_pref(&Import { chain: opted_out, ..import() }), Some(300));
}

#[test]
fn a_next_hop_set_on_import_is_no_order_for_export() {
    let sets = Sets { next_hop: Some(NextHopSet::Address([10, 0, 0, 9].into())), ..Sets::default() };
    let chain = Chain::new(vec![policy(vec![Rule { matches: Match::default(), sets, action: Action::Accept }])], AtEnd::Accept);
    let imported = run(&Import { chain, ..import() }, &attributes(&[64500]));
    let expected = PathAttributes { next_hop: NextHop::V4([10, 0, 0, 9].into()), ..attributes(&[64500]) };
    assert_eq!(imported, Outcome::Accept(AttrSet::from(&expected)));
}

#[test]
fn only_to_customer_stops_leaks() {
    let plain = attributes(&[64500]);
    let marked = |otc| PathAttributes { otc: Some(otc), ..attributes(&[64500]) };
    let ingress = |role, attributes: &PathAttributes| match run(&Import { role: Some(role), ..import() }, attributes) {
        Outcome::Accept(attrs) => Ok(PathAttributes::from(&attrs).otc),
        Outcome::Reject(reason) => Err(reason),
    };
    for role in [Role::Provider, Role::RouteServer] {
        assert_eq!(ingress(role, &marked(64500)), Err(Reason::RouteLeak), "{role:?}");
        assert_eq!(ingress(role, &plain), Ok(None), "{role:?}");
    }
    assert_eq!(ingress(Role::Peer, &marked(64501)), Err(Reason::RouteLeak));
    assert_eq!(ingress(Role::Peer, &marked(64500)), Ok(Some(64500)));
    for role in [Role::Customer, Role::RouteServerClient] {
        assert_eq!(ingress(role, &marked(64501)), Ok(Some(64501)), "{role:?}");
        assert_eq!(ingress(role, &plain), Ok(Some(64500)), "{role:?}");
    }
    let egress = |role, attributes: &PathAttributes| {
        role::egress(role, asn(64512), &AttrSet::from(attributes)).map(|set| set.map(|set| PathAttributes::from(&set).otc))
    };
    for role in [Role::Customer, Role::Peer, Role::RouteServerClient] {
        assert_eq!(egress(role, &marked(1)), Err(role::Leak), "{role:?}");
    }
    for role in [Role::Provider, Role::Peer, Role::RouteServer] {
        assert_eq!(egress(role, &plain), Ok(Some(Some(64512))), "{role:?}");
    }
    assert_eq!(egress(Role::Provider, &marked(1)), Ok(None));
    assert_eq!(egress(Role::Customer, &plain), Ok(None));
}
