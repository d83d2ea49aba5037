//! The handle that other rooms hold. Route changes and watches are merged by key and never wait; questions go through a
//! bounded channel.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use tokio::sync::{Notify, mpsc, oneshot};

use super::{Counters, Link, NextHopView, Route, RouteView, Rules, View};
use crate::wire::FamilySet;

/// Speaks to the task of this room; cheap to clone. The task ends when the last handle is dropped, and leaves the routes.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

/// What handle and task share: pending changes, merged by key (so bounded by the number of prefixes and next hops), and the
/// last published counters.
#[derive(Default)]
pub(crate) struct Shared {
    pending: Mutex<Pending>,
    counters: Mutex<Counters>,
    pub wake: Notify,
}

/// Changes that the task has not taken yet.
#[derive(Default)]
pub(crate) struct Pending {
    pub routes: BTreeMap<IpNet, Option<Route>>,
    /// True to watch, false to stop.
    pub watches: BTreeMap<IpAddr, bool>,
    /// Hosts behind gateways, all of them, where they changed.
    pub gateways: Option<BTreeMap<IpAddr, IpAddr>>,
    /// Say when what is watched by now has been told.
    pub settle: bool,
}

impl Shared {
    pub fn take(&self) -> Pending {
        std::mem::take(&mut *lock(&self.pending))
    }

    pub fn publish(&self, counters: Counters) {
        *lock(&self.counters) = counters;
    }
}

/// A question or an order with an answer.
pub(crate) enum Command {
    Dump(View, oneshot::Sender<Vec<RouteView>>),
    NextHops(oneshot::Sender<Vec<NextHopView>>),
    Links(oneshot::Sender<Vec<Link>>),
    SweepStale(FamilySet, Arc<Rules>),
    Succeed(oneshot::Sender<usize>),
    Address { address: IpAddr, add: bool, reply: oneshot::Sender<Result<(), Error>> },
    SweepAddresses(oneshot::Sender<Result<(), Error>>),
    Stop { leave: Leave, reply: oneshot::Sender<usize> },
}

/// What becomes of our routes when the task ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Leave {
    /// They and our addresses stay as they are.
    Keep,
    /// They stay, under the number of the program that we took over from: it finds them as if it had left them.
    HandOver,
    /// They and our addresses are removed first.
    Remove,
}

/// Why an order failed.
#[derive(Debug)]
pub enum Error {
    /// The task has ended.
    Closed,
    /// The kernel refused; the errno.
    Kernel(i32),
    /// The netlink connection broke before the kernel answered.
    NoAnswer,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the kernel route task has ended"),
            Self::Kernel(errno) => write!(f, "kernel: {}", io::Error::from_raw_os_error(*errno)),
            Self::NoAnswer => f.write_str("the kernel did not answer"),
        }
    }
}

impl std::error::Error for Error {}

impl Handle {
    pub(crate) const fn new(shared: Arc<Shared>, commands: mpsc::Sender<Command>) -> Self {
        Self { shared, commands }
    }

    /// Takes the new route of each prefix, or that it has none. Never waits: a change that the kernel has not seen yet is
    /// overwritten by the next one of the same prefix.
    pub fn apply(&self, changes: impl IntoIterator<Item = (IpNet, Option<Route>)>) {
        lock(&self.shared.pending).routes.extend(changes);
        self.shared.wake.notify_one();
    }

    /// Names the hosts that static routes of ours lead to, with their gateways, in place of all named before: a next hop that is such
    /// a host is reached as its gateway is, although our own routes resolve nothing otherwise.
    pub fn set_gateways(&self, gateways: BTreeMap<IpAddr, IpAddr>) {
        lock(&self.shared.pending).gateways = Some(gateways);
        self.shared.wake.notify_one();
    }

    /// Reports the state of a next hop now and on each change, as [`super::Event::NextHops`].
    pub fn watch_next_hop(&self, address: IpAddr) {
        lock(&self.shared.pending).watches.insert(address, true);
        self.shared.wake.notify_one();
    }

    pub fn unwatch_next_hop(&self, address: IpAddr) {
        lock(&self.shared.pending).watches.insert(address, false);
        self.shared.wake.notify_one();
    }

    /// Asks for [`super::Event::Settled`].
    pub fn settle(&self) {
        lock(&self.shared.pending).settle = true;
        self.shared.wake.notify_one();
    }

    /// The counters as of the last request to the kernel.
    pub fn counters(&self) -> Counters {
        *lock(&self.shared.counters)
    }

    /// The routes of a view, in order of prefixes.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn dump(&self, view: View) -> Result<Vec<RouteView>, Error> {
        self.ask(|reply| Command::Dump(view, reply)).await
    }

    /// Every watched or used next hop.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn next_hops(&self) -> Result<Vec<NextHopView>, Error> {
        self.ask(Command::NextHops).await
    }

    /// The interfaces of the host.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn links(&self) -> Result<Vec<Link>, Error> {
        self.ask(Command::Links).await
    }

    /// Removes the routes found at start that were not desired since: after our own restart, when route selection is complete
    /// (RFC 4724 4.1). Changes applied before are seen before. Routes of the program that we take over from go only where `rules`
    /// say that they are ours to take away.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn sweep_stale(&self, families: FamilySet, rules: Arc<Rules>) -> Result<(), Error> {
        self.commands.send(Command::SweepStale(families, rules)).await.map_err(|_| Error::Closed)
    }

    /// Takes over from the program that was here before: reads the kernel anew, and what that program has left by now is inherited. How
    /// many routes those are. What it writes later is told as a fault.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn succeed(&self) -> Result<usize, Error> {
        self.ask(Command::Succeed).await
    }

    /// Binds a host address (/32, /128) to the loopback interface, and puts it back when somebody removes it.
    ///
    /// # Errors
    /// What the kernel answers. An address that is there already is no error.
    pub async fn add_address(&self, address: IpAddr) -> Result<(), Error> {
        self.ask(|reply| Command::Address { address, add: true, reply }).await?
    }

    /// Removes an address that [`Handle::add_address`] bound, in this life or (where the kernel keeps our mark) an earlier one.
    /// Addresses of others stay.
    ///
    /// # Errors
    /// What the kernel answers. An address that is gone already is no error.
    pub async fn remove_address(&self, address: IpAddr) -> Result<(), Error> {
        self.ask(|reply| Command::Address { address, add: false, reply }).await?
    }

    /// Removes the addresses with our mark on the loopback that this life did not add.
    ///
    /// # Errors
    /// What the kernel answers.
    pub async fn sweep_addresses(&self) -> Result<(), Error> {
        self.ask(Command::SweepAddresses).await?
    }

    /// Ends the task. Returns how many routes of ours are left in the kernel.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn stop(&self, leave: Leave) -> Result<usize, Error> {
        self.ask(|reply| Command::Stop { leave, reply }).await
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)
    }
}

/// The data is valid after any panic: every change to it is one assignment or insertion.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
