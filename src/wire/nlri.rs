//! Network layer reachability information (RFC 4271 4.3, RFC 4760 5, RFC 7911 3).

use super::Family;
use bytes::{BufMut, BytesMut};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u32};
use std::net::{Ipv4Addr, Ipv6Addr};

/// One prefix of an UPDATE, host bits cleared. `path_id` is 0 where add-path is not negotiated (RFC 7911).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Nlri {
    pub prefix: IpNet,
    pub path_id: u32,
}

impl From<IpNet> for Nlri {
    fn from(prefix: IpNet) -> Self {
        Self { prefix: prefix.trunc(), path_id: 0 }
    }
}

/// Why a field of NLRI cannot be parsed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NlriFault {
    /// A prefix longer than the family allows.
    PrefixLength,
    /// The last prefix goes beyond the end of the field.
    Overrun,
}

/// Takes a whole field of NLRI. Host bits are cleared, since they have no meaning (RFC 4271 4.3).
pub(super) fn decode_field(mut input: &[u8], family: Family, add_path: bool) -> Result<Vec<Nlri>, NlriFault> {
    let typical = if family == Family::Ipv4Unicast { 4 } else { 7 } + if add_path { 4 } else { 0 };
    let mut all = Vec::with_capacity(input.len().div_ceil(typical));
    while !input.is_empty() {
        let (rest, nlri) = decode_one(input, family, add_path)?;
        all.push(nlri);
        input = rest;
    }
    Ok(all)
}

fn decode_one(input: &[u8], family: Family, add_path: bool) -> Result<(&[u8], Nlri), NlriFault> {
    let (input, path_id) = if add_path { be_u32(input).map_err(overrun)? } else { (input, 0) };
    let (input, bits) = be_u8(input).map_err(overrun)?;
    if bits > family.max_prefix_len() {
        return Err(NlriFault::PrefixLength);
    }
    let (rest, octets) = take(usize::from(bits.div_ceil(8)))(input).map_err(overrun)?;
    let prefix = match family {
        Family::Ipv4Unicast => {
            let address = u32::from_be_bytes(padded(octets)) & u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::from_bits(address), bits))
        }
        Family::Ipv6Unicast => {
            let address = u128::from_be_bytes(padded(octets)) & u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from_bits(address), bits))
        }
    };
    Ok((rest, Nlri { prefix, path_id }))
}

fn overrun(_: nom::Err<nom::error::Error<&[u8]>>) -> NlriFault {
    NlriFault::Overrun
}

/// `octets` at the front of `N` octets, which are enough for a prefix length that has been checked.
fn padded<const N: usize>(octets: &[u8]) -> [u8; N] {
    let mut all = [0; N];
    all.iter_mut().zip(octets).for_each(|(place, octet)| *place = *octet);
    all
}

/// Appends one prefix, with its path id where `add_path` says so.
pub fn encode_nlri(nlri: &Nlri, add_path: bool, out: &mut BytesMut) {
    if add_path {
        out.put_u32(nlri.path_id);
    }
    let bits = nlri.prefix.prefix_len();
    out.put_u8(bits);
    let len = usize::from(bits.div_ceil(8));
    match nlri.prefix {
        IpNet::V4(net) => out.put_slice(net.network().octets().get(..len).unwrap_or_default()),
        IpNet::V6(net) => out.put_slice(net.network().octets().get(..len).unwrap_or_default()),
    }
}

/// Octets that [`encode_nlri`] appends.
pub fn nlri_len(nlri: &Nlri, add_path: bool) -> usize {
    1 + usize::from(nlri.prefix.prefix_len().div_ceil(8)) + if add_path { 4 } else { 0 }
}
