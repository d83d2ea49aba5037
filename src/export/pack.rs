//! Messages of one group: its form of the path attributes, once for all NLRI that share them, and UPDATEs packed full.

use super::chunk::{CHUNK, NlriOf};
use super::key::{GroupKey, NextHopMode};
use super::route::Route;
use crate::policy::{NEXT_HOP_SELF, NEXT_HOP_UNCHANGED, PeerKind, Reason};
use crate::wire::attr::as_path::PathView;
use crate::wire::attr::{AttrSet, NextHop, Tags, code, flag};
use crate::wire::capability::Role;
use crate::wire::message::{self, MessageType};
use crate::wire::nlri::{encode_nlri, nlri_len};
use crate::wire::{Family, update};
use bytes::{BufMut, BytesMut};
use smallvec::SmallVec;

/// Encodes for one group. [`begin`](Self::begin) a route, then [`update`](Self::update) until its NLRI are spent.
#[derive(Debug)]
pub(super) struct Packer {
    key: GroupKey,
    /// Attributes of the route that was begun, without MP_REACH_NLRI.
    block: Vec<u8>,
    /// The next hop, where it travels in MP_REACH_NLRI.
    mp_next_hop: Option<NextHop>,
    nlri: BytesMut,
}

/// Attributes that differ from what the route has, in order of their codes; `None` leaves one out.
type Edits = SmallVec<[(u8, u8, Option<Value>); 8]>;
type Value = SmallVec<[u8; 64]>;

/// LOCAL_PREF of routes that have none (RFC 4271 5.1.5 leaves the value to us; 100 is what everybody uses).
const DEFAULT_LOCAL_PREF: u32 = 100;
/// Octets of an UPDATE without attributes and NLRI.
const EMPTY_UPDATE: usize = message::HEADER_LEN + 4;
/// Octets that MP_REACH_NLRI or NEXT_HOP, and one NLRI with path id, can take.
const ONE_NLRI: usize = 64;
/// Non-transitive extended communities (RFC 4360 2).
const NON_TRANSITIVE: u8 = 0x40;

impl Packer {
    pub fn new(key: GroupKey) -> Self {
        Self { key, block: Vec::new(), mp_next_hop: None, nlri: BytesMut::new() }
    }

    /// The next hop that members see.
    ///
    /// # Errors
    /// The route cannot go to this group: we have no address to offer, or the members cannot take one of that family.
    pub fn next_hop(&self, attrs: &AttrSet, own: bool) -> Result<NextHop, Reason> {
        let next_hop = if own { self.own_next_hop().ok_or(Reason::NextHopInvalid)? } else { attrs.next_hop() };
        match (self.key.family, next_hop) {
            // RFC 8950 4: never to a peer without the capability, and never converted.
            (Family::Ipv4Unicast, NextHop::V6(_) | NextHop::V6WithLinkLocal(..)) if !self.key.extended_next_hop => {
                Err(Reason::NextHopFamily)
            }
            (Family::Ipv6Unicast, NextHop::V4(_)) => Err(Reason::NextHopInvalid),
            _ => Ok(next_hop),
        }
    }

    fn own_next_hop(&self) -> Option<NextHop> {
        let rule = &self.key.next_hop;
        let v6 = match (rule.v6, rule.v6_link_local) {
            (Some(global), Some(local)) => Some(NextHop::V6WithLinkLocal(global, local)),
            (global, local) => global.or(local).map(NextHop::V6),
        };
        match self.key.family {
            Family::Ipv4Unicast => rule.v4.map(NextHop::V4).or(v6),
            Family::Ipv6Unicast => v6,
        }
    }

    /// Whether the next hop becomes our own address.
    pub fn takes_own_next_hop(&self, attrs: &AttrSet, source: PeerKind) -> bool {
        let head = attrs.head();
        let tagged = |tag: Tags| head.tags.0 & tag.0 != 0;
        if attrs.next_hop().address().is_unspecified() || tagged(NEXT_HOP_SELF) {
            return true;
        }
        if tagged(NEXT_HOP_UNCHANGED) {
            return false;
        }
        match self.key.next_hop.mode {
            // What we originate without the tag has the address that the operator gave it.
            NextHopMode::Auto => self.key.kind == PeerKind::Ebgp && source != PeerKind::Local,
            NextHopMode::SelfAddress => true,
            NextHopMode::Unchanged => false,
        }
    }

    /// Whether a message can hold the route's attributes and one NLRI.
    pub fn fits(&mut self, route: &Route) -> bool {
        // Nearly always true without looking: what we add is an AS number twice, an originator, a cluster, defaults.
        let len = route.attrs.as_ref().map_or(0, |a| a.bytes().len());
        if 2 * len + 256 < self.key.max_message {
            return true;
        }
        self.begin(route);
        EMPTY_UPDATE + self.block.len() + ONE_NLRI <= self.key.max_message
    }

    /// Makes the attributes of the messages to come.
    pub fn begin(&mut self, route: &Route) {
        self.block.clear();
        self.mp_next_hop = None;
        let Some(attrs) = &route.attrs else { return };
        let Ok(next_hop) = self.next_hop(attrs, route.own_next_hop) else { return };
        let mut edits = Edits::new();
        self.edit_path(attrs, &mut edits);
        match next_hop {
            NextHop::V4(address) => edits.push((code::NEXT_HOP, flag::TRANSITIVE, Some(Value::from_slice(&address.octets())))),
            _ => self.mp_next_hop = Some(next_hop),
        }
        if self.key.kind == PeerKind::Ebgp {
            self.edit_for_ebgp(attrs, route.keep_med, &mut edits);
        } else {
            self.edit_for_ibgp(attrs, route, &mut edits);
        }
        self.edit_aggregator(attrs, &mut edits);
        edits.sort_unstable_by_key(|(code, ..)| *code);
        self.write_block(attrs, &edits);
    }

    /// RFC 4271 5.1.2 and RFC 6793 4.2.2.
    fn edit_path(&self, attrs: &AttrSet, edits: &mut Edits) {
        let ebgp = self.key.kind == PeerKind::Ebgp;
        if self.key.four_octet_as && !ebgp {
            return;
        }
        let mut path = Vec::new();
        PathView::of(attrs).prepend(self.key.local_as.get(), usize::from(ebgp), &mut path);
        if self.key.four_octet_as {
            edits.push((code::AS_PATH, flag::TRANSITIVE, Some(path.into())));
            return;
        }
        let mut narrow = Vec::new();
        if PathView::new(&path).narrow(&mut narrow) {
            edits.push((code::AS4_PATH, flag::OPTIONAL | flag::TRANSITIVE, Some(path.into())));
        }
        edits.push((code::AS_PATH, flag::TRANSITIVE, Some(narrow.into())));
    }

    /// RFC 6793 4.2.2: AGGREGATOR has 6 octets on a 2-octet session.
    fn edit_aggregator(&self, attrs: &AttrSet, edits: &mut Edits) {
        if self.key.four_octet_as {
            return;
        }
        let Some(&[a, b, c, d, ref id @ ..]) = attrs.value(code::AGGREGATOR) else { return };
        let flags = flag::OPTIONAL | flag::TRANSITIVE;
        let wide = u32::from_be_bytes([a, b, c, d]);
        let asn = u16::try_from(wide).unwrap_or(crate::wire::attr::as_path::AS_TRANS);
        let mut value = Value::from_slice(&asn.to_be_bytes());
        value.extend_from_slice(id);
        edits.push((code::AGGREGATOR, flags, Some(value)));
        if u16::try_from(wide).is_err() {
            let mut value = Value::from_slice(&wide.to_be_bytes());
            value.extend_from_slice(id);
            edits.push((code::AS4_AGGREGATOR, flags, Some(value)));
        }
    }

    fn edit_for_ebgp(&self, attrs: &AttrSet, keep_med: bool, edits: &mut Edits) {
        edits.extend([code::LOCAL_PREF, code::ORIGINATOR_ID, code::CLUSTER_LIST].map(|code| (code, 0, None)));
        if !keep_med {
            edits.push((code::MED, 0, None));
        }
        if attrs.ext_communities().any(|c| c[0] & NON_TRANSITIVE != 0) {
            let kept: Value = attrs.ext_communities().filter(|c| c[0] & NON_TRANSITIVE == 0).flatten().collect();
            edits.push((code::EXT_COMMUNITIES, flag::OPTIONAL | flag::TRANSITIVE, (!kept.is_empty()).then_some(kept)));
        }
        // RFC 9234 5, egress: what goes down or sideways must not come up again.
        let marks = matches!(self.key.role, Some(Role::Provider | Role::Peer | Role::RouteServer));
        if marks && attrs.value(code::OTC).is_none() {
            let value = Value::from_slice(&self.key.local_as.get().to_be_bytes());
            edits.push((code::OTC, flag::OPTIONAL | flag::TRANSITIVE, Some(value)));
        }
    }

    /// RFC 4271 5.1.5, RFC 4456 8.
    fn edit_for_ibgp(&self, attrs: &AttrSet, route: &Route, edits: &mut Edits) {
        let head = attrs.head();
        if head.local_pref().is_none() {
            edits.push((code::LOCAL_PREF, flag::TRANSITIVE, Some(Value::from_slice(&DEFAULT_LOCAL_PREF.to_be_bytes()))));
        }
        let Some(originator) = route.reflected_from else { return };
        if head.originator_id.is_none() {
            edits.push((code::ORIGINATOR_ID, flag::OPTIONAL, Some(Value::from_slice(&originator.get().to_be_bytes()))));
        }
        let mut clusters = Value::from_slice(&self.key.cluster_id.0.to_be_bytes());
        clusters.extend_from_slice(attrs.value(code::CLUSTER_LIST).unwrap_or_default());
        edits.push((code::CLUSTER_LIST, flag::OPTIONAL, Some(clusters)));
    }

    /// The attributes with the edits in their places: ascending types, as the set has them.
    fn write_block(&mut self, attrs: &AttrSet, edits: &Edits) {
        let mut edits = edits.iter().peekable();
        let block = &mut self.block;
        for tlv in attrs.tlvs() {
            while let Some((code, flags, value)) = edits.next_if(|(code, ..)| *code < tlv.code) {
                put_attribute(*code, *flags, value.as_deref(), block);
            }
            match edits.next_if(|(code, ..)| *code == tlv.code) {
                Some((code, flags, value)) => put_attribute(*code, *flags, value.as_deref(), block),
                None => block.extend_from_slice(tlv.raw),
            }
        }
        for (code, flags, value) in edits {
            put_attribute(*code, *flags, value.as_deref(), block);
        }
    }

    /// Appends one UPDATE with the route that was begun and as many keys as fit. Returns how many: at least one, since
    /// [`fits`](Self::fits) has been asked.
    pub fn update(&mut self, keys: impl Iterator<Item = u32>, nlri: NlriOf<'_>, out: &mut BytesMut) -> usize {
        let fixed = EMPTY_UPDATE + self.block.len();
        let next_hop = self.mp_next_hop;
        let room = self.limit(fixed) - fixed;
        let header = |len: usize| next_hop.map_or(0, |nh| update::mp_reach_header_len(&nh, len));
        let taken = self.take_nlri(keys, nlri, |len| header(len) + len <= room);
        let start = message::begin(MessageType::Update, out);
        out.put_u16(0);
        let mp_len = if next_hop.is_some() { header(self.nlri.len()) + self.nlri.len() } else { 0 };
        out.put_u16((mp_len + self.block.len()) as u16);
        match next_hop {
            // RFC 7606 5.1: first of all.
            Some(next_hop) => {
                update::put_mp_reach_header(self.key.family, &next_hop, self.nlri.len(), out);
                out.extend_from_slice(&self.nlri);
                out.extend_from_slice(&self.block);
            }
            None => {
                out.extend_from_slice(&self.block);
                out.extend_from_slice(&self.nlri);
            }
        }
        message::finish(start, out);
        taken
    }

    /// Appends one UPDATE that withdraws as many keys as fit. Returns how many.
    pub fn withdraw(&mut self, keys: impl Iterator<Item = u32>, nlri: NlriOf<'_>, out: &mut BytesMut) -> usize {
        let room = self.limit(EMPTY_UPDATE) - EMPTY_UPDATE;
        let start = message::begin(MessageType::Update, out);
        let taken;
        match self.key.family {
            Family::Ipv4Unicast => {
                taken = self.take_nlri(keys, nlri, |len| len <= room);
                out.put_u16(self.nlri.len() as u16);
                out.extend_from_slice(&self.nlri);
                out.put_u16(0);
            }
            Family::Ipv6Unicast => {
                taken = self.take_nlri(keys, nlri, |len| update::mp_unreach_header_len(len) + len <= room);
                let len = self.nlri.len();
                out.put_u16(0);
                out.put_u16((update::mp_unreach_header_len(len) + len) as u16);
                update::put_mp_unreach_header(self.key.family, len, out);
                out.extend_from_slice(&self.nlri);
            }
        }
        message::finish(start, out);
        taken
    }

    /// Fills `self.nlri` with the leading keys for which `fits` says yes to the sum of octets.
    fn take_nlri(&mut self, keys: impl Iterator<Item = u32>, nlri: NlriOf<'_>, fits: impl Fn(usize) -> bool) -> usize {
        let add_path = self.sends_path_ids();
        self.nlri.clear();
        let mut taken = 0;
        for key in keys {
            let nlri = nlri(key);
            if !fits(self.nlri.len() + nlri_len(&nlri, add_path)) {
                break;
            }
            encode_nlri(&nlri, add_path, &mut self.nlri);
            taken += 1;
        }
        assert!(taken > 0, "a route whose attributes fill a message is not advertised");
        taken
    }

    /// Longest message: not above a chunk, unless the attributes alone need more.
    fn limit(&self, fixed: usize) -> usize {
        if fixed + ONE_NLRI <= CHUNK { self.key.max_message.min(CHUNK) } else { self.key.max_message }
    }

    pub fn sends_path_ids(&self) -> bool {
        self.key.add_path != super::AddPath::Off
    }

    pub fn key(&self) -> &GroupKey {
        &self.key
    }
}

/// Appends one attribute; the extended length flag exactly where it is needed.
fn put_attribute(code: u8, flags: u8, value: Option<&[u8]>, out: &mut Vec<u8>) {
    let Some(value) = value else { return };
    match u8::try_from(value.len()) {
        Ok(len) => out.extend_from_slice(&[flags, code, len]),
        Err(_) => {
            out.extend_from_slice(&[flags | flag::EXTENDED, code]);
            out.extend_from_slice(&(value.len() as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(value);
}
