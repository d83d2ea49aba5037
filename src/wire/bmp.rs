//! BMP messages (RFC 7854, RFC 9069) as a sender writes them.

use super::attr::{AttrSet, NextHop, code, flag, put_header};
use super::message::{self, MessageType};
use super::update::{put_mp_reach_header, put_mp_unreach_header};
use super::{Asn, Family, Nlri, RouterId, encode_nlri, end_of_rib, nlri_len};
use bytes::{BufMut, BytesMut};
use std::net::{IpAddr, SocketAddr};

/// Whose routes a message is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BmpPeer {
    /// `None` for our Loc-RIB (RFC 9069).
    pub address: Option<IpAddr>,
    pub asn: Asn,
    pub id: RouterId,
}

/// Why a peer is down (RFC 7854 4.9); the slices are NOTIFICATION messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BmpDown<'a> {
    LocalNotification(&'a [u8]),
    /// With the number of the event of the state machine; 0 where none fits.
    Local(u16),
    RemoteNotification(&'a [u8]),
    Remote,
    /// It is not configured any more.
    Deconfigured,
}

/// The first message of a connection.
pub fn bmp_initiation(out: &mut BytesMut, name: &str, description: &str) {
    message(out, INITIATION, |out| {
        put_tlv(out, SYS_DESCR, description.as_bytes());
        put_tlv(out, SYS_NAME, name.as_bytes());
    });
}

/// The last message: we are going (reason 0 of RFC 7854 4.5, administratively closed).
pub fn bmp_termination(out: &mut BytesMut) {
    message(out, TERMINATION, |out| put_tlv(out, 1, &[0, 0]));
}

/// A session is there: the addresses of its ends, and both OPEN messages, ours first.
pub fn bmp_peer_up(out: &mut BytesMut, peer: &BmpPeer, ends: Option<(SocketAddr, SocketAddr)>, opens: (&[u8], &[u8])) {
    message(out, PEER_UP, |out| {
        put_peer(out, peer);
        match ends {
            Some((local, remote)) => {
                put_address(out, Some(local.ip()));
                out.put_u16(local.port());
                out.put_u16(remote.port());
            }
            None => out.put_bytes(0, 20),
        }
        out.put_slice(opens.0);
        out.put_slice(opens.1);
        if peer.address.is_none() {
            put_tlv(out, TABLE_NAME, b"global");
        }
    });
}

pub fn bmp_peer_down(out: &mut BytesMut, peer: &BmpPeer, why: BmpDown<'_>) {
    message(out, PEER_DOWN, |out| {
        put_peer(out, peer);
        let (reason, data): (u8, &[u8]) = match why {
            BmpDown::LocalNotification(notification) => (1, notification),
            BmpDown::Local(_) => (2, &[]),
            BmpDown::RemoteNotification(notification) => (3, notification),
            BmpDown::Remote => (4, &[]),
            BmpDown::Deconfigured => (5, &[]),
        };
        out.put_u8(reason);
        out.put_slice(data);
        if let BmpDown::Local(event) = why {
            out.put_u16(event);
        }
    });
}

/// A path as an UPDATE of its own; without attributes its withdrawal. `add_path` says whether the session has path identifiers.
pub fn bmp_route(out: &mut BytesMut, peer: &BmpPeer, nlri: &Nlri, attrs: Option<&AttrSet>, add_path: bool) {
    message(out, ROUTE_MONITORING, |out| {
        put_peer(out, peer);
        put_update(out, nlri, attrs, add_path);
    });
}

/// What was there at the start has been sent.
pub fn bmp_end_of_rib(out: &mut BytesMut, peer: &BmpPeer, family: Family) {
    message(out, ROUTE_MONITORING, |out| {
        put_peer(out, peer);
        out.put_slice(&end_of_rib(family));
    });
}

/// Counts of routes: of a peer's Adj-RIB-In, or of our Loc-RIB.
pub fn bmp_statistics(out: &mut BytesMut, peer: &BmpPeer, routes: u64) {
    message(out, STATISTICS, |out| {
        put_peer(out, peer);
        out.put_u32(1);
        put_tlv(out, if peer.address.is_some() { ADJ_RIB_IN_ROUTES } else { LOC_RIB_ROUTES }, &routes.to_be_bytes());
    });
}

fn message(out: &mut BytesMut, kind: u8, body: impl FnOnce(&mut BytesMut)) {
    out.put_u8(VERSION);
    let place = out.len();
    out.put_u32(0);
    out.put_u8(kind);
    body(out);
    // The header counts too.
    let length = u32::try_from(out.len() + 1 - place).unwrap_or(u32::MAX);
    if let Some(field) = out.get_mut(place..place + 4) {
        field.copy_from_slice(&length.to_be_bytes());
    }
}

/// Per-peer header (RFC 7854 4.2). What is sent of a neighbor is what import policy left (flag L), with 4-octet AS numbers.
fn put_peer(out: &mut BytesMut, peer: &BmpPeer) {
    let (kind, flags) = match peer.address {
        None => (LOC_RIB, 0),
        Some(IpAddr::V4(_)) => (GLOBAL, POST_POLICY),
        Some(IpAddr::V6(_)) => (GLOBAL, POST_POLICY | IPV6),
    };
    out.put_u8(kind);
    out.put_u8(flags);
    out.put_u64(0);
    put_address(out, peer.address);
    out.put_u32(peer.asn.get());
    out.put_u32(peer.id.get());
    // The time is not known: a station takes its own.
    out.put_u64(0);
}

/// IPv4 in the last 4 of 16 octets.
fn put_address(out: &mut BytesMut, address: Option<IpAddr>) {
    match address {
        Some(IpAddr::V6(address)) => out.put_slice(&address.octets()),
        Some(IpAddr::V4(address)) => {
            out.put_bytes(0, 12);
            out.put_slice(&address.octets());
        }
        None => out.put_bytes(0, 16),
    }
}

fn put_update(out: &mut BytesMut, nlri: &Nlri, attrs: Option<&AttrSet>, add_path: bool) {
    let family = Family::of(&nlri.prefix);
    let length = nlri_len(nlri, add_path);
    let start = message::begin(MessageType::Update, out);
    let mut attributes = BytesMut::new();
    let mut is_in_body = family == Family::Ipv4Unicast;
    match attrs {
        None if is_in_body => {}
        None => {
            put_mp_unreach_header(family, length, &mut attributes);
            encode_nlri(nlri, add_path, &mut attributes);
        }
        Some(attrs) => {
            attributes.put_slice(attrs.bytes());
            match attrs.next_hop() {
                NextHop::V4(address) if is_in_body => {
                    put_header(flag::TRANSITIVE, code::NEXT_HOP, 4, &mut attributes);
                    attributes.put_slice(&address.octets());
                }
                // RFC 8950.
                next_hop => {
                    is_in_body = false;
                    put_mp_reach_header(family, &next_hop, length, &mut attributes);
                    encode_nlri(nlri, add_path, &mut attributes);
                }
            }
        }
    }
    // Both fit: NLRI are at most 21 octets, attributes came in one message.
    let withdrawn = if attrs.is_none() && is_in_body { length as u16 } else { 0 };
    out.put_u16(withdrawn);
    if withdrawn > 0 {
        encode_nlri(nlri, add_path, out);
    }
    out.put_u16(attributes.len() as u16);
    out.put_slice(&attributes);
    if attrs.is_some() && is_in_body {
        encode_nlri(nlri, add_path, out);
    }
    message::finish(start, out);
}

fn put_tlv(out: &mut BytesMut, kind: u16, value: &[u8]) {
    let value = value.get(..value.len().min(usize::from(u16::MAX))).unwrap_or_default();
    out.put_u16(kind);
    out.put_u16(value.len() as u16);
    out.put_slice(value);
}

const VERSION: u8 = 3;
const ROUTE_MONITORING: u8 = 0;
const STATISTICS: u8 = 1;
const PEER_DOWN: u8 = 2;
const PEER_UP: u8 = 3;
const INITIATION: u8 = 4;
const TERMINATION: u8 = 5;

/// Peer types.
const GLOBAL: u8 = 0;
const LOC_RIB: u8 = 3;
/// Peer flags.
const IPV6: u8 = 0x80;
const POST_POLICY: u8 = 0x40;

/// Information TLVs.
const SYS_DESCR: u16 = 1;
const SYS_NAME: u16 = 2;
const TABLE_NAME: u16 = 3;
/// Statistics (RFC 7854 4.8).
const ADJ_RIB_IN_ROUTES: u16 = 7;
const LOC_RIB_ROUTES: u16 = 8;
