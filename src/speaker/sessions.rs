//! From the configuration's words to those of the rooms that run sessions.

use crate::config::file::{GracefulRestartMode, LimitAction as LimitWord, NextHopMode as NextHopWord};
use crate::config::plan::{self, DynamicPlan, PeerPlan, RouterPlan, SessionPlan};
use crate::export::{AddPath, NextHopMode};
use crate::net::{LimitAction, MaxPrefixes, Password, PeerConfig, RangeConfig, Rules, SocketOptions, Ttl};
use crate::rib::PeerId;
use crate::session::{GrMode, GrParams, HoldTime, PeerParams, RemoteAs, RoleParams};
use crate::wire::FamilySet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What all sessions share and the configuration does not say.
#[derive(Clone, Debug)]
pub struct Context {
    pub router: RouterPlan,
    pub hostname: String,
    /// We are back from a restart: OPENs say so until this moment, or until route selection begins (RFC 4724 4.1).
    pub restart_until: Option<Instant>,
    /// Start of the jitter's random numbers.
    pub seed: u64,
}

impl Context {
    pub fn peer(&self, id: PeerId, plan: &PeerPlan) -> PeerConfig {
        PeerConfig {
            id,
            remote: SocketAddr::new(plan.address, plan.port),
            params: self.params(id, &plan.session),
            socket: socket(&plan.session),
            rules: Arc::new(self.rules(&plan.session)),
        }
    }

    pub fn range(&self, plan: &DynamicPlan, count: Arc<std::sync::atomic::AtomicUsize>) -> RangeConfig {
        let placeholder = match plan.range {
            ipnet::IpNet::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            ipnet::IpNet::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let template = PeerConfig {
            id: PeerId::LOCAL,
            remote: SocketAddr::new(placeholder, 0),
            params: PeerParams { passive: true, ..self.params(PeerId::LOCAL, &plan.session) },
            socket: socket(&plan.session),
            rules: Arc::new(self.rules(&plan.session)),
        };
        RangeConfig { range: plan.range, template, max: plan.max as usize, count }
    }

    pub fn rules(&self, plan: &SessionPlan) -> Rules {
        Rules {
            client: plan.route_reflector_client,
            router_as: self.router.asn,
            cluster_id: self.router.cluster_id,
            allow_own_as: plan.allow_own_asn,
            role: plan.role,
            import: plan.import.clone(),
            export: plan.export.clone(),
            next_hop: match plan.next_hop {
                NextHopWord::Auto => NextHopMode::Auto,
                NextHopWord::Own => NextHopMode::SelfAddress,
                NextHopWord::Unchanged => NextHopMode::Unchanged,
            },
            add_path_send: match plan.add_path_send {
                plan::AddPathSend::Off => AddPath::Off,
                plan::AddPathSend::Best(n) => AddPath::Best(u16::try_from(n).unwrap_or(u16::MAX)),
                plan::AddPathSend::All => AddPath::All,
            },
            max_prefixes: plan.max_prefixes.map(|m| MaxPrefixes {
                limit: m.limit,
                action: match m.action {
                    LimitWord::Warn => LimitAction::Warn,
                    LimitWord::Drop => LimitAction::Drop,
                    LimitWord::Shutdown => LimitAction::Shutdown,
                    LimitWord::Restart => LimitAction::Restart(m.restart_after),
                },
            }),
        }
    }

    pub fn params(&self, id: PeerId, plan: &SessionPlan) -> PeerParams {
        let remote_as = match plan.remote_as {
            plan::RemoteAs::Fixed(asn) => RemoteAs::Fixed(asn),
            plan::RemoteAs::Internal => RemoteAs::Internal,
            plan::RemoteAs::External => RemoteAs::External,
        };
        let families = |wanted: bool| if wanted { plan.families } else { FamilySet::NONE };
        PeerParams {
            hold_time: hold_time(plan.hold_time),
            keepalive: Some(plan.keepalive_time),
            connect_retry: plan.connect_retry_time,
            send_hold: Some(plan.send_hold_time),
            passive: plan.passive,
            admin_up: plan.admin_up,
            families: plan.families,
            add_path_rx: families(plan.add_path_receive),
            add_path_tx: families(plan.add_path_send != plan::AddPathSend::Off),
            extended_next_hop: plan.extended_next_hop,
            extended_messages: plan.extended_messages,
            graceful_restart: self.graceful_restart(plan),
            llgr_time: plan.graceful_restart.long_lived,
            role: plan.role.map(|role| RoleParams { role, strict: false }),
            enforce_first_as: true,
            hostname: self.hostname.clone(),
            seed: self.seed ^ u64::from(id.0),
            ..PeerParams::new(plan.local_as, remote_as, self.router.id)
        }
    }

    fn graceful_restart(&self, plan: &SessionPlan) -> GrParams {
        GrParams {
            mode: match plan.graceful_restart.mode {
                GracefulRestartMode::Full => GrMode::Full,
                GracefulRestartMode::Helper => GrMode::Helper,
                GracefulRestartMode::Off => GrMode::Off,
            },
            time: plan.graceful_restart.time,
            stale_time: plan.graceful_restart.stale_time,
            restarting: self.restart_until.is_some_and(|until| super::now() < until),
            // The kernel forwards without us. Of a machine that has rebooted we never say that it restarts.
            forwarding: FamilySet::ALL,
            ..GrParams::default()
        }
    }
}

/// The check of the file has seen to it that hold times are 0 or 3 s to 65535 s.
fn hold_time(time: Duration) -> HoldTime {
    u16::try_from(time.as_secs()).ok().and_then(|s| HoldTime::new(s).ok()).expect("config checked the hold time")
}

pub fn socket(plan: &SessionPlan) -> SocketOptions {
    SocketOptions {
        source: plan.local_address,
        bind_device: plan.bind_device.clone(),
        password: plan.password.as_ref().map(|p| Password::new(p.value.expose()).expect("config checked the length of the password")),
        ttl: match plan.ttl {
            plan::Ttl::Send(ttl) => Ttl::Send(ttl),
            plan::Ttl::Security(hops) => Ttl::Security(hops),
        },
    }
}
