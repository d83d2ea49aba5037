//! OPEN (RFC 4271 4.2), capabilities (RFC 5492) and extended optional parameters (RFC 9072).

use super::attr::as_path::AS_TRANS;
use super::capability::Capability;
use super::message::{self, MessageType};
use super::notification::Notification;
use super::{Asn, RouterId};
use bytes::{BufMut, BytesMut};
use nom::bytes::complete::take;
use nom::multi::length_data;
use nom::number::complete::{be_u8, be_u16, be_u32};
use nom::{IResult, Parser};

/// An OPEN message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Open {
    /// The sender's AS: that of the 4-octet AS capability if present, else the field; never 0.
    pub asn: u32,
    /// The AS field as it stands: AS_TRANS where the AS takes 4 octets (RFC 6793).
    pub asn_field: u16,
    /// Seconds: 0, or 3 and more.
    pub hold_time: u16,
    pub id: RouterId,
    /// In the order in which they were sent, duplicates included.
    pub capabilities: Vec<Capability>,
    /// The parameters came in the form of RFC 9072.
    pub extended: bool,
}

impl Open {
    /// An OPEN of our own; the AS field follows from `asn`, `capabilities` are sent as they are (4-octet AS among them).
    pub fn new(asn: Asn, hold_time: u16, id: RouterId, capabilities: Vec<Capability>) -> Self {
        let asn_field = u16::try_from(asn.get()).unwrap_or(AS_TRANS);
        Self { asn: asn.get(), asn_field, hold_time, id, capabilities, extended: false }
    }

    /// Takes the body, that is all after the header. Checks what needs no configuration: version, AS 0, hold time 1 and 2,
    /// identifier 0.0.0.0, parameter types, all lengths.
    ///
    /// # Errors
    /// The NOTIFICATION to send, 2/x (RFC 4271 6.2).
    pub fn decode(body: &[u8]) -> Result<Self, Notification> {
        let (rest, (version, asn_field, hold_time, id, len)) = fixed(body).map_err(|_| Notification::malformed_open())?;
        if version != VERSION {
            return Err(Notification::unsupported_version());
        }
        let (extended, parameters) = parameter_block(len, rest)?;
        let capabilities = decode_parameters(parameters, extended)?;
        let four_octet = capabilities.iter().find_map(|c| if let Capability::FourOctetAs(asn) = c { Some(*asn) } else { None });
        let asn = match four_octet {
            Some(asn) => asn,
            // AS_TRANS is nobody's number (RFC 6793 4.2.3).
            None if asn_field == AS_TRANS => return Err(Notification::bad_peer_as()),
            None => u32::from(asn_field),
        };
        if asn == 0 || asn_field == 0 {
            return Err(Notification::bad_peer_as());
        }
        if matches!(hold_time, 1 | 2) {
            return Err(Notification::unacceptable_hold_time());
        }
        let id = RouterId::new(id).ok_or_else(Notification::bad_identifier)?;
        Ok(Self { asn, asn_field, hold_time, id, capabilities, extended })
    }

    /// Appends the whole message; all capabilities in one parameter, in the form of RFC 9072 only where they exceed 255 octets.
    pub fn encode(&self, out: &mut BytesMut) {
        let mut capabilities = BytesMut::new();
        self.capabilities.iter().for_each(|c| c.encode(&mut capabilities));
        let start = message::begin(MessageType::Open, out);
        out.put_u8(VERSION);
        out.put_u16(self.asn_field);
        out.put_u16(self.hold_time);
        out.put_u32(self.id.get());
        match (u8::try_from(capabilities.len()), u8::try_from(capabilities.len() + 2)) {
            _ if capabilities.is_empty() => out.put_u8(0),
            (Ok(len), Ok(parameter_len)) => out.put_slice(&[parameter_len, CAPABILITIES, len]),
            _ => {
                out.put_slice(&[EXTENDED, EXTENDED]);
                out.put_u16(capabilities.len() as u16 + 3);
                out.put_u8(CAPABILITIES);
                out.put_u16(capabilities.len() as u16);
            }
        }
        out.put_slice(&capabilities);
        message::finish(start, out);
    }
}

fn fixed(body: &[u8]) -> IResult<&[u8], (u8, u16, u16, u32, u8)> {
    (be_u8, be_u16, be_u16, be_u32, be_u8).parse(body)
}

/// The optional parameters, and whether they have the form of RFC 9072: its marker is the first parameter type, whatever the
/// old length field says, unless that is 0 (RFC 9072 2). They must fill the message exactly.
fn parameter_block(len: u8, rest: &[u8]) -> Result<(bool, &[u8]), Notification> {
    let extended = len != 0 && rest.first() == Some(&EXTENDED);
    let (len, parameters) = if extended {
        let (rest, (_, len)) = extended_length(rest).map_err(|_| Notification::malformed_open())?;
        (usize::from(len), rest)
    } else {
        (usize::from(len), rest)
    };
    if parameters.len() == len { Ok((extended, parameters)) } else { Err(Notification::malformed_open()) }
}

fn extended_length(input: &[u8]) -> IResult<&[u8], (u8, u16)> {
    (be_u8, be_u16).parse(input)
}

fn decode_parameters(mut input: &[u8], extended: bool) -> Result<Vec<Capability>, Notification> {
    let mut capabilities = Vec::new();
    while !input.is_empty() {
        let (rest, (kind, value)) = parameter(input, extended).map_err(|_| Notification::malformed_open())?;
        if kind != CAPABILITIES {
            return Err(Notification::unsupported_parameter());
        }
        decode_capabilities(value, &mut capabilities)?;
        input = rest;
    }
    Ok(capabilities)
}

fn parameter(input: &[u8], extended: bool) -> IResult<&[u8], (u8, &[u8])> {
    let (input, kind) = be_u8(input)?;
    let (input, len) = if extended { be_u16(input)? } else { be_u8(input).map(|(rest, len)| (rest, u16::from(len)))? };
    let (input, value) = take(len)(input)?;
    Ok((input, (kind, value)))
}

fn decode_capabilities(mut input: &[u8], out: &mut Vec<Capability>) -> Result<(), Notification> {
    while !input.is_empty() {
        let (rest, (code, value)) = capability(input).map_err(|_| Notification::malformed_open())?;
        let capability = Capability::decode(code, value);
        // Without this number nothing else in the session can be read right, so a wrong length is not merely ignored.
        if matches!(capability, Capability::Unknown { code: FOUR_OCTET_AS, .. }) {
            return Err(Notification::malformed_open());
        }
        out.push(capability);
        input = rest;
    }
    Ok(())
}

fn capability(input: &[u8]) -> IResult<&[u8], (u8, &[u8])> {
    (be_u8, length_data(be_u8)).parse(input)
}

const VERSION: u8 = 4;
/// Optional parameter type of RFC 5492.
const CAPABILITIES: u8 = 2;
/// Optional parameter type, and old length, that mark the form of RFC 9072.
const EXTENDED: u8 = 255;
const FOUR_OCTET_AS: u8 = 65;
