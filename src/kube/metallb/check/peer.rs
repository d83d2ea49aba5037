//! Peers: session settings that make sense by themselves, and one session per address.

use super::{Item, Specs, last_valid, name_twice, selectors, unknown_fields};
use crate::config::plan::Secret;
use crate::kube::metallb::complaint::{Fault, Report, Source};
use crate::kube::metallb::model::{Config, Peer, RemoteAs};
use crate::kube::metallb::objects::BGPPeerSpec;
use crate::kube::metallb::values::duration;
use crate::wire::Asn;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

pub fn check_all(specs: &Specs, previous: &Config, config: &mut Config, report: &mut Report) {
    for item in &specs.peers {
        if config.peers.contains_key(&item.name) {
            name_twice(&item.source, &item.name, report);
            continue;
        }
        let peer = check(item, specs, config, report).map(Arc::new).or_else(|| last_valid(item, &previous.peers));
        if let Some(peer) = peer {
            config.peers.insert(item.name.clone(), peer);
        }
    }
}

fn check(item: &Item<BGPPeerSpec>, specs: &Specs, config: &Config, report: &mut Report) -> Option<Peer> {
    let before = report.errors();
    let mut reader = Reader { source: &item.source, spec: &item.spec, report };
    reader.fields_without_effect();
    let (my_asn, remote_as, local_asn) = reader.as_numbers();
    let address = reader.peer_address();
    let source_address = reader.source_address(address);
    let spec = &item.spec;
    let port = spec.peer_port.map_or(Some(BGP_PORT), |port| u16::try_from(port).ok().filter(|port| *port > 0));
    if port.is_none() {
        reader.refuse("peerPort", Fault::Invalid, ("not in 1..=65535".to_owned(), "the port of BGP is 179"));
    }
    let timers = reader.timers();
    let connect_time = reader.connect_time();
    let router_id = reader.parse::<Ipv4Addr>("routerID", &spec.router_id, "write an IPv4 address").filter(|id| !id.is_unspecified());
    let nodes = selectors(&item.source, "nodeSelectors", &spec.node_selectors, reader.report);
    let password = reader.password(specs);
    reader.multihop(remote_as, my_asn);
    if !spec.bfd_profile.is_empty() && !config.bfd_profiles.contains_key(&spec.bfd_profile) {
        let message = format!("there is no usable BFDProfile `{}`", spec.bfd_profile);
        reader.refuse("bfdProfile", Fault::UnknownReference, (message, "create it, or remove the name"));
    }
    if report.errors() > before {
        return None;
    }
    Some(Peer {
        name: item.name.clone(),
        source: item.source.clone(),
        my_asn: my_asn?,
        remote_as: remote_as?,
        local_asn,
        address: address?,
        port: port?,
        source_address,
        timers,
        connect_time,
        router_id,
        nodes,
        password,
        bfd_profile: Some(spec.bfd_profile.clone()).filter(|name| !name.is_empty()),
        graceful_restart: spec.enable_graceful_restart,
        ebgp_multihop: spec.ebgp_multi_hop,
        both_families: spec.dual_stack_address_family,
    })
}

struct Reader<'a> {
    source: &'a Source,
    spec: &'a BGPPeerSpec,
    report: &'a mut Report,
}

impl Reader<'_> {
    fn refuse(&mut self, field: &str, reason: Fault, what: (String, &str)) {
        self.report.error(self.source, field, reason, what);
    }

    fn fields_without_effect(&mut self) {
        unknown_fields(self.source, &self.spec.unknown, self.report);
        if self.spec.disable_mp {
            let what = ("has no effect any more".to_owned(), "remove it; dualStackAddressFamily chooses the address families");
            self.report.warn(self.source, "disableMP", Fault::Deprecated, what);
        }
        if !self.spec.vrf.is_empty() {
            let message = format!("sessions in a VRF (`{}`) are not supported", self.spec.vrf);
            self.refuse("vrf", Fault::Unsupported, (message, "peer in the default VRF and remove vrf"));
        }
    }

    fn asn(&mut self, field: &str, value: u32) -> Option<Asn> {
        let asn = Asn::new(value);
        if asn.is_none() {
            self.refuse(field, Fault::Missing, ("an AS number is required".to_owned(), "use one in 1..=4294967295"));
        }
        asn
    }

    fn as_numbers(&mut self) -> (Option<Asn>, Option<RemoteAs>, Option<Asn>) {
        let my_asn = self.asn("myASN", self.spec.my_asn);
        let remote_as = match (self.spec.peer_asn, self.spec.dynamic_asn.as_str()) {
            (0, "internal") => Some(RemoteAs::Internal),
            (0, "external") => Some(RemoteAs::External),
            (0, "") => {
                let what = ("the AS of the peer is required".to_owned(), "set peerASN, or dynamicASN: internal or external");
                self.refuse("peerASN", Fault::Missing, what);
                None
            }
            (_, "") => self.asn("peerASN", self.spec.peer_asn).map(RemoteAs::Number),
            (0, word) => {
                self.refuse("dynamicASN", Fault::Invalid, (format!("`{word}` is not known"), "use internal or external"));
                None
            }
            _ => {
                self.refuse("dynamicASN", Fault::Conflict, ("excludes peerASN".to_owned(), "remove one of them"));
                None
            }
        };
        let local_asn = self.spec.local_asn.and_then(|value| self.asn("localASN", value));
        let is_internal = match remote_as {
            Some(RemoteAs::Number(asn)) => Some(asn) == my_asn || Some(asn) == local_asn,
            Some(RemoteAs::Internal) => true,
            _ => false,
        };
        if local_asn.is_some() && is_internal {
            let what = ("another local AS is for external peers".to_owned(), "remove it, or use another peerASN");
            self.refuse("localASN", Fault::Conflict, what);
        }
        (my_asn, remote_as, local_asn)
    }

    fn parse<T: FromStr>(&mut self, field: &str, text: &str, remedy: &str) -> Option<T> {
        if text.is_empty() {
            return None;
        }
        let value = text.parse().ok();
        if value.is_none() {
            self.refuse(field, Fault::Invalid, (format!("`{text}` cannot be read"), remedy));
        }
        value
    }

    fn peer_address(&mut self) -> Option<IpAddr> {
        let (address, interface) = (&self.spec.peer_address, &self.spec.interface);
        if !interface.is_empty() {
            let message = format!("sessions over an interface without address (`{interface}`) are not supported yet");
            self.refuse("interface", Fault::Unsupported, (message, "use peerAddress"));
            return None;
        }
        if address.is_empty() {
            self.refuse("peerAddress", Fault::Missing, ("the address of the peer is required".to_owned(), "set peerAddress"));
            return None;
        }
        let read: IpAddr = self.parse("peerAddress", address, "write an IPv4 or IPv6 address")?;
        let link_local = matches!(read, IpAddr::V6(v6) if v6.is_unicast_link_local());
        if read.is_unspecified() || read.is_multicast() || link_local {
            let what = (format!("{read} is not the address of a router that can be reached"), "use its global unicast address");
            self.refuse("peerAddress", Fault::Invalid, what);
        }
        Some(read)
    }

    fn source_address(&mut self, peer: Option<IpAddr>) -> Option<IpAddr> {
        let address: IpAddr = self.parse("sourceAddress", &self.spec.source_address, "write an IPv4 or IPv6 address")?;
        if peer.is_some_and(|peer| peer.is_ipv4() != address.is_ipv4()) {
            let what = (format!("{address} and the peer are of different IP versions"), "use an address of the peer's version");
            self.refuse("sourceAddress", Fault::Conflict, what);
        }
        Some(address)
    }

    /// A time in whole seconds, as MetalLB cuts it.
    fn seconds(&mut self, field: &str, written: &Option<String>) -> Option<Duration> {
        let text = written.as_ref()?;
        match duration(text).map(|time| time.as_secs()) {
            Some(seconds) if seconds <= u64::from(u16::MAX) => Some(Duration::from_secs(seconds)),
            _ => {
                let what = (format!("`{text}` is not a duration of at most 65535s"), "write it as 90s or 1m30s");
                self.refuse(field, Fault::Invalid, what);
                None
            }
        }
    }

    fn timers(&mut self) -> Option<(Duration, Duration)> {
        let hold = self.seconds("holdTime", &self.spec.hold_time);
        let keepalive = self.seconds("keepaliveTime", &self.spec.keepalive_time);
        let (hold, keepalive) = match (hold, keepalive) {
            (None, None) => return None,
            (Some(hold), None) => (hold, hold / 3),
            (None, Some(keepalive)) => ((keepalive * 3).min(Duration::from_secs(u16::MAX.into())), keepalive),
            (Some(hold), Some(keepalive)) => (hold, keepalive),
        };
        if matches!(hold.as_secs(), 1 | 2) {
            let what = (format!("{} s is not allowed", hold.as_secs()), "use 0, or at least 3 s (RFC 4271 4.2)");
            self.refuse("holdTime", Fault::Invalid, what);
        } else if keepalive > hold {
            let what = ("is longer than the hold time".to_owned(), "use a third of holdTime (RFC 4271 4.4)");
            self.refuse("keepaliveTime", Fault::Conflict, what);
        } else if !hold.is_zero() && (keepalive > hold / 3 || keepalive.is_zero()) {
            let message = format!("keepalives are sent every {} s instead, a third of the hold time", (hold / 3).as_secs());
            let what = (message, "use at least 1 s and at most a third of holdTime (RFC 4271 4.4)");
            self.report.warn(self.source, "keepaliveTime", Fault::Unsupported, what);
            return Some((hold, hold / 3));
        }
        Some((hold, keepalive))
    }

    fn connect_time(&mut self) -> Option<Duration> {
        let time = self.seconds("connectTime", &self.spec.connect_time)?;
        if time.is_zero() {
            self.refuse("connectTime", Fault::Invalid, ("less than 1 s".to_owned(), "use 1s to 65535s"));
        }
        Some(time)
    }

    fn multihop(&mut self, remote_as: Option<RemoteAs>, my_asn: Option<Asn>) {
        let internal = match remote_as {
            Some(RemoteAs::Number(asn)) => Some(asn) == my_asn,
            Some(RemoteAs::Internal) => true,
            _ => false,
        };
        if self.spec.ebgp_multi_hop && internal {
            let what = ("is for external peers; internal ones may be any number of hops away".to_owned(), "remove it");
            self.refuse("ebgpMultiHop", Fault::Conflict, what);
        }
    }

    fn password(&mut self, specs: &Specs) -> Option<Secret> {
        let octets = match (self.spec.password.as_str(), &self.spec.password_secret) {
            ("", None) => return None,
            (text, None) => text.as_bytes().to_vec(),
            ("", Some(reference)) if reference.name.is_empty() => return None,
            ("", Some(reference)) => {
                let ours = &*self.source.object.key.namespace;
                if !reference.namespace.is_empty() && reference.namespace != ours {
                    let message = format!("Secrets are read from namespace `{ours}` only, not from `{}`", reference.namespace);
                    let remedy = "put the Secret beside the BGPPeer, and remove the namespace";
                    self.report.warn(self.source, "passwordSecret.namespace", Fault::Unsupported, (message, remedy));
                }
                self.secret(&reference.name, specs)?
            }
            (_, Some(_)) => {
                self.refuse("passwordSecret", Fault::Conflict, ("excludes password".to_owned(), "remove one of them"));
                return None;
            }
        };
        if octets.is_empty() || octets.len() > MD5_KEY_LEN {
            let message = format!("the password has {} octets", octets.len());
            self.refuse("password", Fault::Invalid, (message, "use 1 to 80 octets (TCP MD5, RFC 2385)"));
        }
        Some(Secret::new(octets))
    }

    fn secret(&mut self, name: &str, specs: &Specs) -> Option<Vec<u8>> {
        let field = "passwordSecret";
        let Some(secret) = specs.secrets.get(name) else {
            let what = (format!("there is no Secret `{name}` in this namespace"), "create it, of type kubernetes.io/basic-auth");
            self.refuse(field, Fault::UnknownReference, what);
            return None;
        };
        if secret.kind != BASIC_AUTH {
            let what = (format!("Secret `{name}` is of type `{}`", secret.kind), "use type kubernetes.io/basic-auth");
            self.refuse(field, Fault::Invalid, what);
            return None;
        }
        let password = secret.data.get("password").map(|data| data.0.clone());
        if password.is_none() {
            self.refuse(field, Fault::Missing, (format!("Secret `{name}` has no key `password`"), "add it"));
        }
        password
    }
}

const BGP_PORT: u16 = 179;
const BASIC_AUTH: &str = "kubernetes.io/basic-auth";
/// TCP_MD5SIG_MAXKEYLEN of Linux.
const MD5_KEY_LEN: usize = 80;
