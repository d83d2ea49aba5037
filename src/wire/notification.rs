//! NOTIFICATION (RFC 4271 4.5 and 6): every code that we send, with its data, and the shutdown text of RFC 9003.

use super::AfiSafi;
use super::capability::Capability;
use super::message::{self, HEADER_LEN, MAX_MESSAGE, MessageType};
use bytes::{BufMut, Bytes, BytesMut};
use nom::number::complete::be_u8;
use nom::{IResult, Parser};
use std::fmt;

/// A NOTIFICATION, received or to be sent.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Notification {
    pub code: u8,
    pub subcode: u8,
    pub data: Bytes,
}

/// Subcodes of Cease (RFC 4486, RFC 8538, RFC 9384).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum CeaseCode {
    MaxPrefixes = 1,
    AdminShutdown = 2,
    Deconfigured = 3,
    AdminReset = 4,
    Rejected = 5,
    ConfigChange = 6,
    Collision = 7,
    OutOfResources = 8,
    HardReset = 9,
    BfdDown = 10,
}

/// The states in which a message can be unexpected (RFC 6608); the value is the subcode.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum FsmState {
    OpenSent = 1,
    OpenConfirm = 2,
    Established = 3,
}

impl Notification {
    /// Takes the body of a received NOTIFICATION, that is all after the header.
    ///
    /// # Errors
    /// 1/2 for a body of fewer than two octets. It is for the log only: errors in a NOTIFICATION are never answered.
    pub fn decode(body: &[u8]) -> Result<Self, Self> {
        match codes(body) {
            Ok((data, (code, subcode))) => Ok(Self { code, subcode, data: Bytes::copy_from_slice(data) }),
            Err(_) => Err(Self::bad_length((HEADER_LEN + body.len()) as u16)),
        }
    }

    /// Appends the whole message. Data is cut where the message would exceed 4096 octets, which any peer can take.
    pub fn encode(&self, out: &mut BytesMut) {
        let start = message::begin(MessageType::Notification, out);
        out.put_u8(self.code);
        out.put_u8(self.subcode);
        let fits = self.data.len().min(MAX_MESSAGE - HEADER_LEN - 2);
        out.put(self.data.slice(..fits));
        message::finish(start, out);
    }

    /// The operator's text in Administrative Shutdown or Administrative Reset (RFC 9003), also inside a Hard Reset (RFC 8538).
    /// What could disturb a log or a terminal is replaced; `None` when there is no text or its length does not fit the data.
    pub fn shutdown_text(&self) -> Option<String> {
        if self.code != CEASE {
            return None;
        }
        if self.subcode == CeaseCode::HardReset as u8 {
            return Self::decode(&self.data).ok().filter(|n| n.subcode != CeaseCode::HardReset as u8)?.shutdown_text();
        }
        if self.subcode != CeaseCode::AdminShutdown as u8 && self.subcode != CeaseCode::AdminReset as u8 {
            return None;
        }
        let (len, text) = self.data.split_first()?;
        let text = text.get(..usize::from(*len)).filter(|t| !t.is_empty())?;
        Some(log_safe(text))
    }

    /// 1/1, Connection Not Synchronized.
    pub const fn not_synchronized() -> Self {
        Self::bare(HEADER, 1)
    }

    /// 1/2, Bad Message Length; the data is the length.
    pub fn bad_length(len: u16) -> Self {
        Self::with(HEADER, 2, &len.to_be_bytes())
    }

    /// 1/3, Bad Message Type; the data is the type.
    pub fn bad_type(octet: u8) -> Self {
        Self::with(HEADER, 3, &[octet])
    }

    /// 2/0, for lengths in an OPEN that do not fit.
    pub const fn malformed_open() -> Self {
        Self::bare(OPEN, 0)
    }

    /// 2/1, Unsupported Version Number; the data is the version that we speak.
    pub fn unsupported_version() -> Self {
        Self::with(OPEN, 1, &[0, 4])
    }

    /// 2/2, Bad Peer AS.
    pub const fn bad_peer_as() -> Self {
        Self::bare(OPEN, 2)
    }

    /// 2/3, Bad BGP Identifier.
    pub const fn bad_identifier() -> Self {
        Self::bare(OPEN, 3)
    }

    /// 2/4, Unsupported Optional Parameter.
    pub const fn unsupported_parameter() -> Self {
        Self::bare(OPEN, 4)
    }

    /// 2/6, Unacceptable Hold Time.
    pub const fn unacceptable_hold_time() -> Self {
        Self::bare(OPEN, 6)
    }

    /// 2/7, Unsupported Capability; the data are the capabilities that we require (RFC 5492 5).
    pub fn unsupported_capability(required: &[Capability]) -> Self {
        let mut data = BytesMut::new();
        required.iter().for_each(|c| c.encode(&mut data));
        Self { code: OPEN, subcode: 7, data: data.freeze() }
    }

    /// 2/11, Role Mismatch (RFC 9234 4.2).
    pub const fn role_mismatch() -> Self {
        Self::bare(OPEN, 11)
    }

    /// 3/1, Malformed Attribute List.
    pub const fn malformed_attributes() -> Self {
        Self::bare(UPDATE, 1)
    }

    /// 3/9, Optional Attribute Error; the data is the attribute as it arrived.
    pub fn optional_attribute(attribute: &[u8]) -> Self {
        let fits = attribute.get(..MAX_MESSAGE - HEADER_LEN - 2).unwrap_or(attribute);
        Self::with(UPDATE, 9, fits)
    }

    /// 3/10, Invalid Network Field.
    pub const fn invalid_network() -> Self {
        Self::bare(UPDATE, 10)
    }

    /// 4/0, Hold Timer Expired.
    pub const fn hold_timer_expired() -> Self {
        Self::bare(HOLD_TIMER, 0)
    }

    /// 5/1, 5/2 or 5/3: a message that is not legal in this state (RFC 6608).
    pub const fn fsm(state: FsmState) -> Self {
        Self::bare(FSM, state as u8)
    }

    /// Cease. `text` is sent with Administrative Shutdown and Administrative Reset only, at most 255 octets of it (RFC 9003).
    pub fn cease(code: CeaseCode, text: Option<&str>) -> Self {
        let text = text.filter(|_| matches!(code, CeaseCode::AdminShutdown | CeaseCode::AdminReset));
        let Some(text) = text else { return Self::bare(CEASE, code as u8) };
        let text = clip(text, usize::from(u8::MAX));
        let mut data = BytesMut::with_capacity(1 + text.len());
        data.put_u8(text.len() as u8);
        data.put_slice(text.as_bytes());
        Self { code: CEASE, subcode: code as u8, data: data.freeze() }
    }

    /// 6/1, Maximum Number of Prefixes Reached; the data is the family and the limit (RFC 4486 4).
    pub fn max_prefixes(family: AfiSafi, limit: u32) -> Self {
        let mut data = BytesMut::with_capacity(7);
        data.put_u16(family.afi);
        data.put_u8(family.safi);
        data.put_u32(limit);
        Self { code: CEASE, subcode: CeaseCode::MaxPrefixes as u8, data: data.freeze() }
    }

    /// 6/9, Hard Reset: wraps the NOTIFICATION that says why (RFC 8538 3.1).
    pub fn hard_reset(&self) -> Self {
        let mut data = BytesMut::with_capacity(2 + self.data.len());
        data.put_u8(self.code);
        data.put_u8(self.subcode);
        data.put_slice(&self.data);
        Self { code: CEASE, subcode: CeaseCode::HardReset as u8, data: data.freeze() }
    }

    /// 7/1, Invalid Message Length of a ROUTE-REFRESH; the data is the whole message (RFC 7313 5).
    pub fn refresh_length(body: &[u8]) -> Self {
        let mut data = BytesMut::with_capacity(HEADER_LEN + body.len());
        let start = message::begin(MessageType::RouteRefresh, &mut data);
        data.put_slice(body);
        message::finish(start, &mut data);
        data.truncate(MAX_MESSAGE - HEADER_LEN - 2);
        Self { code: REFRESH, subcode: 1, data: data.freeze() }
    }

    /// 8/0, Send Hold Timer Expired (RFC 9687).
    pub const fn send_hold_timer_expired() -> Self {
        Self::bare(SEND_HOLD, 0)
    }

    const fn bare(code: u8, subcode: u8) -> Self {
        Self { code, subcode, data: Bytes::new() }
    }

    fn with(code: u8, subcode: u8, data: &[u8]) -> Self {
        Self { code, subcode, data: Bytes::copy_from_slice(data) }
    }

    /// Name of code and subcode as IANA lists them; `None` for a code or subcode without a name.
    const fn names(&self) -> (Option<&'static str>, Option<&'static str>) {
        let code = match self.code {
            HEADER => "Message Header Error",
            OPEN => "OPEN Message Error",
            UPDATE => "UPDATE Message Error",
            HOLD_TIMER => "Hold Timer Expired",
            FSM => "FSM Error",
            CEASE => "Cease",
            REFRESH => "ROUTE-REFRESH Message Error",
            SEND_HOLD => "Send Hold Timer Expired",
            _ => return (None, None),
        };
        (Some(code), subcode_name(self.code, self.subcode))
    }
}

impl fmt::Display for Notification {
    /// For people: `Cease/Administrative Shutdown "text"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.names() {
            (None, _) => write!(f, "code {} subcode {}", self.code, self.subcode)?,
            (Some(code), Some(subcode)) => write!(f, "{code}/{subcode}")?,
            (Some(code), None) if self.subcode == 0 => f.write_str(code)?,
            (Some(code), None) => write!(f, "{code}/subcode {}", self.subcode)?,
        }
        if self.code == CEASE && self.subcode == CeaseCode::HardReset as u8 {
            if let Some(inner) = Self::decode(&self.data).ok().filter(|n| n.subcode != self.subcode) {
                write!(f, " ({inner})")?;
            }
            return Ok(());
        }
        match self.shutdown_text() {
            Some(text) => write!(f, " \"{text}\""),
            None => Ok(()),
        }
    }
}

fn codes(body: &[u8]) -> IResult<&[u8], (u8, u8)> {
    (be_u8, be_u8).parse(body)
}

const fn subcode_name(code: u8, subcode: u8) -> Option<&'static str> {
    Some(match (code, subcode) {
        (HEADER, 1) => "Connection Not Synchronized",
        (HEADER, 2) => "Bad Message Length",
        (HEADER, 3) => "Bad Message Type",
        (OPEN, 1) => "Unsupported Version Number",
        (OPEN, 2) => "Bad Peer AS",
        (OPEN, 3) => "Bad BGP Identifier",
        (OPEN, 4) => "Unsupported Optional Parameter",
        (OPEN, 6) => "Unacceptable Hold Time",
        (OPEN, 7) => "Unsupported Capability",
        (OPEN, 11) => "Role Mismatch",
        (UPDATE, 1) => "Malformed Attribute List",
        (UPDATE, 2) => "Unrecognized Well-known Attribute",
        (UPDATE, 3) => "Missing Well-known Attribute",
        (UPDATE, 4) => "Attribute Flags Error",
        (UPDATE, 5) => "Attribute Length Error",
        (UPDATE, 6) => "Invalid ORIGIN Attribute",
        (UPDATE, 8) => "Invalid NEXT_HOP Attribute",
        (UPDATE, 9) => "Optional Attribute Error",
        (UPDATE, 10) => "Invalid Network Field",
        (UPDATE, 11) => "Malformed AS_PATH",
        (FSM, 1) => "Unexpected Message in OpenSent State",
        (FSM, 2) => "Unexpected Message in OpenConfirm State",
        (FSM, 3) => "Unexpected Message in Established State",
        (CEASE, 1) => "Maximum Number of Prefixes Reached",
        (CEASE, 2) => "Administrative Shutdown",
        (CEASE, 3) => "Peer De-configured",
        (CEASE, 4) => "Administrative Reset",
        (CEASE, 5) => "Connection Rejected",
        (CEASE, 6) => "Other Configuration Change",
        (CEASE, 7) => "Connection Collision Resolution",
        (CEASE, 8) => "Out of Resources",
        (CEASE, 9) => "Hard Reset",
        (CEASE, 10) => "BFD Down",
        (REFRESH, 1) => "Invalid Message Length",
        _ => return None,
    })
}

/// Text from a peer, fit for a log line and a terminal: no control characters, no direction marks, no quotes that would end
/// the quoted text. Never longer than its source by more than the replacement of invalid UTF-8.
pub(super) fn log_safe(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().map(|c| if is_unsafe(c) { '?' } else { c }).collect()
}

/// The longest start of `text` that has at most `max` octets and does not cut a character.
pub(super) fn clip(text: &str, max: usize) -> &str {
    (0..=max).rev().find_map(|end| text.get(..end.min(text.len()))).unwrap_or_default()
}

fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '"' | '\\' | '\u{61C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

const HEADER: u8 = 1;
const OPEN: u8 = 2;
const UPDATE: u8 = 3;
const HOLD_TIMER: u8 = 4;
const FSM: u8 = 5;
const CEASE: u8 = 6;
const REFRESH: u8 = 7;
const SEND_HOLD: u8 = 8;
