//! One reading of the kernel: links, addresses, our routes and everybody else's.

use std::collections::BTreeSet;
use std::io;

use super::link::Host;
use super::netlink::{self, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWROUTE};
use super::socket::dump;
use super::{KernelRoute, Params};
use crate::wire::Family;

/// What the kernel holds.
pub(crate) struct Reading {
    pub host: Host,
    /// Routes of our protocol number in our table, and of the one that we take over from.
    pub ours: Vec<KernelRoute>,
    /// Routes of others in the table that resolves next hops.
    pub others: Vec<KernelRoute>,
    /// False when changes kept interrupting the reading: routes may be missing.
    pub complete: bool,
}

/// Reads everything; a reading that changes interrupt is repeated a few times.
///
/// # Errors
/// A netlink socket fails, or the kernel refuses to answer.
pub(crate) async fn read(params: &Params) -> io::Result<Reading> {
    let host = read_host(params).await?;
    let mut attempt = 1;
    loop {
        let (ours, others, complete) = read_routes(params).await?;
        if complete || attempt == ATTEMPTS {
            return Ok(Reading { host, ours, others, complete });
        }
        attempt += 1;
    }
}

async fn read_host(params: &Params) -> io::Result<Host> {
    let mut host = Host::default();
    dump(netlink::dump_links(), &mut |kind, payload| {
        if kind == RTM_NEWLINK
            && let Some(link) = netlink::decode_link(payload)
        {
            host.links.insert(link.index, link);
        }
    })
    .await?;
    let mut marked = BTreeSet::new();
    dump(netlink::dump_addresses(), &mut |kind, payload| {
        if kind == RTM_NEWADDR
            && let Some(found) = netlink::decode_address(payload)
        {
            host.addresses.insert((found.address, found.index));
            if found.protocol == params.protocol {
                marked.insert((found.address, found.index));
            }
        }
    })
    .await?;
    let loopback = host.loopback();
    host.marked = marked.into_iter().filter(|(_, index)| Some(*index) == loopback).map(|(address, _)| address).collect();
    Ok(host)
}

async fn read_routes(params: &Params) -> io::Result<(Vec<KernelRoute>, Vec<KernelRoute>, bool)> {
    let (mut ours, mut others, mut complete) = (Vec::new(), Vec::new(), true);
    let shared = params.table == params.resolve_table;
    for family in Family::ALL {
        // One walk serves both where both live in one table; otherwise the kernel filters ours by protocol.
        complete &= read_table(family, params.resolve_table, None, &mut |protocol, payload| {
            let mine = params.is_ours(protocol);
            let Some(found) = (!mine || shared).then(|| netlink::decode_route(payload)).flatten() else { return };
            if found.table != params.resolve_table {
                return;
            }
            if mine { ours.push(found) } else { others.push(found) }
        })
        .await?;
        if !shared {
            let only = params.adopt.is_none().then_some(params.protocol);
            complete &= read_table(family, params.table, only, &mut |protocol, payload| {
                let found = params.is_ours(protocol).then(|| netlink::decode_route(payload)).flatten();
                ours.extend(found.filter(|route| route.table == params.table));
            })
            .await?;
        }
    }
    Ok((ours, others, complete))
}

async fn read_table(family: Family, table: u32, protocol: Option<u8>, visit: &mut (dyn FnMut(u8, &[u8]) + Send)) -> io::Result<bool> {
    let mut routes_only = |kind, payload: &[u8]| {
        if kind == RTM_NEWROUTE
            && let Some((_, protocol)) = netlink::peek_route(payload)
        {
            visit(protocol, payload);
        }
    };
    match dump(netlink::dump_routes(family, table, protocol), &mut routes_only).await {
        // The table does not exist as long as it has no route.
        Err(error) if error.raw_os_error() == Some(ENOENT) => Ok(true),
        other => other,
    }
}

const ENOENT: i32 = 2;
const ATTEMPTS: u32 = 3;
