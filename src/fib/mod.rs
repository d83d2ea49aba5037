//! Kernel routes: what the RIB wants installed against what the kernel holds, and the kernel's own view of next hops.
//!
//! Owns: the desired and the installed routes of our protocol number ([`plan`], pure), next-hop resolution over everybody
//! else's routes ([`nexthop`], pure), the rules by which learned routes become kernel routes ([`rules`], pure), what would become of
//! the routes that are there ([`preview`]), and the task that speaks netlink ([`spawn`]).
//!
//! Invariants: every request carries our protocol number, and a new route never replaces an existing one, so routes of others
//! cannot be touched; what is unresolvable, martian or our own address is not installed and carries a [`Failure`]; work is
//! derived from the difference between two states, never from the order of events; every queue is bounded or merged by key.
//!
//! Must never know: peers, messages, policy, configuration files.

mod addresses;
mod cause;
mod handle;
mod link;
mod netlink;
pub mod nexthop;
pub mod plan;
pub mod preview;
pub mod rules;
mod socket;
mod sync;
mod task;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use smallvec::SmallVec;

pub use addresses::{Address, Interface, addresses, interfaces};
pub use cause::{Cause, Resyncs};
pub use handle::{Error, Handle, Leave};
pub use link::Link;
pub use nexthop::NextHopState;
pub use plan::{Counters, OpCounts};
pub use rules::{Policy, Rules};
pub use task::spawn;

/// A route that the kernel shall hold. Its identity in the kernel is prefix and metric within one table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Route {
    pub prefix: IpNet,
    pub action: Action,
    /// Lower wins. 0 in IPv6 means what the kernel makes of it, 1024.
    pub metric: u32,
}

impl Route {
    /// The canonical form: host bits cleared, hops sorted and distinct, weights from 1, the kernel's default metric written out.
    #[must_use]
    pub fn normalized(mut self) -> Self {
        self.prefix = self.prefix.trunc();
        if self.metric == 0 && matches!(self.prefix, IpNet::V6(_)) {
            self.metric = IPV6_DEFAULT_METRIC;
        }
        if let Action::Unicast(hops) = &mut self.action {
            hops.sort_by(|a, b| (&a.via, &a.device).cmp(&(&b.via, &b.device)));
            hops.dedup_by(|next, kept| {
                let same = next.via == kept.via && next.device == kept.device;
                if same {
                    kept.weight = kept.weight.saturating_add(next.weight.max(1));
                    kept.onlink |= next.onlink;
                }
                same
            });
            let single = hops.len() == 1;
            hops.iter_mut().for_each(|h| h.weight = if single { 1 } else { h.weight.max(1) });
        }
        self
    }

    /// What identifies this route in the kernel.
    pub(crate) fn key(&self) -> Key {
        Key { prefix: self.prefix, metric: self.metric }
    }
}

/// What the kernel does with a packet that matches.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// Forward; more than one hop is ECMP. At least one hop.
    Unicast(Hops),
    /// Drop silently.
    Blackhole,
    /// Drop and answer with ICMP host unreachable.
    Unreachable,
    /// Drop and answer with ICMP administratively prohibited.
    Prohibit,
}

/// The hops of one route; nearly always one.
pub type Hops = SmallVec<[Hop; 1]>;

/// One next hop. Without `device` the address is resolved through the routes of others, recursively where it is not on-link.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hop {
    /// The gateway; of the other family for IPv4 via IPv6 (RFC 8950). `None`: the destination is on the device itself.
    pub via: Option<IpAddr>,
    pub device: Option<Device>,
    /// The gateway is taken as reachable on `device` without an address there: tunnels. Needs `device`.
    pub onlink: bool,
    /// Share of the traffic within ECMP, 1..=255.
    pub weight: u8,
}

impl Hop {
    /// A gateway whose device is found by next-hop resolution.
    pub const fn via(gateway: IpAddr) -> Self {
        Self { via: Some(gateway), device: None, onlink: false, weight: 1 }
    }
}

/// An interface, by number or by name. A name survives that the interface is deleted and made again.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Device {
    Index(u32),
    Name(Arc<str>),
}

/// Why a route is not in the kernel, or a next hop not usable.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Failure {
    /// The destination is loopback, link-local, multicast or reserved.
    Martian,
    /// The destination is one of our own addresses.
    OwnAddress,
    /// The next hop is one of our own addresses.
    NextHopOwn,
    /// No route of others leads to the next hop.
    NextHopUnresolved,
    /// Only the default route leads to the next hop and it must not be used for that.
    NextHopViaDefault,
    /// The route to the next hop is blackhole, unreachable or prohibit.
    NextHopRejected,
    /// The link towards the next hop is down.
    LinkDown,
    /// No interface has this name or number.
    NoDevice,
    /// A link-local next hop without a device, or a route without hops.
    Incomplete,
    /// A route of another protocol number sits on the same prefix and metric; 0 where its number is not known.
    Occupied(u8),
    /// The kernel refused; the errno.
    Kernel(i32),
}

impl Failure {
    /// The code as it stands in JSON and metric labels.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Martian => "martian",
            Self::OwnAddress => "ownAddress",
            Self::NextHopOwn => "nextHopOwn",
            Self::NextHopUnresolved => "nextHopUnresolved",
            Self::NextHopViaDefault => "nextHopViaDefault",
            Self::NextHopRejected => "nextHopRejected",
            Self::LinkDown => "linkDown",
            Self::NoDevice => "noDevice",
            Self::Incomplete => "incomplete",
            Self::Occupied(_) => "occupied",
            Self::Kernel(_) => "kernelRefused",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Martian => f.write_str("destination is not a routable prefix"),
            Self::OwnAddress => f.write_str("destination is one of our own addresses"),
            Self::NextHopOwn => f.write_str("next hop is one of our own addresses"),
            Self::NextHopUnresolved => f.write_str("no route to the next hop"),
            Self::NextHopViaDefault => f.write_str("only the default route leads to the next hop"),
            Self::NextHopRejected => f.write_str("the route to the next hop is blackhole, unreachable or prohibit"),
            Self::LinkDown => f.write_str("link is down"),
            Self::NoDevice => f.write_str("no such interface"),
            Self::Incomplete => f.write_str("next hop needs a device"),
            Self::Occupied(0) => f.write_str("prefix and metric are taken by a route of another program"),
            Self::Occupied(protocol) => write!(f, "prefix and metric are taken by a route of protocol {protocol}"),
            Self::Kernel(errno) => write!(f, "kernel: {}", io::Error::from_raw_os_error(*errno)),
        }
    }
}

/// Where a desired route stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RouteState {
    /// Not yet tried, or waiting for its next try.
    Pending,
    Installed,
    Failed(Failure),
}

/// How the room behaves; fixed for its life.
#[derive(Clone, Debug)]
pub struct Params {
    /// The table that our routes go to.
    pub table: u32,
    /// The table whose routes resolve next hops; the main table unless we live in a VRF.
    pub resolve_table: u32,
    /// The protocol number (rtm_protocol) that marks routes, and addresses on the loopback, as ours.
    pub protocol: u8,
    /// The number of another program whose routes, found at start, are taken over like our own of a former life: replaced in place
    /// once desired, else left until [`Handle::sweep_stale`].
    pub adopt: Option<u8>,
    /// Whether a next hop may be resolved through a default route.
    pub resolve_via_default: bool,
    /// How long link and route events are collected before the kernel is read again.
    pub debounce: Duration,
    /// How often the kernel is compared without any event.
    pub rescan: Duration,
    /// Whether [`Event::Routes`] is wanted.
    pub report_routes: bool,
}

impl Params {
    /// Whether routes of this number are our own, or to be taken over.
    pub(crate) fn is_ours(&self, protocol: u8) -> bool {
        protocol == self.protocol || self.adopt == Some(protocol)
    }
}

impl Default for Params {
    fn default() -> Self {
        Self {
            table: MAIN_TABLE,
            resolve_table: MAIN_TABLE,
            protocol: 179,
            adopt: None,
            resolve_via_default: true,
            debounce: Duration::from_millis(50),
            rescan: Duration::from_secs(60),
            report_routes: false,
        }
    }
}

/// What the room tells on its event channel. Merged by key while the receiver is busy: only the newest state arrives.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// The kernel was read for the first time; the number of our routes found there, stale until desired or swept.
    Ready { adopted: usize },
    /// The state of watched next hops, on the first answer and on every change.
    NextHops(Vec<(IpAddr, NextHopState)>),
    /// Every state of a next hop that was watched before [`Handle::settle`] has been told.
    Settled,
    /// The state of desired routes ([`Params::report_routes`]).
    Routes(Vec<(IpNet, RouteState)>),
}

/// Which routes [`Handle::dump`] lists.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum View {
    /// What the RIB wants, with its state.
    Desired,
    /// What the kernel holds under our protocol number, read afresh.
    Kernel,
    /// Where the two differ, read afresh.
    Diff,
    /// One prefix, whether desired or not; nothing is read.
    Of(IpNet),
}

/// One line of [`Handle::dump`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RouteView {
    pub prefix: IpNet,
    /// As the RIB wants it, unresolved.
    pub desired: Option<Route>,
    /// As the kernel has it.
    pub kernel: Option<Route>,
    /// `None` for a route that is not desired.
    pub state: Option<RouteState>,
    /// Found at start and neither desired nor swept since.
    pub stale: bool,
}

/// A watched or used next hop, for `show nexthops`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NextHopView {
    pub address: IpAddr,
    pub state: NextHopState,
    /// How many desired routes use it.
    pub routes: usize,
    pub watched: bool,
}

/// What the kernel keys a route by, within a table.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Key {
    pub prefix: IpNet,
    pub metric: u32,
}

/// A route as read from the kernel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct KernelRoute {
    pub route: Route,
    pub table: u32,
    pub protocol: u8,
    /// The destination is an address of ours (type local).
    pub local: bool,
}

const MAIN_TABLE: u32 = 254;
const IPV6_DEFAULT_METRIC: u32 = 1024;
