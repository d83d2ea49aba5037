//! Interfaces and their addresses, as far as routing needs them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::Device;

/// One interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Link {
    pub index: u32,
    pub name: Arc<str>,
    /// Administratively up and with carrier.
    pub up: bool,
    pub loopback: bool,
}

/// The interfaces and own addresses of the host.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Host {
    pub links: BTreeMap<u32, Link>,
    /// Every address with the interface that carries it.
    pub addresses: BTreeSet<(IpAddr, u32)>,
    /// The addresses on the loopback that carry our protocol mark.
    pub marked: BTreeSet<IpAddr>,
}

impl Host {
    pub fn is_own(&self, address: IpAddr) -> bool {
        self.addresses.range((address, 0)..=(address, u32::MAX)).next().is_some()
    }

    pub fn find(&self, device: &Device) -> Option<&Link> {
        match device {
            Device::Index(index) => self.links.get(index),
            Device::Name(name) => self.links.values().find(|l| l.name == *name),
        }
    }

    pub fn loopback(&self) -> Option<u32> {
        self.links.values().find(|l| l.loopback).map(|l| l.index)
    }
}
