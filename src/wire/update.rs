//! UPDATE (RFC 4271 4.3): decoding with the verdicts of RFC 7606 applied, and the pieces from which export packs messages.

use super::attr::{AttrSet, NextHop};
use super::nlri::Nlri;
use super::notification::Notification;
use super::verdict::AttributeFault;
use super::{Asn, Family, FamilySet};
use bytes::{Bytes, BytesMut};
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
pub fn decode_update(_body: &[u8], _ctx: &UpdateContext) -> Result<Update, Notification> {
    todo!()
}

/// Appends one prefix, with its path id where `add_path` says so.
pub fn encode_nlri(_nlri: &Nlri, _add_path: bool, _out: &mut BytesMut) {
    todo!()
}

/// Octets that [`encode_nlri`] appends.
pub fn nlri_len(_nlri: &Nlri, _add_path: bool) -> usize {
    todo!()
}

/// A whole End-of-RIB message (RFC 4724 2).
pub fn end_of_rib(_family: Family) -> Bytes {
    todo!()
}

/// Appends the header of MP_REACH_NLRI up to the NLRI, of which `nlri_len` octets follow. The next hop must be one that the
/// family can have: IPv4 only for IPv4 NLRI.
pub fn put_mp_reach_header(_family: Family, _next_hop: &NextHop, _nlri_len: usize, _out: &mut BytesMut) {
    todo!()
}

/// Octets of MP_REACH_NLRI without its NLRI.
pub fn mp_reach_header_len(_next_hop: &NextHop, _nlri_len: usize) -> usize {
    todo!()
}

/// Appends the header of MP_UNREACH_NLRI up to the NLRI, of which `nlri_len` octets follow.
pub fn put_mp_unreach_header(_family: Family, _nlri_len: usize, _out: &mut BytesMut) {
    todo!()
}

/// Octets of MP_UNREACH_NLRI without its NLRI.
pub fn mp_unreach_header_len(_nlri_len: usize) -> usize {
    todo!()
}
