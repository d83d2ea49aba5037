//! Capabilities of an OPEN (RFC 5492). Unknown ones, and known ones whose value makes no sense, are kept and shown.

use super::AfiSafi;
use super::notification::{clip, log_safe};
use bytes::{BufMut, Bytes, BytesMut};
use nom::multi::length_data;
use nom::number::complete::be_u8;
use nom::{IResult, Parser};

/// One capability.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Capability {
    /// RFC 4760, code 1.
    MultiProtocol(AfiSafi),
    /// RFC 2918, code 2.
    RouteRefresh,
    /// RFC 8950, code 5: NLRI family and the AFI of its next hop.
    ExtendedNextHop(Vec<(AfiSafi, u16)>),
    /// RFC 8654, code 6.
    ExtendedMessage,
    /// RFC 9234, code 9.
    Role(Role),
    /// RFC 4724, code 64.
    GracefulRestart(GracefulRestart),
    /// RFC 6793, code 65; never 0 after decoding an OPEN.
    FourOctetAs(u32),
    /// RFC 7911, code 69.
    AddPath(Vec<(AfiSafi, AddPathMode)>),
    /// RFC 7313, code 70.
    EnhancedRouteRefresh,
    /// RFC 9494, code 71.
    LongLivedGracefulRestart(Vec<LlgrFamily>),
    /// draft-walton-bgp-hostname-capability, code 73; fit for logs.
    Fqdn { host: String, domain: String },
    /// Anything else, as it stands on the wire.
    Unknown { code: u8, value: Bytes },
}

/// RFC 4724 3 and RFC 8538 2.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct GracefulRestart {
    /// R bit: the sender has restarted.
    pub restarting: bool,
    /// N bit: graceful restart also after a NOTIFICATION (RFC 8538).
    pub notification: bool,
    /// Seconds, 0..=4095.
    pub restart_time: u16,
    /// Families, each with its F bit: forwarding state was kept.
    pub families: Vec<(AfiSafi, bool)>,
}

/// One family of the long-lived graceful restart capability (RFC 9494 3).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct LlgrFamily {
    pub family: AfiSafi,
    /// F bit.
    pub forwarding: bool,
    /// Seconds, 24 bits.
    pub stale_time: u32,
}

/// What the sender of an add-path capability is ready to do for a family (RFC 7911 4).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum AddPathMode {
    Receive = 1,
    Send = 2,
    Both = 3,
}

/// The sender's role on an eBGP session (RFC 9234 4.1).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Role {
    Provider = 0,
    RouteServer = 1,
    RouteServerClient = 2,
    Customer = 3,
    Peer = 4,
}

impl Capability {
    /// Takes the value of one capability. Never fails: what makes no sense is kept as [`Self::Unknown`] and thereby ignored
    /// (RFC 5492 3).
    pub(super) fn decode(code: u8, value: &[u8]) -> Self {
        let known = match code {
            1 => items(value, |&[a, b, _, safi]| Some(family([a, b], safi))).and_then(only).map(Self::MultiProtocol),
            2 => value.is_empty().then_some(Self::RouteRefresh),
            5 => items(value, |&[a, b, _, safi, c, d]| Some((family([a, b], safi), u16::from_be_bytes([c, d])))).map(Self::ExtendedNextHop),
            6 => value.is_empty().then_some(Self::ExtendedMessage),
            9 => items(value, |&[role]| Role::from_octet(role)).and_then(only).map(Self::Role),
            64 => graceful_restart(value).map(Self::GracefulRestart),
            65 => items(value, |&asn| Some(u32::from_be_bytes(asn))).and_then(only).map(Self::FourOctetAs),
            69 => items(value, |&[a, b, safi, mode]| Some((family([a, b], safi), AddPathMode::from_octet(mode)?))).map(Self::AddPath),
            70 => value.is_empty().then_some(Self::EnhancedRouteRefresh),
            71 => items(value, llgr_family).map(Self::LongLivedGracefulRestart),
            73 => fqdn(value).ok().map(|(_, (host, domain))| Self::Fqdn { host: log_safe(host), domain: log_safe(domain) }),
            _ => None,
        };
        known.unwrap_or_else(|| Self::Unknown { code, value: Bytes::copy_from_slice(value) })
    }

    /// Appends code, length and value. A list that exceeds the 255 octets of a capability is cut.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u8(self.code());
        let length_at = out.len();
        out.put_u8(0);
        self.encode_value(out);
        let len = u8::try_from(out.len() - length_at - 1).unwrap_or(u8::MAX);
        out.truncate(length_at + 1 + usize::from(len));
        if let Some(octet) = out.get_mut(length_at) {
            *octet = len;
        }
    }

    /// The capability code of IANA.
    pub const fn code(&self) -> u8 {
        match self {
            Self::MultiProtocol(_) => 1,
            Self::RouteRefresh => 2,
            Self::ExtendedNextHop(_) => 5,
            Self::ExtendedMessage => 6,
            Self::Role(_) => 9,
            Self::GracefulRestart(_) => 64,
            Self::FourOctetAs(_) => 65,
            Self::AddPath(_) => 69,
            Self::EnhancedRouteRefresh => 70,
            Self::LongLivedGracefulRestart(_) => 71,
            Self::Fqdn { .. } => 73,
            Self::Unknown { code, .. } => *code,
        }
    }

    fn encode_value(&self, out: &mut BytesMut) {
        match self {
            Self::MultiProtocol(family) => put_family_padded(*family, out),
            Self::RouteRefresh | Self::ExtendedMessage | Self::EnhancedRouteRefresh => (),
            Self::ExtendedNextHop(entries) => entries.iter().take(MAX_VALUE / 6).for_each(|(family, next_hop)| {
                put_family_padded(*family, out);
                out.put_u16(*next_hop);
            }),
            Self::Role(role) => out.put_u8(*role as u8),
            Self::GracefulRestart(gr) => {
                let flags = if gr.restarting { RESTARTING } else { 0 } | if gr.notification { NOTIFICATION } else { 0 };
                out.put_u16(flags | (gr.restart_time & MAX_RESTART_TIME));
                gr.families.iter().take((MAX_VALUE - 2) / 4).for_each(|(family, forwarding)| {
                    put_family(*family, out);
                    out.put_u8(if *forwarding { FORWARDING } else { 0 });
                });
            }
            Self::FourOctetAs(asn) => out.put_u32(*asn),
            Self::AddPath(entries) => entries.iter().take(MAX_VALUE / 4).for_each(|(family, mode)| {
                put_family(*family, out);
                out.put_u8(*mode as u8);
            }),
            Self::LongLivedGracefulRestart(entries) => entries.iter().take(MAX_VALUE / 7).for_each(|entry| {
                put_family(entry.family, out);
                out.put_u8(if entry.forwarding { FORWARDING } else { 0 });
                out.put_uint(u64::from(entry.stale_time.min(MAX_STALE_TIME)), 3);
            }),
            Self::Fqdn { host, domain } => {
                for name in [clip(host, MAX_NAME), clip(domain, MAX_NAME)] {
                    out.put_u8(name.len() as u8);
                    out.put_slice(name.as_bytes());
                }
            }
            Self::Unknown { value, .. } => out.put_slice(value),
        }
    }
}

impl AddPathMode {
    const fn from_octet(octet: u8) -> Option<Self> {
        match octet {
            1 => Some(Self::Receive),
            2 => Some(Self::Send),
            3 => Some(Self::Both),
            _ => None,
        }
    }
}

impl Role {
    const fn from_octet(octet: u8) -> Option<Self> {
        match octet {
            0 => Some(Self::Provider),
            1 => Some(Self::RouteServer),
            2 => Some(Self::RouteServerClient),
            3 => Some(Self::Customer),
            4 => Some(Self::Peer),
            _ => None,
        }
    }
}

/// A list of items of `N` octets each; items without a meaning are left out (RFC 7911 4 asks for it). `None` when the length is
/// not a multiple of `N`.
fn items<const N: usize, T>(value: &[u8], item: impl FnMut(&[u8; N]) -> Option<T>) -> Option<Vec<T>> {
    let (chunks, rest) = value.as_chunks::<N>();
    rest.is_empty().then(|| chunks.iter().filter_map(item).collect())
}

/// The item of a list that must have exactly one.
fn only<T>(items: Vec<T>) -> Option<T> {
    let [item] = <[T; 1]>::try_from(items).ok()?;
    Some(item)
}

const fn family(afi: [u8; 2], safi: u8) -> AfiSafi {
    AfiSafi { afi: u16::from_be_bytes(afi), safi }
}

fn graceful_restart(value: &[u8]) -> Option<GracefulRestart> {
    let (word, families) = value.split_first_chunk()?;
    let word = u16::from_be_bytes(*word);
    Some(GracefulRestart {
        restarting: word & RESTARTING != 0,
        notification: word & NOTIFICATION != 0,
        restart_time: word & MAX_RESTART_TIME,
        families: items(families, |&[a, b, safi, flags]| Some((family([a, b], safi), flags & FORWARDING != 0)))?,
    })
}

fn llgr_family(&[a, b, safi, flags, t0, t1, t2]: &[u8; 7]) -> Option<LlgrFamily> {
    Some(LlgrFamily { family: family([a, b], safi), forwarding: flags & FORWARDING != 0, stale_time: u32::from_be_bytes([0, t0, t1, t2]) })
}

fn fqdn(value: &[u8]) -> IResult<&[u8], (&[u8], &[u8])> {
    (length_data(be_u8), length_data(be_u8)).parse(value)
}

fn put_family(family: AfiSafi, out: &mut BytesMut) {
    out.put_u16(family.afi);
    out.put_u8(family.safi);
}

/// AFI, a reserved octet, SAFI (RFC 4760 8, RFC 8950 4 with its 2-octet SAFI).
fn put_family_padded(family: AfiSafi, out: &mut BytesMut) {
    out.put_u16(family.afi);
    out.put_u16(u16::from(family.safi));
}

const MAX_VALUE: usize = 255;
/// Two names, each after its length.
const MAX_NAME: usize = 126;
const RESTARTING: u16 = 0x8000;
const NOTIFICATION: u16 = 0x4000;
const MAX_RESTART_TIME: u16 = 0x0FFF;
const MAX_STALE_TIME: u32 = 0x00FF_FFFF;
const FORWARDING: u8 = 0x80;
