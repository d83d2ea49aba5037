//! OPEN (RFC 4271 4.2), capabilities (RFC 5492) and extended optional parameters (RFC 9072).

use super::capability::Capability;
use super::notification::Notification;
use super::{Asn, RouterId};
use bytes::BytesMut;

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
    pub fn new(_asn: Asn, _hold_time: u16, _id: RouterId, _capabilities: Vec<Capability>) -> Self {
        todo!()
    }

    /// Takes the body, that is all after the header. Checks what needs no configuration: version, AS 0, hold time 1 and 2,
    /// identifier 0.0.0.0, parameter types, all lengths.
    ///
    /// # Errors
    /// The NOTIFICATION to send, 2/x (RFC 4271 6.2).
    pub fn decode(_body: &[u8]) -> Result<Self, Notification> {
        todo!()
    }

    /// Appends the whole message; all capabilities in one parameter, in the form of RFC 9072 only where they exceed 255 octets.
    pub fn encode(&self, _out: &mut BytesMut) {
        todo!()
    }
}
