//! The addresses and interfaces of this host, read once.

use futures_util::TryStreamExt;
use ipnet::IpNet;
use netlink_packet_route::address::AddressAttribute;
use netlink_packet_route::link::{LinkAttribute, LinkFlags};
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

/// An address of this host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Address {
    /// The number of the interface that has it.
    pub interface: u32,
    pub local: IpAddr,
    /// Who is reached without a router: the network of the address, or the other end of a point-to-point link.
    pub on_link: Option<IpNet>,
}

/// Every address, in the kernel's order. Needs no privilege.
///
/// # Errors
/// The netlink socket cannot be opened, or the kernel refuses.
pub async fn addresses() -> io::Result<Vec<Address>> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    let connection = tokio::spawn(connection);
    let mut answers = handle.address().get().execute();
    let mut found = Vec::new();
    while let Some(message) = answers.try_next().await.map_err(io::Error::other)? {
        let prefix = |a: IpAddr| IpNet::new(a, message.header.prefix_len).ok();
        let on_link = peer(&message.attributes).or_else(|| local(&message.attributes)).and_then(prefix);
        found.extend(local(&message.attributes).map(|local| Address { interface: message.header.index, local, on_link }));
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
    local.or_else(|| peer(attributes))
}

/// The other end of a point-to-point link; elsewhere our own address.
fn peer(attributes: &[AddressAttribute]) -> Option<IpAddr> {
    attributes.iter().find_map(|a| if let AddressAttribute::Address(a) = a { Some(*a) } else { None })
}
