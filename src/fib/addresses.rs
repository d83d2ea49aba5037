//! The addresses and interfaces of this host, read once.

use futures_util::TryStreamExt;
use ipnet::IpNet;
use netlink_packet_route::address::AddressAttribute;
use netlink_packet_route::link::{LinkAttribute, LinkFlags};
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

/// Every address with the number of the interface that has it, in the kernel's order. Needs no privilege.
///
/// # Errors
/// The netlink socket cannot be opened, or the kernel refuses.
pub async fn addresses() -> io::Result<Vec<(u32, IpAddr)>> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    let connection = tokio::spawn(connection);
    let mut answers = handle.address().get().execute();
    let mut found = Vec::new();
    while let Some(message) = answers.try_next().await.map_err(io::Error::other)? {
        found.extend(local(&message.attributes).map(|a| (message.header.index, a)));
    }
    connection.abort();
    Ok(found)
}

/// One interface, for people.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Interface {
    pub index: u32,
    pub name: String,
    /// Administratively up and with carrier.
    pub up: bool,
    pub mtu: u32,
    /// With the prefix length of their network.
    pub addresses: Vec<IpNet>,
}

/// Every interface by number. Needs no privilege.
///
/// # Errors
/// The netlink socket cannot be opened, or the kernel refuses.
pub async fn interfaces() -> io::Result<Vec<Interface>> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    let connection = tokio::spawn(connection);
    let mut found = BTreeMap::new();
    let mut links = handle.link().get().execute();
    while let Some(message) = links.try_next().await.map_err(io::Error::other)? {
        let index = message.header.index;
        let up = message.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp);
        let mut interface = Interface { index, name: index.to_string(), up, mtu: 0, addresses: Vec::new() };
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => interface.name = name,
                LinkAttribute::Mtu(mtu) => interface.mtu = mtu,
                _ => {}
            }
        }
        found.insert(index, interface);
    }
    let mut addresses = handle.address().get().execute();
    while let Some(message) = addresses.try_next().await.map_err(io::Error::other)? {
        let network = local(&message.attributes).and_then(|a| IpNet::new(a, message.header.prefix_len).ok());
        if let (Some(interface), Some(network)) = (found.get_mut(&message.header.index), network) {
            interface.addresses.push(network);
        }
    }
    connection.abort();
    Ok(found.into_values().collect())
}

/// On point-to-point links the local address is another one than "the" address.
fn local(attributes: &[AddressAttribute]) -> Option<IpAddr> {
    let local = attributes.iter().find_map(|a| if let AddressAttribute::Local(a) = a { Some(*a) } else { None });
    local.or_else(|| attributes.iter().find_map(|a| if let AddressAttribute::Address(a) = a { Some(*a) } else { None }))
}
