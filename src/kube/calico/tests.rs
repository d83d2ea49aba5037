//! Golden vectors: `proto-tests/vectors-kube/calico/*.yaml` holds what is asked (the first document) and objects as the API serves
//! them; the `.json` beside it holds the answer. `UPDATE_VECTORS=1` rewrites the answers.

mod properties;

use super::objects::{
    BgpConfiguration, BgpFilter, BgpPeer, BlockAffinity, CRD_V1, ClusterInformation, FelixConfiguration, IpPool, IpamBlock, V3,
};
use super::settings::Workload;
use super::*;
use crate::config::plan::{Plan, SecretSource};
use crate::config::{Host, check};
use crate::fib::Device;
use crate::fib::rules::{Learned, LearnedHop};
use crate::kube::objects::{ApiVersion, Object};
use crate::policy::{Chain, Outcome, PeerKind, RouteView};
use crate::wire::attr::community::Community;
use crate::wire::attr::{AsPath, AttrSet, Origin, PathAttributes, Segment, SegmentKind, Tags};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[test]
fn objects_become_what_calico_makes_of_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-tests/vectors-kube/calico");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "yaml"));
    files.sort();
    assert!(files.len() >= 10, "vectors are missing");
    let mut failures = String::new();
    for file in files {
        let answer = serde_json::to_string_pretty(&run(&file)).unwrap() + "\n";
        let expected = file.with_extension("json");
        if std::env::var_os("UPDATE_VECTORS").is_some() {
            fs::write(&expected, &answer).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != answer {
            failures += &format!("{}:\n{answer}", file.display());
        }
    }
    assert!(failures.is_empty(), "UPDATE_VECTORS=1 rewrites these answers:\n{failures}");
}

/// The first document of a vector.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct Ask {
    /// The nodes from whose side the objects are looked at.
    nodes: Vec<String>,
    roles: Vec<String>,
    /// Each is looked at for itself; without any, ClusterInformation tells.
    versions: Vec<String>,
    router_id: Option<String>,
    use_pod_cidr: bool,
    hold_time: Option<u64>,
    workloads: Vec<WorkloadText>,
    /// Parts of the answer; reports are always there.
    show: Vec<String>,
    /// Routes that are offered to the policies of a session (its name).
    export: BTreeMap<String, Vec<RouteText>>,
    import: BTreeMap<String, Vec<RouteText>>,
    /// Learned routes on their way to the kernel.
    kernel: Vec<LearnedText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WorkloadText {
    peer: String,
    interface: String,
    addresses: Vec<IpNet>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RouteText {
    prefix: IpNet,
    /// `local`, `ebgp`, `ibgp`, `client`.
    #[serde(default = "local")]
    from: String,
    #[serde(default)]
    local_pref: Option<u32>,
    #[serde(default)]
    path: Vec<u32>,
    #[serde(default)]
    communities: Vec<String>,
    #[serde(default)]
    tags: Vec<String>,
}

fn local() -> String {
    "local".into()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LearnedText {
    prefix: IpNet,
    #[serde(default)]
    local_pref: Option<u32>,
    hops: Vec<IpAddr>,
    #[serde(default)]
    unresolved: Vec<IpAddr>,
}

/// Everything that a cluster holds.
#[derive(Default)]
struct Cluster {
    nodes: Vec<Node>,
    services: Vec<Service>,
    slices: Vec<EndpointSlice>,
    secrets: Vec<Secret>,
    configurations: Vec<BgpConfiguration>,
    peers: Vec<BgpPeer>,
    filters: Vec<BgpFilter>,
    pools: Vec<IpPool>,
    affinities: Vec<BlockAffinity>,
    blocks: Vec<IpamBlock>,
    felix: Vec<FelixConfiguration>,
    information: Option<ClusterInformation>,
}

impl Cluster {
    fn add(&mut self, value: Value) {
        fn read<T: Object>(api: &ApiVersion, value: Value) -> T {
            let text = value.to_string();
            let mut object = T::parse(api, value).unwrap_or_else(|e| panic!("{e}: {text}"));
            object.trim();
            object
        }
        let group = value["apiVersion"].as_str().unwrap_or_default().to_owned();
        let api = if group == "projectcalico.org/v3" { V3 } else { CRD_V1 };
        match value["kind"].as_str().unwrap() {
            "Node" => self.nodes.push(read(&api, value)),
            "Service" => self.services.push(read(&api, value)),
            "EndpointSlice" => self.slices.push(read(&api, value)),
            "Secret" => self.secrets.push(read(&api, value)),
            "BGPConfiguration" => self.configurations.push(read(&api, value)),
            "BGPPeer" => self.peers.push(read(&api, value)),
            "BGPFilter" => self.filters.push(read(&api, value)),
            "IPPool" => self.pools.push(read(&api, value)),
            "BlockAffinity" => self.affinities.push(read(&api, value)),
            "IPAMBlock" => self.blocks.push(read(&api, value)),
            "FelixConfiguration" => self.felix.push(read(&api, value)),
            "ClusterInformation" => self.information = Some(read(&api, value)),
            other => panic!("kind {other}"),
        }
    }

    fn objects(&self) -> Objects<'_> {
        Objects {
            nodes: self.nodes.iter().collect(),
            services: self.services.iter().collect(),
            slices: self.slices.iter().collect(),
            secrets: self.secrets.iter().collect(),
            secrets_refused: None,
            configurations: self.configurations.iter().collect(),
            peers: self.peers.iter().collect(),
            filters: self.filters.iter().collect(),
            pools: self.pools.iter().collect(),
            affinities: self.affinities.iter().collect(),
            blocks: self.blocks.iter().collect(),
            felix: self.felix.iter().collect(),
            cluster_information: self.information.as_ref(),
        }
    }
}

impl Ask {
    fn local(&self, node: &str, version: Option<&String>) -> Local {
        let has = |role: &str| self.roles.iter().any(|r| r == role);
        Local {
            node: node.to_owned(),
            roles: Roles { reflector: has("reflector"), node: has("node") },
            secret_namespace: "calico-system".into(),
            router_id: match self.router_id.as_deref() {
                None => RouterIdRule::NodeAddress,
                Some("hash") => RouterIdRule::Hash,
                Some(id) => RouterIdRule::Is(id.parse().unwrap()),
            },
            version: version.cloned(),
            use_pod_cidr: self.use_pod_cidr,
            hold_time: self.hold_time.map(Duration::from_secs),
            cluster_ips: None,
            workloads: self
                .workloads
                .iter()
                .map(|w| Workload { peer: w.peer.clone(), interface: w.interface.clone(), addresses: w.addresses.clone() })
                .collect(),
        }
    }
}

fn run(file: &Path) -> Value {
    let text = fs::read_to_string(file).unwrap();
    let mut documents = text
        .split("\n---\n")
        .map(|document| serde_saphyr::from_str::<Value>(document).unwrap_or_else(|e| panic!("{}: {e}: {document}", file.display())));
    let ask: Ask = serde_json::from_value(documents.next().unwrap()).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let mut cluster = Cluster::default();
    // A list stands for as many objects.
    documents.for_each(|document| match document {
        Value::Array(list) => list.into_iter().for_each(|value| cluster.add(value)),
        value => cluster.add(value),
    });
    let objects = cluster.objects();
    let mut answers = serde_json::Map::new();
    for node in &ask.nodes {
        if ask.versions.is_empty() {
            answers.insert(node.clone(), answer(&ask, translate(&objects, &ask.local(node, None))));
        }
        for version in &ask.versions {
            let local = ask.local(node, Some(version));
            answers.insert(format!("{node} with {version}"), answer(&ask, translate(&objects, &local)));
        }
    }
    answers.into()
}

fn answer(ask: &Ask, output: Result<Output, Hold>) -> Value {
    let output = match output {
        Ok(output) => output,
        Err(hold) => return json!({"hold": format!("{hold:?}")}),
    };
    let plan = plan_of(&output);
    let mut answer = serde_json::Map::new();
    for part in &ask.show {
        let file = &output.input.file;
        let value = match part.as_str() {
            "router" => json!({"router": file.router, "listen": file.listen}),
            "neighbors" => file.neighbors.iter().flatten().map(|n| serde_json::to_value(n).unwrap()).collect::<Value>(),
            "sessions" => output.sessions.iter().map(|s| Value::from(brief(s))).collect(),
            "policies" => serde_json::to_value(&file.policies).unwrap(),
            "networks" => file.originate.iter().flat_map(|o| &o.networks).flatten().map(|n| serde_json::to_value(n).unwrap()).collect(),
            "statics" => output.kernel.statics.values().map(|r| Value::from(kernel_text(r))).collect(),
            "secrets" => output.secrets.keys().cloned().collect(),
            other => panic!("show {other}"),
        };
        answer.insert(part.clone(), value);
    }
    for (way, asked) in [("export", &ask.export), ("import", &ask.import)] {
        for (name, routes) in asked {
            let Some(session) = output.sessions.iter().find(|s| s.name == *name) else { continue };
            let session = &plan.peers[&session.address].session;
            let chain = if way == "export" { &session.export } else { &session.import };
            let lines: Vec<_> = routes.iter().map(|r| format!("{} from {}: {}", r.prefix, r.from, apply(chain, &plan, r))).collect();
            answer.entry(way).or_insert_with(|| json!({}))[name] = json!(lines);
        }
    }
    if !ask.kernel.is_empty() {
        let lines: Vec<_> = ask.kernel.iter().map(|route| decide(&output.kernel.rules, route)).collect();
        answer.insert("kernel".into(), json!(lines));
    }
    answer.insert("reports".into(), serde_json::to_value(&output.reports).unwrap());
    answer.into()
}

/// One line a session, without what all have.
fn brief(s: &Session) -> String {
    let mut line = format!("{} {} port {} as {}", s.name, s.address, s.port, s.asn);
    let flags = [
        (s.is_ebgp, "ebgp"),
        (s.is_passive, "passive"),
        (s.is_client, "client"),
        (s.is_held_down, "held-down"),
        (s.families.len() > 1, "both-families"),
        (s.source.is_none(), "no-source"),
    ];
    flags.iter().filter(|(set, _)| *set).for_each(|(_, word)| line += &format!(" {word}"));
    line
}

struct NoHost;

impl Host for NoHost {
    fn secret(&self, _: &SecretSource) -> Result<Vec<u8>, String> {
        Ok(b"secret".to_vec())
    }

    fn router_id(&self) -> Option<Ipv4Addr> {
        Some(Ipv4Addr::new(192, 0, 2, 1))
    }
}

/// What we make of objects must never be the reason that a configuration is refused.
fn plan_of(output: &Output) -> Plan {
    let mut input = output.input.clone();
    // Where the key comes from makes no difference to anything that is looked at here.
    for neighbor in input.file.neighbors.iter_mut().flatten() {
        if let Some(password) = &mut neighbor.password {
            *password = file::Password { env: password.secret.take(), ..file::Password::default() };
        }
    }
    check(File::default(), &[input], &NoHost).unwrap_or_else(|complaints| panic!("refused: {complaints:#?}"))
}

fn apply(chain: &Chain, plan: &Plan, route: &RouteText) -> String {
    let tags = route.tags.iter().filter_map(|name| plan.tags.get(name)).fold(0, |bits, tag| bits | tag.0);
    let standard: Vec<_> = route.communities.iter().filter_map(|c| c.parse::<Community>().ok()).map(|c| c.0).collect();
    let attributes = PathAttributes {
        origin: Origin::Igp,
        as_path: AsPath(
            Some(Segment { kind: SegmentKind::Sequence, asns: route.path.clone() }).filter(|s| !s.asns.is_empty()).into_iter().collect(),
        ),
        next_hop: IpAddr::from([192, 0, 2, 9]).into(),
        med: None,
        local_pref: route.local_pref,
        atomic_aggregate: false,
        aggregator: None,
        communities: standard,
        originator_id: None,
        cluster_list: Vec::new(),
        ext_communities: Vec::new(),
        large_communities: Vec::new(),
        otc: None,
        opaque: Vec::new(),
        tags: Tags(tags),
    };
    let kind = match route.from.as_str() {
        "local" => PeerKind::Local,
        "ebgp" => PeerKind::Ebgp,
        "client" => PeerKind::Client,
        _ => PeerKind::NonClient,
    };
    let neighbor = (kind != PeerKind::Local).then(|| [192, 0, 2, 9].into());
    let before = AttrSet::from(&attributes);
    match chain.apply(RouteView { prefix: &route.prefix, attrs: &before, neighbor, kind }) {
        Outcome::Reject(_) => "reject".into(),
        Outcome::Accept(after) => {
            let after = PathAttributes::from(&after);
            let mut line = "accept".to_owned();
            let path: Vec<_> = after.as_path.0.iter().flat_map(|s| s.asns.clone()).map(|asn| asn.to_string()).collect();
            let communities: Vec<_> = after.communities.iter().map(|c| format!("{}:{}", c >> 16, c & 0xffff)).collect();
            let large: Vec<_> = after.large_communities.iter().map(|[a, b, c]| format!("{a}:{b}:{c}")).collect();
            for (word, values) in [("path", path), ("communities", communities), ("large", large)] {
                if !values.is_empty() {
                    line += &format!(" {word} {}", values.join(" "));
                }
            }
            if let Some(value) = after.local_pref {
                line += &format!(" localPref {value}");
            }
            assert_eq!(after.tags.0 & !tags, 0, "a policy leaves a tag behind");
            line
        }
    }
}

fn decide(rules: &Rules, route: &LearnedText) -> String {
    let hop = |address: &IpAddr| LearnedHop { address: *address, is_resolved: !route.unresolved.contains(address), is_connected: false };
    let hops: Vec<_> = route.hops.iter().map(hop).collect();
    match rules.decide(&Learned { prefix: route.prefix, local_pref: route.local_pref, hops: &hops }) {
        Ok(route) => kernel_text(&route),
        Err(left) => {
            let mut word = format!("{left:?}");
            word[..1].make_ascii_lowercase();
            format!("{}: left, {word}", route.prefix)
        }
    }
}

/// As `ip route` would print it.
fn kernel_text(route: &Route) -> String {
    let hop = |hop: &Hop| {
        let via = hop.via.map(|via| format!("via {via}")).unwrap_or_default();
        let device = match &hop.device {
            Some(Device::Name(name)) => format!(" dev {name}"),
            Some(Device::Index(index)) => format!(" dev #{index}"),
            None => String::new(),
        };
        format!("{via}{device}{}", if hop.onlink { " onlink" } else { "" })
    };
    let action = match &route.action {
        Action::Unicast(hops) => hops.iter().map(hop).collect::<Vec<_>>().join(" + "),
        other => format!("{other:?}").to_lowercase(),
    };
    format!("{} {action} metric {}", route.prefix, route.metric)
}
