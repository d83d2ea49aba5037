//! The difference of two Plans.

use super::*;
use crate::config::diff::Change;
use proptest::prelude::*;
use proptest::sample::subsequence;

/// Carries actions out on a Plan, as a daemon does on itself.
fn apply(mut plan: Plan, actions: Vec<Action>) -> Plan {
    for action in actions {
        match action {
            Action::Router(router) => plan.router = router,
            Action::Policies { policies, tags } => (plan.policies, plan.tags) = (policies, tags),
            Action::StopListening(closed) => plan.listeners.retain(|at| !closed.contains(at)),
            Action::Listen(opened) => plan.listeners.extend(opened),
            Action::RemovePeer(key) => assert!(plan.peers.remove(&key).is_some()),
            Action::AddPeer(peer) => assert!(plan.peers.insert(peer.address, *peer).is_none()),
            Action::ChangePeer { plan: peer, .. } => assert!(plan.peers.insert(peer.address, *peer).is_some()),
            Action::RemoveRange(range) => assert!(plan.dynamic.remove(&range).is_some()),
            Action::AddRange(range) => assert!(plan.dynamic.insert(range.range, *range).is_none()),
            Action::ChangeRange { plan: range, .. } => assert!(plan.dynamic.insert(range.range, *range).is_some()),
            Action::Withdraw(prefix) => assert!(plan.networks.remove(&prefix).is_some()),
            Action::Originate(network) => drop(plan.networks.insert(network.prefix, *network)),
            Action::Vips(vips) => plan.vips = vips,
            Action::Fib(fib) => plan.fib = fib,
            Action::Api(api) => plan.api = api,
            Action::Metrics(metrics) => plan.metrics = metrics,
            Action::Log(log) => plan.log = log,
            Action::Bfd(profiles) => plan.bfd = profiles,
            Action::Drain(drain) => plan.drain = drain,
            Action::Bmp(stations) => plan.bmp = stations,
            Action::Kubernetes(kubernetes) => plan.kubernetes = kubernetes.map(|k| *k),
        }
    }
    plan
}

/// Lines of a file, of which each part takes any subset.
fn files() -> impl Strategy<Value = String> {
    let sections = subsequence(
        vec![
            "listen: [{ address: 10.0.0.1 }]",
            "fib: { install: best }",
            "log: { level: debug }",
            "metrics: { listen: off }",
            "api: { socket: /tmp/a }",
            "drain: { gracePeriod: 1s }",
            "bmp: { stations: [{ address: 10.0.0.5 }] }",
            "vips: { services: [{ name: a, addresses: [10.9.0.1] }] }",
        ],
        0..=8,
    );
    let networks =
        subsequence(vec!["{ prefix: 10.1.0.0/16 }", "{ prefix: 10.2.0.0/16, tags: [b] }", "{ prefix: 10.3.0.0/16, tags: [a] }"], 0..=3);
    let neighbors = subsequence(vec!["10.0.0.2", "10.0.0.3", "2001:db8::4", "10.0.0.5"], 0..=4);
    let settings = subsequence(
        vec![
            "holdTime: 9s",
            "passive: true",
            "import: [p]",
            "description: x",
            "families: [ipv4-unicast]",
            "allowOwnAsn: 2",
            "addPath: { send: 2 }",
        ],
        0..=7,
    );
    let rules = subsequence(vec!["{ set: { med: 1 } }", "{ match: { tags: [a] }, action: reject }", "{ action: accept }"], 0..=3);
    (sections, networks, neighbors, proptest::collection::vec(settings, 5), rules, 1..3_u32).prop_map(
        |(sections, networks, neighbors, settings, rules, asn)| {
            let list = |items: Vec<String>| format!("[{}]", items.join(", "));
            let neighbors = neighbors.iter().zip(&settings);
            let neighbors = neighbors
                .map(|(a, s)| format!("{{ address: '{a}', asn: 9{}{} }}", if s.is_empty() { "" } else { ", " }, s.join(", ")))
                .collect();
            let group = settings.last().map(|s| s.join(", ")).unwrap_or_default();
            let networks = networks.into_iter().map(str::to_owned).collect();
            format!(
                "router: {{ asn: {asn} }}\n{}\noriginate: {{ networks: {} }}\nneighbors: {}\npolicies: {{ p: [{}] }}\n\
                 groups: {{ g: {{ asn: external{}{group} }} }}\ndynamicNeighbors: [{{ range: 10.9.0.0/16, group: g, max: {asn} }}]\n",
                sections.join("\n"),
                list(networks),
                list(neighbors),
                rules.join(", "),
                if group.is_empty() { "" } else { ", " },
            )
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_difference_leads_to_the_new_plan_and_leaves_the_rest_alone(old in files(), new in files()) {
        let (old, new) = (plan(&old), plan(&new));
        let actions = diff(&old, &new);
        for action in &actions {
            match action {
                Action::ChangePeer { plan, .. } if old.router == new.router => {
                    prop_assert_ne!(Some(plan.as_ref()), old.peers.get(&plan.address));
                }
                Action::Originate(network) => prop_assert_ne!(Some(network.as_ref()), old.networks.get(&network.prefix)),
                _ => {}
            }
        }
        prop_assert_eq!(apply(old, actions), new);
    }

    #[test]
    fn a_plan_does_not_differ_from_itself(text in files()) {
        prop_assert_eq!(diff(&plan(&text), &plan(&text)), vec![]);
    }

    #[test]
    fn random_plans_print_to_themselves(text in files()) {
        let first = plan(&text);
        prop_assert_eq!(&plan(&first.to_yaml()), &first);
    }
}

fn change(settings: &str, to: &str) -> Change {
    let text = |settings: &str| {
        format!(
            "router: {{ asn: 1 }}\npolicies: {{ p: [{{ set: {{ med: 1 }} }}] }}\nneighbors: [{{ address: 10.0.0.2, asn: internal{settings} }}]"
        )
    };
    match diff(&plan(&text(settings)), &plan(&text(to))).as_slice() {
        [Action::ChangePeer { change, .. }] => change.clone(),
        actions => panic!("{actions:?}"),
    }
}

#[test]
fn a_session_is_reset_only_for_what_is_part_of_it() {
    for settings in [
        ", holdTime: 9s",
        ", families: [ipv6-unicast]",
        ", password: { env: A }",
        ", multihop: 2",
        ", addPath: { receive: true }",
        ", addPath: { send: 2 }",
    ] {
        assert!(change("", settings).reset, "{settings}");
    }
    let soft = |from, to| {
        let change = change(from, to);
        assert!(!change.reset, "{to}: {change:?}");
        (change.refresh_in, change.refresh_out)
    };
    assert_eq!(soft(", password: { env: A }", ", password: { env: B }"), (false, false), "the connection takes another key");
    assert_eq!(soft("", ", import: [p]"), (true, false));
    assert_eq!(soft("", ", export: [p]"), (false, true));
    assert_eq!(soft("", ", nextHop: self"), (false, true));
    assert_eq!(soft(", addPath: { send: 2 }", ", addPath: { send: all }"), (false, true));
    assert_eq!(soft("", ", routeReflectorClient: true"), (true, true));
    for settings in
        [", description: x", ", name: x", ", passive: true", ", adminState: down", ", port: 1179", ", maxPrefixes: { limit: 9 }"]
    {
        assert_eq!(soft("", settings), (false, false), "{settings}");
    }
}

#[test]
fn another_rule_in_a_policy_changes_only_its_users() {
    let text = |med: u32| {
        format!(
            "router: {{ asn: 1 }}\npolicies: {{ p: [{{ set: {{ med: {med} }} }}] }}\n\
             neighbors: [{{ address: 10.0.0.2, asn: 2, export: p }}, {{ address: 10.0.0.3, asn: 2 }}]"
        )
    };
    let actions = diff(&plan(&text(1)), &plan(&text(2)));
    let expected = Change { refresh_out: true, what: vec!["export"], ..Change::default() };
    assert!(matches!(&actions[..], [Action::Policies { .. }, Action::ChangePeer { plan, change }]
        if plan.address == IpAddr::from([10, 0, 0, 2]) && *change == expected));
}

#[test]
fn another_router_id_resets_everybody() {
    let text = |id: &str| format!("router: {{ asn: 1, id: {id}, clusterId: 1.1.1.1 }}\nneighbors: [{{ address: 10.0.0.2, asn: 2 }}]");
    let actions = diff(&plan(&text("10.0.0.1")), &plan(&text("10.0.0.9")));
    assert!(matches!(&actions[..], [Action::Router(_), Action::ChangePeer { change, .. }] if change.reset), "{actions:?}");
}
