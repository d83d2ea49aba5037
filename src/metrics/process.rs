//! The standard `process_*` numbers from procfs.

use std::fs;

/// What the kernel says about this process; `None` where it says nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Process {
    pub cpu_seconds: Option<f64>,
    pub resident_bytes: Option<u64>,
    pub virtual_bytes: Option<u64>,
    pub open_fds: Option<u64>,
    pub max_fds: Option<u64>,
    pub threads: Option<u64>,
    /// Seconds since 1970.
    pub start_time_seconds: Option<f64>,
}

/// Clock ticks per second in procfs; Linux shows user space 100 on every architecture that we build for.
const TICKS: f64 = 100.0;

impl Process {
    /// Reads the numbers of this process.
    pub fn read() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let open_fds = fs::read_dir("/proc/self/fd").ok().and_then(|entries| u64::try_from(entries.count()).ok());
        Self {
            open_fds,
            ..Self::parse(&read("/proc/self/stat"), &read("/proc/self/status"), &read("/proc/self/limits"), &read("/proc/stat"))
        }
    }

    fn parse(stat: &str, status: &str, limits: &str, system: &str) -> Self {
        // The process name in parentheses may hold blanks: fields are counted from behind it. proc(5) counts from 1, and the
        // state after the name is field 3.
        let fields: Vec<&str> = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let line = |text: &str, key: &str| {
            let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
            rest.split_whitespace().next()?.parse::<u64>().ok()
        };
        let ticks = |number: usize| field(number).map(|ticks| ticks as f64 / TICKS);
        Self {
            cpu_seconds: ticks(14).zip(ticks(15)).map(|(user, system)| user + system),
            resident_bytes: line(status, "VmRSS:").map(|kib| kib * 1024),
            virtual_bytes: field(23),
            open_fds: None,
            max_fds: line(limits, "Max open files"),
            threads: field(20),
            start_time_seconds: ticks(22).zip(line(system, "btime")).map(|(since_boot, boot)| boot as f64 + since_boot),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_fields_of_proc() {
        let stat = "42 (a b) c) S 1 42 42 0 -1 4194560 100 0 0 0 250 150 0 0 20 0 7 0 1000 5000000 300 18446744073709551615";
        let limits = "Limit                     Soft Limit           Hard Limit           Units\nMax open files            1024                 4096                 files\n";
        let process = Process::parse(stat, "Name:\tx\nVmRSS:\t    2048 kB\n", limits, "cpu 1\nbtime 1700000000\n");
        assert_eq!(
            process,
            Process {
                cpu_seconds: Some(4.0),
                resident_bytes: Some(2 * 1024 * 1024),
                virtual_bytes: Some(5_000_000),
                open_fds: None,
                max_fds: Some(1024),
                threads: Some(7),
                start_time_seconds: Some(1_700_000_010.0),
            }
        );
    }

    #[test]
    fn this_process_has_memory_threads_and_files() {
        let process = Process::read();
        assert!(process.resident_bytes.is_some_and(|bytes| bytes > 0), "{process:?}");
        assert!(process.threads.is_some_and(|threads| threads > 0), "{process:?}");
        assert!(process.open_fds.is_some_and(|files| files > 0), "{process:?}");
        assert!(process.start_time_seconds.is_some_and(|seconds| seconds > 1e9), "{process:?}");
    }
}
