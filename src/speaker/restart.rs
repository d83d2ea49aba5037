//! What a restarted daemon has to know of its former life (RFC 4724 4.1): that there was one, in this boot and not long ago, and
//! which peers were up. Kept in one small file beside the admin socket, written every few seconds, so that `kill -9` is a restart
//! like any other.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The file.
#[derive(Clone, Debug)]
pub struct Marker {
    path: PathBuf,
    boot: String,
}

/// The former life.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FormerLife {
    /// Peers that were established when it ended, with their discriminator where BFD watched the path, and else 0.
    pub peers: BTreeMap<IpAddr, u32>,
}

impl Marker {
    /// `boot` tells one boot of the machine from another: after a reboot the kernel's routes are gone, and this is no restart.
    pub fn new(path: PathBuf, boot: String) -> Self {
        Self { path, boot }
    }

    /// The former life, if it ended in this boot no longer than `within` before `uptime` (of the machine).
    pub fn read(&self, uptime: Duration, within: Duration) -> Option<FormerLife> {
        let text = fs::read_to_string(&self.path).ok()?;
        let mut lines = text.lines();
        let (boot, written) = (lines.next()?, lines.next()?.parse().ok().map(Duration::from_secs)?);
        let age = uptime.checked_sub(written)?;
        let peer = |line: &str| {
            let (address, discriminator) = line.split_once(' ').unwrap_or((line, "0"));
            Some((address.parse().ok()?, discriminator.parse().ok()?))
        };
        (boot == self.boot && age <= within).then(|| FormerLife { peers: lines.filter_map(peer).collect() })
    }

    /// Says that we live, and who is up.
    ///
    /// # Errors
    /// The folder cannot be written: a restart will then look like a first start, and peers drop our routes meanwhile.
    pub fn write(&self, uptime: Duration, peers: &BTreeMap<IpAddr, u32>) -> io::Result<()> {
        let mut text = format!("{}\n{}\n", self.boot, uptime.as_secs());
        for (peer, discriminator) in peers {
            text.push_str(&if *discriminator == 0 { format!("{peer}\n") } else { format!("{peer} {discriminator}\n") });
        }
        // Written aside and moved, so that a crash leaves the old one or the new one.
        let aside = self.path.with_extension("new");
        fs::write(&aside, text)?;
        fs::rename(&aside, &self.path)
    }

    /// This life ends for good: the next start is no restart.
    pub fn remove(&self) {
        // One that is not there is as good.
        let _ = fs::remove_file(&self.path);
    }
}

/// The identity of this boot, from the kernel.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// How long the machine is up; unlike the time of day nobody sets it.
pub fn uptime() -> Duration {
    let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split_whitespace().next().and_then(|s| s.parse().ok()).map_or(Duration::ZERO, Duration::from_secs_f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn a_former_life_is_remembered_for_the_restart_time_and_in_the_same_boot_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("kubgp.restart");
        let marker = Marker::new(path.clone(), "boot-a".to_owned());
        assert_eq!(marker.read(seconds(10), seconds(120)), None, "a first start");
        let peers: BTreeMap<IpAddr, u32> = [("192.0.2.1", 0), ("2001:db8::1", 7)].map(|(a, d)| (a.parse().expect("an address"), d)).into();
        marker.write(seconds(100), &peers).expect("written");
        assert_eq!(marker.read(seconds(160), seconds(120)), Some(FormerLife { peers }));
        assert_eq!(marker.read(seconds(221), seconds(120)), None, "too long ago");
        assert_eq!(marker.read(seconds(99), seconds(120)), None, "the machine's uptime went back: another boot");
        assert_eq!(Marker::new(path, "boot-b".to_owned()).read(seconds(160), seconds(120)), None, "rebooted");
        marker.remove();
        assert_eq!(marker.read(seconds(160), seconds(120)), None, "stopped for good");
    }
}
