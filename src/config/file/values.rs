//! The scalar values of the file.

use serde::de::{self, Deserializer, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// A type that is written as text: how it is read (`None` is an error) and what to say that was expected. It prints with Display.
macro_rules! text_type {
    ($type:ident, $expected:expr, |$text:ident| $read:expr) => {
        impl $type {
            fn read($text: &str) -> Option<Self> {
                $read
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl serde::de::Visitor<'_> for Text {
                    type Value = $type;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expected)
                    }

                    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<$type, E> {
                        $type::read(value).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(value), &self))
                    }
                }
                deserializer.deserialize_any(Text)
            }
        }

        #[cfg(test)]
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "description": $expected })
            }
        }
    };
}
pub(super) use text_type;

/// For the schema: a value that is written in one of several forms.
macro_rules! forms {
    ($type:ty, $($form:ty),*) => {
        #[cfg(test)]
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let forms = vec![$(generator.subschema_for::<$form>()),*];
                schemars::json_schema!({ "anyOf": forms })
            }
        }
    };
}
pub(super) use forms;

/// A number or a word: reads numbers in 0..=4294967295 with one function and words with another.
macro_rules! number_or_word {
    ($type:ident, $expected:expr, |$number:ident| $from_number:expr, |$word:ident| $from_word:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Either;
                impl Visitor<'_> for Either {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }

                    fn visit_u64<E: de::Error>(self, value: u64) -> Result<$type, E> {
                        let read = u32::try_from(value).ok().and_then(|$number| $from_number);
                        read.ok_or_else(|| E::invalid_value(Unexpected::Unsigned(value), &self))
                    }

                    fn visit_str<E: de::Error>(self, $word: &str) -> Result<$type, E> {
                        let read: Option<$type> = $from_word;
                        read.ok_or_else(|| E::invalid_value(Unexpected::Str($word), &self))
                    }
                }
                deserializer.deserialize_any(Either)
            }
        }

        #[cfg(test)]
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": ["integer", "string"], "description": $expected })
            }
        }
    };
}

/// Words of the file, printed as they are read.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        pub enum $name { $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)* }
    )*};
}

words! {
    FamilyName { Ipv4Unicast = "ipv4-unicast", Ipv6Unicast = "ipv6-unicast", }
    AdminState { Up = "up", Down = "down", }
    NextHopMode { Auto = "auto", Own = "self", Unchanged = "unchanged", }
    GracefulRestartMode { Full = "full", Helper = "helper", Off = "off", }
    /// What happens when a peer has more prefixes than it may.
    LimitAction { Warn = "warn", Drop = "drop", Shutdown = "shutdown", Restart = "restart", }
    /// RFC 9234: what *we* are to the peer.
    RoleName {
        Provider = "provider", Customer = "customer", Peer = "peer",
        RouteServer = "routeServer", RouteServerClient = "routeServerClient",
    }
    RuleAction { Accept = "accept", Reject = "reject", Next = "next", }
    OriginText { Igp = "igp", Egp = "egp", Incomplete = "incomplete", }
    Install { None = "none", Best = "best", Ecmp = "ecmp", }
    /// What happens to kernel routes when the daemon stops; `auto` keeps them where graceful restart is `full` for some neighbor, and
    /// hands them over where there is somebody to hand them over to.
    OnStop { Auto = "auto", Keep = "keep", HandOver = "handOver", Remove = "remove", }
    /// What a drain does to a prefix of our own; `keep` is for those that no other node announces.
    OnDrain { Withdraw = "withdraw", Keep = "keep", }
    /// How it is found out whether a VIP's service works.
    CheckType { Tcp = "tcp", Http = "http", Https = "https", Exec = "exec", }
    Ipip { Never = "never", Always = "always", CrossSubnet = "crossSubnet", }
    Compat { Metallb = "metallb", Frrk8s = "frrk8s", None = "none", }
    PeerLabel { Ip = "ip", IpPort = "ip-port", }
    /// Who may open the looking glass: nobody, whoever is on this host, or everybody who reaches `metrics.listen`.
    GlassAccess { Off = "off", Local = "local", All = "all", }
    /// What we do for a cluster.
    KubernetesRole {
        /// Announces the addresses of Services from this node.
        Vip = "vip",
        /// Assigns addresses to Services.
        Allocator = "allocator",
        /// Reflects routes between nodes.
        Reflector = "reflector",
        /// Announces the node's own blocks and Services, and installs learned routes.
        Node = "node",
    }
    LogFormat { Auto = "auto", Text = "text", Json = "json", }
}

/// A list, where one entry may stand alone.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct List<T>(pub Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMany<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<List<T>, E> {
                T::deserialize(de::value::StrDeserializer::new(value)).map(|one| List(vec![one]))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, access: A) -> Result<List<T>, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(access)).map(List)
            }
        }
        deserializer.deserialize_any(OneOrMany(std::marker::PhantomData))
    }
}

#[cfg(test)]
impl<T: schemars::JsonSchema> schemars::JsonSchema for List<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("List_of_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let one = generator.subschema_for::<T>();
        schemars::json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

/// An AS number, or which side of our own AS the peer is on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asn {
    Number(crate::wire::Asn),
    Internal,
    External,
}

number_or_word!(
    Asn,
    "an AS number in 1..=4294967295, internal or external",
    |number| crate::wire::Asn::new(number).map(Asn::Number),
    |word| match word {
        "internal" => Some(Asn::Internal),
        "external" => Some(Asn::External),
        _ => None,
    }
);

impl Serialize for Asn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(asn) => serializer.serialize_u32(asn.get()),
            Self::Internal => serializer.serialize_str("internal"),
            Self::External => serializer.serialize_str("external"),
        }
    }
}

/// How many paths a peer is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AddPathSend {
    Best(u32),
    All,
}

number_or_word!(AddPathSend, "a number or all", |number| Some(AddPathSend::Best(number)), |word| (word == "all")
    .then_some(AddPathSend::All));

impl Serialize for AddPathSend {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Best(n) => serializer.serialize_u32(*n),
            Self::All => serializer.serialize_str("all"),
        }
    }
}

/// A kernel routing table: its number; `main` is 254, `default` 253, `local` 255.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FibTable(pub u32);

number_or_word!(FibTable, "main, default, or a number in 1..=4294967295", |number| (number > 0).then_some(FibTable(number)), |word| {
    TABLES.iter().find(|(name, _)| *name == word).map(|(_, number)| FibTable(*number))
});

impl Serialize for FibTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match TABLES.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => serializer.serialize_str(name),
            None => serializer.serialize_u32(self.0),
        }
    }
}

/// Names of `ip route`, /etc/iproute2/rt_tables.
const TABLES: [(&str, u32); 2] = [("main", 254), ("default", 253)];

/// What MED becomes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MedText {
    To(u32),
    Add(u32),
    Subtract(u32),
    Remove,
}

forms!(MedText, u32, String, MedSum);

/// Sums are mappings, since YAML reads `+10` as the number 10.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct MedSum {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    add: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subtract: Option<u32>,
}

impl Serialize for MedText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::To(value) => serializer.serialize_u32(value),
            Self::Add(value) => MedSum { add: Some(value), subtract: None }.serialize(serializer),
            Self::Subtract(value) => MedSum { add: None, subtract: Some(value) }.serialize(serializer),
            Self::Remove => serializer.serialize_str("none"),
        }
    }
}

impl<'de> Deserialize<'de> for MedText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = MedText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, none, {add: N} or {subtract: N}")
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<MedText, E> {
                u32::try_from(value).map(MedText::To).map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<MedText, E> {
                if value == "none" { Ok(MedText::Remove) } else { Err(E::invalid_value(Unexpected::Str(value), &self)) }
            }

            fn visit_map<A: de::MapAccess<'de>>(self, access: A) -> Result<MedText, A::Error> {
                match MedSum::deserialize(de::value::MapAccessDeserializer::new(access))? {
                    MedSum { add: Some(value), subtract: None } => Ok(MedText::Add(value)),
                    MedSum { add: None, subtract: Some(value) } => Ok(MedText::Subtract(value)),
                    _ => Err(de::Error::invalid_value(Unexpected::Map, &self)),
                }
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// A length of time: `90s`, `300ms`, `2m`, `1h`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Period(pub Duration);

text_type!(Period, "a duration such as 90s, 300ms, 2m or 1h", |text| {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let seconds = |factor: u64| number.checked_mul(factor).map(|s| Self(Duration::from_secs(s)));
    match &text[digits..] {
        "ms" => Some(Self(Duration::from_millis(number))),
        "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3600),
        _ => None,
    }
});

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.0.as_secs(), self.0.subsec_millis());
        match seconds {
            _ if millis > 0 => write!(f, "{}ms", self.0.as_millis()),
            s if s > 0 && s % 3600 == 0 => write!(f, "{}h", s / 3600),
            // Two minutes and more; 60 s and 90 s are commonly said so.
            s if s >= 120 && s % 60 == 0 => write!(f, "{}m", s / 60),
            s => write!(f, "{s}s"),
        }
    }
}

/// The router id, or `auto`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RouterIdText {
    Auto,
    Id(Ipv4Addr),
}

text_type!(RouterIdText, "an IPv4 address or auto", |text| match text {
    "auto" => Some(Self::Auto),
    _ => text.parse().ok().map(Self::Id),
});

impl fmt::Display for RouterIdText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Id(id) => id.fmt(f),
        }
    }
}

/// The next hop of a prefix of our own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NextHopText {
    Own,
    Address(IpAddr),
}

text_type!(NextHopText, "self or an address", |text| match text {
    "self" => Some(Self::Own),
    _ => text.parse().ok().map(Self::Address),
});

impl fmt::Display for NextHopText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("self"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// Where metrics are served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MetricsListen {
    Off,
    At(SocketAddr),
}

text_type!(MetricsListen, "an address with port such as 127.0.0.1:7179, or off", |text| match text {
    "off" => Some(Self::Off),
    _ => text.parse().ok().map(Self::At),
});

impl fmt::Display for MetricsListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(address) => address.fmt(f),
        }
    }
}
