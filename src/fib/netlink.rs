//! Netlink messages <-> our routes, links and addresses. No sockets here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NlasIterator, Parseable,
};
use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressProtocol, AddressScope};
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteNextHop, RouteNextHopFlags, RouteProtocol, RouteScope,
    RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{RouteMessageBuilder, RouteNextHopBuilder};

use super::link::Link;
use super::plan::Op;
use super::{Action, Device, Hop, Hops, KernelRoute, Params, Route};
use crate::wire::Family;

pub(crate) type Message = NetlinkMessage<RouteNetlinkMessage>;

pub(crate) const RTM_NEWLINK: u16 = 16;
pub(crate) const RTM_DELLINK: u16 = 17;
pub(crate) const RTM_NEWADDR: u16 = 20;
pub(crate) const RTM_DELADDR: u16 = 21;
pub(crate) const RTM_NEWROUTE: u16 = 24;
pub(crate) const RTM_DELROUTE: u16 = 25;

/// The request that carries out `op`. Our protocol number is in every one (or that of the program that we take over from): the
/// kernel then refuses to delete routes of others.
pub(crate) fn request(op: &Op, params: &Params) -> Message {
    let route = op.route();
    let (message, flags) = match op {
        Op::Create(_) => (install(route, params), NLM_F_CREATE | NLM_F_EXCL),
        Op::Replace(_) => (install(route, params), NLM_F_CREATE | NLM_F_REPLACE),
        Op::Delete(_) | Op::Evict(_) => {
            let protocol = if matches!(op, Op::Evict(_)) { params.adopt.unwrap_or(params.protocol) } else { params.protocol };
            let mut message = skeleton(route, params);
            message.header.protocol = RouteProtocol::from(protocol);
            // Any type and scope: prefix, metric and protocol say which.
            message.header.kind = RouteType::Unspec;
            message.header.scope = RouteScope::NoWhere;
            let mut request = NetlinkMessage::from(RouteNetlinkMessage::DelRoute(message));
            request.header.flags = NLM_F_REQUEST | NLM_F_ACK;
            return request;
        }
    };
    let mut request = NetlinkMessage::from(RouteNetlinkMessage::NewRoute(message));
    request.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    request
}

/// An upper bound of the octets of a request, for batches that fit a socket buffer.
pub(crate) fn request_size(op: &Op) -> usize {
    const FIXED: usize = 96;
    const PER_HOP: usize = 40;
    match &op.route().action {
        Action::Unicast(hops) => FIXED + PER_HOP * hops.len(),
        _ => FIXED,
    }
}

fn skeleton(route: &Route, params: &Params) -> RouteMessage {
    let protocol = RouteProtocol::from(params.protocol);
    match route.prefix {
        IpNet::V4(net) => RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(net.network(), net.prefix_len())
            .protocol(protocol)
            .table_id(params.table)
            .priority(route.metric)
            .build(),
        IpNet::V6(net) => RouteMessageBuilder::<Ipv6Addr>::new()
            .destination_prefix(net.network(), net.prefix_len())
            .protocol(protocol)
            .table_id(params.table)
            .priority(route.metric)
            .build(),
    }
}

fn install(route: &Route, params: &Params) -> RouteMessage {
    let mut message = skeleton(route, params);
    match &route.action {
        Action::Blackhole => message.header.kind = RouteType::BlackHole,
        Action::Unreachable => message.header.kind = RouteType::Unreachable,
        Action::Prohibit => message.header.kind = RouteType::Prohibit,
        Action::Unicast(hops) => {
            if matches!(route.prefix, IpNet::V4(_)) && hops.iter().all(|h| h.via.is_none()) {
                message.header.scope = RouteScope::Link;
            }
            if let [hop] = hops.as_slice() {
                single_hop(&mut message, hop, route.prefix);
            } else {
                let legs = hops.iter().map(|hop| next_hop(hop, route.prefix)).collect();
                message.attributes.push(RouteAttribute::MultiPath(legs));
            }
        }
    }
    message
}

fn single_hop(message: &mut RouteMessage, hop: &Hop, prefix: IpNet) {
    if let Some(via) = hop.via {
        message.attributes.push(gateway(via, prefix));
    }
    if let Some(Device::Index(index)) = hop.device {
        message.attributes.push(RouteAttribute::Oif(index));
    }
    if hop.onlink {
        message.header.flags.insert(RouteFlags::Onlink);
    }
}

fn next_hop(hop: &Hop, prefix: IpNet) -> RouteNextHop {
    let family = match prefix {
        IpNet::V4(_) => AddressFamily::Inet,
        IpNet::V6(_) => AddressFamily::Inet6,
    };
    // The kernel's field is the weight minus one.
    let mut builder = RouteNextHopBuilder::new(family).weight(hop.weight.saturating_sub(1));
    if let Some(Device::Index(index)) = hop.device {
        builder = builder.interface(index);
    }
    if hop.onlink {
        builder = builder.onlink();
    }
    let mut leg = builder.build();
    leg.attributes.extend(hop.via.map(|via| gateway(via, prefix)));
    leg
}

/// A gateway of the other family goes into RTA_VIA (RFC 8950).
fn gateway(via: IpAddr, prefix: IpNet) -> RouteAttribute {
    match (via, prefix) {
        (IpAddr::V6(v6), IpNet::V4(_)) => RouteAttribute::Via(RouteVia::Inet6(v6)),
        _ => RouteAttribute::Gateway(via.into()),
    }
}

/// Reads a route. `None` for what forwarding by destination does not look at: cloned, multicast, broadcast and anycast routes,
/// routes by type of service or source.
pub(crate) fn decode_route(payload: &[u8]) -> Option<KernelRoute> {
    let message = RouteMessage::parse(payload).ok()?;
    let header = &message.header;
    if header.flags.contains(RouteFlags::Cloned) || header.tos != 0 || header.source_prefix_length != 0 {
        return None;
    }
    let mut parts = Parts::default();
    message.attributes.iter().for_each(|attribute| parts.take(attribute));
    let action = match header.kind {
        RouteType::Unicast | RouteType::Local => {
            if parts.hops.is_empty() {
                parts.add_single(header.flags);
            }
            Action::Unicast(parts.hops)
        }
        RouteType::BlackHole => Action::Blackhole,
        RouteType::Unreachable | RouteType::Throw => Action::Unreachable,
        RouteType::Prohibit => Action::Prohibit,
        _ => return None,
    };
    let prefix = destination(header, parts.destination)?;
    Some(KernelRoute {
        route: Route { prefix, action, metric: parts.metric },
        table: parts.table.unwrap_or(u32::from(header.table)),
        protocol: header.protocol.into(),
        local: header.kind == RouteType::Local,
    })
}

#[derive(Default)]
struct Parts {
    destination: Option<IpAddr>,
    metric: u32,
    table: Option<u32>,
    via: Option<IpAddr>,
    device: Option<u32>,
    hops: Hops,
}

impl Parts {
    fn take(&mut self, attribute: &RouteAttribute) {
        match attribute {
            RouteAttribute::Destination(address) => self.destination = address_of(address),
            RouteAttribute::Priority(metric) => self.metric = *metric,
            RouteAttribute::Table(table) => self.table = Some(*table),
            RouteAttribute::Gateway(address) => self.via = address_of(address),
            RouteAttribute::Via(RouteVia::Inet6(address)) => self.via = Some(IpAddr::V6(*address)),
            RouteAttribute::Oif(index) => self.device = Some(*index),
            RouteAttribute::MultiPath(legs) => legs.iter().for_each(|leg| self.add_leg(leg)),
            _ => {}
        }
    }

    fn add_leg(&mut self, leg: &RouteNextHop) {
        let mut inner = Self::default();
        leg.attributes.iter().for_each(|attribute| inner.take(attribute));
        self.hops.push(Hop {
            via: inner.via,
            device: Some(Device::Index(leg.interface_index)),
            onlink: leg.flags.contains(RouteNextHopFlags::Onlink),
            weight: leg.hops.saturating_add(1),
        });
    }

    fn add_single(&mut self, flags: RouteFlags) {
        let device = self.device.map(Device::Index);
        self.hops.push(Hop { via: self.via, device, onlink: flags.contains(RouteFlags::Onlink), weight: 1 });
    }
}

fn address_of(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
        RouteAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
        _ => None,
    }
}

fn destination(header: &RouteHeader, address: Option<IpAddr>) -> Option<IpNet> {
    let length = header.destination_prefix_length;
    match (header.address_family, address) {
        (AddressFamily::Inet, Some(IpAddr::V4(v4))) => Ipv4Net::new(v4, length).ok().map(IpNet::V4),
        (AddressFamily::Inet, None) => Ipv4Net::new(Ipv4Addr::UNSPECIFIED, length).ok().map(IpNet::V4),
        (AddressFamily::Inet6, Some(IpAddr::V6(v6))) => Ipv6Net::new(v6, length).ok().map(IpNet::V6),
        (AddressFamily::Inet6, None) => Ipv6Net::new(Ipv6Addr::UNSPECIFIED, length).ok().map(IpNet::V6),
        _ => None,
    }
}

/// The table and protocol number of a route message, without decoding the rest; the table is `None` where only the attribute
/// can tell.
pub(crate) fn peek_route(payload: &[u8]) -> Option<(Option<u32>, u8)> {
    /// "See the attribute": tables above 255.
    const COMPAT: u8 = 252;
    let (&table, &protocol) = (payload.get(4)?, payload.get(5)?);
    Some(((table != COMPAT).then_some(u32::from(table)), protocol))
}

/// Asks for the routes of one family and table; with `protocol`, only for those of that number (strict checking only).
pub(crate) fn dump_routes(family: Family, table: u32, protocol: Option<u8>) -> Message {
    let mut message = RouteMessage::default();
    message.header.address_family = match family {
        Family::Ipv4Unicast => AddressFamily::Inet,
        Family::Ipv6Unicast => AddressFamily::Inet6,
    };
    message.header.protocol = RouteProtocol::from(protocol.unwrap_or(0));
    message.attributes.push(RouteAttribute::Table(table));
    dump(RouteNetlinkMessage::GetRoute(message))
}

pub(crate) fn dump_links() -> Message {
    dump(RouteNetlinkMessage::GetLink(LinkMessage::default()))
}

pub(crate) fn dump_addresses() -> Message {
    dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()))
}

fn dump(inner: RouteNetlinkMessage) -> Message {
    let mut message = NetlinkMessage::from(inner);
    message.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    message
}

/// Reads number, name and flags of a link; the many other attributes are not looked at. `None` for the messages of other
/// address families: a bridge announces the loss of a port as the loss of a link.
pub(crate) fn decode_link(payload: &[u8]) -> Option<Link> {
    const HEADER_LEN: usize = 16;
    const IFLA_IFNAME: u16 = 3;
    const IFF_UP: u32 = 0x1;
    const IFF_LOOPBACK: u32 = 0x8;
    const IFF_LOWER_UP: u32 = 0x1_0000;
    let word = |at: usize| payload.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes);
    if payload.first() != Some(&0) {
        return None;
    }
    let (index, flags) = (word(4)?, word(8)?);
    let name = NlasIterator::new(payload.get(HEADER_LEN..)?)
        .filter_map(Result::ok)
        .find(|nla| nla.kind() == IFLA_IFNAME)
        .map(|nla| String::from_utf8_lossy(nla.value()).trim_end_matches('\0').into())?;
    Some(Link { index, name, up: flags & (IFF_UP | IFF_LOWER_UP) == IFF_UP | IFF_LOWER_UP, loopback: flags & IFF_LOOPBACK != 0 })
}

/// One address of an interface.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Address {
    pub address: IpAddr,
    pub index: u32,
    /// The protocol mark (IFA_PROTO); 0 where none is set or the kernel knows none.
    pub protocol: u8,
}

pub(crate) fn decode_address(payload: &[u8]) -> Option<Address> {
    let message = AddressMessage::parse(payload).ok()?;
    let (mut local, mut peer, mut protocol) = (None, None, 0);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => local = Some(*address),
            AddressAttribute::Address(address) => peer = Some(*address),
            AddressAttribute::Protocol(mark) => protocol = u8::from(*mark),
            _ => {}
        }
    }
    Some(Address { address: local.or(peer)?, index: message.header.index, protocol })
}

/// Adds or removes a host address on an interface, marked as ours.
pub(crate) fn change_address(address: IpAddr, index: u32, protocol: u8, add: bool) -> Message {
    let mut message = AddressMessage::default();
    (message.header.family, message.header.prefix_len) = match address {
        IpAddr::V4(_) => (AddressFamily::Inet, 32),
        IpAddr::V6(_) => (AddressFamily::Inet6, 128),
    };
    message.header.index = index;
    message.header.scope = AddressScope::Universe;
    message.attributes = vec![AddressAttribute::Local(address), AddressAttribute::Address(address)];
    let (inner, flags) = if add {
        message.attributes.push(AddressAttribute::Protocol(AddressProtocol::from(protocol)));
        (RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL)
    } else {
        (RouteNetlinkMessage::DelAddress(message), 0)
    };
    let mut request = NetlinkMessage::from(inner);
    request.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    request
}

#[cfg(test)]
mod tests;
