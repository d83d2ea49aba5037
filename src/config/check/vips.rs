//! VIPs of the file.

use super::policy::{large, standard};
use super::{Checker, Fragment, Place};
use crate::config::file::{CheckType, Network, VipAdvertisement, VipCheck, VipPool, VipService, Vips};
use crate::config::plan::{CheckPlan, HttpPlan, NetworkPlan, ProbePlan, TlsPlan, VipPlan, VipsPlan};
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

/// The pools by name: first and last addresses.
type Pools = BTreeMap<String, Vec<(IpAddr, IpAddr)>>;

impl Checker<'_> {
    pub(super) fn vips(&mut self, fragments: &[Fragment], networks: &BTreeMap<IpNet, NetworkPlan>) -> VipsPlan {
        let mut plan = VipsPlan::default();
        let mut taken: BTreeSet<IpNet> = networks.keys().copied().collect();
        for (origin, vips) in fragments.iter().filter_map(|(origin, file)| Some((origin, file.vips.as_ref()?))) {
            let place = Place::new(origin, "vips");
            let pools = self.vip_pools(&place.key("pools"), vips.pools.as_deref().unwrap_or_default());
            self.vip_advertisements(&place.key("advertise"), vips.advertise.as_deref().unwrap_or_default(), &pools);
            for (i, service) in vips.services.iter().flatten().enumerate() {
                let place = place.key("services").index(i);
                let Some(name) = service.name.clone().filter(|name| !name.is_empty() && !name.contains(['/', ' '])) else {
                    self.complain(&place.key("name"), "a name without / and spaces is required, such as kube-apiserver");
                    continue;
                };
                let one = self.vip_service(&place, service, vips, &pools);
                for network in one.networks.iter().filter(|network| !taken.insert(network.prefix)) {
                    self.complain(
                        &place.key("addresses"),
                        format!("{} is announced already, for originate.networks or another service", network.prefix.addr()),
                    );
                }
                if plan.services.insert(name.clone(), one).is_some() {
                    self.complain(&place.key("name"), format!("two services are named `{name}`; rename one"));
                }
            }
            plan.definition.join(vips);
        }
        plan
    }

    fn vip_service(&mut self, place: &Place, service: &VipService, vips: &Vips, pools: &Pools) -> VipPlan {
        let addresses = service.addresses.as_deref().unwrap_or_default();
        let place_of = place.key("addresses");
        if addresses.is_empty() {
            self.complain(&place_of, "at least one address is required, such as [10.0.50.20]");
        }
        let networks = addresses.iter().enumerate().filter_map(|(i, address)| self.vip_network(&place_of.index(i), *address, vips, pools));
        let networks = networks.collect();
        let check = service.check.as_ref().and_then(|check| self.vip_check(&place.key("check"), check));
        let pool = addresses.first().and_then(|address| pool_of(*address, pools)).cloned();
        VipPlan { networks, pool, bind: service.bind.unwrap_or(true), check }
    }

    fn vip_pools(&mut self, place: &Place, written: &[VipPool]) -> Pools {
        let mut pools = Pools::new();
        for (i, pool) in written.iter().enumerate() {
            let place = place.index(i);
            let Some(name) = pool.name.clone().filter(|name| !name.is_empty()) else {
                self.complain(&place.key("name"), "a name is required, such as control-plane");
                continue;
            };
            let mut ranges = Vec::new();
            for (j, text) in pool.addresses.iter().flatten().enumerate() {
                match range(text) {
                    Some(range) => ranges.push(range),
                    None => {
                        let message = format!("`{text}` is neither a prefix nor a range, such as 10.0.50.0/28 or 10.0.50.16-10.0.50.31");
                        self.complain(&place.key("addresses").index(j), message);
                    }
                }
            }
            if pool.addresses.as_ref().is_none_or(Vec::is_empty) {
                self.complain(&place.key("addresses"), "a pool needs addresses, such as [10.0.50.0/28]");
            }
            if pools.contains_key(&name) {
                self.complain(&place.key("name"), format!("two pools are named `{name}`; rename one"));
            }
            pools.entry(name).or_default().extend(ranges);
        }
        pools
    }

    fn vip_advertisements(&mut self, place: &Place, written: &[VipAdvertisement], pools: &Pools) {
        for (i, advertisement) in written.iter().enumerate() {
            for (j, name) in advertisement.pools.iter().flatten().enumerate().filter(|(_, name)| !pools.contains_key(*name)) {
                self.unknown(&place.index(i).key("pools").index(j), "pool", name, pools.keys().map(String::as_str));
            }
            let (communities, larges) = (advertisement.communities.clone(), advertisement.large_communities.clone());
            self.communities(&place.index(i).key("communities"), &communities.unwrap_or_default(), standard);
            self.communities(&place.index(i).key("largeCommunities"), &larges.unwrap_or_default(), large);
        }
    }

    /// The host prefix of an address, with the attributes of all advertisements of its pool: communities and tags are joined, and the
    /// highest LOCAL_PREF and the lowest MED count.
    fn vip_network(&mut self, place: &Place, address: IpAddr, vips: &Vips, pools: &Pools) -> Option<NetworkPlan> {
        if address.is_unspecified() || address.is_multicast() || address.is_loopback() {
            self.complain(place, format!("{address} is not the address of a host"));
            return None;
        }
        let pool = pool_of(address, pools);
        if pool.is_none() && !pools.is_empty() {
            let names = pools.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            self.complain(place, format!("{address} is in none of the pools {names}; add it to one under vips.pools"));
        }
        let is_meant = |a: &&VipAdvertisement| a.pools.as_ref().is_none_or(|names| pool.is_some_and(|pool| names.contains(pool)));
        let meant: Vec<_> = vips.advertise.iter().flatten().filter(is_meant).collect();
        if let (true, Some(pool)) = (meant.is_empty() && vips.advertise.as_ref().is_some_and(|list| !list.is_empty()), pool) {
            self.complain(place, format!("no entry of vips.advertise names pool `{pool}`, so {address} would never be announced"));
        }
        // What cannot be read has been complained about where it is written.
        let all = |get: fn(&VipAdvertisement) -> Option<&Vec<String>>, is_good: fn(&str) -> bool| {
            let texts: BTreeSet<String> = meant.iter().filter_map(|a| get(a)).flatten().filter(|text| is_good(text)).cloned().collect();
            Some(texts.into_iter().collect::<Vec<_>>()).filter(|list| !list.is_empty())
        };
        let network = Network {
            prefix: Some(IpNet::from(address)),
            communities: all(|a| a.communities.as_ref(), |text| standard(text).is_ok()),
            large_communities: all(|a| a.large_communities.as_ref(), |text| large(text).is_ok()),
            tags: all(|a| a.tags.as_ref(), |_| true),
            local_pref: meant.iter().filter_map(|a| a.local_pref).max(),
            med: meant.iter().filter_map(|a| a.med).min(),
            ..Network::default()
        };
        self.network(place, &network)
    }

    fn vip_check(&mut self, place: &Place, check: &VipCheck) -> Option<CheckPlan> {
        let interval = check.interval.map_or(INTERVAL, |period| period.0);
        let timeout = check.timeout.map_or(TIMEOUT.min(interval), |period| period.0);
        if interval < SHORTEST {
            self.complain(&place.key("interval"), format!("use at least {SHORTEST:?}: each check costs the service something"));
        }
        if timeout.is_zero() || timeout > interval {
            self.complain(&place.key("timeout"), format!("use more than 0 and at most the interval ({interval:?})"));
        }
        for (key, count) in [("rise", check.rise), ("fall", check.fall)] {
            if count == Some(0) {
                self.complain(&place.key(key), "use at least 1");
            }
        }
        self.vip_check_keys(place, check);
        let probe = self.vip_probe(place, check)?;
        Some(CheckPlan { probe, interval, timeout, rise: check.rise.unwrap_or(RISE), fall: check.fall.unwrap_or(FALL) })
    }

    /// Keys that mean nothing for this type of check.
    fn vip_check_keys(&mut self, place: &Place, check: &VipCheck) {
        let Some(kind) = check.r#type else { return };
        let (http, tls) = (matches!(kind, CheckType::Http | CheckType::Https), kind == CheckType::Https);
        let keys = [
            ("target", check.target.is_some(), kind != CheckType::Exec),
            ("path", check.path.is_some(), http),
            ("host", check.host.is_some(), http),
            ("status", check.status.is_some(), http),
            ("ca", check.ca.is_some(), tls),
            ("serverName", check.server_name.is_some(), tls),
            ("skipVerify", check.skip_verify.is_some(), tls),
            ("command", check.command.is_some(), kind == CheckType::Exec),
        ];
        for (key, _, _) in keys.into_iter().filter(|(_, is_set, is_meant)| *is_set && !is_meant) {
            self.complain(
                &place.key(key),
                format!("means nothing for a check of this type; remove the key, or use another type than {}", word(kind)),
            );
        }
    }

    fn vip_probe(&mut self, place: &Place, check: &VipCheck) -> Option<ProbePlan> {
        let Some(kind) = check.r#type else {
            self.complain(&place.key("type"), "the type of check is required: tcp, http, https or exec");
            return None;
        };
        if kind == CheckType::Exec {
            let command = check.command.clone().unwrap_or_default();
            if command.first().is_none_or(|program| !Path::new(program).is_absolute()) {
                self.complain(&place.key("command"), "a program by its absolute path is required, such as [/usr/local/bin/check, --quick]");
            }
            return Some(ProbePlan::Exec(command));
        }
        let Some(target) = check.target.filter(|target| target.port() != 0) else {
            self.complain(&place.key("target"), "address and port are required, such as 127.0.0.1:6443");
            return None;
        };
        Some(match kind {
            CheckType::Tcp | CheckType::Exec => ProbePlan::Tcp(target),
            CheckType::Http => ProbePlan::Http(self.vip_http(place, check, target, None)),
            CheckType::Https => {
                let skips = check.skip_verify == Some(true);
                if skips == check.ca.is_some() {
                    self.complain(place, "give either ca, the file of the authority of the server's certificate, or skipVerify: true");
                }
                let server_name = check.server_name.clone().unwrap_or_else(|| target.ip().to_string());
                let tls = TlsPlan { ca: check.ca.clone(), server_name };
                ProbePlan::Http(self.vip_http(place, check, target, Some(tls)))
            }
        })
    }

    fn vip_http(&mut self, place: &Place, check: &VipCheck, target: SocketAddr, tls: Option<TlsPlan>) -> HttpPlan {
        let path = check.path.clone().unwrap_or_else(|| "/".to_owned());
        if !path.starts_with('/') || path.contains(|c: char| c.is_ascii_control() || c == ' ') {
            self.complain(&place.key("path"), "a path begins with / and holds no spaces, such as /livez");
        }
        let host = check.host.clone().unwrap_or_else(|| target.to_string());
        if host.is_empty() || host.contains(|c: char| !c.is_ascii_graphic()) {
            self.complain(&place.key("host"), "a host name or address is required, with a port where it is another one");
        }
        let status = check.status.clone().unwrap_or_default();
        if let Some(bad) = status.iter().find(|code| !(100..=599).contains(*code)) {
            self.complain(&place.key("status"), format!("{bad} is no status of HTTP; use 100..=599"));
        }
        HttpPlan { target, tls, path, host, status }
    }
}

impl Vips {
    fn join(&mut self, other: &Self) {
        fn extend<T: Clone>(list: &mut Option<Vec<T>>, more: &Option<Vec<T>>) {
            if let Some(more) = more {
                list.get_or_insert_default().extend_from_slice(more);
            }
        }
        extend(&mut self.pools, &other.pools);
        extend(&mut self.advertise, &other.advertise);
        extend(&mut self.services, &other.services);
    }
}

/// The name of the first pool that holds an address.
fn pool_of(address: IpAddr, pools: &Pools) -> Option<&String> {
    let holds = |ranges: &Vec<(IpAddr, IpAddr)>| ranges.iter().any(|(first, last)| *first <= address && address <= *last);
    pools.iter().find(|(_, ranges)| holds(ranges)).map(|(name, _)| name)
}

fn word(kind: CheckType) -> &'static str {
    match kind {
        CheckType::Tcp => "tcp",
        CheckType::Http => "http",
        CheckType::Https => "https",
        CheckType::Exec => "exec",
    }
}

/// First and last address of a prefix or a range.
fn range(text: &str) -> Option<(IpAddr, IpAddr)> {
    if let Ok(net) = text.parse::<IpNet>() {
        return Some((net.network(), net.broadcast()));
    }
    let (first, last) = text.split_once('-')?;
    let (first, last) = (first.trim().parse::<IpAddr>().ok()?, last.trim().parse::<IpAddr>().ok()?);
    (first.is_ipv4() == last.is_ipv4() && first <= last).then_some((first, last))
}

const INTERVAL: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(1);
const SHORTEST: Duration = Duration::from_millis(100);
const RISE: u32 = 2;
const FALL: u32 = 3;
