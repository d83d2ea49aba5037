//! Names, types and labels: what dashboards rely on.

use super::*;

fn snapshot() -> Snapshot {
    let family = PeerFamily {
        family: "ipv4-unicast",
        received: 5,
        accepted: 4,
        filtered: 1,
        best: 3,
        advertised: 41,
        stale: 2,
        pending: 6,
        limit: Some(1000),
        limit_hit: false,
    };
    let peer = Peer {
        address: "10.0.0.1".into(),
        port: 179,
        name: "tor-a".into(),
        remote_asn: Some(64512),
        state: State::Established,
        admin_up: true,
        uptime_seconds: 12.5,
        last_change_timestamp_seconds: 1_700_000_000.0,
        established_count: 2,
        dropped_count: 1,
        down: vec![(DownReason::HoldTimer, 1)],
        sent: Messages { open: 2, update: 41, notification: 0, keepalive: 9, route_refresh: 1 },
        notifications: vec![Notifications { sent: false, code: 6, subcode: 2, count: 3 }],
        update_errors: UpdateErrors { treat_as_withdraw: 7, ..UpdateErrors::default() },
        bytes_sent: 4096,
        families: vec![family],
        bfd: Some(Bfd { up: true, ups: 2, downs: 1, sent: 90, received: 80 }),
        ..Peer::default()
    };
    let times = || HistogramData { buckets: vec![(0.001, 3), (0.01, 4)], sum: 0.02, count: 5 };
    Snapshot {
        build: Build { version: "1.2.3".into(), commit: "abc".into() },
        config: Config { last_reload_successful: true, last_reload_timestamp_seconds: 5.0, stale: false },
        peers: vec![peer, Peer { address: "fd00::11".into(), port: 179, kind: PeerType::RrClient, ..Peer::default() }],
        rib: vec![RibFamily { family: "ipv4-unicast", prefixes: 10, paths: 20, memory_bytes: 30 }],
        attribute_sets: 8,
        bfd_discarded: vec![("ttl", 5)],
        groups: vec![UpdateGroup { members: 3, routes: 7, journal_bytes: 600, journal_dead_bytes: 60, ..UpdateGroup::default() }],
        convergence: Some(times()),
        rib_batch: Some(times()),
        fib: Some(Fib {
            families: vec![FibFamily { family: "ipv4-unicast", routes: 9, pending: 1 }],
            operations: vec![FibOperation { op: "add", ok: false, count: 2 }],
            resyncs: vec![("overrun", 1)],
            rivals: 2,
            sync_seconds: Some(times()),
        }),
        process: process(),
        ..followed()
    }
}

fn process() -> Process {
    Process {
        cpu_seconds: Some(1.5),
        resident_bytes: Some(9_000_000),
        virtual_bytes: Some(90_000_000),
        open_fds: Some(12),
        max_fds: Some(1024),
        threads: Some(7),
        start_time_seconds: Some(1_700_000_000.0),
    }
}

/// What comes from the objects of a cluster.
fn followed() -> Snapshot {
    let announced = vec![("shop/web".into(), "203.0.113.5".into())];
    let ipam = Ipam {
        leads: true,
        pools: vec![IpamPool { name: "public".into(), total: [256, 0], used: [3, 0], services: 4 }],
        failures: vec![("public".into(), "poolExhausted", 4)],
        write_failures: 5,
    };
    let faulty = vec![("BGPPeer".into(), "error", 2)];
    let kinds = vec![ClusterKind { kind: "Node", objects: 3, watch_restarts: 2 }];
    Snapshot {
        cluster: Some(Cluster {
            connected: true,
            config_loaded: true,
            updates: 9,
            kinds,
            faulty,
            allocator: Some(ipam),
            ..Cluster::default()
        }),
        services: Some(Services { node: "n1".into(), announced, advertised: 1, blocked: vec![("noEndpoints", 2)] }),
        vips: vec![Vip { name: "kube-apiserver".into(), is_healthy: true, is_announced: true, checks: Some([40, 2]) }],
        ..Snapshot::default()
    }
}

/// The whole text is the interface: a changed name, type or label shows as a difference here.
#[test]
fn text_of_a_scrape() {
    insta::assert_snapshot!(render(snapshot()).unwrap());
}

#[test]
fn a_peer_that_is_gone_leaves_no_series() {
    let mut after = snapshot();
    after.peers.remove(0);
    let text = render(after).unwrap();
    assert!(text.contains("peer=\"fd00::11\""));
    assert!(!text.contains("10.0.0.1"), "{text}");
    assert!(!text.contains("kubgp_prefixes"), "no peer has families, so the family is absent: {text}");
}

#[test]
fn without_peers_the_daemon_still_answers() {
    let text = render(Snapshot::default()).unwrap();
    assert!(text.contains("# TYPE kubgp_build_info gauge\n"));
    assert!(!text.contains("kubgp_fib"));
}

#[test]
fn foreign_names_only_on_request_and_with_the_wanted_peer_label() {
    assert!(!render(snapshot()).unwrap().contains("metallb_"));
    let text = render(Snapshot { compat: Compat::Metallb, peer_label: PeerLabel::IpPort, ..snapshot() }).unwrap();
    assert!(text.contains("# TYPE metallb_bgp_session_up gauge\n"));
    assert!(text.contains("metallb_bgp_session_up{peer=\"10.0.0.1:179\"} 1\n"));
    assert!(text.contains("metallb_bgp_session_up{peer=\"[fd00::11]:179\"} 0\n"));
    assert!(text.contains("# TYPE metallb_bgp_announced_prefixes_total gauge\n"));
    assert!(text.contains("metallb_bgp_announced_prefixes_total{peer=\"10.0.0.1:179\"} 41\n"));
    assert!(text.contains("# TYPE metallb_bgp_updates_total counter\n"));
    let text = render(Snapshot { compat: Compat::FrrK8s, ..snapshot() }).unwrap();
    assert!(text.contains("frrk8s_bgp_pending_prefixes_total{peer=\"10.0.0.1\"} 6\n"));
    assert!(text.contains("frrk8s_bgp_received_prefixes_total{peer=\"10.0.0.1\",vrf=\"default\"} 5\n"));
    assert!(!text.contains("metallb_bgp"));
}

/// Every name of MetalLB with its labels and type.
#[test]
fn metallb_has_its_names_labels_and_types() {
    let text = render(Snapshot { compat: Compat::Metallb, ..snapshot() }).unwrap();
    let theirs: Vec<&str> = text.lines().filter(|l| l.contains("metallb_") && !l.contains("fd00::11") && !l.contains("# HELP")).collect();
    insta::assert_snapshot!(theirs.join("\n"));
}

/// Counters end in `_total` and gauges do not, in our own name space.
#[test]
fn names_follow_the_rule() {
    let text = render(snapshot()).unwrap();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE kubgp_")) {
        let (name, kind) = line.split_once(' ').unwrap();
        assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
    }
}
