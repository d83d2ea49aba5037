//! VIPs that need no cluster.

use super::section;
use super::values::{CheckType, Period};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

section! {
    /// VIPs that need no Kubernetes objects.
    pub struct Vips {
        pools: Vec<VipPool>,
        advertise: Vec<VipAdvertisement>,
        services: Vec<VipService>,
    }
}

section! {
    /// Addresses that services may have.
    pub struct VipPool {
        name: String,
        /// Prefixes, or ranges such as `10.0.50.16-10.0.50.31`.
        addresses: Vec<String>,
    }
}

section! {
    /// With which attributes the addresses of pools are announced.
    pub struct VipAdvertisement {
        /// Default: all.
        pools: Vec<String>,
        communities: Vec<String>,
        large_communities: Vec<String>,
        local_pref: u32,
        med: u32,
        /// For export policies that tell neighbors apart.
        tags: Vec<String>,
    }
}

section! {
    /// Something that is reached through addresses which any of several nodes may announce.
    pub struct VipService {
        name: String,
        addresses: Vec<IpAddr>,
        /// Whether the addresses are bound to the loopback interface while they are announced. Default: yes.
        bind: bool,
        /// Announced only while this succeeds. Default: always.
        check: VipCheck,
    }
}

section! {
    /// Whether a service works here.
    pub struct VipCheck {
        r#type: CheckType,
        /// Address and port, for all but `exec`.
        target: SocketAddr,
        /// Of `http` and `https`. Default: `/`.
        path: String,
        /// Host of the request. Default: the target.
        host: String,
        /// Status codes that count as success. Default: 200 to 299.
        status: Vec<u16>,
        /// PEM file of the authorities that the server's certificate may come from.
        ca: PathBuf,
        /// Name in the server's certificate. Default: the target's address.
        server_name: String,
        /// Takes any certificate.
        skip_verify: bool,
        /// Program and arguments; exit status 0 is success.
        command: Vec<String>,
        /// From one check to the next. Default: 2s.
        interval: Period,
        /// Longer is a failure. Default: 1s, or the interval where that is less.
        timeout: Period,
        /// Successes in a row until the service counts as healthy again. Default: 2.
        rise: u32,
        /// Failures in a row until it does not. Default: 3.
        fall: u32,
    }
}
