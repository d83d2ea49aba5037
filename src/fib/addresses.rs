//! The addresses of this host, read once.

use futures_util::TryStreamExt;
use netlink_packet_route::address::AddressAttribute;
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
        // On point-to-point links the local address is another one than "the" address.
        let local = message.attributes.iter().find_map(|a| if let AddressAttribute::Local(a) = a { Some(*a) } else { None });
        let address = message.attributes.iter().find_map(|a| if let AddressAttribute::Address(a) = a { Some(*a) } else { None });
        found.extend(local.or(address).map(|a| (message.header.index, a)));
    }
    connection.abort();
    Ok(found)
}
