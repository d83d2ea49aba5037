//! Policies as plain values: what a rule asks and what it does. [`super::Policy`] is the compiled form.

use super::community::{ExtPattern, LargePattern, StandardPattern};
use crate::wire::attr::{Origin, Tags};
use crate::wire::{Asn, Family};
use ipnet::IpNet;
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// A named policy: its rules in order.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Params {
    pub name: String,
    pub rules: Vec<Rule>,
}

/// One rule: when every condition holds, the sets are made and the action is taken.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Rule {
    pub matches: Match,
    pub sets: Sets,
    pub action: Action,
}

/// What a matching rule does with the route.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Action {
    /// Ends the chain: the route is taken.
    Accept,
    /// Ends the chain: the route is not taken.
    Reject,
    /// Goes on with the next rule, which sees what this one has set.
    #[default]
    Next,
}

/// The conditions of a rule; those that are `None` or empty hold always, the others must all hold.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Match {
    pub family: Option<Family>,
    /// Any of them.
    pub prefixes: Option<Vec<PrefixRange>>,
    pub communities: Members<StandardPattern>,
    pub large_communities: Members<LargePattern>,
    pub ext_communities: Members<ExtPattern>,
    /// Any of these regular expressions, see [`super::as_path`].
    pub as_path: Option<Vec<String>>,
    /// Length as the decision process counts it.
    pub as_path_length: Option<RangeInclusive<u32>>,
    /// The peer that the route comes from is in any of them; a route of our own never is.
    pub neighbors: Option<Vec<IpNet>>,
    /// The route comes from any of these.
    pub sources: Option<Vec<Source>>,
    /// At least one of these tags.
    pub any_tag: Option<Tags>,
    /// All of these tags.
    pub all_tags: Tags,
    /// The next hop is in any of them.
    pub next_hops: Option<Vec<IpNet>>,
    pub origins: Option<Vec<Origin>>,
    /// A missing MED counts as 0 (RFC 4271 9.1.2.2 c).
    pub med: Option<RangeInclusive<u32>>,
    /// A missing LOCAL_PREF counts as 100.
    pub local_pref: Option<RangeInclusive<u32>>,
    /// This set of conditions does *not* hold.
    pub not: Option<Box<Match>>,
}

/// A condition on a list of communities: some of `any` (where given) and each of `all` are present.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Members<P> {
    pub any: Option<Vec<P>>,
    pub all: Vec<P>,
}

impl<P> Default for Members<P> {
    fn default() -> Self {
        Self { any: None, all: Vec::new() }
    }
}

/// Prefixes within `prefix` whose length is in `min..=max`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct PrefixRange {
    pub prefix: IpNet,
    pub min: u8,
    pub max: u8,
}

impl PrefixRange {
    /// This prefix and no other.
    pub fn exact(prefix: IpNet) -> Self {
        Self { prefix, min: prefix.prefix_len(), max: prefix.prefix_len() }
    }

    /// This prefix and everything inside it.
    pub fn or_longer(prefix: IpNet) -> Self {
        Self { prefix, min: prefix.prefix_len(), max: prefix.max_prefix_len() }
    }
}

/// Where a route comes from, as rules ask for it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Source {
    Local,
    Ebgp,
    /// Client or non-client.
    Ibgp,
    /// iBGP from a route reflector client.
    Client,
}

/// What a matching rule changes.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Sets {
    pub local_pref: Option<u32>,
    pub med: Option<MedSet>,
    pub communities: Edit<StandardPattern, u32>,
    pub large_communities: Edit<LargePattern, [u32; 3]>,
    pub ext_communities: Edit<ExtPattern, [u8; 8]>,
    pub prepend: Option<Prepend>,
    pub next_hop: Option<NextHopSet>,
    pub origin: Option<Origin>,
    pub remove_tags: Tags,
    pub add_tags: Tags,
}

/// What a rule does to MULTI_EXIT_DISC; sums stay within 0..=4294967295.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum MedSet {
    To(u32),
    Add(u32),
    Subtract(u32),
    Remove,
}

/// Takes away what matches `remove`, then adds `add`.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Edit<P, V> {
    pub remove: Vec<P>,
    pub add: Vec<V>,
}

impl<P, V> Default for Edit<P, V> {
    fn default() -> Self {
        Self { remove: Vec::new(), add: Vec::new() }
    }
}

impl<P, V> Edit<P, V> {
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.add.is_empty()
    }
}

/// Puts an AS number in front of AS_PATH, `times` times.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Prepend {
    pub asn: Asn,
    pub times: u8,
}

/// What a rule does to the next hop. `Own` and `Unchanged` need facts of the session that sends the route, so they travel as the
/// tags [`super::NEXT_HOP_SELF`] and [`super::NEXT_HOP_UNCHANGED`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum NextHopSet {
    Address(IpAddr),
    Own,
    Unchanged,
}
