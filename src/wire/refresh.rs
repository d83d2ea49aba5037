//! ROUTE-REFRESH (RFC 2918) and its enhanced form (RFC 7313).

use super::AfiSafi;
use super::message::{self, HEADER_LEN, MessageType};
use super::notification::Notification;
use bytes::{BufMut, BytesMut};
use nom::number::complete::{be_u8, be_u16};
use nom::{IResult, Parser};

/// A ROUTE-REFRESH message.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct RouteRefresh {
    pub family: AfiSafi,
    pub kind: RefreshKind,
}

/// What a ROUTE-REFRESH asks for or says.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum RefreshKind {
    /// Send the whole Adj-RIB-Out of the family again.
    Request,
    /// BoRR: the refresh begins (RFC 7313).
    Begin,
    /// EoRR: the refresh is over (RFC 7313).
    End,
    /// A subtype without a meaning, or a request with ORF entries (RFC 5291, which we do not negotiate): to be ignored.
    Other(u8),
}

impl RouteRefresh {
    /// Takes the body, that is all after the header; `enhanced` says that enhanced route refresh is negotiated.
    ///
    /// # Errors
    /// 7/1 with the whole message for a BoRR or EoRR of a wrong length (RFC 7313 5), 1/2 for other wrong lengths.
    pub fn decode(body: &[u8], enhanced: bool) -> Result<Self, Notification> {
        let bad_length = || Notification::bad_length((HEADER_LEN + body.len()) as u16);
        let (rest, (afi, subtype, safi)) = fields(body).map_err(|_| bad_length())?;
        let kind = match subtype {
            1 | 2 if enhanced && !rest.is_empty() => return Err(Notification::refresh_length(body)),
            // ORF entries start with when-to-refresh, type and length: four octets at least.
            _ if (1..4).contains(&rest.len()) => return Err(bad_length()),
            _ if !rest.is_empty() => RefreshKind::Other(subtype),
            0 => RefreshKind::Request,
            1 if enhanced => RefreshKind::Begin,
            2 if enhanced => RefreshKind::End,
            other => RefreshKind::Other(other),
        };
        Ok(Self { family: AfiSafi { afi, safi }, kind })
    }

    /// Appends the whole message.
    pub fn encode(&self, out: &mut BytesMut) {
        let start = message::begin(MessageType::RouteRefresh, out);
        out.put_u16(self.family.afi);
        out.put_u8(match self.kind {
            RefreshKind::Request => 0,
            RefreshKind::Begin => 1,
            RefreshKind::End => 2,
            RefreshKind::Other(subtype) => subtype,
        });
        out.put_u8(self.family.safi);
        message::finish(start, out);
    }
}

fn fields(body: &[u8]) -> IResult<&[u8], (u16, u8, u8)> {
    (be_u16, be_u8, be_u8).parse(body)
}
