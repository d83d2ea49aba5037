//! VIPs of the file, resolved.

use super::NetworkPlan;
use crate::config::file;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// All of them by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VipsPlan {
    pub services: BTreeMap<String, VipPlan>,
    /// As written, for printing.
    pub(in crate::config) definition: file::Vips,
}

/// One service.
#[derive(Clone, Debug, PartialEq)]
pub struct VipPlan {
    /// Host prefixes, one for each address.
    pub networks: Vec<NetworkPlan>,
    /// The one that the first address is of.
    pub pool: Option<String>,
    /// The addresses are bound to the loopback interface while they are announced.
    pub bind: bool,
    /// `None`: announced always.
    pub check: Option<CheckPlan>,
}

impl VipsPlan {
    /// The prefixes of all services.
    pub fn networks(&self) -> impl Iterator<Item = &NetworkPlan> {
        self.services.values().flat_map(|service| &service.networks)
    }
}

impl VipPlan {
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.networks.iter().map(|network| network.prefix.addr())
    }
}

/// How and how often it is found out whether a service works.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CheckPlan {
    pub probe: ProbePlan,
    pub interval: Duration,
    /// At most the interval.
    pub timeout: Duration,
    /// At least 1, as `fall`.
    pub rise: u32,
    pub fall: u32,
}

/// One try.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ProbePlan {
    /// A connection is accepted.
    Tcp(SocketAddr),
    Http(HttpPlan),
    /// Program and arguments.
    Exec(Vec<String>),
}

/// A GET and its answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HttpPlan {
    pub target: SocketAddr,
    pub tls: Option<TlsPlan>,
    pub path: String,
    pub host: String,
    /// Empty: 200 to 299.
    pub status: Vec<u16>,
}

/// How the server shows who it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsPlan {
    /// PEM file of authorities; `None`: any certificate will do.
    pub ca: Option<PathBuf>,
    /// A host name or an address.
    pub server_name: String,
}
