//! The looking glass: what is answered to whom (HTTP), birdwatcher's shape, and the page in headless Chromium.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test may stop at what must not happen, and bounds its waiting by the clock"
)]

#[path = "../cli/backend.rs"]
#[allow(dead_code, reason = "what it records is read by the tests of bgpctl")]
mod backend;
mod birdwatcher;
mod browser;
mod chromium;
mod http;
#[path = "../daemon/setup.rs"]
mod setup;
