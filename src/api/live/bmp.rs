//! Monitoring stations as rows.

use super::clock::{Clock, seconds};
use crate::api::types::BmpStation;
use crate::bmp::View;

/// By address.
pub(super) fn stations(view: &View) -> Vec<BmpStation> {
    let clock = Clock::now();
    let row = |(at, station): (std::net::SocketAddr, crate::bmp::Station)| BmpStation {
        address: at.ip(),
        port: at.port(),
        connected: station.since.is_some(),
        connected_for_seconds: station.since.map(|since| seconds(clock.since(since))),
        connections: station.connections,
        messages: station.messages,
        octets: station.octets,
        error: station.error,
    };
    view.stations().into_iter().map(row).collect()
}
