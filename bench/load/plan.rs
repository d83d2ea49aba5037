//! Who announces what, and what a receiver must end up with.
//!
//! Everything is a function of small numbers (client, prefix), so that the generator, the verifier and the floor agree without
//! sharing any state, and a daemon that swaps two routes cannot go unnoticed.

use std::net::Ipv4Addr;

use crate::wire::{self, Route};

/// AS number of the daemon under test, and of its clients where the sessions are internal.
pub const LOCAL_ASN: u32 = 64512;
/// Cluster id that every daemon is configured with.
pub const CLUSTER_ID: u32 = u32::from_be_bytes([10, 0, 0, 1]);
/// Prefixes that share one attribute set in a table: about what the public routing table has.
pub const GROUP: usize = 6;
/// Most rounds of a rewrite, and the number of its attribute sets per client; a power of two.
pub const ROUNDS: u32 = 64;

/// What is announced in one run.
#[derive(Clone, Debug)]
pub enum Shape {
    /// Every client announces its own prefixes and receives everybody else's.
    Mesh { clients: usize, each: usize },
    /// A mesh in which every route is announced anew with other attributes, or withdrawn, so many times without a pause; only the
    /// last state of each may stay. The attribute sets are few and come in another order for each prefix, so that a daemon that
    /// gathers changes by attribute set, or overtakes itself in any other way, ends with old routes.
    Rewrite { clients: usize, each: usize, rounds: u32 },
    /// `senders` announce the same table, `receivers` only listen; one sender has the best path of each group.
    Table { prefixes: usize, senders: usize, receivers: usize, ebgp: bool },
}

/// What a correctly passed on route is good for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Judgement {
    /// It must stay in the end.
    Right,
    /// It exists but loses the decision: fine on the way, not at the end.
    Passing,
}

impl Shape {
    pub fn clients(&self) -> usize {
        match *self {
            Self::Mesh { clients, .. } | Self::Rewrite { clients, .. } => clients,
            Self::Table { senders, receivers, .. } => senders + receivers,
        }
    }

    /// Number of different prefixes; the number itself is the prefix that [`flap`](Self::flap) plays with.
    pub fn prefixes(&self) -> usize {
        match *self {
            Self::Mesh { clients, each } | Self::Rewrite { clients, each, .. } => clients * each,
            Self::Table { prefixes, .. } => prefixes,
        }
    }

    pub fn is_sender(&self, client: usize) -> bool {
        match *self {
            Self::Mesh { .. } | Self::Rewrite { .. } => true,
            Self::Table { senders, .. } => client < senders,
        }
    }

    /// Whether this client's table is checked; senders of a table only drain what they get.
    pub fn is_receiver(&self, client: usize) -> bool {
        match *self {
            Self::Mesh { .. } | Self::Rewrite { .. } => true,
            Self::Table { senders, .. } => client >= senders,
        }
    }

    pub fn asn(&self, client: usize) -> u32 {
        if self.is_ebgp() { ebgp_asn(client) } else { LOCAL_ASN }
    }

    pub fn is_ebgp(&self) -> bool {
        matches!(self, Self::Table { ebgp: true, .. })
    }

    /// The numbers of the prefixes whose best path this client has.
    pub fn owner(&self, prefix: usize) -> usize {
        match *self {
            Self::Mesh { each, .. } | Self::Rewrite { each, .. } => prefix / each,
            Self::Table { senders, .. } => best_sender(prefix / GROUP, senders),
        }
    }

    /// Whether anybody announces this prefix in the end.
    pub fn stays(&self, prefix: usize) -> bool {
        match *self {
            Self::Rewrite { rounds, .. } => version(prefix, rounds - 1, rounds).is_some(),
            _ => true,
        }
    }

    /// All announcements of one client, ready to be written.
    pub fn announcements(&self, client: usize) -> Vec<u8> {
        match *self {
            Self::Mesh { each, .. } => {
                let numbers: Vec<u32> = (client * each..(client + 1) * each).map(prefix).collect();
                numbers.chunks(900).flat_map(|some| wire::announce(&self.sent(client, client * each), some)).collect()
            }
            Self::Rewrite { each, rounds, .. } => (0..rounds)
                .flat_map(|round| (client * each..(client + 1) * each).map(move |number| (round, number)))
                .flat_map(|(round, number)| match version(number, round, rounds) {
                    Some(med) => wire::announce(&Route { med: Some(med), ..self.sent(client, number) }, &[prefix(number)]),
                    None => wire::withdraw(&[prefix(number)]),
                })
                .collect(),
            Self::Table { prefixes, .. } if self.is_sender(client) => (0..prefixes)
                .step_by(GROUP)
                .flat_map(|first| {
                    let numbers: Vec<u32> = (first..prefixes.min(first + GROUP)).map(prefix).collect();
                    wire::announce(&self.sent(client, first), &numbers)
                })
                .collect(),
            Self::Table { .. } => Vec::new(),
        }
    }

    /// An announcement of the extra prefix, marked with `sequence` in its MED.
    pub fn flap(&self, client: usize, sequence: u32) -> Vec<u8> {
        let route = Route { med: Some(sequence), ..self.sent(client, self.prefixes()) };
        wire::announce(&route, &[prefix(self.prefixes())])
    }

    /// Announcements of `changes` prefixes of the first sender, spread over the table, or their withdrawals.
    pub fn some(&self, changes: usize, announced: bool) -> Vec<u8> {
        let step = (self.prefixes() / changes).max(1);
        let message = |number: usize| {
            if announced { wire::announce(&self.sent(0, number), &[prefix(number)]) } else { wire::withdraw(&[prefix(number)]) }
        };
        (0..changes).flat_map(|change| message(change * step)).collect()
    }

    /// The number behind a received /24, if anybody announces it.
    pub fn number(&self, received: u32) -> Option<usize> {
        let number = (received as usize).checked_sub(prefix(0) as usize)?;
        (number <= self.prefixes()).then_some(number)
    }

    /// Which client a received route comes from: by ORIGINATOR_ID, or by the neighbor AS behind the daemon's.
    pub fn source(&self, route: &Route) -> Result<usize, String> {
        let source = if self.is_ebgp() {
            route.as_path.get(1).and_then(|asn| asn.checked_sub(ebgp_asn(0)))
        } else {
            route.originator.and_then(|id| id.checked_sub(u32::from(router_id(0))))
        };
        match source {
            Some(source) if self.is_sender(source as usize) && (source as usize) < self.clients() => Ok(source as usize),
            _ => Err(format!("no client has ORIGINATOR_ID {:?} or AS_PATH {:?}", route.originator.map(Ipv4Addr::from), route.as_path)),
        }
    }

    /// Compares a received route with what the daemon was sent; `numbers` are all prefixes of the message, with one judgement each.
    pub fn judge(&self, source: usize, numbers: &[usize], received: &Route) -> Result<Vec<Judgement>, String> {
        let mut checked = None;
        let mut judgements = Vec::with_capacity(numbers.len());
        for &number in numbers {
            let extra = number == self.prefixes();
            let any_med = extra || matches!(self, Self::Rewrite { .. });
            let part = (extra, if let Self::Table { .. } = self { number / GROUP } else { 0 });
            if checked != Some(part) {
                let expected = self.expected(source, number, received.med.filter(|_| any_med));
                // Some daemons write the MED that an absent one stands for (RFC 4271 9.1.2.2).
                let same_med = received.med.unwrap_or(0) == expected.med.unwrap_or(0);
                if !same_med || expected != (Route { med: expected.med, ..received.clone() }) {
                    return Err(format!("prefix {number}: expected {expected:?}, received {received:?}"));
                }
                checked = Some(part);
            }
            let is_owner = extra || source == self.owner(number);
            if !is_owner && !matches!(self, Self::Table { .. }) {
                return Err(format!("prefix {number} comes from client {source}"));
            }
            let is_last = match *self {
                Self::Rewrite { rounds, .. } if !extra => version(number, rounds - 1, rounds) == received.med,
                _ => true,
            };
            judgements.push(if is_owner && is_last { Judgement::Right } else { Judgement::Passing });
        }
        Ok(judgements)
    }

    /// The route as the daemon has to send it on.
    fn expected(&self, source: usize, number: usize, med: Option<u32>) -> Route {
        let mut expected = Route { med, ..self.sent(source, number) };
        if self.is_ebgp() {
            expected.as_path.insert(0, LOCAL_ASN);
            expected.next_hop = u32::from(Ipv4Addr::LOCALHOST);
            expected.local_pref = None;
        } else {
            expected.originator = Some(u32::from(router_id(source)));
            expected.clusters = vec![CLUSTER_ID];
        }
        expected
    }

    /// The route as `client` announces it.
    fn sent(&self, client: usize, number: usize) -> Route {
        let next_hop = u32::from(router_id(client));
        match *self {
            Self::Mesh { .. } | Self::Rewrite { .. } => Route { next_hop, local_pref: Some(100), ..Route::default() },
            Self::Table { senders, ebgp, .. } => {
                let group = number / GROUP;
                let mut as_path = if ebgp { vec![ebgp_asn(client)] } else { Vec::new() };
                let detour = usize::from(best_sender(group, senders) != client);
                as_path.extend((0..group % 4 + detour).map(|hop| 3000 + (group * 31 + hop * 7) as u32 % 900));
                as_path.push(200_000 + group as u32);
                // In ascending order: communities are a set, and some daemons sort them.
                let communities = (0..group % 3).map(|tag| (3000 << 16) + group as u32 % 500 + tag as u32).collect();
                Route { as_path, next_hop, local_pref: (!ebgp).then_some(100), communities, ..Route::default() }
            }
        }
    }
}

/// The sender whose path of this group is one AS shorter than the others'.
pub fn best_sender(group: usize, senders: usize) -> usize {
    group.wrapping_mul(2_654_435_761) / 7 % senders
}

/// The MED of a prefix in a round of a rewrite; `None` where it is withdrawn. No prefix has the same one twice in [`ROUNDS`] rounds.
fn version(number: usize, round: u32, rounds: u32) -> Option<u32> {
    let is_withdrawn = if round + 1 == rounds { number % 4 == 3 } else { (number + round as usize).is_multiple_of(5) };
    let step = 2 * (number as u32 % 5) + 1;
    (!is_withdrawn).then(|| 1 + (number as u32 * 7 + round * step) % ROUNDS)
}

/// Prefix number n as the upper 24 bits of its address, from 20.0.0.0/24 on.
pub fn prefix(number: usize) -> u32 {
    0x0014_0000 + number as u32
}

/// Source address of a client's session.
pub fn address(client: usize) -> Ipv4Addr {
    Ipv4Addr::from(0x7f01_0001 + client as u32)
}

/// The client behind a source address.
pub fn client_of(address: Ipv4Addr) -> usize {
    (u32::from(address) - 0x7f01_0001) as usize
}

/// BGP identifier of a client, and the next hop of its routes.
pub fn router_id(client: usize) -> Ipv4Addr {
    Ipv4Addr::from(0x0a01_0001 + client as u32)
}

fn ebgp_asn(client: usize) -> u32 {
    64600 + client as u32
}
