//! Routes: rows of the RIB views and the detail of one prefix.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

/// One path of one view.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RibEntry {
    #[schema(value_type = String)]
    pub prefix: IpNet,
    pub best: bool,
    /// Used beside the best path (ECMP).
    #[serde(default)]
    pub multipath: bool,
    /// Address of the neighbor that it was learned from (in the view `out`: that it was sent to); absent for our own routes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub peer: Option<IpAddr>,
    /// Name of that neighbor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_name: Option<String>,
    /// Originated by ourselves.
    #[serde(default)]
    pub local: bool,
    /// Learned over iBGP.
    #[serde(default)]
    pub internal: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub next_hop: Option<IpAddr>,
    /// AS numbers from the nearest to the origin; the members of an AS_SET follow in sorted order, see `asPathText`.
    pub as_path: Vec<u32>,
    /// The path as text where it holds sets or confederation segments, for example `64500 {64501 64502}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_path_text: Option<String>,
    pub origin: Origin,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_pref: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub med: Option<u32>,
    #[serde(default)]
    pub communities: Vec<Community>,
    /// Names of those communities that have one, for example `gracefulShutdown`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub well_known_communities: Vec<String>,
    #[serde(default)]
    pub large_communities: Vec<LargeCommunity>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extended_communities: Vec<String>,
    /// ORIGINATOR_ID (RFC 4456), a dotted quad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub originator_id: Option<String>,
    #[serde(default)]
    pub cluster_list: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_id: Option<u32>,
    pub stale: bool,
    pub filtered: bool,
    /// Eligible: its next hop resolves and no check rejected it.
    #[serde(default = "yes")]
    pub valid: bool,
    /// Announced to at least one neighbor.
    #[serde(default)]
    pub advertised: bool,
    /// Reason code why it is filtered, invalid, not best or not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<f64>,
}

const fn yes() -> bool {
    true
}

impl RibEntry {
    /// The AS path as text.
    pub fn as_path_words(&self) -> String {
        self.as_path_text.clone().unwrap_or_else(|| self.as_path.iter().map(u32::to_string).collect::<Vec<_>>().join(" "))
    }
}

/// ORIGIN (RFC 4271 5.1.1).
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Origin {
    Igp,
    Egp,
    Incomplete,
}

impl Origin {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Igp => "igp",
            Self::Egp => "egp",
            Self::Incomplete => "incomplete",
        }
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "igp" | "i" => Ok(Self::Igp),
            "egp" | "e" => Ok(Self::Egp),
            "incomplete" | "?" => Ok(Self::Incomplete),
            other => Err(format!("unknown origin `{other}`; use igp, egp or incomplete")),
        }
    }
}

/// A standard community (RFC 1997), written `64500:1`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, ToSchema)]
#[schema(value_type = String, example = "64500:1")]
pub struct Community(pub u32);

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0 >> 16, self.0 & 0xffff)
    }
}

impl FromStr for Community {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = WELL_KNOWN.iter().find(|(name, _)| *name == text).map(|(_, value)| Self(*value));
        let parsed = || {
            let (asn, value) = text.split_once(':')?;
            Some(Self(u32::from(asn.parse::<u16>().ok()?) << 16 | u32::from(value.parse::<u16>().ok()?)))
        };
        named.or_else(parsed).ok_or_else(|| format!("`{text}` is no community; write it as ASN:VALUE, for example 64500:1"))
    }
}

/// Names of the IANA registry of well-known communities.
const WELL_KNOWN: [(&str, u32); 7] = [
    ("graceful-shutdown", 0xffff_0000),
    ("llgr-stale", 0xffff_0006),
    ("no-llgr", 0xffff_0007),
    ("blackhole", 0xffff_029a),
    ("no-export", 0xffff_ff01),
    ("no-advertise", 0xffff_ff02),
    ("no-export-subconfed", 0xffff_ff03),
];

impl Community {
    /// The registered name, for example `no-export`.
    pub fn well_known_name(self) -> Option<&'static str> {
        WELL_KNOWN.iter().find(|(_, value)| *value == self.0).map(|(name, _)| *name)
    }
}

/// A large community (RFC 8092), written `64500:1:2`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, ToSchema)]
#[schema(value_type = String, example = "64500:1:2")]
pub struct LargeCommunity(pub u32, pub u32, pub u32);

impl fmt::Display for LargeCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.0, self.1, self.2)
    }
}

impl FromStr for LargeCommunity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Option<Vec<u32>> = text.split(':').map(|part| part.parse().ok()).collect();
        match parts.as_deref() {
            Some([global, first, second]) => Ok(Self(*global, *first, *second)),
            _ => Err(format!("`{text}` is no large community; write it as ASN:A:B, for example 64500:1:2")),
        }
    }
}

macro_rules! serde_as_text {
    ($($name:ty),*) => { $(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )* };
}

serde_as_text!(Community, LargeCommunity);

/// How many rows a query selects, without listing them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RibCount {
    pub prefixes: u64,
    pub paths: u64,
}

/// Everything about one prefix.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteDetail {
    #[schema(value_type = String)]
    pub prefix: IpNet,
    /// The best path first, then the others in the order in which they lose.
    pub paths: Vec<PathDetail>,
    /// State in the kernel; absent when we install nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fib: Option<super::FibEntry>,
    pub sent_to: Vec<SentTo>,
}

/// One path and why it is used or not.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PathDetail {
    #[serde(flatten)]
    pub entry: RibEntry,
    /// The deciding step in words, for example `higher LOCAL_PREF (200 > 100)` or `next hop 10.0.0.9 does not resolve`.
    pub decision: String,
    /// IGP cost of the next hop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_hop_cost: Option<u32>,
}

/// One neighbor and what it was told about the prefix.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SentTo {
    #[schema(value_type = String)]
    pub peer: IpAddr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub advertised: bool,
    /// Reason code; `advertised` when it was sent.
    pub reason: String,
}
