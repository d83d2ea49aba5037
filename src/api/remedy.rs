//! What an operator can do about an ended session: one sentence for `remedy` in [`super::types::ErrorInfo`] and
//! [`super::types::TcpErrorInfo`].

use super::types::{Direction, TcpHints};

/// Advice on a NOTIFICATION (codes of RFC 4271 4.5 and 6, RFC 4486, RFC 5492, RFC 6608); `None` where the text says it all.
pub const fn notification(direction: Direction, code: u8, subcode: u8) -> Option<&'static str> {
    use Direction::{Received, Sent};
    Some(match (direction, code, subcode) {
        (Received, 2, 2) => "the other side expects another AS from us: compare `localAsn` with its configuration",
        (Sent, 2, 2) => "the other side is in another AS than `asn` says: compare both configurations",
        (_, 2, 3) => "the router ids are equal or invalid: give each router its own `router.id`",
        (_, 2, 4 | 7) => "the sides do not agree on capabilities: compare `families` and the capabilities below",
        (_, 2, 6) => "the hold time is not acceptable: use 0 or at least 3 s on both sides",
        (_, 2, 11) => "the roles do not fit together (RFC 9234): compare `role` on both sides",
        (_, 1 | 3 | 5, _) => "one side sent something malformed: keep the log lines of both daemons and their versions",
        (Sent, 4, _) => "nothing came from the other side in time: check the link, its load, and the path MTU",
        (Received, 4, _) => "our messages did not arrive in time: check the link, our load, and the path MTU",
        (_, 6, 1) => "more prefixes than allowed: raise `maxPrefixes.limit`, or find out who leaks",
        (Received, 6, 2) => "the other side switched the session off; ask its operator",
        (Received, 6, 3) => "the other side no longer knows us as a neighbor: check its configuration",
        (Received, 6, 5) => "the other side rejected the connection: check that it knows our address and AS",
        (_, 6, 7) => "both sides connected at once, the other connection goes on: nothing to do",
        (_, 6, 8) => "a side is short of resources: see `bgpctl show memory` and its counterpart",
        (_, 6, 10) => "BFD says that the path is down: check the link",
        _ => return None,
    })
}

/// Advice on a TCP error. `auth` and `ttl_security` say what is configured; counters of the kernel tell a wrong key or TTL from a
/// silent network.
pub fn tcp(kind: std::io::ErrorKind, auth: &str, ttl_security: bool, hints: &TcpHints) -> Option<&'static str> {
    use std::io::ErrorKind as Kind;
    let counted = |counter: Option<u64>| counter.is_some_and(|count| count > 0);
    Some(match kind {
        Kind::TimedOut if auth != "none" && (counted(hints.md5_failures) || counted(hints.md5_missing)) => {
            "the kernel drops segments with a wrong or missing MD5 signature: compare the passwords"
        }
        Kind::TimedOut if auth == "none" && counted(hints.md5_unexpected) => "the other side signs with MD5 and we do not: set `password`",
        Kind::TimedOut if ttl_security && counted(hints.min_ttl_drops) => {
            "packets arrive with a TTL that is too low: compare `ttlSecurity` with the number of hops"
        }
        Kind::TimedOut => "no answer: check routing, firewalls, and whether both sides use the same password",
        Kind::ConnectionRefused => "nobody listens there: check that the other daemon runs, its port, and that it knows our address",
        Kind::ConnectionReset => "the other side cut the connection: check that it knows our address and AS",
        Kind::HostUnreachable | Kind::NetworkUnreachable => "there is no route to the neighbor: check `ip route get ADDRESS`",
        Kind::AddrNotAvailable => "`localAddress` is not an address of this host",
        Kind::PermissionDenied => "the kernel refuses: check capabilities (CAP_NET_BIND_SERVICE, CAP_NET_ADMIN) and firewalls",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn who_must_act_depends_on_the_direction() {
        assert!(notification(Direction::Received, 2, 2).unwrap().contains("localAsn"));
        assert!(notification(Direction::Sent, 2, 2).unwrap().contains("`asn`"));
        assert!(notification(Direction::Received, 6, 2).unwrap().contains("ask its operator"));
        assert_eq!(notification(Direction::Sent, 6, 2), None, "we did it ourselves");
        assert_eq!(notification(Direction::Received, 6, 4), None);
    }

    #[test]
    fn counters_tell_a_wrong_key_from_silence() {
        let silent = TcpHints { md5_failures: Some(0), ..TcpHints::default() };
        let failing = TcpHints { md5_failures: Some(3), ..TcpHints::default() };
        let unexpected = TcpHints { md5_unexpected: Some(1), ..TcpHints::default() };
        let low = TcpHints { min_ttl_drops: Some(1), ..TcpHints::default() };
        let says = |auth, ttl, hints: &TcpHints| tcp(ErrorKind::TimedOut, auth, ttl, hints).unwrap();
        assert!(says("md5", false, &failing).contains("compare the passwords"));
        assert!(says("none", false, &unexpected).contains("set `password`"));
        assert!(says("none", true, &low).contains("ttlSecurity"));
        assert!(says("md5", false, &silent).starts_with("no answer"));
        assert_eq!(tcp(ErrorKind::Other, "none", false, &silent), None);
    }
}
