//! Why sessions ended, with what to do about it.

use std::io;

use bytes::Bytes;

use super::clock::Clock;
use crate::api::remedy;
use crate::api::types::{Direction, ErrorInfo, TcpErrorInfo, TcpHints};
use crate::session::{ErrorRecord, PeerStatus, TcpError};
use crate::wire::{CeaseCode, Notification};

/// The newest NOTIFICATION of either direction.
pub(super) fn last_error(status: &PeerStatus, clock: &Clock) -> Option<ErrorInfo> {
    let sent = status.last_sent_error.as_ref().map(|e| (Direction::Sent, e));
    let received = status.last_received_error.as_ref().map(|e| (Direction::Received, e));
    let (direction, record) = sent.into_iter().chain(received).max_by_key(|(_, e)| e.at)?;
    Some(error(direction, record, clock))
}

pub(super) fn error(direction: Direction, record: &ErrorRecord, clock: &Clock) -> ErrorInfo {
    let said = &record.notification;
    // What is wrapped in a Hard Reset is the reason (RFC 8538 4); the wrapping only says that routes go.
    let inner = is_hard_reset(said).then(|| Notification::decode(&said.data).ok()).flatten();
    let reason = inner.as_ref().unwrap_or(said);
    ErrorInfo {
        direction: Some(direction),
        code: Some(said.code),
        subcode: Some(said.subcode),
        text: title(reason),
        message: said.shutdown_text(),
        remedy: remedy::notification(direction, reason.code, reason.subcode).map(str::to_owned),
        at: clock.at(record.at),
    }
}

fn is_hard_reset(notification: &Notification) -> bool {
    (notification.code, notification.subcode) == (CEASE, CeaseCode::HardReset as u8)
}

/// Code and subcode in words, without the operator's text.
pub(super) fn title(notification: &Notification) -> String {
    Notification { data: Bytes::new(), ..notification.clone() }.to_string()
}

pub(super) fn tcp_error(error: &TcpError, auth: &str, ttl_security: bool, hints: &TcpHints, clock: &Clock) -> TcpErrorInfo {
    let kind = match error.text.as_str() {
        TcpError::NO_ANSWER => Some(io::ErrorKind::TimedOut),
        text => errno(text).map(|errno| io::Error::from_raw_os_error(errno).kind()),
    };
    let remedy = kind.and_then(|kind| remedy::tcp(kind, auth, ttl_security, hints));
    TcpErrorInfo { text: tcp_text(&error.text), remedy: remedy.map(str::to_owned), at: clock.at(error.at) }
}

/// What the kernel said, without its number.
pub(super) fn tcp_text(text: &str) -> String {
    let mut chars = text.split(OS_ERROR).next().unwrap_or_default().chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// The number in the text of an error of the operating system.
fn errno(text: &str) -> Option<i32> {
    text.split_once(OS_ERROR)?.1.strip_suffix(')')?.parse().ok()
}

/// The kernel's counters of segments that it dropped before TCP saw them.
pub(super) fn tcp_hints() -> TcpHints {
    std::fs::read_to_string("/proc/net/netstat").map(|text| hints_of(&text)).unwrap_or_default()
}

/// Lines come in pairs: names, then values.
fn hints_of(netstat: &str) -> TcpHints {
    let mut lines = netstat.lines().filter_map(|line| line.strip_prefix("TcpExt:"));
    let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let counter = |name: &str| {
        let mut pairs = names.split_whitespace().zip(values.split_whitespace());
        pairs.find(|(n, _)| *n == name)?.1.parse().ok()
    };
    TcpHints {
        md5_failures: counter("TCPMD5Failure"),
        md5_missing: counter("TCPMD5NotFound"),
        md5_unexpected: counter("TCPMD5Unexpected"),
        min_ttl_drops: counter("TCPMinTTLDrop"),
        ttl: None,
        rtt_seconds: None,
    }
}

/// NOTIFICATION code Cease (RFC 4486).
const CEASE: u8 = 6;
/// How the standard library ends the text of an error number.
const OS_ERROR: &str = " (os error ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_counters_by_name() {
        let text =
            "TcpExt: SyncookiesSent TCPMD5NotFound TCPMD5Unexpected TCPMD5Failure TCPMinTTLDrop\nTcpExt: 9 1 2 3 4\nIpExt: A\nIpExt: 7\n";
        let hints = hints_of(text);
        assert_eq!(
            (hints.md5_missing, hints.md5_unexpected, hints.md5_failures, hints.min_ttl_drops),
            (Some(1), Some(2), Some(3), Some(4))
        );
        assert_eq!(hints_of("").md5_failures, None);
    }

    #[test]
    fn a_kernel_error_has_its_remedy() {
        let clock = Clock::now();
        let error = TcpError { at: clock.instant, text: io::Error::from_raw_os_error(111).to_string() };
        let info = tcp_error(&error, "none", false, &TcpHints::default(), &clock);
        assert_eq!(info.text, "connection refused");
        assert!(info.remedy.is_some_and(|r| r.starts_with("nobody listens")));
        let silence = TcpError { at: clock.instant, text: TcpError::NO_ANSWER.to_owned() };
        let failing = TcpHints { md5_failures: Some(1), ..TcpHints::default() };
        assert!(tcp_error(&silence, "md5", false, &failing, &clock).remedy.is_some_and(|r| r.ends_with("compare the passwords")));
    }

    #[test]
    fn the_text_of_the_operator_stands_apart_from_the_code() {
        let clock = Clock::now();
        let notification = Notification::cease(CeaseCode::AdminShutdown, Some("maintenance"));
        let plain = error(Direction::Received, &ErrorRecord { at: clock.instant, notification: notification.clone() }, &clock);
        assert_eq!((plain.text.as_str(), plain.message.as_deref()), ("Cease/Administrative Shutdown", Some("maintenance")));
        let wrapped = ErrorRecord { at: clock.instant, notification: notification.hard_reset() };
        let hard = error(Direction::Received, &wrapped, &clock);
        assert_eq!((hard.text.as_str(), hard.message.as_deref()), ("Cease/Administrative Shutdown", Some("maintenance")));
        assert_eq!((hard.code, hard.subcode), (Some(6), Some(9)));
    }
}
