//! MP_REACH_NLRI and MP_UNREACH_NLRI (RFC 4760, RFC 2545, RFC 8950).

use super::UpdateContext;
use crate::wire::attr::{self, NextHop, code, flag};
use crate::wire::nlri::{self, Nlri, NlriFault};
use crate::wire::notification::Notification;
use crate::wire::{AfiSafi, Family};
use bytes::{BufMut, BytesMut};
use nom::multi::length_data;
use nom::number::complete::{be_u8, be_u16};
use nom::{IResult, Parser};
use std::net::{Ipv4Addr, Ipv6Addr};

#[derive(Debug)]
pub(super) struct MpReach {
    /// `None`: a family that is not negotiated; its NLRI are not looked at.
    pub family: Option<Family>,
    pub next_hop: NextHop,
    /// The next hop can be somebody's address.
    pub usable: bool,
    pub nlri: Vec<Nlri>,
    /// There are octets of NLRI, understood or not.
    pub reachable: bool,
}

#[derive(Debug)]
pub(super) struct MpUnreach {
    /// `None`: a family that is not negotiated; its NLRI are not looked at.
    pub family: Option<Family>,
    pub nlri: Vec<Nlri>,
}

/// `raw` is the whole attribute, for the NOTIFICATION.
///
/// # Errors
/// 3/9 for lengths that are impossible, 3/1 for a next hop length that the family does not have, 3/10 for a prefix that is too
/// long: which routes are meant cannot be known, so only a session reset is safe (RFC 7606 5.3, 7.11).
pub(super) fn decode_reach(value: &[u8], raw: &[u8], ctx: &UpdateContext) -> Result<MpReach, Notification> {
    let (field, (pair, next_hop, _reserved)) = reach_fields(value).map_err(|_| Notification::optional_attribute(raw))?;
    let Some(family) = negotiated(pair, ctx) else {
        let next_hop = NextHop::V4(Ipv4Addr::UNSPECIFIED);
        return Ok(MpReach { family: None, next_hop, usable: false, nlri: Vec::new(), reachable: !field.is_empty() });
    };
    let next_hop = decode_next_hop(next_hop, family, ctx).ok_or_else(Notification::malformed_attributes)?;
    let nlri = decode_nlri(field, raw, family, ctx)?;
    Ok(MpReach { family: Some(family), next_hop, usable: is_usable(&next_hop), reachable: !field.is_empty(), nlri })
}

/// # Errors
/// As [`decode_reach`].
pub(super) fn decode_unreach(value: &[u8], raw: &[u8], ctx: &UpdateContext) -> Result<MpUnreach, Notification> {
    let (field, pair) = afi_safi(value).map_err(|_| Notification::optional_attribute(raw))?;
    let Some(family) = negotiated(pair, ctx) else {
        return Ok(MpUnreach { family: None, nlri: Vec::new() });
    };
    Ok(MpUnreach { family: Some(family), nlri: decode_nlri(field, raw, family, ctx)? })
}

/// 0/8, 127/8 and 224/3 are nobody's address (RFC 4271 6.3, RFC 1122 3.2.1.3).
pub(super) const fn is_usable_v4(address: Ipv4Addr) -> bool {
    !matches!(address.octets(), [0 | 127 | 224..=255, ..])
}

fn is_usable(next_hop: &NextHop) -> bool {
    let usable_v6 = |a: &Ipv6Addr| !a.is_loopback() && !a.is_multicast() && a.to_ipv4_mapped().is_none();
    match next_hop {
        NextHop::V4(a) => is_usable_v4(*a),
        NextHop::V6(a) => usable_v6(a) && !a.is_unspecified(),
        NextHop::V6WithLinkLocal(a, _) => usable_v6(a),
    }
}

/// `None` when the family cannot have a next hop of this length. A second address that is not link-local is ignored.
fn decode_next_hop(octets: &[u8], family: Family, ctx: &UpdateContext) -> Option<NextHop> {
    if let Ok(v4) = <[u8; 4]>::try_from(octets) {
        return (family == Family::Ipv4Unicast).then(|| NextHop::V4(v4.into()));
    }
    if family == Family::Ipv4Unicast && !ctx.extended_next_hop.contains(family) {
        return None;
    }
    match octets.as_chunks::<16>() {
        ([global], []) => Some(NextHop::V6(Ipv6Addr::from(*global))),
        ([global, second], []) => {
            let (global, second) = (Ipv6Addr::from(*global), Ipv6Addr::from(*second));
            Some(if second.is_unicast_link_local() { NextHop::V6WithLinkLocal(global, second) } else { NextHop::V6(global) })
        }
        _ => None,
    }
}

fn decode_nlri(field: &[u8], raw: &[u8], family: Family, ctx: &UpdateContext) -> Result<Vec<Nlri>, Notification> {
    nlri::decode_field(field, family, ctx.add_path_rx.contains(family)).map_err(|fault| match fault {
        NlriFault::PrefixLength => Notification::invalid_network(),
        NlriFault::Overrun => Notification::optional_attribute(raw),
    })
}

fn negotiated(pair: AfiSafi, ctx: &UpdateContext) -> Option<Family> {
    Family::from_afi_safi(pair).filter(|f| ctx.families.contains(*f))
}

fn reach_fields(input: &[u8]) -> IResult<&[u8], (AfiSafi, &[u8], u8)> {
    (afi_safi, length_data(be_u8), be_u8).parse(input)
}

fn afi_safi(input: &[u8]) -> IResult<&[u8], AfiSafi> {
    let (input, (afi, safi)) = (be_u16, be_u8).parse(input)?;
    Ok((input, AfiSafi { afi, safi }))
}

/// Appends the header of MP_REACH_NLRI up to the NLRI, of which `nlri_len` octets follow. The next hop must be one that the
/// family can have: IPv4 only for IPv4 NLRI.
pub fn put_mp_reach_header(family: Family, next_hop: &NextHop, nlri_len: usize, out: &mut BytesMut) {
    let next_hop_len = next_hop_len(next_hop);
    attr::put_header(flag::OPTIONAL, code::MP_REACH, REACH_FIXED + next_hop_len + nlri_len, out);
    put_family(family, out);
    out.put_u8(next_hop_len as u8);
    match next_hop {
        NextHop::V4(a) => out.put_slice(&a.octets()),
        NextHop::V6(a) => out.put_slice(&a.octets()),
        NextHop::V6WithLinkLocal(global, local) => {
            out.put_slice(&global.octets());
            out.put_slice(&local.octets());
        }
    }
    out.put_u8(0);
}

/// Octets of MP_REACH_NLRI, header included, without its NLRI of `nlri_len` octets.
pub const fn mp_reach_header_len(next_hop: &NextHop, nlri_len: usize) -> usize {
    let fixed = REACH_FIXED + next_hop_len(next_hop);
    attr::header_len(fixed + nlri_len) + fixed
}

/// Appends the header of MP_UNREACH_NLRI up to the NLRI, of which `nlri_len` octets follow.
pub fn put_mp_unreach_header(family: Family, nlri_len: usize, out: &mut BytesMut) {
    attr::put_header(flag::OPTIONAL, code::MP_UNREACH, UNREACH_FIXED + nlri_len, out);
    put_family(family, out);
}

/// Octets of MP_UNREACH_NLRI, header included, without its NLRI of `nlri_len` octets.
pub const fn mp_unreach_header_len(nlri_len: usize) -> usize {
    attr::header_len(UNREACH_FIXED + nlri_len) + UNREACH_FIXED
}

fn put_family(family: Family, out: &mut BytesMut) {
    let AfiSafi { afi, safi } = family.afi_safi();
    out.put_u16(afi);
    out.put_u8(safi);
}

const fn next_hop_len(next_hop: &NextHop) -> usize {
    match next_hop {
        NextHop::V4(_) => 4,
        NextHop::V6(_) => 16,
        NextHop::V6WithLinkLocal(..) => 32,
    }
}

/// AFI, SAFI, length of the next hop, reserved octet.
const REACH_FIXED: usize = 5;
/// AFI, SAFI.
const UNREACH_FIXED: usize = 3;
