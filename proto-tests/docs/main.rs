//! What is written about kubgp agrees with kubgp: the generated parts of `docs/reference`, links, dashboards, alerts, and the chart.
//!
//! `UPDATE_DOCS=1 cargo test --test docs` rewrites the generated parts; review the difference.
#![expect(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

mod chart;
mod dashboards;
mod enums;
mod keys;
mod links;
mod made;
mod page;
mod series;

use std::path::{Path, PathBuf};

/// A path inside the repository.
fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(at(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

#[test]
fn configuration() {
    page::hold("docs/reference/configuration.md", &[("keys", keys::tables()), ("defaults", made::defaults())]);
}

#[test]
fn command_line() {
    page::hold("docs/reference/bgpctl.md", &[("global", made::global_options()), ("commands", made::commands())]);
    page::hold("docs/reference/kubgpd.md", &[("help", made::daemon_help())]);
    page::hold("docs/reference/exit-codes.md", &[("codes", made::exit_codes())]);
}

#[test]
fn admin_api() {
    page::hold("docs/reference/api.md", &[("endpoints", made::endpoints()), ("parameters", made::parameters())]);
}

#[test]
fn metrics() {
    page::hold("docs/reference/metrics.md", &[("own", series::own().table()), ("metallb", series::metallb().table())]);
}

#[test]
fn reason_codes() {
    let blocks = [
        ("services", enums::services()),
        ("vips", enums::vips()),
        ("routes", enums::routes()),
        ("decision", enums::decision()),
        ("kernel", enums::kernel()),
        ("left", enums::left()),
    ];
    page::hold("docs/reference/reason-codes.md", &blocks);
}
