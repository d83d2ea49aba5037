//! What Calico's users look at: the content of a CalicoNodeStatus, and whether the node is ready. Both from facts that are passed in.

use super::sessions::SessionKind;
use serde::Serialize;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// State of a session in the words of RFC 4271, and `Close` for one that is shut down.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum State {
    Idle,
    Connect,
    Active,
    OpenSent,
    OpenConfirm,
    Established,
    Close,
}

/// One session as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerFact {
    pub name: String,
    pub kind: SessionKind,
    pub address: IpAddr,
    pub state: State,
    /// RFC 3339.
    pub since: String,
    /// End-of-RIB has come for every family of the session, or the peer never sends one.
    pub has_sent_all: bool,
    /// A connection to it was tried and failed.
    pub is_away: bool,
    /// Not meant to come up: shut down by us or without its password.
    pub is_held_down: bool,
}

/// The daemon as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentFact {
    pub version: String,
    pub router_id: Ipv4Addr,
    /// RFC 3339.
    pub booted: String,
    pub reconfigured: String,
}

/// The content of a CalicoNodeStatus; parts that were not asked for are absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<Agent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bgp: Option<Bgp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routes: Option<Routes>,
}

/// Where Calico has a daemon per family; both are us.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    pub bird_v4: Daemon,
    pub bird_v6: Daemon,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Daemon {
    /// `Ready` or `NotReady`.
    pub state: &'static str,
    pub version: String,
    #[serde(rename = "routerID")]
    pub router_id: Ipv4Addr,
    pub last_boot_time: String,
    pub last_reconfiguration_time: String,
}

/// Sessions by the family of their addresses; those with local workloads are not shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bgp {
    pub number_established_v4: usize,
    pub number_established_v6: usize,
    pub number_not_established_v4: usize,
    pub number_not_established_v6: usize,
    pub peers_v4: Vec<Peer>,
    pub peers_v6: Vec<Peer>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    #[serde(rename = "peerIP")]
    pub peer_ip: IpAddr,
    /// `NodeMesh`, `NodePeer` or `GlobalPeer`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub state: State,
    pub since: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Routes {
    pub routes_v4: Vec<RouteFact>,
    pub routes_v6: Vec<RouteFact>,
}

/// One route of the kernel (FIB) or the daemon (RIB).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteFact {
    #[serde(rename = "type")]
    pub kind: RouteKind,
    pub destination: ipnet::IpNet,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub interface: String,
    pub learned_from: LearnedFrom,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum RouteKind {
    #[serde(rename = "FIB")]
    Fib,
    #[serde(rename = "RIB")]
    Rib,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LearnedFrom {
    /// `Kernel`, `Static`, `Direct`, `NodeMesh` or `BGPPeer`.
    pub source_type: &'static str,
    #[serde(rename = "peerIP", skip_serializing_if = "Option::is_none")]
    pub peer_ip: Option<IpAddr>,
}

impl LearnedFrom {
    /// What a session's routes are said to come from.
    pub const fn session(kind: SessionKind, address: IpAddr) -> Self {
        let source_type = if matches!(kind, SessionKind::Mesh) { "NodeMesh" } else { "BGPPeer" };
        Self { source_type, peer_ip: Some(address) }
    }
}

impl NodeStatus {
    /// The parts that `classes` (`Agent`, `BGP`, `Routes`) ask for.
    pub fn new(classes: &[String], agent: &AgentFact, ready: &Readiness, peers: &[PeerFact], routes: &[RouteFact]) -> Self {
        let wants = |class: &str| classes.iter().any(|c| c == class);
        let daemon = || Daemon {
            state: if *ready == Readiness::Ready { "Ready" } else { "NotReady" },
            version: agent.version.clone(),
            router_id: agent.router_id,
            last_boot_time: agent.booted.clone(),
            last_reconfiguration_time: agent.reconfigured.clone(),
        };
        let of_family = |is_v4: bool| routes.iter().filter(move |r| matches!(r.destination, ipnet::IpNet::V4(_)) == is_v4).cloned();
        Self {
            agent: wants("Agent").then(|| Agent { bird_v4: daemon(), bird_v6: daemon() }),
            bgp: wants("BGP").then(|| Bgp::new(peers)),
            routes: wants("Routes").then(|| Routes { routes_v4: of_family(true).collect(), routes_v6: of_family(false).collect() }),
        }
    }
}

impl Bgp {
    fn new(peers: &[PeerFact]) -> Self {
        let mut bgp = Self::default();
        for fact in peers {
            let kind = match fact.kind {
                SessionKind::Mesh => "NodeMesh",
                SessionKind::Node => "NodePeer",
                SessionKind::Global => "GlobalPeer",
                SessionKind::LocalWorkload => continue,
            };
            let (up, down, list) = if fact.address.is_ipv4() {
                (&mut bgp.number_established_v4, &mut bgp.number_not_established_v4, &mut bgp.peers_v4)
            } else {
                (&mut bgp.number_established_v6, &mut bgp.number_not_established_v6, &mut bgp.peers_v6)
            };
            *(if fact.state == State::Established { up } else { down }) += 1;
            list.push(Peer { peer_ip: fact.address, kind, state: fact.state, since: fact.since.clone() });
        }
        bgp
    }
}

/// What readiness depends on besides the sessions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    pub since_start: Duration,
    /// Every watch has delivered its list, and what follows from it is in force.
    pub is_synced: bool,
    /// The kernel holds what was selected; also true where we program nothing.
    pub is_kernel_settled: bool,
    /// We were ready before.
    pub was_ready: bool,
}

/// How long a start waits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Patience {
    /// For a peer to come up; one that has not is not waited for.
    pub for_session: Duration,
    /// For everything: from then on one established session is enough.
    pub for_all: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { for_session: Duration::from_secs(15), for_all: Duration::from_secs(60) }
    }
}

/// Whether routes are there, or what is missing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Readiness {
    Ready,
    Waiting(Vec<Missing>),
}

/// One thing that readiness waits for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Missing {
    Objects,
    /// No session of those that are wanted is up.
    AnySession,
    Session(String),
    EndOfRib(String),
    Kernel,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Objects => f.write_str("objects are not read yet"),
            Self::AnySession => f.write_str("no session is established"),
            Self::Session(name) => write!(f, "{name} is not established yet"),
            Self::EndOfRib(name) => write!(f, "{name} has not sent all of its routes yet"),
            Self::Kernel => f.write_str("kernel routes are not complete yet"),
        }
    }
}

impl Readiness {
    /// Ready means that routes are there: every peer that can be reached has sent its End-of-RIB and the kernel has followed. A peer
    /// that refuses connections is not waited for, one that is silent delays a start by a bounded time only, and nothing later than
    /// that as long as one session is up.
    pub fn judge(progress: Progress, patience: Patience, peers: &[PeerFact]) -> Self {
        if !progress.is_synced {
            return Self::Waiting(vec![Missing::Objects]);
        }
        let wanted = || peers.iter().filter(|p| !p.is_held_down);
        let is_up = |p: &PeerFact| p.state == State::Established;
        let mut missing = Vec::new();
        let is_starting = !progress.was_ready && progress.since_start < patience.for_all;
        if is_starting {
            let waits_for_sessions = progress.since_start < patience.for_session;
            for peer in wanted() {
                match (is_up(peer), peer.has_sent_all) {
                    (true, true) => {}
                    (true, false) => missing.push(Missing::EndOfRib(peer.name.clone())),
                    (false, _) if waits_for_sessions && !peer.is_away => missing.push(Missing::Session(peer.name.clone())),
                    (false, _) => {}
                }
            }
            if !progress.is_kernel_settled {
                missing.push(Missing::Kernel);
            }
        }
        if missing.is_empty() && wanted().next().is_some() && !wanted().any(is_up) {
            missing.push(Missing::AnySession);
        }
        if missing.is_empty() { Self::Ready } else { Self::Waiting(missing) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(name: &str, address: &str, state: State, has_sent_all: bool) -> PeerFact {
        let kind = match name.split('_').next() {
            Some("Mesh") => SessionKind::Mesh,
            Some("Global") => SessionKind::Global,
            Some("Local") => SessionKind::LocalWorkload,
            _ => SessionKind::Node,
        };
        let (name, address) = (name.to_owned(), address.parse().unwrap());
        PeerFact { name, kind, address, state, since: "2026-01-01T00:00:00Z".into(), has_sent_all, is_away: false, is_held_down: false }
    }

    fn at(seconds: u64) -> Progress {
        Progress { since_start: Duration::from_secs(seconds), is_synced: true, is_kernel_settled: true, was_ready: false }
    }

    fn judge(progress: Progress, peers: &[PeerFact]) -> Result<(), Vec<String>> {
        match Readiness::judge(progress, Patience::default(), peers) {
            Readiness::Ready => Ok(()),
            Readiness::Waiting(missing) => Err(missing.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn ready_means_that_the_routes_of_reachable_peers_are_there() {
        let (up, loading) = (peer("Mesh_a", "10.0.0.1", State::Established, true), peer("Mesh_b", "10.0.0.2", State::Established, false));
        let away = peer("Mesh_c", "10.0.0.3", State::Active, false);
        assert_eq!(judge(at(0), &[]), Ok(()));
        assert_eq!(judge(Progress { is_synced: false, ..at(90) }, &[]), Err(vec!["objects are not read yet".into()]));
        assert_eq!(judge(at(1), std::slice::from_ref(&up)), Ok(()));
        assert_eq!(judge(at(1), &[up.clone(), loading.clone()]), Err(vec!["Mesh_b has not sent all of its routes yet".into()]));
        assert_eq!(judge(at(1), &[up.clone(), away.clone()]), Err(vec!["Mesh_c is not established yet".into()]));
        let refusing = PeerFact { is_away: true, ..away.clone() };
        assert_eq!(judge(at(1), &[up.clone(), refusing.clone()]), Ok(()));
        assert_eq!(judge(at(1), &[refusing]), Err(vec!["no session is established".into()]));
        // A peer that is silent is waited for 15 s, one that sends no End-of-RIB for a minute, BIRD would wait four.
        assert_eq!(judge(at(15), &[up.clone(), away.clone()]), Ok(()));
        assert!(judge(at(59), &[up.clone(), loading.clone()]).is_err());
        assert_eq!(judge(at(60), &[up.clone(), loading]), Ok(()));
        assert_eq!(
            judge(Progress { is_kernel_settled: false, ..at(2) }, std::slice::from_ref(&up)),
            Err(vec!["kernel routes are not complete yet".into()])
        );
        // With no session at all there are no routes, however long it takes.
        assert_eq!(judge(at(3600), std::slice::from_ref(&away)), Err(vec!["no session is established".into()]));
        let held = PeerFact { is_held_down: true, ..away.clone() };
        assert_eq!(judge(at(1), &[up.clone(), held.clone()]), Ok(()));
        assert_eq!(judge(at(1), &[held]), Ok(()));
        // Later a peer that comes or goes does not matter while another is up.
        let later = Progress { was_ready: true, is_kernel_settled: false, ..at(5) };
        assert_eq!(judge(later, &[up, away.clone()]), Ok(()));
        assert!(judge(later, &[away]).is_err());
    }

    #[test]
    fn the_status_has_the_fields_that_calico_has() {
        let peers = [
            peer("Mesh_a", "10.0.0.1", State::Established, true),
            peer("Global_b", "10.0.0.2", State::Active, false),
            peer("Node_c", "fd00::3", State::Established, true),
            peer("Local_Workload_d", "10.1.0.2", State::Established, true),
        ];
        let time = || "2026-01-01T00:00:00Z".to_owned();
        let agent = AgentFact { version: "kubgp 1".into(), router_id: Ipv4Addr::new(10, 0, 0, 9), booted: time(), reconfigured: time() };
        let routes = [
            RouteFact {
                kind: RouteKind::Fib,
                destination: "10.244.1.0/26".parse().unwrap(),
                gateway: Some([10, 0, 0, 1].into()),
                interface: "eth0".into(),
                learned_from: LearnedFrom::session(SessionKind::Mesh, [10, 0, 0, 1].into()),
            },
            RouteFact {
                kind: RouteKind::Rib,
                destination: "fd00:10::/122".parse().unwrap(),
                gateway: None,
                interface: String::new(),
                learned_from: LearnedFrom { source_type: "Static", peer_ip: None },
            },
        ];
        let classes = ["Agent", "BGP", "Routes"].map(str::to_owned);
        let status = NodeStatus::new(&classes, &agent, &Readiness::Ready, &peers, &routes);
        let json = serde_json::to_value(&status).unwrap();
        assert_eq!(json["agent"]["birdV4"]["state"], "Ready");
        assert_eq!(json["agent"]["birdV6"]["routerID"], "10.0.0.9");
        let bgp = &json["bgp"];
        let numbers =
            ["numberEstablishedV4", "numberNotEstablishedV4", "numberEstablishedV6", "numberNotEstablishedV6"].map(|k| bgp[k].as_u64());
        assert_eq!(numbers, [Some(1), Some(1), Some(1), Some(0)]);
        assert_eq!(
            bgp["peersV4"][1],
            serde_json::json!({"peerIP": "10.0.0.2", "type": "GlobalPeer", "state": "Active", "since": "2026-01-01T00:00:00Z"})
        );
        assert_eq!(bgp["peersV6"][0]["type"], "NodePeer");
        assert_eq!(
            json["routes"]["routesV4"][0],
            serde_json::json!({
                "type": "FIB", "destination": "10.244.1.0/26", "gateway": "10.0.0.1", "interface": "eth0",
                "learnedFrom": {"sourceType": "NodeMesh", "peerIP": "10.0.0.1"}
            })
        );
        assert_eq!(
            json["routes"]["routesV6"][0],
            serde_json::json!({"type": "RIB", "destination": "fd00:10::/122", "learnedFrom": {"sourceType": "Static"}})
        );
        let some = NodeStatus::new(&["BGP".to_owned()], &agent, &Readiness::Ready, &peers, &routes);
        assert!(some.agent.is_none() && some.routes.is_none() && some.bgp.is_some());
    }
}
