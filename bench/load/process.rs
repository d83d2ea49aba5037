//! What the daemon under test has used, from /proc.

use std::fs;
use std::time::Duration;

/// CPU time of all threads so far. The scheduler's own account has nanoseconds; utime + stime would have 10 ms.
pub fn cpu(pid: u32) -> Option<Duration> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let mut total = Duration::ZERO;
    for thread in threads.flatten() {
        let Ok(account) = fs::read_to_string(thread.path().join("schedstat")) else { continue };
        total += Duration::from_nanos(account.split_whitespace().next()?.parse().ok()?);
    }
    Some(total)
}

/// Peak and present resident memory in KiB.
pub fn memory(pid: u32) -> Option<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
    Some((field("VmHWM:")?, field("VmRSS:")?))
}
