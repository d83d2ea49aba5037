//! Network layer reachability information (RFC 4271 4.3, RFC 4760 5, RFC 7911 3).

use ipnet::IpNet;

/// One prefix of an UPDATE, host bits cleared. `path_id` is 0 where add-path is not negotiated (RFC 7911).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Nlri {
    pub prefix: IpNet,
    pub path_id: u32,
}

impl From<IpNet> for Nlri {
    fn from(prefix: IpNet) -> Self {
        Self { prefix: prefix.trunc(), path_id: 0 }
    }
}
