//! The names that dashboards and alerts use are names that a daemon exports.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// MetalLB's metrics: name, type, labels.
const METALLB: [(&str, &str, &str); 33] = [
    ("metallb_allocator_addresses_total", "gauge", "pool"),
    ("metallb_allocator_ipv4_addresses_total", "gauge", "pool"),
    ("metallb_allocator_ipv6_addresses_total", "gauge", "pool"),
    ("metallb_allocator_addresses_in_use_total", "gauge", "pool"),
    ("metallb_allocator_ipv4_addresses_in_use_total", "gauge", "pool"),
    ("metallb_allocator_ipv6_addresses_in_use_total", "gauge", "pool"),
    ("metallb_allocator_services_allocated_total", "gauge", "pool"),
    ("metallb_k8s_client_updates_total", "counter", ""),
    ("metallb_k8s_client_update_errors_total", "counter", ""),
    ("metallb_k8s_client_config_loaded_bool", "gauge", ""),
    ("metallb_k8s_client_config_stale_bool", "gauge", ""),
    ("metallb_speaker_announced", "gauge", "ip node protocol service"),
    ("metallb_bgp_session_up", "gauge", "peer"),
    ("metallb_bgp_updates_total", "counter", "peer"),
    ("metallb_bgp_announced_prefixes_total", "gauge", "peer"),
    ("metallb_bgp_pending_prefixes_total", "gauge", "peer"),
    ("metallb_bgp_opens_sent", "counter", "peer vrf"),
    ("metallb_bgp_opens_received", "counter", "peer vrf"),
    ("metallb_bgp_notifications_sent", "counter", "peer vrf"),
    ("metallb_bgp_updates_total_received", "counter", "peer vrf"),
    ("metallb_bgp_keepalives_sent", "counter", "peer vrf"),
    ("metallb_bgp_keepalives_received", "counter", "peer vrf"),
    ("metallb_bgp_route_refresh_sent", "counter", "peer vrf"),
    ("metallb_bgp_total_sent", "counter", "peer vrf"),
    ("metallb_bgp_total_received", "counter", "peer vrf"),
    ("metallb_bfd_session_up", "gauge", "peer vrf"),
    ("metallb_bfd_control_packet_input", "counter", "peer vrf"),
    ("metallb_bfd_control_packet_output", "counter", "peer vrf"),
    ("metallb_bfd_echo_packet_input", "counter", "peer vrf"),
    ("metallb_bfd_echo_packet_output", "counter", "peer vrf"),
    ("metallb_bfd_session_up_events", "counter", "peer vrf"),
    ("metallb_bfd_session_down_events", "counter", "peer vrf"),
    ("metallb_bfd_zebra_notifications", "counter", "peer vrf"),
];

/// What a scrape has: the type of each metric, and the labels of each of its series with their values.
#[derive(Default)]
struct Scrape {
    types: BTreeMap<String, String>,
    series: BTreeMap<String, Vec<BTreeMap<String, String>>>,
}

impl Scrape {
    fn read(text: &str) -> Self {
        let mut all = Self::default();
        for line in text.lines() {
            if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
                all.types.insert(name.to_owned(), kind.to_owned());
            } else if !line.starts_with('#') {
                let end = line.find(['{', ' ']).unwrap_or(line.len());
                let labels = line[end..].strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(labels, _)| labels);
                let pair =
                    |text: &str| text.split_once("=\"").map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').to_owned()));
                all.series.entry(line[..end].to_owned()).or_default().push(labels.split(',').filter_map(pair).collect());
            }
        }
        all
    }

    fn labels(&self, name: &str) -> String {
        let names = self.series.get(name).and_then(|all| all.first()).map(|labels| labels.keys().cloned().collect::<Vec<_>>());
        names.unwrap_or_default().join(" ")
    }

    /// Whether a label, and a value if one is asked for, is on the series of these metrics.
    fn has(&self, metrics: &BTreeSet<String>, label: &str, value: Option<&str>) -> bool {
        let of_metrics = metrics.iter().filter_map(|name| self.series.get(name)).flatten();
        of_metrics.filter_map(|labels| labels.get(label)).any(|found| value.is_none_or(|value| found == value))
    }
}

/// A daemon with every role that alerts are about, and objects that give every series.
async fn everything(net: &Net, server: &ApiServer, own: std::net::Ipv4Addr) -> Daemon {
    server.put(node(net, "n1", RR, Value::Null));
    server.put(metallb("IPAddressPool", "v1beta1", "public", json!({"addresses": ["203.0.113.0/24"]})));
    server.put(metallb("BGPAdvertisement", "v1beta1", "all", json!({})));
    server.put(metallb("BFDProfile", "v1beta1", "fast", json!({})));
    let peer = json!({"myASN": 64512, "peerASN": 64512, "peerAddress": net.ip(CLIENT), "peerPort": net.port, "sourceAddress": own,
        "bfdProfile": "fast"});
    server.put(metallb("BGPPeer", "v1beta2", "tor", peer));
    server.put(service("web", "203.0.113.5"));
    server.put(slice("web", Some("n1")));
    // One that cannot be announced, and an object that cannot be used.
    server.put(service("idle", "203.0.113.6"));
    server.put(metallb("IPAddressPool", "v1beta1", "broken", json!({"addresses": ["nonsense"]})));
    let filed = net.neighbor("filed", RR, 30, "asn: internal, maxPrefixes: { limit: 10, action: warn }");
    // A table that nobody looks at, and routes of a number that nobody has.
    let more = format!(
        "router: {{ asn: 64512, id: 10.0.0.9 }}\nlisten: []\nneighbors:\n{filed}\nfib: {{ install: best, table: 7141, protocol: 214 }}\n\
         vips: {{ services: [{{ name: control, addresses: [10.0.50.20], bind: false }}] }}\n"
    );
    let kubeconfig = net.directory.path().join("kubeconfig");
    server.write_kubeconfig(&kubeconfig).unwrap();
    let config = format!(
        "kubernetes: {{ enabled: true, kubeconfig: {}, nodeName: n1, roles: [vip, allocator] }}\n\
         api: {{ socket: {} }}\nmetrics: {{ listen: \"{}:{}\", compat: metallb }}\n{more}",
        kubeconfig.display(),
        net.socket(RR).display(),
        net.ip(RR),
        net.http()
    );
    net.start(RR, &config)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_and_dashboards_find_their_metrics() {
    let net = Net::new(141);
    let Some(own) = own_address().await else { return };
    let server = ApiServer::start().await.unwrap();
    let daemon = everything(&net, &server, own).await;
    let missing = |scrape: &Scrape| METALLB.iter().find(|(name, ..)| !scrape.series.contains_key(*name)).map(|(name, ..)| *name);
    let mut last = None;
    let scrape = eventually("every metric of MetalLB's", || {
        let scrape = Scrape::read(&daemon.get("/metrics")?.1);
        if last != missing(&scrape) {
            last = missing(&scrape);
            println!("missing: {last:?}");
        }
        last.is_none().then_some(scrape)
    });
    for (name, kind, labels) in METALLB {
        assert_eq!((scrape.types.get(name).map(String::as_str), scrape.labels(name).as_str()), (Some(kind), labels), "{name}");
    }
    for file in ["metallb.rules.yaml", "kubgp.rules.yaml"] {
        let path = format!("{}/config/prometheus/{file}", env!("CARGO_MANIFEST_DIR"));
        let rules: Value = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let rules = rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
        for rule in rules {
            check(rule, &scrape);
        }
    }
}

/// Metrics, labels in matchers and `on(..)`, and labels in texts: a daemon has them, or Prometheus adds them to every series.
fn check(rule: &Value, scrape: &Scrape) {
    let (alert, expression) = (rule["alert"].as_str().unwrap(), rule["expr"].as_str().unwrap());
    let words: Vec<&str> = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).collect();
    let metrics: BTreeSet<String> =
        words.iter().filter(|word| word.starts_with("kubgp_") || word.starts_with("metallb_")).map(|word| (*word).to_owned()).collect();
    assert!(!metrics.is_empty(), "{alert}: {expression}");
    for metric in &metrics {
        assert!(scrape.series.contains_key(metric), "{alert}: no daemon exports {metric}");
    }
    let of_prometheus = |label: &str| ["instance", "pod", "namespace", "job"].contains(&label);
    for matcher in expression.split('{').skip(1).filter_map(|rest| rest.split_once('}')).flat_map(|(inner, _)| inner.split(',')) {
        let (label, operator) = matcher.split_at(matcher.find(['=', '!']).unwrap());
        // Only `=` asks for a value that there is.
        let value = operator.strip_prefix("=\"").map(|value| value.trim_end_matches('"'));
        assert!(scrape.has(&metrics, label.trim(), value), "{alert}: {matcher}");
    }
    let joined = expression.split("on(").skip(1).filter_map(|rest| rest.split_once(')')).flat_map(|(inner, _)| inner.split(','));
    let text = rule["annotations"].to_string();
    let shown = text.split("$labels.").skip(1).map(|rest| rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next().unwrap());
    for label in joined.map(str::trim).chain(shown) {
        assert!(of_prometheus(label) || scrape.has(&metrics, label, None), "{alert}: {label} is on none of {metrics:?}");
    }
}
