//! The canonical attribute set: one allocation, equal bytes exactly when the attributes are equal.

use super::{NextHop, Origin, code, flag};
use crate::wire::{Asn, RouterId};
use foldhash::fast::RandomState;
use smallvec::SmallVec;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;
use triomphe::ThinArc;

/// Local marks of a route, one bit a tag; `config` gives names to bits. Never on the wire.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Tags(pub u32);

/// Facts about well-known communities, kept so that nobody walks the list again.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Marks(pub u8);

impl Marks {
    pub const NO_EXPORT: Self = Self(1);
    pub const NO_ADVERTISE: Self = Self(2);
    pub const NO_EXPORT_SUBCONFED: Self = Self(4);
    pub const GRACEFUL_SHUTDOWN: Self = Self(8);
    pub const LLGR_STALE: Self = Self(16);
    pub const NO_LLGR: Self = Self(32);
    pub const BLACKHOLE: Self = Self(64);

    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// What the decision process and the encoder read without walking the attributes. A full table has a few hundred thousand of
/// these, so what is seldom there, or seldom asked for, is not in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AttrHead {
    /// Of everything in the set: computed once, where the set was made.
    hash: u32,
    local_pref: u32,
    pub originator_id: Option<RouterId>,
    /// First AS of the path, confederation segments left out (RFC 4271 9.1.2.2 c); `None` for an empty path or a leading AS_SET.
    pub neighbor_as: Option<Asn>,
    pub tags: Tags,
    /// Length as the decision process counts it: a set is 1, confederation segments are 0 (RFC 4271 9.1.2.2 a, RFC 5065 5.3).
    pub path_len: u16,
    /// Entries in CLUSTER_LIST.
    pub cluster_len: u16,
    pub origin: Origin,
    pub marks: Marks,
    present: u8,
    /// Octets of the next hop, which stands before the attributes.
    next_hop_len: u8,
}

/// Bits of `AttrHead::present`.
const LOCAL_PREF: u8 = 1;
const MED: u8 = 2;

impl AttrHead {
    /// Of a set without any attribute.
    pub(super) fn new(tags: Tags) -> Self {
        Self {
            hash: 0,
            local_pref: 0,
            originator_id: None,
            neighbor_as: None,
            tags,
            path_len: 0,
            cluster_len: 0,
            origin: Origin::Incomplete,
            marks: Marks::default(),
            present: 0,
            next_hop_len: 0,
        }
    }

    /// Begins the bytes of a set with its next hop.
    pub(super) fn put_next_hop(&mut self, next_hop: NextHop, bytes: &mut SmallVec<[u8; 512]>) {
        match next_hop {
            NextHop::V4(a) => bytes.extend_from_slice(&a.octets()),
            NextHop::V6(a) => bytes.extend_from_slice(&a.octets()),
            NextHop::V6WithLinkLocal(global, local) => {
                bytes.extend_from_slice(&global.octets());
                bytes.extend_from_slice(&local.octets());
            }
        }
        self.next_hop_len = bytes.len() as u8;
    }

    pub(super) fn set_local_pref(&mut self, value: Option<u32>) {
        self.local_pref = value.unwrap_or_default();
        self.present |= if value.is_some() { LOCAL_PREF } else { 0 };
    }

    pub(super) fn set_med_present(&mut self) {
        self.present |= MED;
    }

    pub fn local_pref(&self) -> Option<u32> {
        (self.present & LOCAL_PREF != 0).then_some(self.local_pref)
    }
}

/// An immutable, shareable set of path attributes: the head, and the attributes as TLVs in wire form, sorted by type, AS numbers
/// always 4 octets. The next hop is apart (it travels in NEXT_HOP or MP_REACH_NLRI as the receiver needs it).
#[derive(Clone)]
pub struct AttrSet(ThinArc<AttrHead, u8>);

/// Keyed anew in each process, so that no peer can choose sets that collide. Nothing that anybody sees depends on it.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::default);

impl AttrSet {
    /// `bytes` are those of [`AttrHead::put_next_hop`], then TLVs that are canonical as described above; only this room builds it.
    pub(super) fn from_parts(head: AttrHead, bytes: &[u8]) -> Self {
        let hash = HASHER.hash_one((head.tags, head.next_hop_len, bytes)) as u32;
        Self(ThinArc::from_header_and_slice(AttrHead { hash, ..head }, bytes))
    }

    pub fn head(&self) -> &AttrHead {
        &self.0.header.header
    }

    fn split(&self) -> (&[u8], &[u8]) {
        self.0.slice.split_at_checked(usize::from(self.head().next_hop_len)).unwrap_or_default()
    }

    pub fn next_hop(&self) -> NextHop {
        let octets = self.split().0;
        if let Ok(v4) = <[u8; 4]>::try_from(octets) {
            return NextHop::V4(Ipv4Addr::from(v4));
        }
        match *octets.as_chunks::<16>().0 {
            [global, local] => NextHop::V6WithLinkLocal(Ipv6Addr::from(global), Ipv6Addr::from(local)),
            [global] => NextHop::V6(Ipv6Addr::from(global)),
            _ => unreachable!("a next hop has 4, 16 or 32 octets"),
        }
    }

    /// RFC 4271 5.1.4, MULTI_EXIT_DISC.
    pub fn med(&self) -> Option<u32> {
        if self.head().present & MED == 0 {
            return None;
        }
        self.value(code::MED).and_then(super::number)
    }

    /// All attributes but the next hop, as bytes ready for a 4-octet-AS session.
    pub fn bytes(&self) -> &[u8] {
        self.split().1
    }

    /// The attributes in order of their type.
    pub fn tlvs(&self) -> Tlvs<'_> {
        Tlvs { rest: self.bytes() }
    }

    /// The value of one attribute.
    pub fn value(&self, code: u8) -> Option<&[u8]> {
        self.tlvs().find(|t| t.code == code).map(|t| t.value)
    }

    /// RFC 1997 communities.
    pub fn communities(&self) -> impl Iterator<Item = u32> {
        let value = self.value(code::COMMUNITIES).unwrap_or_default();
        value.as_chunks().0.iter().map(|c| u32::from_be_bytes(*c))
    }

    /// RFC 8092 large communities.
    pub fn large_communities(&self) -> impl Iterator<Item = [u32; 3]> {
        let value = self.value(code::LARGE_COMMUNITIES).unwrap_or_default();
        value.as_chunks().0.as_chunks::<3>().0.iter().map(|parts| parts.map(u32::from_be_bytes))
    }

    /// RFC 4360 extended communities.
    pub fn ext_communities(&self) -> impl Iterator<Item = [u8; 8]> {
        self.value(code::EXT_COMMUNITIES).unwrap_or_default().as_chunks().0.iter().copied()
    }

    /// RFC 4456 CLUSTER_LIST, nearest cluster first.
    pub fn cluster_list(&self) -> impl Iterator<Item = u32> {
        let value = self.value(code::CLUSTER_LIST).unwrap_or_default();
        value.as_chunks().0.iter().map(|c| u32::from_be_bytes(*c))
    }

    /// Memory of this set, in bytes, shared by all who hold it.
    pub fn size(&self) -> usize {
        size_of::<AttrHead>() + 16 + self.0.slice.len()
    }

    /// Whether both are the same allocation: within one interner this is equality.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.0.as_ptr() == other.0.as_ptr()
    }
}

impl PartialEq for AttrSet {
    fn eq(&self, other: &Self) -> bool {
        self.ptr_eq(other) || (self.head() == other.head() && self.0.slice == other.0.slice)
    }
}

impl Eq for AttrSet {}

impl Hash for AttrSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u32(self.head().hash);
    }
}

impl fmt::Debug for AttrSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttrSet").field("head", self.head()).field("next_hop", &self.next_hop()).field("bytes", &self.bytes()).finish()
    }
}

/// One attribute of an [`AttrSet`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tlv<'a> {
    /// Flags as they go out, extended length included.
    pub flags: u8,
    pub code: u8,
    pub value: &'a [u8],
    /// Header and value.
    pub raw: &'a [u8],
}

/// The attributes of an [`AttrSet`] in order of their type.
#[derive(Clone, Debug)]
pub struct Tlvs<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Tlvs<'a> {
    type Item = Tlv<'a>;

    fn next(&mut self) -> Option<Tlv<'a>> {
        let (&flags, &code) = (self.rest.first()?, self.rest.get(1)?);
        let (header, len) = if flags & flag::EXTENDED != 0 {
            (4, usize::from(u16::from_be_bytes([*self.rest.get(2)?, *self.rest.get(3)?])))
        } else {
            (3, usize::from(*self.rest.get(2)?))
        };
        let (raw, rest) = self.rest.split_at_checked(header + len)?;
        self.rest = rest;
        Some(Tlv { flags, code, value: raw.get(header..)?, raw })
    }
}
