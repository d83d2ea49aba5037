//! Ranges of addresses: reading them, counting them, and finding what is free.

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which IP version; the order is the one in which dual-stack addresses are listed.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    pub fn of(address: &IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// As Services write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    fn address(self, bits: u128) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::from_bits(bits as u32).into(),
            Self::V6 => Ipv6Addr::from_bits(bits).into(),
        }
    }
}

fn bits(address: &IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => u128::from(a.to_bits()),
        IpAddr::V6(a) => a.to_bits(),
    }
}

/// The next address, if there is one.
pub fn next(address: &IpAddr) -> Option<IpAddr> {
    let family = Family::of(address);
    let limit = if family == Family::V4 { u128::from(u32::MAX) } else { u128::MAX };
    (bits(address) < limit).then(|| family.address(bits(address) + 1))
}

/// Some old devices drop IPv4 packets to addresses that end in .0 or .255.
pub fn is_buggy(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V4(a) if matches!(a.octets(), [.., 0 | 255]))
}

/// Consecutive addresses of one family, ends included.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Block {
    pub first: IpAddr,
    pub last: IpAddr,
}

impl Block {
    /// Reads a CIDR, host bits masked off, or `first-last`; the error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some((first, last)) = text.split_once('-') {
            let read = |part: &str| part.trim().parse::<IpAddr>().map_err(|_| format!("`{}` is not an address", part.trim()));
            let (first, last) = (read(first)?, read(last)?);
            return match Family::of(&first) == Family::of(&last) {
                false => Err(format!("`{text}` starts and ends in different IP versions")),
                true if first > last => Err(format!("`{text}` ends before it starts")),
                true => Ok(Self { first, last }),
            };
        }
        match text.trim().parse::<IpNet>() {
            Ok(net) => Ok(Self { first: net.network(), last: net.broadcast() }),
            Err(_) => Err(format!("`{text}` is neither a prefix nor a range of addresses")),
        }
    }

    pub fn family(&self) -> Family {
        Family::of(&self.first)
    }

    pub fn contains(&self, address: &IpAddr) -> bool {
        Family::of(address) == self.family() && self.first <= *address && *address <= self.last
    }

    pub fn overlaps(&self, other: &Self) -> bool {
        self.family() == other.family() && self.first <= other.last && other.first <= self.last
    }

    /// The fewest prefixes that cover exactly these addresses, in ascending order.
    pub fn prefixes(&self) -> Vec<IpNet> {
        match (self.first, self.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => Ipv4Subnets::new(first, last, 0).map(IpNet::V4).collect(),
            (IpAddr::V6(first), IpAddr::V6(last)) => Ipv6Subnets::new(first, last, 0).map(IpNet::V6).collect(),
            _ => Vec::new(),
        }
    }

    /// How many addresses, at most `u128::MAX`; those that [`is_buggy`] left out where asked for.
    pub fn count(&self, without_buggy: bool) -> u128 {
        let (first, last) = (bits(&self.first), bits(&self.last));
        let all = (last - first).saturating_add(1);
        if !without_buggy || self.family() == Family::V6 {
            return all;
        }
        let up_to = |end: u128, octet: u128| (end + 256 - octet) / 256;
        let buggy = |octet| up_to(last, octet) - if first == 0 { 0 } else { up_to(first - 1, octet) };
        all - buggy(0) - buggy(255)
    }
}

/// A set of addresses of any family, kept as merged intervals.
#[derive(Clone, Debug, Default)]
pub struct AddressSet {
    /// First address to last address.
    intervals: BTreeMap<IpAddr, IpAddr>,
}

impl AddressSet {
    /// The interval that holds `address`.
    fn around(&self, address: &IpAddr) -> Option<(IpAddr, IpAddr)> {
        let (first, last) = self.intervals.range(..=*address).next_back()?;
        (Family::of(first) == Family::of(address) && address <= last).then_some((*first, *last))
    }

    pub fn contains(&self, address: &IpAddr) -> bool {
        self.around(address).is_some()
    }

    pub fn insert(&mut self, address: IpAddr) {
        if self.contains(&address) {
            return;
        }
        let (mut first, mut last) = (address, address);
        if let Some((&before, &end)) = self.intervals.range(..address).next_back()
            && next(&end) == Some(address)
        {
            first = before;
        }
        if let Some(after) = next(&address)
            && let Some(end) = self.intervals.remove(&after)
        {
            last = end;
        }
        self.intervals.insert(first, last);
    }

    pub fn remove(&mut self, address: IpAddr) {
        let Some((first, last)) = self.around(&address) else { return };
        self.intervals.remove(&first);
        if first < address {
            let before = Family::of(&address).address(bits(&address) - 1);
            self.intervals.insert(first, before);
        }
        if let Some(after) = next(&address).filter(|after| *after <= last && address < last) {
            self.intervals.insert(after, last);
        }
    }

    /// The first address from `from` on, that is in `block` and not in the set.
    pub fn first_absent(&self, block: &Block, from: IpAddr) -> Option<IpAddr> {
        let start = from.max(block.first);
        let candidate = match self.around(&start) {
            // Intervals are merged: what follows one is absent.
            Some((_, last)) => next(&last)?,
            None => start,
        };
        block.contains(&candidate).then_some(candidate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn blocks_are_prefixes_or_ranges() {
        let texts = |text: &str| Block::parse(text).unwrap().prefixes().iter().map(IpNet::to_string).collect::<Vec<_>>().join(" ");
        assert_eq!(texts("10.1.2.3/24"), "10.1.2.0/24");
        assert_eq!(texts("3.3.3.1 - 3.3.3.1"), "3.3.3.1/32");
        assert_eq!(
            texts("3.3.3.2-3.3.3.254"),
            "3.3.3.2/31 3.3.3.4/30 3.3.3.8/29 3.3.3.16/28 3.3.3.32/27 3.3.3.64/26 3.3.3.128/26 3.3.3.192/27 3.3.3.224/28 \
             3.3.3.240/29 3.3.3.248/30 3.3.3.252/31 3.3.3.254/32"
        );
        assert_eq!(texts("2001:db8::-2001:db8::f"), "2001:db8::/124");
        for text in ["10.0.0.1", "10.0.0.0/33", "a-b", "10.0.0.2-10.0.0.1", "10.0.0.1-2001:db8::1", "10.0.0.1-", ""] {
            assert!(Block::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn counts_leave_out_what_is_buggy() {
        for (text, all, usable) in [
            ("10.0.0.0/24", 256, 254),
            ("10.0.0.0/23", 512, 508),
            ("10.0.0.255-10.0.1.0", 2, 0),
            ("10.0.0.1-10.0.0.254", 254, 254),
            ("0.0.0.0/32", 1, 0),
            ("255.255.255.255/32", 1, 0),
            ("2001:db8::/120", 256, 256),
        ] {
            let block = Block::parse(text).unwrap();
            assert_eq!((block.count(false), block.count(true)), (all, usable), "{text}");
        }
        assert_eq!(Block::parse("::/0").unwrap().count(true), u128::MAX);
    }

    #[test]
    fn a_set_finds_the_first_absent_address_after_any_history() {
        let block = Block::parse("10.0.0.250-10.0.1.5").unwrap();
        let all: Vec<IpAddr> = std::iter::successors(Some(block.first), next).take_while(|a| *a <= block.last).collect();
        let mut chance = 12345u64;
        for _ in 0..200 {
            let (mut set, mut model) = (AddressSet::default(), BTreeSet::new());
            for _ in 0..60 {
                chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let address = all[(chance >> 33) as usize % all.len()];
                if chance >> 63 == 0 {
                    set.insert(address);
                    model.insert(address);
                } else {
                    set.remove(address);
                    model.remove(&address);
                }
                assert_eq!(set.first_absent(&block, block.first), all.iter().find(|a| !model.contains(*a)).copied());
                assert!(all.iter().all(|a| set.contains(a) == model.contains(a)));
            }
        }
    }

    #[test]
    fn the_ends_of_the_address_space_are_no_trouble() {
        let (mut set, last) = (AddressSet::default(), Block::parse("255.255.255.255/32").unwrap());
        set.insert(last.first);
        assert_eq!(set.first_absent(&last, last.first), None);
        set.remove(last.first);
        assert_eq!(set.first_absent(&last, last.first), Some(last.first));
    }
}
