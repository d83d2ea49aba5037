//! Monitoring stations.

use super::{Checker, Fragment, Place};
use std::collections::BTreeSet;
use std::net::SocketAddr;

impl Checker<'_> {
    pub(super) fn bmp(&mut self, fragments: &[Fragment]) -> BTreeSet<SocketAddr> {
        let mut stations = BTreeSet::new();
        for (origin, file) in fragments {
            for (i, station) in file.bmp.iter().flat_map(|bmp| bmp.stations.iter().flatten()).enumerate() {
                let place = Place::new(origin, "bmp").key("stations").index(i);
                let Some(address) = station.address else {
                    self.complain(&place.key("address"), "an address is required, such as 10.0.0.5");
                    continue;
                };
                if !stations.insert(SocketAddr::new(address, station.port.unwrap_or(PORT))) {
                    self.complain(&place, "this station is listed twice; remove one");
                }
            }
        }
        stations
    }
}

/// What most stations listen on; none is assigned.
const PORT: u16 = 11019;
