//! Faults on purpose, for the tests of supervision: `KUBGP_FAULTS` lists `name=value` with commas between. Debug builds only; in a
//! release build the variable means nothing.

use ipnet::IpNet;
use std::sync::OnceLock;

/// Panics in the peer's own code when it imports this prefix.
pub const PANIC_IN_IMPORT: &str = "panic-in-import";
/// Panics in the RIB task when a route for this prefix comes.
pub const PANIC_IN_RIB: &str = "panic-in-rib";
/// The RIB task never ends the turn in which a route for this prefix comes.
pub const STALL_RIB: &str = "stall-rib";
/// Milliseconds that a turn may take before the watchdog ends the process.
pub const WATCHDOG: &str = "watchdog-ms";

/// The value of a fault that is ordered.
pub fn value(name: &str) -> Option<&'static str> {
    static ORDERED: OnceLock<Option<String>> = OnceLock::new();
    if !cfg!(debug_assertions) {
        return None;
    }
    let ordered = ORDERED.get_or_init(|| std::env::var("KUBGP_FAULTS").ok()).as_deref()?;
    ordered.split(',').find_map(|fault| fault.split_once('=').filter(|(n, _)| *n == name).map(|(_, value)| value))
}

/// Whether the fault is ordered for this prefix.
pub fn strikes(name: &str, prefix: IpNet) -> bool {
    cfg!(debug_assertions) && value(name).is_some_and(|value| value.parse() == Ok(prefix))
}
