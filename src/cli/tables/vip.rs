//! Services, pools, allocations and advertisements.

use super::{left, plain, right, words};
use crate::api::types::{AdvertisementInfo, Allocation, Family, PoolInfo, ServiceStatus};
use crate::cli::output::{Column, Row, Style, Tabular, Tone};
use crate::cli::text::or_dash;

impl Tabular for ServiceStatus {
    fn columns(wide: bool) -> &'static [Column] {
        const NARROW: &[Column] =
            &[left("SERVICE"), left("VIP"), left("POOL"), left("POLICY"), left("NODES"), right("ADVERTISED/PEERS"), left("REASON")];
        const WIDE: &[Column] = &[
            left("SERVICE"),
            left("VIP"),
            left("POOL"),
            left("POLICY"),
            left("NODES"),
            right("ADVERTISED/PEERS"),
            right("ENDPOINTS"),
            left("PREFIXES"),
            left("PEERS"),
            left("REASON"),
            left("REMEDY"),
        ];
        if wide { WIDE } else { NARROW }
    }

    fn rows(&self, style: &Style) -> Vec<Row> {
        let mut cells = vec![
            self.label(),
            words(&self.addresses),
            or_dash(self.pool.as_ref()),
            or_dash(self.external_traffic_policy.map(|policy| policy.name())),
            words(&self.nodes),
            format!("{}/{}", self.advertised(), self.peers.len()),
        ];
        if style.wide {
            let peer = |peer: &crate::api::types::ServicePeer| match peer.advertised {
                true => peer.name.clone(),
                false => format!("{}:{}", peer.name, peer.reason),
            };
            cells.extend([
                or_dash(self.endpoints.map(|endpoints| format!("{}/{}", endpoints.local, endpoints.total))),
                words(&self.prefixes),
                words(&self.peers.iter().map(peer).collect::<Vec<_>>()),
            ]);
        }
        cells.push(self.reason.clone());
        cells.extend(style.wide.then(|| or_dash(self.remedy.as_ref())));
        // What this node announces and not everybody got needs a look; what it does not announce may be as it should be.
        let tone = if !self.nodes.is_empty() && self.reason != "advertised" { Tone::Red } else { Tone::Plain };
        vec![Row { cells, tone }]
    }

    fn name(&self) -> String {
        self.label()
    }
}

impl Tabular for PoolInfo {
    fn columns(wide: bool) -> &'static [Column] {
        const ALL: &[Column] = &[
            left("POOL"),
            right("IPV4 USED"),
            right("IPV6 USED"),
            left("AUTO"),
            right("SERVICES"),
            left("ADVERTISED BY"),
            left("STATE"),
            left("ADDRESSES"),
            left("REFUSED"),
            left("PROBLEMS"),
        ];
        if wide { ALL } else { ALL.split_at(7).0 }
    }

    fn rows(&self, style: &Style) -> Vec<Row> {
        let usage = |family: Family| self.families.iter().find(|usage| usage.family == family);
        let used = |family| or_dash(usage(family).map(|usage| format!("{}/{}", usage.used, usage.total)));
        let full = self.families.iter().any(|usage| usage.free == 0);
        let (state, tone) = match (self.valid, full) {
            (false, _) => ("invalid", Tone::Red),
            (true, true) => ("exhausted", Tone::Yellow),
            (true, false) => ("ok", Tone::Plain),
        };
        let mut cells = vec![
            self.name.clone(),
            used(Family::Ipv4Unicast),
            used(Family::Ipv6Unicast),
            (if self.auto_assign { "yes" } else { "no" }).to_owned(),
            self.services.to_string(),
            words(&self.advertisements),
            state.to_owned(),
        ];
        let refused = || self.refused.iter().map(|(reason, count)| format!("{reason}:{count}")).collect::<Vec<_>>();
        cells.extend(style.wide.then(|| [words(&self.addresses), words(&refused()), problems(&self.problems)]).into_iter().flatten());
        vec![Row { cells, tone }]
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}

impl Tabular for Allocation {
    fn columns(_wide: bool) -> &'static [Column] {
        const { &[left("ADDRESS"), left("POOL"), left("SERVICES"), left("SHARING KEY")] }
    }

    fn rows(&self, _style: &Style) -> Vec<Row> {
        let pool = or_dash(self.pool.as_ref());
        vec![plain(vec![self.address.to_string(), pool, words(&self.services), or_dash(self.sharing_key.as_ref())])]
    }

    fn name(&self) -> String {
        self.address.to_string()
    }
}

impl Tabular for AdvertisementInfo {
    fn columns(wide: bool) -> &'static [Column] {
        const ALL: &[Column] = &[
            left("ADVERTISEMENT"),
            left("POOLS"),
            left("PEERS"),
            left("HERE"),
            right("LENGTH"),
            right("LPREF"),
            left("COMMUNITIES"),
            right("SERVICES"),
            right("PREFIXES"),
            left("PROBLEMS"),
        ];
        if wide { ALL } else { ALL.split_at(9).0 }
    }

    fn rows(&self, style: &Style) -> Vec<Row> {
        let communities = self.communities.iter().map(ToString::to_string);
        let communities: Vec<String> = communities.chain(self.large_communities.iter().map(ToString::to_string)).collect();
        let mut cells = vec![
            self.name.clone(),
            words(&self.pools),
            words(&self.peers),
            (if self.selected { "yes" } else { "no" }).to_owned(),
            format!("/{} /{}", self.aggregation_length, self.aggregation_length_v6),
            or_dash(self.local_pref),
            words(&communities),
            self.services.to_string(),
            self.prefixes.to_string(),
        ];
        cells.extend(style.wide.then(|| problems(&self.problems)));
        vec![Row { cells, tone: if self.problems.is_empty() { Tone::Plain } else { Tone::Yellow } }]
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}

fn problems(all: &[String]) -> String {
    if all.is_empty() { "-".to_owned() } else { all.join("; ") }
}
