//! Policies as people write them.

use super::section;
use super::values::{List, MedText, NextHopMode, OriginText, RuleAction, forms};
use ipnet::IpNet;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::net::IpAddr;

section! {
    /// When everything in `match` holds, `set` is done and `action` taken (default: `next`).
    pub struct Rule {
        r#match: Match,
        set: Set,
        action: RuleAction,
    }
}

section! {
    /// All of what is given must hold; a list holds when any entry does.
    pub struct Match {
        family: super::FamilyName,
        /// `10.0.0.0/8`, or `{prefix: 10.0.0.0/8, orLonger: true}`, or `{prefix: 10.0.0.0/8, ge: 16, le: 24}`.
        prefixes: Vec<PrefixEntry>,
        communities: Members,
        large_communities: Members,
        ext_communities: Members,
        /// Regular expressions on the path as text, with `_` for any border.
        as_path: List<String>,
        as_path_length: NumberRange,
        /// Addresses or prefixes of the peers that the route comes from.
        neighbors: List<String>,
        /// `local`, `ebgp`, `ibgp`, `client`.
        source: List<SourceText>,
        tags: Members,
        /// Addresses or prefixes.
        next_hops: List<String>,
        origin: List<OriginText>,
        med: NumberRange,
        local_pref: NumberRange,
        /// Must not hold as a whole.
        not: Box<Match>,
    }
}

section! {
    /// What a rule changes.
    pub struct Set {
        local_pref: u32,
        /// `50`, `none`, `{add: 10}`, `{subtract: 10}`.
        med: MedText,
        communities: CommunityEdit,
        large_communities: CommunityEdit,
        ext_communities: CommunityEdit,
        prepend: Prepend,
        next_hop: RouteNextHop,
        origin: OriginText,
        tags: TagEdit,
    }
}

section! {
    /// `replace` takes all away first; `remove` knows wildcards.
    pub struct CommunityEdit {
        add: List<String>,
        remove: List<String>,
        replace: List<String>,
    }
}

section! {
    pub struct TagEdit {
        add: List<String>,
        remove: List<String>,
    }
}

section! {
    /// In front of AS_PATH; `asn` defaults to the router's, `times` to 1.
    pub struct Prepend {
        asn: super::Asn,
        times: u8,
    }
}

/// Where a route comes from.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum SourceText {
    Local,
    Ebgp,
    Ibgp,
    Client,
}

/// `[a, b]` means any of them; `{any: [..], all: [..]}` says which.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Members {
    pub any: Option<List<String>>,
    pub all: Option<List<String>>,
}

section! {
    /// The long form of [`Members`].
    pub struct MembersMap {
        any: List<String>,
        all: List<String>,
    }
}

forms!(Members, List<String>, MembersMap);

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (&self.any, &self.all) {
            (Some(any), None) => any.serialize(serializer),
            (any, all) => MembersMap { any: any.clone(), all: all.clone() }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list, or a mapping with any and all")
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Members, E> {
                Ok(Members { any: Some(List(vec![value.to_owned()])), all: None })
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, access: A) -> Result<Members, A::Error> {
                let any = Vec::deserialize(de::value::SeqAccessDeserializer::new(access))?;
                Ok(Members { any: Some(List(any)), all: None })
            }

            fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Members, A::Error> {
                let map = MembersMap::deserialize(MapAccessDeserializer::new(access))?;
                Ok(Members { any: map.any, all: map.all })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// A prefix alone means exactly this prefix.
#[derive(Clone, Debug, PartialEq)]
pub enum PrefixEntry {
    Exact(IpNet),
    Range(PrefixMap),
}

section! {
    /// `orLonger` stands for `le: 32` (128); `ge` alone has no upper bound, `le` alone starts at the prefix's own length.
    pub struct PrefixMap {
        #[cfg_attr(test, schemars(with = "Option<String>"))]
        prefix: IpNet,
        ge: u8,
        le: u8,
        or_longer: bool,
    }
}

forms!(PrefixEntry, String, PrefixMap);

impl Serialize for PrefixEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Exact(prefix) => prefix.serialize(serializer),
            Self::Range(map) => map.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for PrefixEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = PrefixEntry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a prefix such as 10.0.0.0/8, or a mapping with prefix, ge, le, orLonger")
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<PrefixEntry, E> {
                value.parse().map(PrefixEntry::Exact).map_err(|_| E::invalid_value(de::Unexpected::Str(value), &self))
            }

            fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<PrefixEntry, A::Error> {
                PrefixMap::deserialize(MapAccessDeserializer::new(access)).map(PrefixEntry::Range)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// A number, or `{min, max}` with either end open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NumberRange {
    Exact(u32),
    Between(Option<u32>, Option<u32>),
}

section! {
    pub struct Bounds {
        min: u32,
        max: u32,
    }
}

forms!(NumberRange, u32, Bounds);

impl Serialize for NumberRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Exact(number) => number.serialize(serializer),
            Self::Between(min, max) => Bounds { min, max }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for NumberRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = NumberRange;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number in 0..=4294967295, or a mapping with min and max")
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<NumberRange, E> {
                let number = u32::try_from(value).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))?;
                Ok(NumberRange::Exact(number))
            }

            fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<NumberRange, A::Error> {
                let Bounds { min, max } = Bounds::deserialize(MapAccessDeserializer::new(access))?;
                Ok(NumberRange::Between(min, max))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// `self`, `unchanged`, or an address.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RouteNextHop {
    Mode(NextHopMode),
    Address(IpAddr),
}

super::values::text_type!(RouteNextHop, "self, unchanged or an address", |text| match text {
    "self" => Some(Self::Mode(NextHopMode::Own)),
    "unchanged" => Some(Self::Mode(NextHopMode::Unchanged)),
    _ => text.parse().ok().map(Self::Address),
});

impl fmt::Display for RouteNextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mode(NextHopMode::Unchanged) => f.write_str("unchanged"),
            Self::Mode(_) => f.write_str("self"),
            Self::Address(address) => address.fmt(f),
        }
    }
}
