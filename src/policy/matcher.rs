//! The compiled conditions of one rule.

use super::as_path::PathRegex;
use super::params::{Match, Members, PrefixRange, Source};
use super::{PeerKind, RouteView};
use crate::wire::Family;
use crate::wire::attr::Tags;
use crate::wire::attr::as_path::PathView;
use ipnet::IpNet;
use prefix_trie::joint::JointPrefixMap;
use smallvec::SmallVec;
use std::cell::OnceCell;
use std::net::IpAddr;

/// One route while a chain looks at it; the AS path becomes text at most once per set of attributes.
pub(super) struct Candidate<'a> {
    pub route: RouteView<'a>,
    pub path_text: OnceCell<String>,
}

impl<'a> Candidate<'a> {
    pub fn new(route: RouteView<'a>) -> Self {
        Self { route, path_text: OnceCell::new() }
    }

    fn path(&self) -> &str {
        self.path_text.get_or_init(|| PathView::of(self.route.attrs).to_string())
    }
}

/// [`Match`] with its prefixes in a trie and its expressions compiled.
#[derive(Debug)]
pub(super) struct Matcher {
    plain: Match,
    prefixes: Option<PrefixSet>,
    as_path: Option<Vec<PathRegex>>,
    not: Option<Box<Matcher>>,
}

impl Matcher {
    pub fn new(plain: Match) -> Result<Self, regex::Error> {
        let prefixes = plain.prefixes.as_deref().map(PrefixSet::new);
        let compile = |all: &Vec<String>| all.iter().map(|one| PathRegex::new(one)).collect();
        let as_path = plain.as_path.as_ref().map(compile).transpose()?;
        let not = plain.not.clone().map(|not| Self::new(*not).map(Box::new)).transpose()?;
        Ok(Self { plain, prefixes, as_path, not })
    }

    /// Whether the result can differ between two prefixes with the same attributes and source.
    pub fn depends_on_prefix(&self) -> bool {
        self.prefixes.is_some() || self.plain.family.is_some() || self.not.as_ref().is_some_and(|not| not.depends_on_prefix())
    }

    /// The name of the first condition that does not hold, as the configuration file spells it. The cheap ones come first.
    pub fn failing(&self, candidate: &Candidate<'_>) -> Option<&'static str> {
        let RouteView { prefix, attrs, neighbor, kind } = candidate.route;
        let (m, head) = (&self.plain, attrs.head());
        let conditions: [(&'static str, bool); 5] = [
            ("family", m.family.is_none_or(|family| family == Family::of(prefix))),
            ("source", m.sources.as_ref().is_none_or(|all| all.iter().any(|s| s.includes(kind)))),
            ("origin", m.origins.as_ref().is_none_or(|all| all.contains(&head.origin))),
            ("tags", m.holds_for_tags(head.tags)),
            ("asPathLength", m.as_path_length.as_ref().is_none_or(|range| range.contains(&u32::from(head.path_len)))),
        ];
        if let Some((name, _)) = conditions.iter().find(|(_, holds)| !holds) {
            return Some(name);
        }
        let value = |range: &Option<std::ops::RangeInclusive<u32>>, value: u32| range.as_ref().is_none_or(|r| r.contains(&value));
        let within = |nets: &Option<Vec<IpNet>>, address: Option<IpAddr>| {
            nets.as_ref().is_none_or(|nets| address.is_some_and(|a| nets.iter().any(|net| net.contains(&a))))
        };
        if !value(&m.med, attrs.med().unwrap_or(0)) {
            return Some("med");
        }
        if !value(&m.local_pref, head.local_pref().unwrap_or(100)) {
            return Some("localPref");
        }
        if !within(&m.neighbors, neighbor) {
            return Some("neighbors");
        }
        if !within(&m.next_hops, Some(attrs.next_hop().address())) {
            return Some("nextHops");
        }
        if self.prefixes.as_ref().is_some_and(|set| !set.contains(prefix)) {
            return Some("prefixes");
        }
        self.failing_list(candidate)
    }

    /// The conditions that walk lists or text.
    fn failing_list(&self, candidate: &Candidate<'_>) -> Option<&'static str> {
        let (m, attrs) = (&self.plain, candidate.route.attrs);
        if !m.communities.hold(|p| attrs.communities().any(|c| p.matches(c))) {
            return Some("communities");
        }
        if !m.large_communities.hold(|p| attrs.large_communities().any(|c| p.matches(c))) {
            return Some("largeCommunities");
        }
        if !m.ext_communities.hold(|p| attrs.ext_communities().any(|c| p.matches(c))) {
            return Some("extCommunities");
        }
        if self.as_path.as_ref().is_some_and(|all| !all.iter().any(|regex| regex.is_match(candidate.path()))) {
            return Some("asPath");
        }
        if self.not.as_ref().is_some_and(|not| not.failing(candidate).is_none()) {
            return Some("not");
        }
        None
    }
}

impl Match {
    fn holds_for_tags(&self, tags: Tags) -> bool {
        self.any_tag.is_none_or(|any| any.0 & tags.0 != 0) && self.all_tags.0 & tags.0 == self.all_tags.0
    }
}

impl<P> Members<P> {
    fn hold(&self, present: impl Fn(&P) -> bool) -> bool {
        self.any.as_ref().is_none_or(|any| any.iter().any(&present)) && self.all.iter().all(&present)
    }
}

impl Source {
    fn includes(self, kind: PeerKind) -> bool {
        match self {
            Self::Local => kind == PeerKind::Local,
            Self::Ebgp => kind == PeerKind::Ebgp,
            Self::Ibgp => kind.is_internal(),
            Self::Client => kind == PeerKind::Client,
        }
    }
}

/// Prefix ranges in a trie: a lookup visits only entries that cover the prefix.
#[derive(Debug, Default)]
struct PrefixSet(JointPrefixMap<IpNet, SmallVec<[(u8, u8); 1]>>);

impl PrefixSet {
    fn new(ranges: &[PrefixRange]) -> Self {
        let mut map: JointPrefixMap<IpNet, SmallVec<[(u8, u8); 1]>> = JointPrefixMap::default();
        for range in ranges {
            map.entry(range.prefix).or_default().push((range.min, range.max));
        }
        Self(map)
    }

    fn contains(&self, prefix: &IpNet) -> bool {
        let len = prefix.prefix_len();
        self.0.cover_values(prefix).flatten().any(|&(min, max)| (min..=max).contains(&len))
    }
}
