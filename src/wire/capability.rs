//! Capabilities of an OPEN (RFC 5492). Unknown ones, and known ones whose value makes no sense, are kept and shown.

use super::AfiSafi;
use bytes::{Bytes, BytesMut};

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
    /// Appends code, length and value.
    pub fn encode(&self, _out: &mut BytesMut) {
        todo!()
    }
}
