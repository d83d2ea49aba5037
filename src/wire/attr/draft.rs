//! The way into canonical form, shared by what is received and what is built here.

use super::as_path::PathView;
use super::{Aggregator, AttrHead, AttrSet, Marks, NextHop, Opaque, Origin, PathAttributes, Tags, code, flag};
use crate::wire::{Asn, ClusterId, RouterId};
use smallvec::SmallVec;
use std::borrow::Cow;

/// Attributes collected in any order, each valid by itself; the values are borrowed from the message wherever they can be.
#[derive(Debug, Default)]
pub(in crate::wire) struct Draft<'a> {
    entries: SmallVec<[Entry<'a>; 12]>,
}

#[derive(Debug)]
struct Entry<'a> {
    code: u8,
    /// Without the extended length bit.
    flags: u8,
    value: Cow<'a, [u8]>,
}

impl<'a> Draft<'a> {
    /// Adds an attribute that we know. Communities are sorted here, since their order has no meaning.
    pub fn push(&mut self, code: u8, value: impl Into<Cow<'a, [u8]>>) {
        let value = match code {
            code::COMMUNITIES => sorted::<4>(value.into()),
            code::EXT_COMMUNITIES => sorted::<8>(value.into()),
            code::LARGE_COMMUNITIES => sorted::<12>(value.into()),
            _ => value.into(),
        };
        self.entries.push(Entry { code, flags: canonical_flags(code), value });
    }

    /// Adds an attribute that is passed on unread; `flags` without the extended length bit.
    pub fn push_opaque(&mut self, flags: u8, code: u8, value: impl Into<Cow<'a, [u8]>>) {
        self.entries.push(Entry { code, flags, value: value.into() });
    }

    /// The canonical set. Of attributes with the same type the first counts.
    pub fn finish(&mut self, next_hop: NextHop, tags: Tags) -> AttrSet {
        if !self.entries.is_sorted_by(|a, b| a.code < b.code) {
            self.entries.sort_by_key(|e| e.code);
            self.entries.dedup_by_key(|e| e.code);
        }
        let mut head = AttrHead::new(tags);
        let mut bytes: SmallVec<[u8; 512]> = SmallVec::new();
        head.put_next_hop(next_hop, &mut bytes);
        for entry in &self.entries {
            note(entry, &mut head);
            put_tlv(entry.flags, entry.code, &entry.value, &mut bytes);
        }
        AttrSet::from_parts(head, &bytes)
    }
}

/// Copies into the head what the decision process reads.
fn note(entry: &Entry<'_>, head: &mut AttrHead) {
    match entry.code {
        code::ORIGIN => head.origin = entry.value.first().copied().and_then(Origin::from_octet).unwrap_or(Origin::Incomplete),
        code::AS_PATH => {
            let path = PathView::new(&entry.value);
            head.path_len = u16::try_from(path.length()).unwrap_or(u16::MAX);
            head.neighbor_as = path.neighbor_as();
        }
        code::MED => head.set_med_present(),
        code::LOCAL_PREF => head.set_local_pref(number(&entry.value)),
        code::COMMUNITIES => head.marks = marks(&entry.value),
        code::ORIGINATOR_ID => head.originator_id = number(&entry.value).and_then(RouterId::new),
        code::CLUSTER_LIST => head.cluster_len = u16::try_from(entry.value.len() / 4).unwrap_or(u16::MAX),
        _ => (),
    }
}

fn marks(communities: &[u8]) -> Marks {
    let bits = communities.as_chunks().0.iter().map(|c| match u32::from_be_bytes(*c) {
        0xFFFF_FF01 => Marks::NO_EXPORT.0,
        0xFFFF_FF02 => Marks::NO_ADVERTISE.0,
        0xFFFF_FF03 => Marks::NO_EXPORT_SUBCONFED.0,
        0xFFFF_0000 => Marks::GRACEFUL_SHUTDOWN.0,
        0xFFFF_0006 => Marks::LLGR_STALE.0,
        0xFFFF_0007 => Marks::NO_LLGR.0,
        0xFFFF_029A => Marks::BLACKHOLE.0,
        _ => 0,
    });
    Marks(bits.fold(0, |all, bit| all | bit))
}

/// Big-endian items in ascending order without duplicates; untouched where they are so already.
fn sorted<const N: usize>(value: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    let items = value.as_chunks::<N>().0;
    if items.is_sorted_by(|a, b| a < b) {
        return value;
    }
    let mut items = items.to_vec();
    items.sort_unstable();
    items.dedup();
    Cow::Owned(items.into_flattened())
}

/// Flags of the attributes that we know, Partial and extended length clear (RFC 4271 5, and the RFC of each later type).
pub(in crate::wire) const fn canonical_flags(code: u8) -> u8 {
    match code {
        code::ORIGIN | code::AS_PATH | code::NEXT_HOP | code::LOCAL_PREF | code::ATOMIC_AGGREGATE => flag::TRANSITIVE,
        code::MED | code::ORIGINATOR_ID | code::CLUSTER_LIST | code::MP_REACH | code::MP_UNREACH => flag::OPTIONAL,
        _ => flag::OPTIONAL | flag::TRANSITIVE,
    }
}

/// A whole attribute; `flags` without the extended length bit.
fn put_tlv(flags: u8, code: u8, value: &[u8], out: &mut SmallVec<[u8; 512]>) {
    let (header, len) = super::header(flags, code, value.len());
    out.extend_from_slice(header.get(..len).unwrap_or_default());
    out.extend_from_slice(value);
}

impl From<&PathAttributes> for AttrSet {
    /// Canonical form: sorts, removes duplicates, computes the head.
    fn from(attributes: &PathAttributes) -> Self {
        let mut draft = Draft::default();
        draft.push(code::ORIGIN, vec![attributes.origin as u8]);
        let mut path = Vec::new();
        attributes.as_path.encode(&mut path);
        draft.push(code::AS_PATH, path);
        let mut optional = |code, value: Option<u32>| {
            if let Some(value) = value {
                draft.push(code, value.to_be_bytes().to_vec());
            }
        };
        optional(code::MED, attributes.med);
        optional(code::LOCAL_PREF, attributes.local_pref);
        optional(code::ORIGINATOR_ID, attributes.originator_id.map(RouterId::get));
        optional(code::OTC, attributes.otc);
        if attributes.atomic_aggregate {
            draft.push(code::ATOMIC_AGGREGATE, Vec::new());
        }
        if let Some(aggregator) = attributes.aggregator {
            draft.push(code::AGGREGATOR, [aggregator.asn.get().to_be_bytes(), aggregator.id.to_be_bytes()].concat());
        }
        let mut list = |code, value: Vec<u8>| {
            if !value.is_empty() {
                draft.push(code, value);
            }
        };
        list(code::COMMUNITIES, attributes.communities.iter().flat_map(|c| c.to_be_bytes()).collect());
        list(code::CLUSTER_LIST, attributes.cluster_list.iter().flat_map(|c| c.0.to_be_bytes()).collect());
        list(code::EXT_COMMUNITIES, attributes.ext_communities.iter().flatten().copied().collect());
        list(code::LARGE_COMMUNITIES, attributes.large_communities.iter().flatten().flat_map(|part| part.to_be_bytes()).collect());
        for opaque in &attributes.opaque {
            draft.push_opaque(opaque.flags & OPAQUE_FLAGS, opaque.code, &*opaque.value);
        }
        draft.finish(attributes.next_hop, attributes.tags)
    }
}

impl From<&AttrSet> for PathAttributes {
    fn from(set: &AttrSet) -> Self {
        let head = set.head();
        let mut attributes = Self {
            origin: head.origin,
            as_path: PathView::of(set).to_owned(),
            next_hop: set.next_hop(),
            med: set.med(),
            local_pref: head.local_pref(),
            atomic_aggregate: false,
            aggregator: None,
            communities: set.communities().collect(),
            originator_id: head.originator_id,
            cluster_list: set.cluster_list().map(ClusterId).collect(),
            ext_communities: set.ext_communities().collect(),
            large_communities: set.large_communities().collect(),
            otc: None,
            opaque: Vec::new(),
            tags: head.tags,
        };
        for tlv in set.tlvs() {
            match tlv.code {
                code::ORIGIN | code::AS_PATH | code::MED | code::LOCAL_PREF | code::ORIGINATOR_ID => (),
                code::COMMUNITIES | code::EXT_COMMUNITIES | code::LARGE_COMMUNITIES | code::CLUSTER_LIST => (),
                code::ATOMIC_AGGREGATE => attributes.atomic_aggregate = true,
                code::AGGREGATOR => attributes.aggregator = aggregator(tlv.value),
                code::OTC => attributes.otc = number(tlv.value),
                code => attributes.opaque.push(Opaque { flags: tlv.flags & OPAQUE_FLAGS, code, value: tlv.value.into() }),
            }
        }
        attributes
    }
}

/// AGGREGATOR with a 4-octet AS; `None` when it is malformed or of AS 0 (RFC 7607).
pub(in crate::wire) fn aggregator(value: &[u8]) -> Option<Aggregator> {
    let (asn, id) = value.split_first_chunk()?;
    Some(Aggregator { asn: Asn::new(u32::from_be_bytes(*asn))?, id: number(id)? })
}

/// A value of exactly four octets.
pub(in crate::wire) fn number(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}

const OPAQUE_FLAGS: u8 = flag::OPTIONAL | flag::TRANSITIVE | flag::PARTIAL;
