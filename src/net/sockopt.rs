//! Socket options that no library offers: TCP MD5 (RFC 2385), the minimum TTL of GTSM and the TTL of a SYN (RFC 5082). The only `unsafe` of the crate.
#![expect(unsafe_code, reason = "setsockopt with structures that neither std nor socket2 knows")]

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};

/// The longest key that the kernel takes, in bytes.
pub const MAX_MD5_KEY: usize = 80;

/// Linux `struct tcp_md5sig`; libc does not have it.
#[repr(C)]
struct TcpMd5Sig {
    addr: libc::sockaddr_storage,
    flags: u8,
    prefix_len: u8,
    key_len: u16,
    ifindex: i32,
    key: [u8; MAX_MD5_KEY],
}

const TCP_MD5SIG_EXT: libc::c_int = 32;
const TCP_MD5SIG_FLAG_PREFIX: u8 = 1;

/// Sets the MD5 key for segments from and to `peer/prefix_len` (RFC 2385). An empty key removes it; removing one that is not there
/// succeeds. The listener needs the key before the peer's SYN arrives.
///
/// # Errors
/// What the kernel says: `EINVAL` for a key of more than [`MAX_MD5_KEY`] bytes or an address of the socket's other family.
pub fn set_md5(socket: BorrowedFd<'_>, peer: IpAddr, prefix_len: u8, key: &[u8]) -> io::Result<()> {
    if key.len() > MAX_MD5_KEY {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: all-zero bytes are a valid value of these integer-only structures.
    let mut sig: TcpMd5Sig = unsafe { zeroed() };
    let address = socket2::SockAddr::from(SocketAddr::new(peer, 0));
    // SAFETY: SockAddr guarantees `len` initialised bytes, and sockaddr_storage is the largest address there is.
    unsafe {
        std::ptr::copy_nonoverlapping(address.as_ptr().cast::<u8>(), (&raw mut sig.addr).cast::<u8>(), address.len() as usize);
    }
    let full = if peer.is_ipv4() { 32 } else { 128 };
    let name = if prefix_len == full {
        libc::TCP_MD5SIG
    } else {
        sig.flags = TCP_MD5SIG_FLAG_PREFIX;
        sig.prefix_len = prefix_len;
        TCP_MD5SIG_EXT
    };
    sig.key_len = key.len() as u16;
    sig.key[..key.len()].copy_from_slice(key);
    match set(socket, libc::IPPROTO_TCP, name, &sig) {
        Err(e) if key.is_empty() && e.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        other => other,
    }
}

/// Drops segments that arrive with a TTL or hop limit below `minimum` (RFC 5082 3).
///
/// # Errors
/// What the kernel says.
pub fn set_min_ttl(socket: BorrowedFd<'_>, ipv4: bool, minimum: u8) -> io::Result<()> {
    let value = libc::c_int::from(minimum);
    if ipv4 {
        set(socket, libc::IPPROTO_IP, libc::IP_MINTTL, &value)
    } else {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT, &value)
    }
}

/// Makes a listening socket keep the SYN of each connection, for [`syn_ttl`].
///
/// # Errors
/// What the kernel says.
pub fn save_syn(listener: BorrowedFd<'_>) -> io::Result<()> {
    set(listener, libc::IPPROTO_TCP, TCP_SAVE_SYN, &libc::c_int::from(true))
}

/// TTL or hop limit with which the SYN of an accepted connection arrived, and the data sent along with it in all likelihood. `None`
/// where it was not kept, or on the second call.
pub fn syn_ttl(connection: BorrowedFd<'_>) -> Option<u8> {
    // The IP header comes first; of a longer one the rest is cut off.
    let mut headers = [0u8; 256];
    let mut length = headers.len() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into the buffer, which is that long, and says how many.
    let result =
        unsafe { libc::getsockopt(connection.as_raw_fd(), libc::IPPROTO_TCP, TCP_SAVED_SYN, headers.as_mut_ptr().cast(), &raw mut length) };
    let headers = headers.get(..length as usize).filter(|_| result == 0)?;
    match headers.first()? >> 4 {
        4 => headers.get(8).copied(),
        6 => headers.get(7).copied(),
        _ => None,
    }
}

/// Linux `<linux/tcp.h>`.
const TCP_SAVE_SYN: libc::c_int = 27;
const TCP_SAVED_SYN: libc::c_int = 28;

fn set<T>(socket: BorrowedFd<'_>, level: libc::c_int, name: libc::c_int, value: &T) -> io::Result<()> {
    // SAFETY: the pointer and the length describe one initialised T that lives through the call.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, std::ptr::from_ref(value).cast(), size_of::<T>() as libc::socklen_t) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, Protocol, Socket, Type};
    use std::os::fd::AsFd;

    fn socket(domain: Domain) -> Socket {
        Socket::new(domain, Type::STREAM, Some(Protocol::TCP)).expect("a TCP socket")
    }

    #[test]
    fn md5_keys_are_set_and_removed_for_addresses_and_ranges() {
        let v4 = socket(Domain::IPV4);
        set_md5(v4.as_fd(), [192, 0, 2, 1].into(), 32, b"secret").expect("exact key");
        set_md5(v4.as_fd(), [198, 51, 100, 0].into(), 24, b"secret").expect("range key");
        set_md5(v4.as_fd(), [192, 0, 2, 1].into(), 32, b"").expect("removal");
        set_md5(v4.as_fd(), [192, 0, 2, 1].into(), 32, b"").expect("removal of a missing key");
        let v6 = socket(Domain::IPV6);
        set_md5(v6.as_fd(), "2001:db8::1".parse().expect("address"), 128, b"secret").expect("IPv6 key");
        set_md5(v6.as_fd(), "2001:db8::".parse().expect("address"), 64, b"secret").expect("IPv6 range key");
    }

    #[test]
    fn a_key_that_is_too_long_is_refused() {
        let error = set_md5(socket(Domain::IPV4).as_fd(), [192, 0, 2, 1].into(), 32, &[b'x'; 81]).expect_err("81 bytes");
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    }

    #[test]
    fn the_ttl_of_a_syn_is_known() {
        for (ipv4, text) in [(true, "127.0.0.1:0"), (false, "[::1]:0")] {
            let listener = socket(if ipv4 { Domain::IPV4 } else { Domain::IPV6 });
            save_syn(listener.as_fd()).expect("TCP_SAVE_SYN");
            listener.bind(&text.parse::<SocketAddr>().expect("an address").into()).expect("bound");
            listener.listen(1).expect("listening");
            let dialer = socket(if ipv4 { Domain::IPV4 } else { Domain::IPV6 });
            if ipv4 { dialer.set_ttl_v4(17) } else { dialer.set_unicast_hops_v6(17) }.expect("a TTL");
            dialer.connect(&listener.local_addr().expect("its address")).expect("connected");
            let (accepted, _) = listener.accept().expect("accepted");
            assert_eq!(syn_ttl(accepted.as_fd()), Some(17));
        }
    }

    #[test]
    fn minimum_ttl_is_accepted_in_both_families() {
        set_min_ttl(socket(Domain::IPV4).as_fd(), true, 255).expect("IP_MINTTL");
        set_min_ttl(socket(Domain::IPV6).as_fd(), false, 255).expect("IPV6_MINHOPCOUNT");
    }
}
