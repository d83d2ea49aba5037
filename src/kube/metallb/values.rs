//! Scalars of MetalLB's objects: Go durations, communities.

use crate::wire::attr::community::{Community, LargeCommunity};
use std::time::Duration;

/// A duration as Go writes it: `90s`, `1m30s`, `500ms`, `1.5h`, `0`. `None` where it is none, or negative.
pub fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut total = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        total += number * NANOSECONDS.iter().find(|(name, _)| *name == &rest[..unit])?.1;
        rest = &rest[unit..];
    }
    (total < MOST_NANOSECONDS).then(|| Duration::from_nanos(total as u64))
}

const NANOSECONDS: [(&str, f64); 8] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("μs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];
/// Where Go's durations end.
const MOST_NANOSECONDS: f64 = 9.2e18;

/// A community of either length.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum AnyCommunity {
    Standard(Community),
    Large(LargeCommunity),
}

impl AnyCommunity {
    /// Reads `a:b` and `large:a:b:c`; the error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split(':').collect();
        match fields.as_slice() {
            [_, _] => text.parse().map(Self::Standard).map_err(|_| format!("`{text}` has a part that is not in 0..=65535")),
            ["large", rest @ ..] if rest.len() == 3 => {
                let value = rest.join(":").parse().map(Self::Large);
                value.map_err(|_| format!("`{text}` has a part that is not in 0..=4294967295"))
            }
            [_, _, _, _] => Err(format!("`{text}` has four parts, so the first must be `large`")),
            _ => Err(format!("`{text}` is not a community")),
        }
    }

    /// Reads the registered name of a well-known community, such as `no-export`.
    pub fn well_known(name: &str) -> Option<Self> {
        let is_name = !name.starts_with(|c: char| c.is_ascii_digit()) && !name.contains(':');
        name.parse().ok().filter(|_| is_name).map(Self::Standard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, ms) in
            [("90s", 90_000), ("1m30s", 90_000), ("500ms", 500), ("1.5h", 5_400_000), ("0", 0), ("0s", 0), ("1h0m0s", 3_600_000)]
        {
            assert_eq!(duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "90", "s", "-1s", "1x", "1s2", ".", "..s", "99999999999h"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn communities_have_two_parts_or_four_with_the_word_large() {
        assert_eq!(AnyCommunity::parse("64500:1"), Ok(AnyCommunity::Standard(Community(64500 << 16 | 1))));
        assert_eq!(AnyCommunity::parse("large:4200000000:1:2"), Ok(AnyCommunity::Large(LargeCommunity([4_200_000_000, 1, 2]))));
        for text in ["", "1", "1:2:3", "65536:1", "1:x", "small:1:2:3", "large:1:2", "large:1:2:4294967296", "no-export"] {
            assert!(AnyCommunity::parse(text).is_err(), "{text}");
        }
        assert_eq!(AnyCommunity::well_known("no-export"), Some(AnyCommunity::Standard(Community::NO_EXPORT)));
        assert_eq!(AnyCommunity::well_known("64500"), None);
        assert_eq!(AnyCommunity::well_known("vpn-only"), None);
    }
}
