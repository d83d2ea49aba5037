use super::check::LocalHost;
use super::plan::{AddPathSend, PeerPlan, RemoteAs, SecretSource, Ttl};
use super::*;
use crate::policy::{AtEnd, NEXT_HOP_SELF, Outcome, PeerKind, Reason, RouteView};
use crate::wire::{Asn, Family, FamilySet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

mod bad;
mod change;

/// Secrets by what they are called, no files and no environment.
struct TestHost;

impl Host for TestHost {
    fn secret(&self, source: &SecretSource) -> Result<Vec<u8>, String> {
        match source {
            SecretSource::Env(name) if name == "LONG" => Ok(vec![b'x'; 81]),
            SecretSource::Env(name) if name == "EMPTY" => Ok(Vec::new()),
            SecretSource::Env(name) => Ok(format!("secret of {name}").into_bytes()),
            SecretSource::File(_) | SecretSource::Secret(_) => Err("no such file".to_owned()),
        }
    }

    fn router_id(&self) -> Option<Ipv4Addr> {
        Some(Ipv4Addr::new(192, 0, 2, 1))
    }
}

fn plan(text: &str) -> Plan {
    load_text("test.yaml", text, &[], &TestHost).unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

fn peer<'a>(plan: &'a Plan, address: &str) -> &'a PeerPlan {
    &plan.peers[&address.parse::<IpAddr>().unwrap()]
}

fn examples() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.display().to_string(), fs::read_to_string(path).unwrap())).collect()
}

/// Every key of a session, so that nothing gets lost on the way to the Plan and back.
const FULL: &str = r#"
apiVersion: kubgp.io/v1
router: { asn: 64512, id: 10.0.0.1, clusterId: 10.0.0.9 }
listen: [{ address: 10.0.0.1 }, { address: "::", port: 1179 }]
groups:
  plain: { asn: internal, holdTime: 30s, password: { env: KEY } }
  ranged: { asn: external, keepaliveTime: 20s, description: from a range, multihop: 4 }
neighbors:
  - name: a
    address: 10.0.0.2
    port: 1179
    asn: 64500
    localAsn: 65000
    localAddress: 10.0.0.1
    bindDevice: eth0
    description: "first: one"
    families: [ipv4-unicast, ipv6-unicast]
    adminState: down
    holdTime: 10s
    keepaliveTime: 2s
    connectRetryTime: 1m
    sendHoldTime: 0s
    nextHop: self
    ttlSecurity: 2
    password: { env: OTHER }
    gracefulRestart: { mode: full, time: 60s, staleTime: 2h }
    longLivedGracefulRestart: { time: 24h }
    addPath: { receive: true, send: all }
    extendedNextHop: true
    extendedMessages: true
    maxPrefixes: { limit: 10, action: restart, restartAfter: 1m }
    import: [one, two]
    export: three
    allowOwnAsn: 1
    role: customer
  - { address: 10.0.0.3, group: plain, routeReflectorClient: true, passive: true, addPath: { send: 2 } }
  - { address: "2001:db8::4", asn: internal, holdTime: 0s, group: null }
  - { address: 10.1.0.5, group: ranged, description: "", multihop: 1, keepaliveTime: 30s }
dynamicNeighbors:
  - { range: 10.1.0.0/16, group: ranged, max: 7 }
  - { range: "2001:db8:1::/48", group: ranged }
originate:
  networks:
    - { prefix: 203.0.113.7/32, communities: ["64512:100", no-export], largeCommunities: ["1:2:3"], extCommunities: ["rt:1:2"],
        localPref: 100, med: 0, origin: incomplete, nextHop: 10.0.0.77, tags: [vip] }
    - { prefix: "2001:db8::/32", nextHop: self }
policies:
  one:
    - match:
        family: ipv4-unicast
        prefixes: [10.0.0.0/8, { prefix: 10.0.0.0/8, ge: 16, le: 24 }, { prefix: 192.0.2.0/24, orLonger: true }]
        communities: { any: ["1:*"], all: ["2:3", no-export] }
        largeCommunities: "1:2:*"
        extCommunities: ["rt:1:*"]
        asPath: ["^1_", "_2$"]
        asPathLength: { min: 1, max: 9 }
        neighbors: [10.0.0.2, 10.1.0.0/16]
        source: [ebgp, client]
        tags: { any: [vip, old], all: [new] }
        nextHops: 10.0.0.0/8
        origin: igp
        med: 5
        localPref: { min: 7 }
        not: { med: { max: 3 } }
      set:
        localPref: 5
        med: { subtract: 1 }
        communities: { add: ["1:1"], remove: ["2:*"] }
        largeCommunities: { replace: ["1:1:1"] }
        extCommunities: { add: "soo:1:1" }
        prepend: { asn: 64512, times: 2 }
        nextHop: 10.0.0.1
        origin: egp
        tags: { add: [new], remove: [old] }
      action: accept
  two:
    - { set: { med: none, prepend: {} }, action: next }
    - { set: { med: { add: 10 } } }
    - { action: reject }
  three: [{ set: { nextHop: unchanged } }]
fib: { install: best, table: 100, protocol: 200, metric: 7, adopt: 12, onStop: keep, tunnels: { ipip: crossSubnet, device: tun7 } }
api: { socket: /tmp/kubgp.sock, lookingGlass: { access: all, hosts: [lg.example.net, glass] } }
metrics: { listen: off, compat: none, peerLabel: ip-port }
log: { level: "info,kubgp::session=debug", format: json }
drain: { gracePeriod: 5s }
bmp: { stations: [{ address: 10.0.0.5 }, { address: "fd00::5", port: 5000 }] }
vips:
  pools: [{ name: front, addresses: [10.0.50.16/28, "2001:db8::1-2001:db8::f"] }]
  advertise: [{ communities: ["1:1"], localPref: 7, tags: [vip] }, { pools: [front], largeCommunities: ["1:1:1"], med: 3 }]
  services:
    - { name: plain, addresses: [10.0.50.17, "2001:db8::2"] }
    - { name: connects, addresses: [10.0.50.18], bind: false, check: { type: tcp, target: "[::1]:53", interval: 500ms } }
    - { name: answers, addresses: [10.0.50.19], check: { type: http, target: 127.0.0.1:80, path: /livez, host: web, status: [200, 401], rise: 1, fall: 9 } }
    - { name: secure, addresses: [10.0.50.20], check: { type: https, target: 127.0.0.1:6443, ca: /etc/ca.pem, serverName: api, timeout: 300ms } }
    - { name: runs, addresses: [10.0.50.21], check: { type: exec, command: [/bin/true, now] } }
kubernetes: { enabled: true, kubeconfig: /etc/kubeconfig, nodeName: n1, namespace: calico-system, roles: [reflector, vip], loadBalancerClass: kubgp.io/vip, ignoreExcludeLabel: true, strict: true }
"#;

#[test]
fn who_we_are_may_come_from_a_cluster() {
    let text = "kubernetes: { enabled: true, nodeName: rr, roles: [reflector] }\nneighbors: [{ address: 10.0.0.2, asn: 1, localAsn: 2 }]\n";
    let waiting = plan(text);
    assert!(!waiting.router.is_known() && waiting.peers.is_empty() && waiting.listeners.is_empty(), "nobody speaks without a name");
    let router = file::Router { asn: Some(file::Asn::Number(Asn::new(64512).unwrap())), ..file::Router::default() };
    let objects = Input { origin: "objects".into(), file: File { router: Some(router), ..File::default() } };
    let told = load_text("kubgp.yaml", text, &[objects], &TestHost).unwrap();
    assert_eq!((told.router.asn.get(), told.peers.len(), told.listeners.len()), (64512, 1, 2));
}

#[test]
fn what_the_file_says_of_a_neighbor_counts() {
    let text = "router: { asn: 64512 }\nneighbors: [{ name: mine, address: 10.0.0.2, asn: 1 }]\n";
    let neighbor = |name: &str, address: &str| file::Neighbor {
        name: Some(name.into()),
        address: Some(address.parse().unwrap()),
        asn: Some(file::Asn::Internal),
        ..file::Neighbor::default()
    };
    let neighbors = Some(vec![neighbor("theirs", "10.0.0.2"), neighbor("other", "10.0.0.3")]);
    let objects = Input { origin: "objects".into(), file: File { neighbors, ..File::default() } };
    let names = |plan: Plan| plan.peers.into_values().map(|p| p.name).collect::<Vec<_>>();
    assert_eq!(names(load_text("kubgp.yaml", text, std::slice::from_ref(&objects), &TestHost).unwrap()), ["mine", "other"]);
    // Two of the others that want one address are no matter of the file.
    let again = Input { origin: "more objects".into(), ..objects.clone() };
    assert!(load_text("kubgp.yaml", text, &[objects, again], &TestHost).is_err());
}

#[test]
fn every_shipped_example_loads() {
    let examples = examples();
    assert!(examples.len() >= 4);
    for (name, text) in examples {
        if let Err(diagnostics) = load_text(&name, &text, &[], &TestHost) {
            panic!("{diagnostics}");
        }
    }
}

#[test]
fn a_printed_plan_checks_to_the_same_plan() {
    let mut texts: Vec<_> = examples().into_iter().map(|(_, text)| text).collect();
    texts.push(FULL.to_owned());
    for text in texts {
        let first = plan(&text);
        let printed = first.to_yaml();
        assert!(!printed.contains("secret of"), "a secret in\n{printed}");
        let second = load_text("printed.yaml", &printed, &[], &TestHost).unwrap_or_else(|d| panic!("{d}\n{printed}"));
        assert_eq!(first, second, "{printed}");
        assert_eq!(printed, second.to_yaml());
    }
}

#[test]
fn the_print_is_canonical() {
    insta::assert_snapshot!(plan(FULL).to_yaml());
}

#[test]
fn defaults_are_those_of_the_contract() {
    let plan = plan("router: { asn: 64512 }\nneighbors: [{ address: 10.0.0.2, asn: 64500 }, { address: '2001:db8::2', asn: internal }]");
    assert_eq!(plan.router.id.to_string(), "192.0.2.1");
    assert_eq!(plan.router.cluster_id.to_string(), "192.0.2.1");
    assert_eq!(plan.listeners, ["0.0.0.0:179", "[::]:179"].map(|s| s.parse().unwrap()).into());
    assert_eq!((plan.fib.table, plan.fib.protocol, plan.fib.metric, plan.fib.install), (254, 179, 1024, file::Install::None));
    assert_eq!(plan.metrics.listen, Some("127.0.0.1:7179".parse().unwrap()));
    assert_eq!(plan.api.socket, Path::new("/run/kubgp/kubgp.sock"));
    let (external, internal) = (&peer(&plan, "10.0.0.2").session, &peer(&plan, "2001:db8::2").session);
    assert_eq!(peer(&plan, "10.0.0.2").name, "10.0.0.2");
    assert_eq!((external.hold_time, external.keepalive_time), (Duration::from_secs(90), Duration::from_secs(30)));
    assert_eq!((external.connect_retry_time, external.send_hold_time), (Duration::from_secs(5), Duration::from_secs(180)));
    assert_eq!((external.ttl, internal.ttl), (Ttl::Send(1), Ttl::Send(255)));
    assert_eq!(external.families, FamilySet::from_iter([Family::Ipv4Unicast]));
    assert_eq!(internal.families, FamilySet::from_iter([Family::Ipv6Unicast]));
    assert_eq!((internal.remote_as, internal.add_path_send), (RemoteAs::Internal, AddPathSend::Off));
    assert_eq!((external.import.at_end(), external.export.at_end()), (AtEnd::Reject(Reason::NoPolicy), AtEnd::OnlyLocal));
    assert_eq!((internal.import.at_end(), internal.export.at_end()), (AtEnd::Accept, AtEnd::Accept));
    assert!(!plan.keeps_routes_on_stop());
}

#[test]
fn neighbors_inherit_from_their_group_and_win_over_it() {
    let plan = plan(FULL);
    let inherited = &peer(&plan, "10.0.0.3").session;
    assert_eq!(inherited.hold_time, Duration::from_secs(30));
    assert_eq!(inherited.password.as_ref().unwrap().value.expose(), b"secret of KEY");
    assert!(inherited.route_reflector_client);
    let own = &peer(&plan, "10.1.0.5").session;
    assert_eq!((own.ttl, own.keepalive_time, own.description.as_str()), (Ttl::Send(1), Duration::from_secs(30), ""));
    assert_eq!(plan.dynamic.values().next().unwrap().session.ttl, Ttl::Send(4));
    assert_eq!(peer(&plan, "10.0.0.2").session.import.policies().len(), 2);
    assert!(plan.keeps_routes_on_stop());
}

#[test]
fn secrets_are_not_in_debug_output() {
    assert!(!format!("{:?}", plan(FULL)).contains("secret of"));
}

#[test]
fn networks_carry_their_attributes() {
    let plan = plan(FULL);
    let v4 = crate::wire::PathAttributes::from(&plan.networks[&"203.0.113.7/32".parse().unwrap()].attrs);
    assert_eq!((v4.local_pref, v4.med, v4.communities.len()), (Some(100), Some(0), 2));
    assert_eq!(v4.next_hop.address(), IpAddr::from([10, 0, 0, 77]));
    assert_eq!(v4.tags, plan.tags["vip"]);
    let v6 = &plan.networks[&"2001:db8::/32".parse().unwrap()].attrs;
    assert!(v6.next_hop().address().is_unspecified());
    assert_eq!(v6.head().tags, NEXT_HOP_SELF);
}

#[test]
fn compiled_policies_do_what_the_example_says() {
    let (_, text) = examples().into_iter().find(|(name, _)| name.ends_with("policies.yaml")).unwrap();
    let plan = plan(&text);
    let import = &peer(&plan, "10.0.0.253").session.import;
    let attrs = plan.networks.values().next().unwrap().attrs.clone();
    let run = |prefix: &str| {
        let prefix = prefix.parse().unwrap();
        import.apply(RouteView { prefix: &prefix, attrs: &attrs, neighbor: None, kind: PeerKind::Ebgp })
    };
    assert_eq!(run("10.1.0.0/16"), Outcome::Reject(Reason::DeniedByPolicy(1)));
    assert_eq!(run("198.51.100.0/24"), Outcome::Reject(Reason::NoPolicy));
    assert!(matches!(run("0.0.0.0/0"), Outcome::Accept(a) if a.head().local_pref() == Some(50)));
    let export = &peer(&plan, "10.0.0.253").session.export;
    let vip = &plan.networks[&"203.0.113.7/32".parse().unwrap()];
    let trace = export.trace(RouteView { prefix: &vip.prefix, attrs: &vip.attrs, neighbor: None, kind: PeerKind::Local });
    assert_eq!(trace.steps.last().map(|step| (step.policy.as_str(), step.rule)), Some(("tor-out", 2)));
    assert!(matches!(trace.outcome, Outcome::Accept(a) if a.med() == Some(10) && a.large_communities().eq([[64600, 1, 7]])));
}

#[test]
fn equal_chains_are_shared() {
    let plan = plan("router: { asn: 1 }\nneighbors: [{ address: 10.0.0.2, asn: 2 }, { address: 10.0.0.3, asn: 3 }]");
    assert_eq!(peer(&plan, "10.0.0.2").session.export, peer(&plan, "10.0.0.3").session.export);
}

#[test]
fn inputs_add_to_the_file_and_complaints_name_them() {
    let file: File =
        serde_saphyr::from_str("neighbors: [{ address: 10.0.0.2, asn: 64500, group: tors }, { address: 10.0.0.3, holdTime: 2s, asn: 1 }]")
            .unwrap();
    let input = Input { origin: "BGPPeer metallb-system/tor".to_owned(), file };
    let text = "router: { asn: 64512 }\ngroups: { tors: { holdTime: 9s } }";
    let diagnostics = load_text("test.yaml", text, std::slice::from_ref(&input), &TestHost).unwrap_err();
    let expected = "test.yaml: BGPPeer metallb-system/tor: neighbors[1].holdTime: 2 s is not allowed; use 0 or at least 3 s (RFC 4271 4.2)";
    assert_eq!(diagnostics.to_string(), expected);
    let mut input = input;
    input.file.neighbors.as_mut().unwrap().pop();
    let plan = load_text("test.yaml", text, &[input], &TestHost).unwrap();
    assert_eq!(peer(&plan, "10.0.0.2").session.hold_time, Duration::from_secs(9));
}

#[test]
fn this_machine_reads_keys_from_files_without_the_newline() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    fs::write(&path, "s3cret\r\n").unwrap();
    let host = LocalHost { first_ipv4: None };
    assert_eq!(host.secret(&SecretSource::File(path)).unwrap(), b"s3cret");
    assert!(host.secret(&SecretSource::File(folder.path().join("none"))).unwrap_err().contains("cannot be read"));
    assert!(host.secret(&SecretSource::Env("KUBGP_TEST_NOT_SET".to_owned())).unwrap_err().contains("is not set"));
    assert!(load(&folder.path().join("none.yaml"), &[], &host).unwrap_err().to_string().contains("cannot be read"));
}
