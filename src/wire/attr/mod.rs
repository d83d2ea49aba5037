//! Path attributes (RFC 4271 4.3 and 5): the decoded form that people and policies edit ([`PathAttributes`]), and the canonical
//! immutable form that everything else shares ([`AttrSet`]).

pub mod as_path;
pub mod community;
mod draft;
mod set;

pub(super) use draft::{Draft, aggregator, canonical_flags, number};
pub use set::{AttrHead, AttrSet, Marks, Tags, Tlv, Tlvs};

use super::{Asn, ClusterId, RouterId};
use bytes::BufMut;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Attribute type codes.
pub mod code {
    pub const ORIGIN: u8 = 1;
    pub const AS_PATH: u8 = 2;
    pub const NEXT_HOP: u8 = 3;
    pub const MED: u8 = 4;
    pub const LOCAL_PREF: u8 = 5;
    pub const ATOMIC_AGGREGATE: u8 = 6;
    pub const AGGREGATOR: u8 = 7;
    pub const COMMUNITIES: u8 = 8;
    pub const ORIGINATOR_ID: u8 = 9;
    pub const CLUSTER_LIST: u8 = 10;
    pub const MP_REACH: u8 = 14;
    pub const MP_UNREACH: u8 = 15;
    pub const EXT_COMMUNITIES: u8 = 16;
    pub const AS4_PATH: u8 = 17;
    pub const AS4_AGGREGATOR: u8 = 18;
    pub const LARGE_COMMUNITIES: u8 = 32;
    pub const OTC: u8 = 35;
}

/// Attribute flag bits (RFC 4271 4.3).
pub mod flag {
    pub const OPTIONAL: u8 = 0x80;
    pub const TRANSITIVE: u8 = 0x40;
    pub const PARTIAL: u8 = 0x20;
    pub const EXTENDED: u8 = 0x10;
}

/// RFC 4271 4.3, ORIGIN (type 1, well-known mandatory); smaller is preferred.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Origin {
    Igp,
    Egp,
    Incomplete,
}

impl Origin {
    /// `None` for a value that RFC 4271 does not define.
    pub(super) const fn from_octet(octet: u8) -> Option<Self> {
        match octet {
            0 => Some(Self::Igp),
            1 => Some(Self::Egp),
            2 => Some(Self::Incomplete),
            _ => None,
        }
    }
}

/// The next hop of a route: NEXT_HOP of RFC 4271, or the next hop field of MP_REACH_NLRI (RFC 4760, 2545, 8950).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum NextHop {
    V4(Ipv4Addr),
    V6(Ipv6Addr),
    /// The 32-octet form: a global (or unspecified) address, then a link-local one (RFC 2545 3).
    V6WithLinkLocal(Ipv6Addr, Ipv6Addr),
}

impl NextHop {
    /// The address that is resolved: the global one, or the link-local one where the global one is unspecified or link-local.
    pub fn address(&self) -> IpAddr {
        match *self {
            Self::V4(a) => a.into(),
            Self::V6(a) => a.into(),
            Self::V6WithLinkLocal(global, local) if global.is_unspecified() => local.into(),
            Self::V6WithLinkLocal(global, _) => global.into(),
        }
    }
}

impl From<IpAddr> for NextHop {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(a) => Self::V4(a),
            IpAddr::V6(a) => Self::V6(a),
        }
    }
}

/// Appends the header of an attribute, with the extended length bit exactly where `len` exceeds 255; `flags` without that bit.
pub fn put_header(flags: u8, code: u8, len: usize, out: &mut impl BufMut) {
    let (header, header_len) = header(flags, code, len);
    out.put_slice(header.get(..header_len).unwrap_or_default());
}

/// The octets of a header and how many of them count. `len` is at most 65535: a message is not longer.
const fn header(flags: u8, code: u8, len: usize) -> ([u8; 4], usize) {
    let [high, low] = (len as u16).to_be_bytes();
    let flags = flags & !flag::EXTENDED;
    if len > 255 { ([flags | flag::EXTENDED, code, high, low], 4) } else { ([flags, code, low, 0], 3) }
}

/// Octets of the header of an attribute with a value of `len` octets.
pub const fn header_len(len: usize) -> usize {
    if len > 255 { 4 } else { 3 }
}

/// One segment of an AS_PATH (RFC 4271 4.3, RFC 5065); numbers always 4 octets.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Segment {
    pub kind: SegmentKind,
    pub asns: Vec<u32>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SegmentKind {
    Set = 1,
    Sequence = 2,
    ConfedSequence = 3,
    ConfedSet = 4,
}

/// AS_PATH, AS4_PATH already merged (RFC 6793 4.2.3).
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct AsPath(pub Vec<Segment>);

/// RFC 4271 5.1.7, AGGREGATOR, AS4_AGGREGATOR already merged.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Aggregator {
    pub asn: Asn,
    pub id: u32,
}

/// An attribute that we pass on without reading it; `flags` without extended length, Partial already set where it is due.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Opaque {
    pub flags: u8,
    pub code: u8,
    pub value: Box<[u8]>,
}

/// Path attributes in the form that is read, built and edited; see [`AttrSet`] for the form that is stored and compared.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct PathAttributes {
    pub origin: Origin,
    pub as_path: AsPath,
    pub next_hop: NextHop,
    pub med: Option<u32>,
    pub local_pref: Option<u32>,
    pub atomic_aggregate: bool,
    pub aggregator: Option<Aggregator>,
    /// RFC 1997, sorted, no duplicates.
    pub communities: Vec<u32>,
    pub originator_id: Option<RouterId>,
    /// RFC 4456 8, nearest cluster first.
    pub cluster_list: Vec<ClusterId>,
    /// RFC 4360, sorted, no duplicates.
    pub ext_communities: Vec<[u8; 8]>,
    /// RFC 8092, sorted, no duplicates.
    pub large_communities: Vec<[u32; 3]>,
    /// RFC 9234 5, Only-To-Customer.
    pub otc: Option<u32>,
    pub opaque: Vec<Opaque>,
    /// Marks of our own that policies set and match; never on the wire.
    pub tags: Tags,
}

impl PathAttributes {
    /// A route of our own as it begins: ORIGIN IGP, an empty AS_PATH, nothing else.
    pub fn new(next_hop: NextHop) -> Self {
        Self {
            origin: Origin::Igp,
            as_path: AsPath::default(),
            next_hop,
            med: None,
            local_pref: None,
            atomic_aggregate: false,
            aggregator: None,
            communities: Vec::new(),
            originator_id: None,
            cluster_list: Vec::new(),
            ext_communities: Vec::new(),
            large_communities: Vec::new(),
            otc: None,
            opaque: Vec::new(),
            tags: Tags::default(),
        }
    }
}
