//! UPDATE (RFC 4271 4.3): decoding with the verdicts of RFC 7606 applied, and the pieces from which export packs messages.

mod mp;
mod scan;

pub use super::nlri::{encode_nlri, nlri_len};
pub use mp::{mp_reach_header_len, mp_unreach_header_len, put_mp_reach_header, put_mp_unreach_header};

use super::attr::{AttrSet, NextHop, Tags};
use super::message::{self, MessageType};
use super::nlri::{self, Nlri};
use super::notification::Notification;
use super::verdict::{AttributeFault, FaultAction, FaultKind};
use super::{Asn, Family, FamilySet};
use bytes::{BufMut, Bytes, BytesMut};
use mp::{MpReach, MpUnreach};
use nom::multi::length_data;
use nom::number::complete::be_u16;
use nom::{IResult, Parser};
use scan::Scan;
use smallvec::SmallVec;

/// Facts of the session that decoding an UPDATE depends on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UpdateContext {
    /// Both sides have the 4-octet AS capability (RFC 6793).
    pub four_octet_as: bool,
    pub ebgp: bool,
    /// Negotiated families; NLRI of others are ignored.
    pub families: FamilySet,
    /// Families in which the peer sends path ids (RFC 7911).
    pub add_path_rx: FamilySet,
    /// Families that may come with an IPv6 next hop though they are IPv4 (RFC 8950).
    pub extended_next_hop: FamilySet,
    /// The AS that an AS_PATH must begin with (RFC 4271 6.3); `None`: anything, also an empty path.
    pub enforce_first_as: Option<Asn>,
    /// Take routes with an AS_SET; otherwise they are withdrawn (RFC 9774).
    pub allow_as_set: bool,
    /// LOCAL_PREF of an iBGP route that comes without; `None`: such a route is withdrawn (RFC 4271 5.1.5).
    pub default_local_pref: Option<u32>,
}

/// What an UPDATE means once RFC 7606 is applied: treat-as-withdraw has moved NLRI to `withdrawn`, attribute discard has removed
/// the attribute.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Update {
    /// At most one entry a family.
    pub withdrawn: SmallVec<[(Family, Vec<Nlri>); 1]>,
    pub reach: SmallVec<[Reach; 1]>,
    pub end_of_rib: Option<Family>,
    pub faults: Vec<AttributeFault>,
}

/// NLRI that share their attributes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reach {
    pub family: Family,
    pub attrs: AttrSet,
    pub nlri: Vec<Nlri>,
}

/// Takes the body, that is all after the header.
///
/// # Errors
/// The NOTIFICATION to send where RFC 7606 leaves only a session reset: 3/1, 3/9 or 3/10.
pub fn decode_update(body: &[u8], ctx: &UpdateContext) -> Result<Update, Notification> {
    let Ok((field, (withdrawn_field, attributes))) = fields(body) else {
        return Err(Notification::malformed_attributes());
    };
    let mut scan = Scan::run(attributes, ctx)?;
    let mut update = Update::default();
    let withdrawn = decode_v4(withdrawn_field, ctx, &mut scan)?;
    let announced = decode_v4(field, ctx, &mut scan)?;
    update.end_of_rib = end_of_rib_of(body, &mut scan, ctx);
    update.withdraw(Family::Ipv4Unicast, withdrawn);
    if let Some(MpUnreach { family: Some(family), nlri }) = scan.unreach.take() {
        update.withdraw(family, nlri);
    }
    let mp = scan.reach.take();
    if !field.is_empty() || mp.as_ref().is_some_and(|r| r.reachable) {
        scan.require(!announced.is_empty());
    } else if scan.others && scan.withdraws() {
        // Treat-as-withdraw has nothing to act on (RFC 7606 5.2).
        return Err(Notification::malformed_attributes());
    }
    if scan.withdraws() {
        update.withdraw(Family::Ipv4Unicast, announced);
        if let Some(MpReach { family: Some(family), nlri, .. }) = mp {
            update.withdraw(family, nlri);
        }
    } else {
        if let Some(MpReach { family: Some(family), next_hop, nlri, .. }) = mp {
            update.announce(family, next_hop, nlri, &mut scan);
        }
        if let Some(next_hop) = scan.next_hop {
            update.announce(Family::Ipv4Unicast, NextHop::V4(next_hop), announced, &mut scan);
        }
        update.drop_overtaken();
    }
    update.faults = scan.faults;
    Ok(update)
}

impl Update {
    fn withdraw(&mut self, family: Family, nlri: Vec<Nlri>) {
        match self.withdrawn.iter_mut().find(|(f, _)| *f == family) {
            _ if nlri.is_empty() => (),
            Some((_, all)) => all.extend(nlri),
            None => self.withdrawn.push((family, nlri)),
        }
    }

    fn announce(&mut self, family: Family, next_hop: NextHop, nlri: Vec<Nlri>, scan: &mut Scan<'_>) {
        if !nlri.is_empty() {
            self.reach.push(Reach { family, attrs: scan.draft.finish(next_hop, Tags::default()), nlri });
        }
    }

    /// A prefix that the same message withdraws and announces counts as announced (RFC 4271 4.3).
    fn drop_overtaken(&mut self) {
        for (family, withdrawn) in &mut self.withdrawn {
            let mut announced: Vec<&Nlri> = self.reach.iter().filter(|r| r.family == *family).flat_map(|r| &r.nlri).collect();
            if !announced.is_empty() {
                announced.sort_unstable();
                withdrawn.retain(|w| announced.binary_search(&w).is_err());
            }
        }
        self.withdrawn.retain(|(_, nlri)| !nlri.is_empty());
    }
}

/// A field of IPv4 NLRI as RFC 4271 has it; not looked at when IPv4 is not negotiated.
fn decode_v4(field: &[u8], ctx: &UpdateContext, scan: &mut Scan<'_>) -> Result<Vec<Nlri>, Notification> {
    let family = Family::Ipv4Unicast;
    if field.is_empty() {
        return Ok(Vec::new());
    }
    if !ctx.families.contains(family) {
        scan.faults.push(NOT_NEGOTIATED);
        return Ok(Vec::new());
    }
    nlri::decode_field(field, family, ctx.add_path_rx.contains(family)).map_err(|_| Notification::invalid_network())
}

/// End-of-RIB: an empty UPDATE, or nothing but an MP_UNREACH_NLRI without NLRI (RFC 4724 2); very old peers send an
/// MP_REACH_NLRI without NLRI instead.
fn end_of_rib_of(body: &[u8], scan: &mut Scan<'_>, ctx: &UpdateContext) -> Option<Family> {
    if body == NOTHING {
        if !ctx.families.contains(Family::Ipv4Unicast) {
            scan.faults.push(NOT_NEGOTIATED);
            return None;
        }
        return Some(Family::Ipv4Unicast);
    }
    // Neither withdrawn routes nor NLRI: all else is attributes.
    let attributes_only = fields(body).is_ok_and(|(field, (withdrawn, _))| field.is_empty() && withdrawn.is_empty());
    match (&scan.unreach, &scan.reach) {
        _ if !attributes_only => None,
        (Some(unreach), None) if !scan.others && unreach.nlri.is_empty() => unreach.family,
        (None, Some(reach)) if !reach.reachable => reach.family,
        _ => None,
    }
}

/// The NLRI field, after withdrawn routes and path attributes.
fn fields(body: &[u8]) -> IResult<&[u8], (&[u8], &[u8])> {
    (length_data(be_u16), length_data(be_u16)).parse(body)
}

/// A whole End-of-RIB message (RFC 4724 2).
pub fn end_of_rib(family: Family) -> Bytes {
    let mut out = BytesMut::new();
    let start = message::begin(MessageType::Update, &mut out);
    match family {
        Family::Ipv4Unicast => out.put_slice(&NOTHING),
        Family::Ipv6Unicast => {
            out.put_u16(0);
            out.put_u16(mp_unreach_header_len(0) as u16);
            put_mp_unreach_header(family, 0, &mut out);
        }
    }
    message::finish(start, &mut out);
    out.freeze()
}

/// No withdrawn routes, no attributes, no NLRI.
const NOTHING: [u8; 4] = [0; 4];
/// IPv4 NLRI outside of any attribute, though IPv4 is not negotiated.
const NOT_NEGOTIATED: AttributeFault = AttributeFault { code: 0, action: FaultAction::Ignored, why: FaultKind::Family };
