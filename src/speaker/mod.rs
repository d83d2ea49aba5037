//! Composition: starts the shards, the RIB task, the kernel task and the listeners, and owns the running configuration.
//!
//! Owns: which task talks to which, the way from a Plan to sessions, groups, routes and kernel, reload, graceful restart of
//! ourselves, the stop.
//!
//! Invariants: an unchanged peer is never touched; the RIB never waits for a peer; whatever fails to start is said with its remedy.
//!
//! Must never know: Kubernetes objects, how answers are printed.

mod control;
mod drain;
mod fib_feed;
mod grace;
mod groups;
mod handle;
mod inputs;
mod kernel;
mod listen;
pub mod logging;
mod mounted;
mod origin;
mod paths;
mod preview;
mod restart;
mod rib_task;
mod route_log;
mod sessions;
mod sink;
mod up;
pub mod watchdog;

pub use crate::fib::preview::Expected;
pub use control::{NetworkChange, Reload, ReloadOutcome};
pub use drain::{Causes, Drain, Stage};
pub use grace::{Deferral, Grace};
pub use groups::{ForShard, Groups, Upkeep};
pub use handle::{Handle, HandleError, Running};
pub use inputs::Inputs;
pub use preview::{Preview, PreviewError, preview};
pub use rib_task::{Expired, Heard, Live, Overrun, RibState, Times, Turns};
pub use route_log::{Best, RouteChange, RouteLog};

use crate::config::file::Install as InstallWord;
use crate::config::{LocalHost, Plan};
use crate::net::{Links, Outlet, PeerEvent, PeerIds, Pulse, ShardHandle, inlet};
use crate::rib::{self, Rib};
use arc_swap::ArcSwapOption;
use control::Control;
use fib_feed::FibFeed;
use handle::Shared;
use listen::Listening;
use paths::Paths;
use rib_task::{RibCommand, RibTask};
use sessions::Context;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime};
use tokio::sync::{broadcast, mpsc, watch};
use tracing::{error, warn};
use watchdog::Health;

/// The speaker cannot start.
#[derive(Debug)]
pub enum StartError {
    /// A thread or its event queue.
    Thread(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Thread(e) => write!(f, "the operating system refuses a thread or an event queue: {e}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Thread(e) => Some(e),
        }
    }
}

/// Starts everything that the plan asks for; with it comes the text that it was made of. `path` is where a reload reads from.
/// `shards` is how many threads serve peers; by default half as many as there are cores, and at most 16.
///
/// # Errors
/// The operating system refuses threads. What can be lived without (a listener, the kernel) is reported in the log instead.
pub async fn start(path: PathBuf, (plan, text): (Plan, String), shards: Option<usize>) -> Result<Handle, StartError> {
    let (to_rib, from_shards) = inlet();
    let (rib_commands, for_rib) = mpsc::channel(COMMANDS);
    let (events, _) = broadcast::channel(EVENTS);
    let ids = PeerIds::default();
    let shards = run_shards(shards, Links { to_rib, events: events.clone(), ids: ids.clone() })?;
    let kernel = kernel::start(&plan.fib, &rib_commands).unwrap_or_else(|e| {
        error!(error = %e, "kernel routes are off: netlink cannot be opened");
        None
    });
    let (fib, feed) = kernel.map_or_else(|| (None, FibFeed::none()), |k| (Some(k.handle), k.feed));
    let seed = RandomState::new().hash_one("kubgp");
    let health = run_rib(Rib::new(rib_params(&plan, seed)), &shards, (feed, events.clone()), (from_shards, for_rib))?;
    let (orders, inbox) = mpsc::channel(COMMANDS);
    let running = watch::Sender::new(Arc::new(Running::new(plan.clone(), text.as_str().into(), wall_clock())));
    let shared = Arc::new(Shared {
        orders,
        shards,
        rib: rib_commands,
        fib: ArcSwapOption::new(fib.clone().map(Arc::new)),
        bfd: ArcSwapOption::empty(),
        running: running.subscribe(),
        events,
        path,
        started: (now(), wall_clock()),
        health,
    });
    let mut control = Control {
        shared: Arc::clone(&shared),
        running,
        context: Context { router: plan.router, hostname: hostname(), restart_until: None, seed },
        ids,
        listening: Listening::default(),
        fib,
        kernel_policy: None,
        peers: BTreeMap::new(),
        ranges: BTreeMap::new(),
        networks: BTreeMap::new(),
        vips: BTreeSet::new(),
        originated: BTreeMap::new(),
        drain: Drain::default(),
        paths: Paths::default(),
        fallback: None,
        inputs: Inputs::default(),
        begins_later: false,
        addresses: Vec::new(),
        marker: restart::Marker::new(plan.api.socket.with_extension("restart"), restart::boot_id()),
        up: BTreeSet::new(),
        former: BTreeSet::new(),
        mark_at: None,
        marker_failed: false,
        plan,
        text: text.into(),
    };
    control.begin().await;
    tokio::spawn(control.run(inbox));
    tokio::spawn(mounted::follow(Handle(Arc::clone(&shared))));
    Ok(Handle(shared))
}

/// The shards hold the only links, so that their end is seen.
fn run_shards(count: Option<usize>, links: Links) -> Result<Vec<ShardHandle>, StartError> {
    let shards = (0..count.unwrap_or_else(shard_count)).map(|i| ShardHandle::start(i, links.clone()));
    shards.collect::<io::Result<_>>().map_err(StartError::Thread)
}

/// The RIB has a thread of its own, so that a long turn delays no session; another watches it and the shards.
fn run_rib(
    rib: Rib,
    shards: &[ShardHandle],
    (feed, events): (FibFeed, broadcast::Sender<PeerEvent>),
    (from_shards, commands): (Outlet, mpsc::Receiver<RibCommand>),
) -> Result<Health, StartError> {
    let pulse = Pulse::default();
    let task = RibTask::new(rib, shards.to_vec(), feed, (events, pulse.clone()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)?;
    let run = move || runtime.block_on(task.run(from_shards, commands));
    std::thread::Builder::new().name("rib".to_owned()).spawn(run).map_err(StartError::Thread)?;
    watchdog::start(pulse, shards).map_err(StartError::Thread)
}

fn rib_params(plan: &Plan, seed: u64) -> rib::Params {
    let installs = plan.fib.install != InstallWord::None;
    rib::Params {
        local_as: plan.router.asn,
        router_id: plan.router.id,
        rules: rib::Rules::default(),
        multipath: if plan.fib.install == InstallWord::Ecmp { MULTIPATH } else { 1 },
        multipath_relax: false,
        next_hop_tracking: installs,
        seed,
    }
}

/// Facts of this machine that a configuration may refer to.
pub async fn local_host() -> LocalHost {
    let addresses = crate::fib::addresses().await.unwrap_or_else(|e| {
        warn!(error = %e, "the addresses of this host cannot be read");
        Vec::new()
    });
    let first = addresses.into_iter().find_map(|a| match a.local {
        IpAddr::V4(a) if a != Ipv4Addr::UNSPECIFIED && !a.is_loopback() => Some(a),
        _ => None,
    });
    LocalHost { first_ipv4: first }
}

/// The shard that owns a peer address, for life: both connections of a collision meet there.
fn shard_of(address: IpAddr, shards: usize) -> usize {
    let mix = |hash: u32, octet: &u8| (hash ^ u32::from(*octet)).wrapping_mul(0x0100_0193);
    let hash = match address.to_canonical() {
        IpAddr::V4(a) => a.octets().iter().fold(0x811c_9dc5, mix),
        IpAddr::V6(a) => a.octets().iter().fold(0x811c_9dc5, mix),
    };
    hash as usize % shards.max(1)
}

/// One on two cores, up to sixteen: the RIB and the rest of the node need cores too.
fn shard_count() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (cores / 2).clamp(1, 16)
}

/// What the kernel calls this machine.
pub fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()).unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "the shell owns the clock")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "for people who read when something happened")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

const COMMANDS: usize = 64;
/// Session events that a slow watcher may be behind.
const EVENTS: usize = 1024;
/// What kernels take at the most as next hops of one route, in practice.
const MULTIPATH: usize = 128;
