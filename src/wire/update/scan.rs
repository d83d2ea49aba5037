//! One pass over the attributes of an UPDATE: every attribute is looked at, each fault is classed as RFC 7606 and the RFC of the
//! attribute say, and what is good goes into a [`Draft`].

use super::UpdateContext;
use super::mp::{self, MpReach, MpUnreach};
use crate::wire::attr::as_path::{self, AS_TRANS, PathFacts, PathView};
use crate::wire::attr::{Draft, Origin, aggregator, canonical_flags, code, flag, number};
use crate::wire::notification::Notification;
use crate::wire::verdict::{AttributeFault, FaultAction, FaultKind};
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16};
use nom::{IResult, Parser};
use std::borrow::Cow;
use std::net::Ipv4Addr;

/// What the attributes of one UPDATE say.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    ctx: &'a UpdateContext,
    pub draft: Draft<'a>,
    pub next_hop: Option<Ipv4Addr>,
    pub reach: Option<MpReach>,
    pub unreach: Option<MpUnreach>,
    /// Attributes other than MP_UNREACH_NLRI were there.
    pub others: bool,
    pub faults: Vec<AttributeFault>,
    seen: [u128; 2],
    path: Option<&'a [u8]>,
    as4_path: Option<&'a [u8]>,
    aggregator: Option<&'a [u8]>,
    as4_aggregator: Option<&'a [u8]>,
}

/// How an attribute fails that leaves the session up.
type Fault = (FaultAction, FaultKind);

impl<'a> Scan<'a> {
    /// # Errors
    /// The NOTIFICATION to send where a fault leaves only a session reset.
    pub fn run(mut input: &'a [u8], ctx: &'a UpdateContext) -> Result<Self, Notification> {
        let mut scan = Self {
            ctx,
            draft: Draft::default(),
            next_hop: None,
            reach: None,
            unreach: None,
            others: false,
            faults: Vec::new(),
            seen: [0; 2],
            path: None,
            as4_path: None,
            aggregator: None,
            as4_aggregator: None,
        };
        while !input.is_empty() {
            let Ok((rest, (flags, code, value))) = attribute(input) else {
                scan.truncated(input)?;
                break;
            };
            let raw = input.get(..input.len() - rest.len()).unwrap_or_default();
            scan.attribute(flags, code, value, raw)?;
            input = rest;
        }
        scan.join_path();
        scan.join_aggregator();
        Ok(scan)
    }

    /// Whether a fault makes the reachable NLRI withdrawn.
    pub fn withdraws(&self) -> bool {
        self.faults.iter().any(|f| f.action == FaultAction::TreatAsWithdraw)
    }

    /// What an UPDATE with reachable NLRI must have (RFC 7606 3 d). `field`: some of them are in the NLRI field.
    pub fn require(&mut self, field: bool) {
        if field {
            match self.next_hop {
                Some(address) if !mp::is_usable_v4(address) => self.withdraw(code::NEXT_HOP, FaultKind::NextHop),
                None if !self.has(code::NEXT_HOP) => self.withdraw(code::NEXT_HOP, FaultKind::Missing),
                _ => (),
            }
        }
        for code in [code::ORIGIN, code::AS_PATH] {
            if !self.has(code) {
                self.withdraw(code, FaultKind::Missing);
            }
        }
        if !self.ctx.ebgp && !self.has(code::LOCAL_PREF) {
            match self.ctx.default_local_pref {
                Some(value) => self.draft.push(code::LOCAL_PREF, value.to_be_bytes().to_vec()),
                None => self.withdraw(code::LOCAL_PREF, FaultKind::Missing),
            }
        }
    }

    fn has(&self, code: u8) -> bool {
        let [low, high] = self.seen;
        (if code < 128 { low } else { high }) >> (code & 127) & 1 != 0
    }

    fn mark(&mut self, code: u8) {
        let [low, high] = &mut self.seen;
        *(if code < 128 { low } else { high }) |= 1 << (code & 127);
    }

    fn fault(&mut self, code: u8, action: FaultAction, why: FaultKind) {
        self.faults.push(AttributeFault { code, action, why });
    }

    fn withdraw(&mut self, code: u8, why: FaultKind) {
        self.fault(code, FaultAction::TreatAsWithdraw, why);
    }

    /// The attribute block ends within an attribute (RFC 7606 4). For the attributes that hold NLRI nothing less than a reset
    /// will do: which prefixes to withdraw is lost.
    fn truncated(&mut self, input: &[u8]) -> Result<(), Notification> {
        let code = input.get(1).copied().unwrap_or(0);
        if matches!(code, code::MP_REACH | code::MP_UNREACH) {
            return Err(Notification::optional_attribute(input));
        }
        self.others = true;
        self.withdraw(code, FaultKind::Framing);
        Ok(())
    }

    fn attribute(&mut self, flags: u8, code: u8, value: &'a [u8], raw: &[u8]) -> Result<(), Notification> {
        self.others |= code != code::MP_UNREACH;
        if self.has(code) {
            if matches!(code, code::MP_REACH | code::MP_UNREACH) {
                return Err(Notification::malformed_attributes());
            }
            self.fault(code, FaultAction::Discard, FaultKind::Duplicate);
            return Ok(());
        }
        self.mark(code);
        if let Err((action, why)) = self.check_class(flags, code) {
            self.fault(code, action, why);
            // The NLRI are needed all the same: they are to be withdrawn.
            if !matches!(code, code::MP_REACH | code::MP_UNREACH) {
                return Ok(());
            }
        }
        match code {
            code::MP_REACH => self.mp_reach(value, raw),
            code::MP_UNREACH => self.mp_unreach(value, raw),
            _ => {
                if let Err((action, why)) = self.take(flags, code, value) {
                    self.fault(code, action, why);
                }
                Ok(())
            }
        }
    }

    /// What can be said without the value: attributes that are never taken from this peer, and the flags (RFC 7606 3 c).
    fn check_class(&self, flags: u8, code: u8) -> Result<(), Fault> {
        let class = flags & (flag::OPTIONAL | flag::TRANSITIVE);
        let discard = Err((FaultAction::Discard, FaultKind::Unexpected));
        match code {
            RESERVED | AIGP | BGP_LS => discard,
            code::LOCAL_PREF | code::ORIGINATOR_ID | code::CLUSTER_LIST if self.ctx.ebgp => discard,
            code::AS4_PATH | code::AS4_AGGREGATOR if self.ctx.four_octet_as => discard,
            code::ATOMIC_AGGREGATE | code::AGGREGATOR | PREFIX_SID if class != canonical_flags(code) => {
                Err((FaultAction::Discard, FaultKind::Flags))
            }
            _ if is_known(code) && class != canonical_flags(code) => Err((FaultAction::TreatAsWithdraw, FaultKind::Flags)),
            _ if !is_known(code) && flags & flag::OPTIONAL == 0 => Err((FaultAction::TreatAsWithdraw, FaultKind::Unrecognized)),
            _ => Ok(()),
        }
    }

    /// Table of attributes: checks the value, and keeps what is good.
    fn take(&mut self, flags: u8, code: u8, value: &'a [u8]) -> Result<(), Fault> {
        let withdraw = |good: bool| if good { Ok(()) } else { Err((FaultAction::TreatAsWithdraw, FaultKind::Length)) };
        let list = |unit: usize| withdraw(!value.is_empty() && value.len().is_multiple_of(unit));
        match code {
            code::ORIGIN => match value {
                [octet] if Origin::from_octet(*octet).is_some() => (),
                [_] => return Err((FaultAction::TreatAsWithdraw, FaultKind::Value)),
                _ => return withdraw(false),
            },
            code::NEXT_HOP => {
                self.next_hop = number(value).map(Ipv4Addr::from_bits);
                return withdraw(self.next_hop.is_some());
            }
            code::AS_PATH => return set(&mut self.path, value),
            code::AS4_PATH => return set(&mut self.as4_path, value),
            code::AGGREGATOR => return set(&mut self.aggregator, value),
            code::AS4_AGGREGATOR => return set(&mut self.as4_aggregator, value),
            code::ATOMIC_AGGREGATE if !value.is_empty() => return Err((FaultAction::Discard, FaultKind::Length)),
            code::ATOMIC_AGGREGATE => (),
            code::ORIGINATOR_ID if number(value) == Some(0) => return Err((FaultAction::TreatAsWithdraw, FaultKind::Value)),
            code::MED | code::LOCAL_PREF | code::ORIGINATOR_ID | code::OTC => withdraw(value.len() == 4)?,
            code::COMMUNITIES | code::CLUSTER_LIST => list(4)?,
            code::EXT_COMMUNITIES => list(8)?,
            code::LARGE_COMMUNITIES => list(12)?,
            _ => return self.take_opaque(flags, code, value),
        }
        self.draft.push(code, value);
        Ok(())
    }

    /// Attributes that we do not use. Their header is built anew from what we know, never copied; Partial says that somebody on
    /// the way did not understand the attribute (RFC 4271 5).
    fn take_opaque(&mut self, flags: u8, code: u8, value: &'a [u8]) -> Result<(), Fault> {
        if code == IPV6_EXT_COMMUNITIES && (value.is_empty() || !value.len().is_multiple_of(20)) {
            return Err((FaultAction::TreatAsWithdraw, FaultKind::Length));
        }
        if code == PREFIX_SID && !is_tlv_list(value) {
            return Err((FaultAction::Discard, FaultKind::Length));
        }
        if flags & flag::TRANSITIVE != 0 {
            self.draft.push_opaque(flag::OPTIONAL | flag::TRANSITIVE | flag::PARTIAL, code, value);
        }
        Ok(())
    }

    fn mp_reach(&mut self, value: &[u8], raw: &[u8]) -> Result<(), Notification> {
        let reach = mp::decode_reach(value, raw, self.ctx)?;
        if reach.family.is_none() {
            self.fault(code::MP_REACH, FaultAction::Ignored, FaultKind::Family);
        } else if !reach.usable {
            self.withdraw(code::MP_REACH, FaultKind::NextHop);
        }
        self.reach = Some(reach);
        Ok(())
    }

    fn mp_unreach(&mut self, value: &[u8], raw: &[u8]) -> Result<(), Notification> {
        let unreach = mp::decode_unreach(value, raw, self.ctx)?;
        if unreach.family.is_none() {
            self.fault(code::MP_UNREACH, FaultAction::Ignored, FaultKind::Family);
        }
        self.unreach = Some(unreach);
        Ok(())
    }

    /// Brings AS_PATH, and from a 2-octet peer AS4_PATH, into one path of 4-octet numbers.
    fn join_path(&mut self) {
        let Some(value) = self.path else {
            if self.as4_path.is_some() {
                self.fault(code::AS4_PATH, FaultAction::Discard, FaultKind::Unexpected);
            }
            return;
        };
        let width = if self.ctx.four_octet_as { 4 } else { 2 };
        if let Err(why) = as_path::check(value, width).and_then(|facts| self.object(facts)) {
            return self.withdraw(code::AS_PATH, why);
        }
        let path = if self.ctx.four_octet_as { Cow::Borrowed(value) } else { self.widened(value) };
        if let Some(first) = self.ctx.enforce_first_as.filter(|_| self.ctx.ebgp)
            && PathView::new(&path).neighbor_as() != Some(first)
        {
            return self.withdraw(code::AS_PATH, FaultKind::FirstAs);
        }
        self.draft.push(code::AS_PATH, path);
    }

    fn object(&self, facts: PathFacts) -> Result<(), FaultKind> {
        match facts {
            PathFacts { confederation: true, .. } => Err(FaultKind::Confederation),
            PathFacts { as_zero: true, .. } => Err(FaultKind::AsZero),
            PathFacts { as_set: true, .. } if !self.ctx.allow_as_set => Err(FaultKind::AsSet),
            _ => Ok(()),
        }
    }

    /// RFC 6793 4.2.3: the old AS_PATH with AS4_PATH merged into it, where that counts.
    fn widened(&mut self, value: &[u8]) -> Cow<'a, [u8]> {
        let wide = as_path::widen(value);
        // Whoever aggregated without knowing of 4-octet numbers made both AS4 attributes obsolete.
        let obsolete = self.aggregator.is_some_and(|a| a.len() == 6 && !a.starts_with(&AS_TRANS.to_be_bytes()));
        let Some(as4) = self.as4_path.filter(|_| !obsolete) else { return wide.into() };
        match as_path::check(as4, 4) {
            Err(why) => self.fault(code::AS4_PATH, FaultAction::Discard, why),
            Ok(_) if as4.is_empty() => self.fault(code::AS4_PATH, FaultAction::Discard, FaultKind::Length),
            Ok(PathFacts { as_zero: true, .. }) => self.fault(code::AS4_PATH, FaultAction::Discard, FaultKind::AsZero),
            Ok(PathFacts { as_set: true, .. }) if !self.ctx.allow_as_set => self.withdraw(code::AS4_PATH, FaultKind::AsSet),
            Ok(_) => {
                if let Some(merged) = as_path::merge_as4(PathView::new(&wide), PathView::new(as4)) {
                    return merged.into();
                }
            }
        }
        wide.into()
    }

    /// Brings AGGREGATOR, and from a 2-octet peer AS4_AGGREGATOR, into the 4-octet form (RFC 6793 4.2.3).
    fn join_aggregator(&mut self) {
        let discard = |scan: &mut Self, code, why| scan.fault(code, FaultAction::Discard, why);
        let as4 = match self.as4_aggregator {
            Some(value) if value.len() != 8 => {
                discard(self, code::AS4_AGGREGATOR, FaultKind::Length);
                None
            }
            Some(value) if aggregator(value).is_none() => {
                discard(self, code::AS4_AGGREGATOR, FaultKind::AsZero);
                None
            }
            Some(_) if self.aggregator.is_none() => {
                discard(self, code::AS4_AGGREGATOR, FaultKind::Unexpected);
                None
            }
            other => other,
        };
        let Some(value) = self.aggregator else { return };
        let wide = match (self.ctx.four_octet_as, value.split_first_chunk::<2>()) {
            (true, _) if value.len() == 8 => Cow::Borrowed(value),
            (false, Some((asn, _))) if value.len() == 6 => match as4 {
                Some(as4) if *asn == AS_TRANS.to_be_bytes() => Cow::Borrowed(as4),
                _ => Cow::Owned([&[0; 2], value].concat()),
            },
            _ => return discard(self, code::AGGREGATOR, FaultKind::Length),
        };
        if aggregator(&wide).is_none() {
            return discard(self, code::AGGREGATOR, FaultKind::AsZero);
        }
        self.draft.push(code::AGGREGATOR, wide);
    }
}

fn set<'a>(place: &mut Option<&'a [u8]>, value: &'a [u8]) -> Result<(), Fault> {
    *place = Some(value);
    Ok(())
}

/// Flags, type and value of the first attribute.
fn attribute(input: &[u8]) -> IResult<&[u8], (u8, u8, &[u8])> {
    let (input, (flags, code)) = (be_u8, be_u8).parse(input)?;
    let (input, len) = if flags & flag::EXTENDED != 0 { be_u16(input)? } else { be_u8(input).map(|(rest, len)| (rest, u16::from(len)))? };
    let (input, value) = take(len)(input)?;
    Ok((input, (flags, code, value)))
}

/// Types whose flags we know, whether we use them or not.
const fn is_known(code: u8) -> bool {
    matches!(code, code::ORIGIN..=code::CLUSTER_LIST | code::MP_REACH..=code::AS4_AGGREGATOR)
        || matches!(code, IPV6_EXT_COMMUNITIES | code::LARGE_COMMUNITIES | code::OTC | PREFIX_SID)
}

/// Whether a value consists of TLVs with a type of one octet and a length of two (RFC 8669 3).
fn is_tlv_list(mut value: &[u8]) -> bool {
    while let Some((&[_, high, low], rest)) = value.split_first_chunk() {
        match rest.get(usize::from(u16::from_be_bytes([high, low]))..) {
            Some(rest) => value = rest,
            None => return false,
        }
    }
    value.is_empty()
}

const RESERVED: u8 = 0;
const IPV6_EXT_COMMUNITIES: u8 = 25;
const AIGP: u8 = 26;
const BGP_LS: u8 = 29;
const PREFIX_SID: u8 = 40;
