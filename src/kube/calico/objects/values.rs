//! Values that Calico writes in more than one way.

use serde::de::{self, Deserializer, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::time::Duration;

/// An AS number: a number, or text such as `64512` or `1.10` (RFC 5396 asdot+). 0 stands for "none".
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct AsNumber(pub u32);

impl FromStr for AsNumber {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let number = |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse::<u32>().ok()).flatten().ok_or(());
        match text.split_once('.') {
            None => number(text).map(Self),
            Some((high, low)) => match (number(high)?, number(low)?) {
                (high @ ..=0xffff, low @ ..=0xffff) => Ok(Self(high << 16 | low)),
                _ => Err(()),
            },
        }
    }
}

impl<'de> Deserialize<'de> for AsNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = AsNumber;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an AS number such as 64512 or 1.10")
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<AsNumber, E> {
                u32::try_from(value).map(AsNumber).map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<AsNumber, E> {
                u32::try_from(value).map(AsNumber).map_err(|_| E::invalid_value(Unexpected::Signed(value), &self))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<AsNumber, E> {
                value.parse().map_err(|()| E::invalid_value(Unexpected::Str(value), &self))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Serialize for AsNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

/// A length of time as Kubernetes writes it: `90s`, `1h30m`, `1.5s`, `300ms`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wait(pub Duration);

impl FromStr for Wait {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let (mut rest, mut total) = (text, 0.0);
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(())?;
            let (number, after) = rest.split_at(digits);
            let unit_len = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
            let (unit, next) = after.split_at(unit_len);
            let seconds = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, seconds)| *seconds).ok_or(())?;
            total += number.parse::<f64>().map_err(|_| ())? * seconds;
            rest = next;
        }
        if text.is_empty() { Err(()) } else { Duration::try_from_secs_f64(total).map(Self).map_err(|_| ()) }
    }
}

impl<'de> Deserialize<'de> for Wait {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|()| de::Error::invalid_value(Unexpected::Str(&text), &"a duration such as 90s or 1h30m"))
    }
}

/// Units of Go's durations, in seconds.
const UNITS: [(&str, f64); 7] = [("h", 3600.0), ("m", 60.0), ("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("µs", 1e-6), ("ns", 1e-9)];

/// Address of a peer: `10.0.0.1`, `10.0.0.1:1790`, `fd00::1`, `[fd00::1]:1790`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct PeerAddress {
    pub ip: IpAddr,
    pub port: Option<u16>,
}

impl FromStr for PeerAddress {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if let Ok(ip) = text.parse() {
            return Ok(Self { ip, port: None });
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once("]:").ok_or(())?;
                (IpAddr::V6(host.parse::<Ipv6Addr>().map_err(|_| ())?), port)
            }
            None => {
                let (host, port) = text.split_once(':').ok_or(())?;
                (IpAddr::V4(host.parse().map_err(|_| ())?), port)
            }
        };
        let port = port.parse().ok().filter(|port| *port > 0).ok_or(())?;
        Ok(Self { ip: host, port: Some(port) })
    }
}

/// Whether a session can be held with this address: link-local ones would need an interface, which Calico does not name.
pub fn is_host(ip: IpAddr) -> bool {
    let link_local = matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    !(ip.is_unspecified() || ip.is_multicast() || link_local || broadcast)
}
