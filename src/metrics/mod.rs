//! Prometheus text out of the rooms' plain counters, made at the moment of the scrape.
//!
//! Owns the metric names, their labels and types, and the text format. A [`Snapshot`] holds everything; nothing is kept between
//! scrapes, so that a peer that is gone leaves no series behind.
//! Invariants: names and labels are a public interface; counters end in `_total` (but for names that MetalLB gave to gauges);
//! no series per prefix.
//!
//! Must never know: business logic, or where the numbers come from.

mod compat;
mod names;
mod process;
mod snapshot;
#[cfg(test)]
mod tests;

pub use process::Process;
pub use snapshot::{
    Bfd, Build, Cluster, ClusterKind, Compat, Config, DownReason, Fib, FibFamily, FibOperation, HistogramData, Ipam, IpamPool, Messages,
    Notifications, Peer, PeerFamily, PeerLabel, PeerType, RibFamily, Services, Snapshot, State, UpdateErrors, UpdateGroup, Vip,
};

use std::collections::BTreeMap;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric as Series, MetricFamily, MetricType};
use prometheus::{Encoder, Registry, TextEncoder};

use names::{self as name, Metric};

/// The text of `/metrics` (exposition format 0.0.4).
///
/// # Errors
/// A name or label that Prometheus does not take; a snapshot cannot cause that.
pub fn render(snapshot: Snapshot) -> Result<String, prometheus::Error> {
    let registry = Registry::new();
    registry.register(Box::new(Scrape(snapshot)))?;
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    String::from_utf8(text).map_err(|error| prometheus::Error::Msg(error.to_string()))
}

/// One scrape as a collector. It describes nothing in advance: which families exist depends on what is configured.
struct Scrape(Snapshot);

impl Collector for Scrape {
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = Families::default();
        families.daemon(&self.0);
        for peer in &self.0.peers {
            families.session(peer);
            families.traffic(peer);
            families.prefixes(peer);
            families.bfd(peer);
        }
        families.rib(&self.0);
        for group in &self.0.groups {
            families.update_group(group);
        }
        if let Some(fib) = &self.0.fib {
            families.fib(fib);
        }
        if let Some(cluster) = &self.0.cluster {
            families.cluster(cluster);
        }
        if let Some(services) = &self.0.services {
            families.services(services);
        }
        for vip in &self.0.vips {
            families.vip(vip);
        }
        families.compat(&self.0);
        families.process(&self.0.process);
        families.0.into_values().collect()
    }
}

/// The families by name.
#[derive(Default)]
struct Families(BTreeMap<&'static str, MetricFamily>);

type Label<'a> = (&'a str, &'a str);

impl Families {
    fn daemon(&mut self, snapshot: &Snapshot) {
        let Build { version, commit } = &snapshot.build;
        self.add(&name::BUILD_INFO, &[("version", version), ("commit", commit)], 1.0);
        self.add(&name::START_TIME, &[], snapshot.start_time_seconds);
        self.add(&name::RELOAD_SUCCESSFUL, &[], flag(snapshot.config.last_reload_successful));
        self.add(&name::RELOAD_TIMESTAMP, &[], snapshot.config.last_reload_timestamp_seconds);
        self.add(&name::CONFIG_STALE, &[], flag(snapshot.config.stale));
        self.add(&name::DRAIN_STATE, &[], f64::from(snapshot.drain_state));
    }

    fn cluster(&mut self, cluster: &Cluster) {
        self.add(&name::K8S_CONNECTED, &[], flag(cluster.connected));
        for ClusterKind { kind, objects, watch_restarts } in &cluster.kinds {
            self.add(&name::K8S_OBJECTS, &[("kind", kind)], *objects as f64);
            self.add(&name::K8S_WATCH_RESTARTS, &[("kind", kind)], *watch_restarts as f64);
        }
        for (kind, severity, count) in &cluster.faulty {
            self.add(&name::K8S_FAULTY_OBJECTS, &[("kind", kind), ("severity", severity)], *count as f64);
        }
        if let Some(ipam) = &cluster.allocator {
            self.ipam(ipam);
        }
    }

    fn ipam(&mut self, ipam: &Ipam) {
        self.add(&name::LEADER, &[], flag(ipam.leads));
        for IpamPool { name: pool, total, used, .. } in &ipam.pools {
            for (at, family) in ["ipv4", "ipv6"].into_iter().enumerate().filter(|(at, _)| total[*at] > 0) {
                let (total, used) = (total[at] as f64, used[at] as f64);
                for (state, value) in [("total", total), ("used", used), ("free", total - used)] {
                    self.add(&name::IPAM_ADDRESSES, &[("pool", pool), ("family", family), ("state", state)], value);
                }
            }
        }
        for (pool, reason, count) in &ipam.failures {
            self.add(&name::IPAM_FAILURES, &[("pool", pool), ("reason", reason)], *count as f64);
        }
        self.add(&name::IPAM_WRITE_FAILURES, &[], ipam.write_failures as f64);
    }

    fn session(&mut self, peer: &Peer) {
        let asn = peer.remote_asn.map(|asn| asn.to_string()).unwrap_or_default();
        let address = peer.address.as_str();
        let base = [("peer", address), ("name", &peer.name)];
        let up = peer.state == State::Established;
        self.add(&name::SESSION_UP, &with(base, &[("remote_asn", &asn), ("type", peer.kind.label())]), flag(up));
        for state in State::ALL {
            self.add(&name::SESSION_STATE, &with(base, &[("state", state.label())]), flag(peer.state == state));
        }
        self.add(&name::SESSION_ADMIN_UP, &base, flag(peer.admin_up));
        self.add(&name::SESSION_UPTIME, &base, peer.uptime_seconds);
        self.add(&name::SESSION_LAST_CHANGE, &base, peer.last_change_timestamp_seconds);
        self.add(&name::SESSION_TRANSITIONS, &with(base, &[("to", "established")]), peer.established_count as f64);
        self.add(&name::SESSION_TRANSITIONS, &with(base, &[("to", "down")]), peer.dropped_count as f64);
        for (reason, count) in &peer.down {
            self.add(&name::SESSION_DOWN, &with(base, &[("reason", reason.label())]), *count as f64);
        }
    }

    fn traffic(&mut self, peer: &Peer) {
        let base = [("peer", peer.address.as_str()), ("name", peer.name.as_str())];
        for (direction, messages, bytes) in [("sent", &peer.sent, peer.bytes_sent), ("received", &peer.received, peer.bytes_received)] {
            for (kind, count) in messages.by_type() {
                self.add(&name::MESSAGES, &with(base, &[("direction", direction), ("type", kind)]), count as f64);
            }
            self.add(&name::BYTES, &with(base, &[("direction", direction)]), bytes as f64);
        }
        for entry in &peer.notifications {
            let direction = if entry.sent { "sent" } else { "received" };
            let (code, subcode) = (entry.code.to_string(), entry.subcode.to_string());
            let labels = with(base, &[("direction", direction), ("code", &code), ("subcode", &subcode)]);
            self.add(&name::NOTIFICATIONS, &labels, entry.count as f64);
        }
        for (action, count) in peer.update_errors.by_action() {
            self.add(&name::UPDATE_ERRORS, &with(base, &[("action", action)]), count as f64);
        }
        self.add(&name::OUT_QUEUE_MESSAGES, &base, peer.out_queue_messages as f64);
        self.add(&name::OUT_QUEUE_BYTES, &base, peer.out_queue_bytes as f64);
        self.add(&name::SEND_BLOCKED, &base, peer.send_blocked_seconds);
    }

    fn prefixes(&mut self, peer: &Peer) {
        let base = [("peer", peer.address.as_str()), ("name", peer.name.as_str())];
        for family in &peer.families {
            for (view, count) in family.by_view() {
                self.add(&name::PREFIXES, &with(base, &[("family", family.family), ("view", view)]), count as f64);
            }
            if let Some(limit) = family.limit {
                self.add(&name::PREFIX_LIMIT, &with(base, &[("family", family.family)]), limit as f64);
                self.add(&name::PREFIX_LIMIT_HIT, &with(base, &[("family", family.family)]), flag(family.limit_hit));
            }
        }
    }

    fn bfd(&mut self, peer: &Peer) {
        let Some(bfd) = &peer.bfd else { return };
        let base = [("peer", peer.address.as_str()), ("name", peer.name.as_str())];
        self.add(&name::BFD_UP, &base, flag(bfd.up));
        for (to, count) in [("up", bfd.ups), ("down", bfd.downs)] {
            self.add(&name::BFD_TRANSITIONS, &with(base, &[("to", to)]), count as f64);
        }
        for (direction, count) in [("sent", bfd.sent), ("received", bfd.received)] {
            self.add(&name::BFD_PACKETS, &with(base, &[("direction", direction)]), count as f64);
        }
    }

    fn rib(&mut self, snapshot: &Snapshot) {
        for (reason, count) in &snapshot.bfd_discarded {
            self.add(&name::BFD_DISCARDED, &[("reason", reason)], *count as f64);
        }
        for rib in &snapshot.rib {
            let family = [("family", rib.family)];
            self.add(&name::RIB_PREFIXES, &family, rib.prefixes as f64);
            self.add(&name::RIB_PATHS, &family, rib.paths as f64);
            self.add(&name::RIB_MEMORY, &family, rib.memory_bytes as f64);
        }
        self.add(&name::RIB_ATTRIBUTE_SETS, &[], snapshot.attribute_sets as f64);
        let histograms = [(&name::CONVERGENCE, &snapshot.convergence), (&name::RIB_BATCH, &snapshot.rib_batch)];
        for (metric, data) in histograms {
            if let Some(data) = data {
                self.histogram(metric, data);
            }
        }
    }

    fn update_group(&mut self, group: &UpdateGroup) {
        let id = group.id.to_string();
        let labels = [("group", id.as_str()), ("family", group.family), ("type", group.kind.label())];
        self.add(&name::GROUP_MEMBERS, &labels, group.members as f64);
        self.add(&name::GROUP_ROUTES, &labels, group.routes as f64);
        self.add(&name::GROUP_MESSAGES, &labels, group.messages_encoded as f64);
        self.add(&name::GROUP_BYTES, &labels, group.bytes_encoded as f64);
        self.add(&name::GROUP_MEMORY, &labels, group.memory_bytes as f64);
        self.add(&name::GROUP_JOURNAL, &labels, group.journal_bytes as f64);
        self.add(&name::GROUP_JOURNAL_DEAD, &labels, group.journal_dead_bytes as f64);
    }

    fn fib(&mut self, fib: &Fib) {
        for family in &fib.families {
            self.add(&name::FIB_ROUTES, &[("family", family.family)], family.routes as f64);
            self.add(&name::FIB_PENDING, &[("family", family.family)], family.pending as f64);
        }
        for operation in &fib.operations {
            let result = if operation.ok { "ok" } else { "error" };
            self.add(&name::FIB_OPERATIONS, &[("op", operation.op), ("result", result)], operation.count as f64);
        }
        for (cause, count) in &fib.resyncs {
            self.add(&name::FIB_RESYNCS, &[("cause", cause)], *count as f64);
        }
        self.add(&name::FIB_RIVALS, &[], fib.rivals as f64);
        if let Some(data) = &fib.sync_seconds {
            self.histogram(&name::FIB_SYNC, data);
        }
    }

    fn services(&mut self, services: &Services) {
        self.add(&name::SERVICES_ADVERTISED, &[], services.advertised as f64);
        for (reason, count) in &services.blocked {
            self.add(&name::SERVICES_BLOCKED, &[("reason", reason)], *count as f64);
        }
    }

    fn vip(&mut self, vip: &Vip) {
        let label = [("vip", vip.name.as_str())];
        self.add(&name::VIP_HEALTHY, &label, flag(vip.is_healthy));
        self.add(&name::VIP_ANNOUNCED, &label, flag(vip.is_announced));
        for (result, count) in vip.checks.iter().flat_map(|counts| ["ok", "error"].into_iter().zip(counts)) {
            self.add(&name::VIP_CHECKS, &[label[0], ("result", result)], *count as f64);
        }
    }

    fn process(&mut self, process: &Process) {
        let values = [
            (&name::PROCESS_CPU, process.cpu_seconds),
            (&name::PROCESS_RESIDENT, process.resident_bytes.map(|n| n as f64)),
            (&name::PROCESS_VIRTUAL, process.virtual_bytes.map(|n| n as f64)),
            (&name::PROCESS_OPEN_FDS, process.open_fds.map(|n| n as f64)),
            (&name::PROCESS_MAX_FDS, process.max_fds.map(|n| n as f64)),
            (&name::PROCESS_THREADS, process.threads.map(|n| n as f64)),
            (&name::PROCESS_START_TIME, process.start_time_seconds),
        ];
        for (metric, value) in values {
            if let Some(value) = value {
                self.add(metric, &[], value);
            }
        }
    }

    fn add(&mut self, metric: &Metric, labels: &[Label<'_>], value: f64) {
        let mut series = Series::from_label(pairs(labels));
        if metric.kind == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            series.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            series.set_gauge(gauge);
        }
        self.family(metric).mut_metric().push(series);
    }

    fn histogram(&mut self, metric: &Metric, data: &HistogramData) {
        let mut histogram = Histogram::default();
        histogram.set_sample_sum(data.sum);
        histogram.set_sample_count(data.count);
        let bucket = |(bound, count): &(f64, u64)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(*count);
            bucket
        };
        histogram.set_bucket(data.buckets.iter().map(bucket).collect());
        let mut series = Series::default();
        series.set_histogram(histogram);
        self.family(metric).mut_metric().push(series);
    }

    fn family(&mut self, metric: &Metric) -> &mut MetricFamily {
        self.0.entry(metric.name).or_insert_with(|| {
            let mut family = MetricFamily::default();
            family.set_name(metric.name.to_owned());
            family.set_help(metric.help.to_owned());
            family.set_field_type(metric.kind);
            family
        })
    }
}

fn with<'a>(base: [Label<'a>; 2], more: &[Label<'a>]) -> Vec<Label<'a>> {
    base.into_iter().chain(more.iter().copied()).collect()
}

fn pairs(labels: &[Label<'_>]) -> Vec<LabelPair> {
    let pair = |(name, value): &Label<'_>| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    labels.iter().map(pair).collect()
}

fn flag(set: bool) -> f64 {
    f64::from(u8::from(set))
}
