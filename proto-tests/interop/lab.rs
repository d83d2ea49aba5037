//! Namespaces, links and processes of one test; everything goes when they are dropped, also when the test fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The network of one test: hosts on a common segment. Host `n` has 10.0.0.n/24 and fd00::n/64 on `lan`.
///
/// Declare it before the daemons in it: they must end first.
pub struct Lab {
    prefix: String,
    folder: tempfile::TempDir,
    hosts: std::cell::RefCell<Vec<String>>,
}

/// One network namespace.
#[derive(Clone)]
pub struct Host {
    pub namespace: String,
    pub number: u8,
    /// For the files of its daemon.
    pub folder: PathBuf,
}

impl Lab {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let prefix = format!("kubgp-i{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = tempfile::Builder::new().prefix("kubgp-interop").tempdir().unwrap();
        open_to_all(folder.path());
        let lab = Self { prefix, folder, hosts: Default::default() };
        let switch = lab.namespace("lan");
        run(&format!("ip -n {switch} link add lan type bridge forward_delay 0"));
        run(&format!("ip -n {switch} link set lan up"));
        lab
    }

    /// A host on the common segment.
    pub fn host(&self, number: u8) -> Host {
        let host = self.lone_host(number);
        let (ns, lan) = (&host.namespace, format!("{}-lan", self.prefix));
        run(&format!("ip link add lan netns {ns} type veth peer name to{number} netns {lan}"));
        run(&format!("ip -n {lan} link set to{number} master lan up"));
        host.address("lan", &format!("{}/24", v4(number)));
        host.address("lan", &format!("{}/64", v6(number)));
        host
    }

    /// A host without links.
    pub fn lone_host(&self, number: u8) -> Host {
        let namespace = self.namespace(&number.to_string());
        let folder = self.folder.path().join(number.to_string());
        fs::create_dir(&folder).unwrap();
        open_to_all(&folder);
        Host { namespace, number, folder }
    }

    /// A cable between two hosts, with an interface of this name at both ends.
    pub fn cable(&self, name: &str, one: &Host, other: &Host) {
        run(&format!("ip link add {name} netns {} type veth peer name {name} netns {}", one.namespace, other.namespace));
        one.run(&format!("ip link set {name} up"));
        other.run(&format!("ip link set {name} up"));
    }

    /// A link from a host to where the test itself runs; our address on it.
    pub fn uplink(&self, host: &Host) -> std::net::Ipv4Addr {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed) as u8;
        let (name, [high, low]) = (format!("kb{}-{count}", std::process::id()), (std::process::id() as u16).to_be_bytes());
        // Of the range for tests of devices (RFC 2544), so that runs at the same time do not meet.
        let network = [198, 18 + (high & 1), low, count.wrapping_mul(4)];
        let [a, b, c, d] = network;
        run(&format!("ip link add {name} type veth peer name outside netns {}", host.namespace));
        run(&format!("ip address add {a}.{b}.{c}.{}/30 dev {name}", d + 1));
        run(&format!("ip link set {name} up"));
        host.address("outside", &format!("{a}.{b}.{c}.{}/30", d + 2));
        std::net::Ipv4Addr::new(a, b, c, d + 1)
    }

    fn namespace(&self, name: &str) -> String {
        let namespace = format!("{}-{name}", self.prefix);
        run(&format!("ip netns add {namespace}"));
        self.hosts.borrow_mut().push(namespace.clone());
        run(&format!("ip -n {namespace} link set lo up"));
        // Addresses are usable at once, and answers may come another way.
        let settings = "net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0 net.ipv4.conf.default.rp_filter=0 \
                        net.ipv4.conf.all.rp_filter=0 net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1";
        run(&format!("ip netns exec {namespace} sysctl -qw {settings}"));
        namespace
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for host in self.hosts.borrow().iter() {
            let deleted = Command::new("ip").args(["netns", "delete", host]).output();
            if !deleted.is_ok_and(|output| output.status.success()) {
                eprintln!("the namespace {host} could not be deleted");
            }
        }
    }
}

impl Host {
    pub fn address(&self, interface: &str, address: &str) {
        let nodad = if address.contains(':') { "nodad" } else { "" };
        self.run(&format!("ip address add {address} dev {interface} {nodad}"));
        self.run(&format!("ip link set {interface} up"));
    }

    /// Runs a command line in the namespace and returns what it prints; it must succeed.
    pub fn run(&self, line: &str) -> String {
        run(&format!("ip netns exec {} {line}", self.namespace))
    }

    /// Output of a command in the namespace, which may fail.
    pub fn query(&self, words: &[&str]) -> String {
        let output = Command::new("ip").args(["netns", "exec", &self.namespace]).args(words).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    pub fn start(&self, program: &str, arguments: &[&str]) -> Process {
        let name = Path::new(program).file_name().unwrap().to_string_lossy().into_owned();
        self.start_as(&name, program, arguments)
    }

    /// As [`Self::start`], with another name for its log.
    pub fn start_as(&self, name: &str, program: &str, arguments: &[&str]) -> Process {
        let log = self.folder.join(format!("{name}.log"));
        let file = fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let mut command = Command::new("ip");
        // `ip netns exec` becomes the program, so that the process is the program's.
        command.args(["netns", "exec", &self.namespace, program]).args(arguments);
        let child = command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        Process { child, log }
    }
}

/// A daemon; it is killed when it is dropped, and its log is shown when the test has failed.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    pub fn kill(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn signal(&self, name: &str) {
        run(&format!("kill -{name} {}", self.child.id()));
    }

    /// Waits until it ends by itself.
    pub fn ended(&mut self) {
        eventually(Duration::from_secs(10), "the daemon ends", || self.has_ended());
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            println!("---- {}", self.log.display());
            lines.iter().skip(lines.len().saturating_sub(LOG_LINES)).for_each(|line| println!("{line}"));
        }
    }
}

pub fn v4(number: u8) -> String {
    format!("10.0.0.{number}")
}

pub fn v6(number: u8) -> String {
    format!("fd00::{number:x}")
}

/// Runs a command line that must succeed.
pub fn run(line: &str) -> String {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits until `condition` holds; fails with `what` after `limit`.
pub fn eventually(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let start = now();
    while !condition() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        pause(POLL);
    }
}

/// Fails with `what` as soon as `condition` does not hold during `time`.
pub fn always(time: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let start = now();
    while start.elapsed() < time {
        assert!(condition(), "did not hold for {time:?}: {what}");
        pause(POLL);
    }
}

#[expect(clippy::disallowed_methods, reason = "waits for other daemons are bounded by real time")]
pub fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "other daemons have no event to wait for")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    // FRR gives up root and writes its sockets here.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
}

const POLL: Duration = Duration::from_millis(150);
const LOG_LINES: usize = 60;
/// How long a change may take to arrive in another daemon's table.
pub const PATIENCE: Duration = Duration::from_secs(20);
