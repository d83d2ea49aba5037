//! MRT table dumps: TABLE_DUMP_V2 (RFC 6396 4.3), as readers of route collectors know them.

use super::attr::{AttrSet, NextHop, code, flag};
use super::{Asn, RouterId};
use bytes::{BufMut, BytesMut};
use ipnet::IpNet;
use std::net::IpAddr;

/// A peer of the index table; entries name it by its place there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MrtPeer {
    pub id: RouterId,
    pub address: IpAddr,
    pub asn: Asn,
}

/// One path of a prefix.
#[derive(Clone, Copy, Debug)]
pub struct MrtEntry<'a> {
    /// Place in the index table.
    pub peer: u16,
    pub attrs: &'a AttrSet,
}

/// The first record of a dump (RFC 6396 4.3.1); `at` in seconds since 1970. Peers beyond 65,535 cannot be named and are left out.
pub fn mrt_peers(out: &mut BytesMut, at: u32, collector: RouterId, peers: &[MrtPeer]) {
    record(out, at, PEER_INDEX_TABLE, |out| {
        out.put_u32(collector.get());
        // No view name.
        out.put_u16(0);
        let count = u16::try_from(peers.len()).unwrap_or(u16::MAX);
        out.put_u16(count);
        for peer in peers.iter().take(count.into()) {
            // AS numbers always have 4 octets.
            out.put_u8(if peer.address.is_ipv6() { 0b11 } else { 0b10 });
            out.put_u32(peer.id.get());
            put_address(out, peer.address);
            out.put_u32(peer.asn.get());
        }
    });
}

/// The record of a prefix (RFC 6396 4.3.2 and 4.3.4). Paths whose attributes do not fit into an entry are left out.
pub fn mrt_prefix(out: &mut BytesMut, at: u32, sequence: u32, prefix: &IpNet, entries: &[MrtEntry<'_>]) {
    let subtype = if prefix.addr().is_ipv4() { RIB_IPV4_UNICAST } else { RIB_IPV6_UNICAST };
    record(out, at, subtype, |out| {
        out.put_u32(sequence);
        out.put_u8(prefix.prefix_len());
        let octets: usize = usize::from(prefix.prefix_len()).div_ceil(8);
        match prefix.addr() {
            IpAddr::V4(address) => out.extend(address.octets().into_iter().take(octets)),
            IpAddr::V6(address) => out.extend(address.octets().into_iter().take(octets)),
        }
        let fitting = || entries.iter().filter_map(|entry| Some((entry, u16::try_from(length(entry.attrs)).ok()?)));
        let count = u16::try_from(fitting().count()).unwrap_or(u16::MAX);
        out.put_u16(count);
        for (entry, length) in fitting().take(count.into()) {
            out.put_u16(entry.peer);
            out.put_u32(at);
            out.put_u16(length);
            put_attributes(out, entry.attrs);
        }
    });
}

/// Common header (RFC 6396 2), with the length of what `body` writes.
fn record(out: &mut BytesMut, at: u32, subtype: u16, body: impl FnOnce(&mut BytesMut)) {
    out.put_u32(at);
    out.put_u16(TABLE_DUMP_V2);
    out.put_u16(subtype);
    let place = out.len();
    out.put_u32(0);
    body(out);
    let length = u32::try_from(out.len() - place - 4).unwrap_or(u32::MAX);
    if let Some(field) = out.get_mut(place..place + 4) {
        field.copy_from_slice(&length.to_be_bytes());
    }
}

fn length(attrs: &AttrSet) -> usize {
    attrs.bytes().len() + 3 + next_hop_len(attrs.next_hop())
}

const fn next_hop_len(next_hop: NextHop) -> usize {
    match next_hop {
        NextHop::V4(_) => 4,
        NextHop::V6(_) => 17,
        NextHop::V6WithLinkLocal(..) => 33,
    }
}

/// The canonical attributes, and the next hop as the attribute of its family: of MP_REACH_NLRI only the next hop (RFC 6396 4.3.4).
fn put_attributes(out: &mut BytesMut, attrs: &AttrSet) {
    out.extend_from_slice(attrs.bytes());
    let next_hop = attrs.next_hop();
    let (flags, kind) = match next_hop {
        NextHop::V4(_) => (flag::TRANSITIVE, code::NEXT_HOP),
        _ => (flag::OPTIONAL, code::MP_REACH),
    };
    out.put_u8(flags);
    out.put_u8(kind);
    // At most 33.
    out.put_u8(next_hop_len(next_hop) as u8);
    match next_hop {
        NextHop::V4(address) => out.put_slice(&address.octets()),
        NextHop::V6(address) => {
            out.put_u8(16);
            out.put_slice(&address.octets());
        }
        NextHop::V6WithLinkLocal(global, local) => {
            out.put_u8(32);
            out.put_slice(&global.octets());
            out.put_slice(&local.octets());
        }
    }
}

fn put_address(out: &mut BytesMut, address: IpAddr) {
    match address {
        IpAddr::V4(address) => out.put_slice(&address.octets()),
        IpAddr::V6(address) => out.put_slice(&address.octets()),
    }
}

const TABLE_DUMP_V2: u16 = 13;
const PEER_INDEX_TABLE: u16 = 1;
const RIB_IPV4_UNICAST: u16 = 2;
const RIB_IPV6_UNICAST: u16 = 4;
