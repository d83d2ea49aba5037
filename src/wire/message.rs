//! The message header (RFC 4271 4.1) and the framing of messages that we send.

use super::notification::Notification;
use bytes::{BufMut, Bytes, BytesMut};
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16};
use nom::{IResult, Parser};

/// Octets of a message header.
pub const HEADER_LEN: usize = 19;
/// Longest message without the extended message capability (RFC 4271 4.1).
pub const MAX_MESSAGE: usize = 4096;
/// Longest message with the extended message capability (RFC 8654).
pub const MAX_EXTENDED: usize = 65535;

/// The type octet of a message.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum MessageType {
    Open = 1,
    Update = 2,
    Notification = 3,
    Keepalive = 4,
    RouteRefresh = 5,
}

impl MessageType {
    /// 128 is the type that route refresh had before RFC 2918 and some peers still send.
    const fn from_octet(octet: u8) -> Option<Self> {
        match octet {
            1 => Some(Self::Open),
            2 => Some(Self::Update),
            3 => Some(Self::Notification),
            4 => Some(Self::Keepalive),
            5 | 128 => Some(Self::RouteRefresh),
            _ => None,
        }
    }

    /// Legal lengths of a whole message of this type; `max` is the limit of the session.
    const fn limits(self, max: usize) -> (usize, usize) {
        match self {
            Self::Open => (29, MAX_MESSAGE),
            Self::Update => (23, max),
            // A short one is found by `Notification::decode`: errors in a NOTIFICATION are never answered (RFC 4271 6.4).
            Self::Notification => (HEADER_LEN, max),
            Self::Keepalive => (HEADER_LEN, HEADER_LEN),
            Self::RouteRefresh => (23, max),
        }
    }
}

/// A message header that has been checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    pub kind: MessageType,
    /// Octets of the whole message, header included.
    pub len: u16,
}

/// Looks at the 19 octets at the start of `input`. `max` is the limit for this direction of the session, [`MAX_MESSAGE`] or
/// [`MAX_EXTENDED`]; OPEN and KEEPALIVE have the smaller one always (RFC 8654 4).
///
/// `Ok(None)`: fewer than 19 octets, and nothing wrong so far. A wrong marker octet is an error at once.
///
/// # Errors
/// The NOTIFICATION to send: 1/1, 1/2 with the length, 1/3 with the type (RFC 4271 6.1).
pub fn decode_header(input: &[u8], max: usize) -> Result<Option<Header>, Notification> {
    if input.iter().take(MARKER.len()).any(|octet| *octet != 0xFF) {
        return Err(Notification::not_synchronized());
    }
    let Ok((_, (_, len, octet))) = header_fields(input) else {
        return Ok(None);
    };
    if usize::from(len) < HEADER_LEN || usize::from(len) > max {
        return Err(Notification::bad_length(len));
    }
    let kind = MessageType::from_octet(octet).ok_or_else(|| Notification::bad_type(octet))?;
    let (least, most) = kind.limits(max);
    if usize::from(len) < least || usize::from(len) > most {
        return Err(Notification::bad_length(len));
    }
    Ok(Some(Header { kind, len }))
}

fn header_fields(input: &[u8]) -> IResult<&[u8], (&[u8], u16, u8)> {
    (take(MARKER.len()), be_u16, be_u8).parse(input)
}

/// A whole KEEPALIVE message.
pub fn keepalive() -> Bytes {
    Bytes::from_static(&KEEPALIVE)
}

/// Appends a message header with the length still open; [`finish`] fills it in. Returns where the message starts in `out`.
pub fn begin(kind: MessageType, out: &mut BytesMut) -> usize {
    let start = out.len();
    out.put_slice(&MARKER);
    out.put_u16(0);
    out.put_u8(kind as u8);
    start
}

/// Fills in the length of the message that [`begin`] started at `start` and that ends where `out` ends.
///
/// # Panics
/// When the message is longer than [`MAX_EXTENDED`]: the caller packs within the limit of the session.
pub fn finish(start: usize, out: &mut BytesMut) {
    let len = u16::try_from(out.len() - start).expect("a message is packed within the session's limit");
    put_u16_at(start + MARKER.len(), len, out);
}

/// Overwrites the two octets at `at`, which have been reserved before.
pub fn put_u16_at(at: usize, value: u16, out: &mut BytesMut) {
    let place = out.get_mut(at..at + 2).expect("the field was reserved when the message was begun");
    place.copy_from_slice(&value.to_be_bytes());
}

const MARKER: [u8; 16] = [0xFF; 16];
const KEEPALIVE: [u8; HEADER_LEN] = {
    let mut message = [0xFF; HEADER_LEN];
    message[16] = 0;
    message[17] = HEADER_LEN as u8;
    message[18] = MessageType::Keepalive as u8;
    message
};
