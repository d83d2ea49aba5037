//! The names that MetalLB's and frr-k8s' dashboards and alerts use. Labels and types are theirs: several gauges end in `_total`.

use super::names::{Metric, counter, gauge};
use super::snapshot::{Cluster, Compat, IpamPool, Peer, PeerFamily, Services, Snapshot, State};
use super::{Families, flag};

/// The names of sessions: those of the native back end, then those that only FRR has, which name the VRF too.
struct Sessions {
    up: Metric,
    updates: Metric,
    announced: Metric,
    pending: Metric,
    messages: [Metric; 9],
    received: Option<Metric>,
    bfd: [Metric; 8],
}

/// Both sets differ in the prefix only.
macro_rules! sessions {
    ($prefix:literal, $bfd:literal, $received:expr) => {
        Sessions {
            up: gauge(concat!($prefix, "session_up"), "BGP session state (1 is up, 0 is down)"),
            updates: counter(concat!($prefix, "updates_total"), "Number of BGP UPDATE messages sent"),
            announced: gauge(
                concat!($prefix, "announced_prefixes_total"),
                "Number of prefixes currently being advertised on the BGP session",
            ),
            pending: gauge(concat!($prefix, "pending_prefixes_total"), "Number of prefixes that should be advertised on the BGP session"),
            messages: [
                counter(concat!($prefix, "opens_sent"), "Number of BGP open messages sent"),
                counter(concat!($prefix, "opens_received"), "Number of BGP open messages received"),
                counter(concat!($prefix, "notifications_sent"), "Number of BGP notification messages sent"),
                counter(concat!($prefix, "updates_total_received"), "Number of BGP UPDATE messages received"),
                counter(concat!($prefix, "keepalives_sent"), "Number of BGP keepalive messages sent"),
                counter(concat!($prefix, "keepalives_received"), "Number of BGP keepalive messages received"),
                counter(concat!($prefix, "route_refresh_sent"), "Number of BGP route refresh messages sent"),
                counter(concat!($prefix, "total_sent"), "Number of total BGP messages sent"),
                counter(concat!($prefix, "total_received"), "Number of total BGP messages received"),
            ],
            received: $received,
            bfd: [
                gauge(concat!($bfd, "session_up"), "BFD session state (1 is up, 0 is down)"),
                counter(concat!($bfd, "control_packet_input"), "Number of received BFD control packets"),
                counter(concat!($bfd, "control_packet_output"), "Number of sent BFD control packets"),
                counter(concat!($bfd, "echo_packet_input"), "Number of received BFD echo packets"),
                counter(concat!($bfd, "echo_packet_output"), "Number of sent BFD echo packets"),
                counter(concat!($bfd, "session_up_events"), "Number of BFD session up events"),
                counter(concat!($bfd, "session_down_events"), "Number of BFD session down events"),
                counter(concat!($bfd, "zebra_notifications"), "Number of BFD zebra notifications"),
            ],
        }
    };
}

const METALLB: Sessions = sessions!("metallb_bgp_", "metallb_bfd_", None);
const FRRK8S: Sessions = sessions!(
    "frrk8s_bgp_",
    "frrk8s_bfd_",
    Some(gauge("frrk8s_bgp_received_prefixes_total", "Number of prefixes currently being received on the BGP session"))
);

const ANNOUNCED: Metric = gauge(
    "metallb_speaker_announced",
    "Services being announced from this node. This is desired state, it does not guarantee that the announcing is working.",
);
const TOTAL: [Metric; 3] = [
    gauge("metallb_allocator_addresses_total", "Number of usable IP addresses, per pool"),
    gauge("metallb_allocator_ipv4_addresses_total", "Number of usable IPv4 addresses, per pool"),
    gauge("metallb_allocator_ipv6_addresses_total", "Number of usable IPv6 addresses, per pool"),
];
const IN_USE: [Metric; 3] = [
    gauge("metallb_allocator_addresses_in_use_total", "Number of IP addresses in use, per pool"),
    gauge("metallb_allocator_ipv4_addresses_in_use_total", "Number of IPv4 addresses in use, per pool"),
    gauge("metallb_allocator_ipv6_addresses_in_use_total", "Number of IPv6 addresses in use, per pool"),
];
const SERVICES: Metric = gauge("metallb_allocator_services_allocated_total", "Number of services allocated, per pool");
const UPDATES: Metric = counter("metallb_k8s_client_updates_total", "Number of k8s object updates that have been processed.");
const UPDATE_ERRORS: Metric =
    counter("metallb_k8s_client_update_errors_total", "Number of k8s object updates that failed for some reason.");
const LOADED: Metric = gauge("metallb_k8s_client_config_loaded_bool", "1 if the configuration was successfully loaded at least once.");
const STALE: Metric = gauge(
    "metallb_k8s_client_config_stale_bool",
    "1 if running on a stale configuration, because the latest configuration failed to load.",
);

/// What FRR calls the table that is no VRF.
const DEFAULT_VRF: &str = "default";

impl Families {
    pub(super) fn compat(&mut self, snapshot: &Snapshot) {
        let names = match snapshot.compat {
            Compat::None => return,
            Compat::Metallb => &METALLB,
            Compat::FrrK8s => &FRRK8S,
        };
        for peer in &snapshot.peers {
            self.compat_session(names, peer, &peer.label(snapshot.peer_label));
        }
        // frr-k8s knows neither Services nor pools; MetalLB beside it keeps its names.
        if let Some(cluster) = &snapshot.cluster {
            self.compat_cluster(cluster);
        }
        if let Some(services) = &snapshot.services {
            self.compat_services(services);
        }
    }

    fn compat_session(&mut self, names: &Sessions, peer: &Peer, label: &str) {
        let labels = [("peer", label)];
        let sum = |counter: fn(&PeerFamily) -> u64| peer.families.iter().map(counter).sum::<u64>() as f64;
        self.add(&names.up, &labels, flag(peer.state == State::Established));
        self.add(&names.updates, &labels, peer.sent.update as f64);
        self.add(&names.announced, &labels, sum(|family| family.advertised));
        self.add(&names.pending, &labels, sum(|family| family.pending));
        let (sent, received) = (&peer.sent, &peer.received);
        let messages = [
            sent.open,
            received.open,
            sent.notification,
            received.update,
            sent.keepalive,
            received.keepalive,
            sent.route_refresh,
            sent.total(),
            received.total(),
        ];
        let labels = [("peer", label), ("vrf", DEFAULT_VRF)];
        for (metric, count) in names.messages.iter().zip(messages) {
            self.add(metric, &labels, count as f64);
        }
        if let Some(bfd) = &peer.bfd {
            // No echo packets; who is notified of a change is BGP.
            let values = [u64::from(bfd.up), bfd.received, bfd.sent, 0, 0, bfd.ups, bfd.downs, bfd.ups + bfd.downs];
            for (metric, value) in names.bfd.iter().zip(values) {
                self.add(metric, &labels, value as f64);
            }
        }
        if let Some(metric) = &names.received {
            self.add(metric, &labels, sum(|family| family.received));
        }
    }

    fn compat_cluster(&mut self, cluster: &Cluster) {
        self.add(&UPDATES, &[], cluster.updates as f64);
        self.add(&UPDATE_ERRORS, &[], cluster.kinds.iter().map(|kind| kind.watch_restarts).sum::<u64>() as f64);
        self.add(&LOADED, &[], flag(cluster.config_loaded));
        self.add(&STALE, &[], flag(cluster.config_stale));
        for pool in cluster.allocator.iter().flat_map(|ipam| &ipam.pools) {
            self.compat_pool(pool);
        }
    }

    fn compat_services(&mut self, services: &Services) {
        for (service, ip) in &services.announced {
            let labels = [("service", service.as_str()), ("protocol", "bgp"), ("node", &services.node), ("ip", ip)];
            self.add(&ANNOUNCED, &labels, 1.0);
        }
    }

    fn compat_pool(&mut self, pool: &IpamPool) {
        let labels = [("pool", pool.name.as_str())];
        self.add(&SERVICES, &labels, pool.services as f64);
        for (metrics, [v4, v6]) in [(&TOTAL, pool.total.map(|n| n as f64)), (&IN_USE, pool.used.map(|n| n as f64))] {
            for (metric, value) in metrics.iter().zip([v4 + v6, v4, v6]) {
                self.add(metric, &labels, value);
            }
        }
    }
}
