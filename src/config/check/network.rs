//! Prefixes of our own.

use super::policy::{ext, large, origin, standard};
use super::{Checker, Fragment, Place};
use crate::config::file::{Network, NextHopText, OnDrain};
use crate::config::plan::NetworkPlan;
use crate::policy::NEXT_HOP_SELF;
use crate::wire::attr::{AttrSet, NextHop, Origin, PathAttributes};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

impl Checker<'_> {
    pub(super) fn networks(&mut self, fragments: &[Fragment]) -> BTreeMap<IpNet, NetworkPlan> {
        let mut plans = BTreeMap::new();
        for (origin, file) in fragments {
            let place = Place::new(origin, "originate").key("networks");
            for (i, network) in file.originate.iter().flat_map(|o| &o.networks).flatten().enumerate() {
                let place = place.index(i);
                let Some(plan) = self.network(&place, network) else { continue };
                if plans.contains_key(&plan.prefix) {
                    self.complain(&place.key("prefix"), format!("{} is originated twice; remove one", plan.prefix));
                }
                plans.insert(plan.prefix, plan);
            }
        }
        plans
    }

    fn network(&mut self, place: &Place, network: &Network) -> Option<NetworkPlan> {
        let Some(prefix) = network.prefix else {
            self.complain(&place.key("prefix"), "a prefix is required, such as 203.0.113.7/32");
            return None;
        };
        let prefix = self.net(&place.key("prefix"), prefix)?;
        let mut tags = self.tag_bits(network.tags.as_deref().unwrap_or_default());
        let next_hop = match network.next_hop.unwrap_or(NextHopText::Own) {
            NextHopText::Address(address) => {
                self.network_next_hop(&place.key("nextHop"), &prefix, address);
                address.into()
            }
            NextHopText::Own => {
                tags.0 |= NEXT_HOP_SELF.0;
                match prefix {
                    IpNet::V4(_) => NextHop::V4(Ipv4Addr::UNSPECIFIED),
                    IpNet::V6(_) => NextHop::V6(Ipv6Addr::UNSPECIFIED),
                }
            }
        };
        let texts = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
        let attributes = PathAttributes {
            origin: network.origin.map_or(Origin::Igp, origin),
            med: network.med,
            local_pref: network.local_pref,
            communities: sorted(self.communities(&place.key("communities"), &texts(&network.communities), standard)),
            ext_communities: sorted(self.communities(&place.key("extCommunities"), &texts(&network.ext_communities), ext)),
            large_communities: sorted(self.communities(&place.key("largeCommunities"), &texts(&network.large_communities), large)),
            tags,
            ..PathAttributes::new(next_hop)
        };
        let stays_in_drain = network.on_drain == Some(OnDrain::Keep);
        Some(NetworkPlan { prefix, attrs: AttrSet::from(&attributes), stays_in_drain, definition: network.clone() })
    }

    fn network_next_hop(&mut self, place: &Place, prefix: &IpNet, address: IpAddr) {
        if address.is_unspecified() || address.is_multicast() {
            self.complain(place, format!("{address} is not the address of a host; use self, or a unicast address"));
        } else if matches!(prefix, IpNet::V6(_)) && address.is_ipv4() {
            self.complain(place, format!("{address} cannot be the next hop of an IPv6 prefix; use self, or an IPv6 address"));
        }
    }
}

fn sorted<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort_unstable();
    values.dedup();
    values
}
