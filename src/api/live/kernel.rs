//! Kernel routes, next hops and interfaces.

use ipnet::IpNet;

use super::Daemon;
use crate::api::types::{FibEntry, Problem};

/// How a prefix stands in the kernel; `None` when nothing is installed there by us.
///
/// # Errors
/// The kernel task has ended.
pub(super) async fn of_prefix(_daemon: &Daemon, _prefix: IpNet) -> Result<Option<FibEntry>, Problem> {
    Ok(None)
}
