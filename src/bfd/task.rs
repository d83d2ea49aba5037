//! The thread that runs the sessions: sockets, clock, and the way to and from the others.

use super::packet::{Packet, State};
use super::session::Change;
use super::sessions::{Discard, Failure, Sessions, Settings, View};
use super::socket::{KINDS, Receiver, Sender};
use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, error, info, warn};

/// A session changed its state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Event {
    pub remote: IpAddr,
    pub state: State,
    /// The path failed since the last event of this session.
    pub failure: Option<Failure>,
}

/// All sessions and what was dropped, in the order of [`Discard::LABELS`].
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub sessions: Vec<View>,
    pub discarded: [u64; Discard::LABELS.len()],
}

enum Command {
    Set(BTreeMap<IpAddr, Settings>, oneshot::Sender<()>),
    Excuse(IpAddr),
    EndFormer(BTreeMap<IpAddr, (Settings, u32)>, oneshot::Sender<()>),
    Report(oneshot::Sender<Report>),
}

/// The way to the running thread; cheap to clone. The thread ends with the last one.
#[derive(Clone, Debug)]
pub struct Handle(mpsc::Sender<Command>);

impl Handle {
    /// Starts the thread. `seed` is for discriminators, ports and jitter, and the same in the next life of a process that restarts; changes of state go to `events`, and wait while it is full.
    ///
    /// # Errors
    /// The operating system refuses a thread or its event queue.
    pub fn start(seed: u64, events: mpsc::Sender<Event>) -> io::Result<Self> {
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let task = Task { sessions: Sessions::new(seed), receivers: [const { None }; 4], senders: BTreeMap::new(), retry_at: None, seed };
        std::thread::Builder::new().name("bfd".to_owned()).spawn(move || runtime.block_on(task.run(inbox, events)))?;
        Ok(Self(commands))
    }

    /// Says which sessions shall be, and waits until it is so. Those that stay are not disturbed.
    pub async fn set(&self, sessions: BTreeMap<IpAddr, Settings>) {
        let (done, end) = oneshot::channel();
        // The thread ends only with the process.
        let _ = self.0.send(Command::Set(sessions, done)).await;
        let _ = end.await;
    }

    /// After a restart of ours: tells these peers, which had these discriminators, that the sessions of the former life are over, before
    /// they miss them.
    pub async fn end_former(&self, sessions: BTreeMap<IpAddr, (Settings, u32)>) {
        let (done, end) = oneshot::channel();
        let _ = self.0.send(Command::EndFormer(sessions, done)).await;
        let _ = end.await;
    }

    /// The peer is back from a restart: that its former life has ended is no failure of the path.
    pub async fn excuse(&self, remote: IpAddr) {
        let _ = self.0.send(Command::Excuse(remote)).await;
    }

    pub async fn report(&self) -> Report {
        let (reply, answer) = oneshot::channel();
        let _ = self.0.send(Command::Report(reply)).await;
        answer.await.unwrap_or_default()
    }
}

struct Task {
    sessions: Sessions,
    /// In the order of [`KINDS`].
    receivers: [Option<Receiver>; 4],
    senders: BTreeMap<IpAddr, Sender>,
    /// When sockets that could not be opened are tried again.
    retry_at: Option<Instant>,
    seed: u64,
}

impl Task {
    async fn run(mut self, mut inbox: mpsc::Receiver<Command>, events: mpsc::Sender<Event>) {
        loop {
            let deadline = [self.sessions.poll_timeout(), self.retry_at].into_iter().flatten().min();
            let [a, b, c, d] = &self.receivers;
            tokio::select! {
                command = inbox.recv() => match command {
                    Some(command) => self.obey(command),
                    None => return,
                },
                () = readable(a) => {}
                () = readable(b) => {}
                () = readable(c) => {}
                () = readable(d) => {}
                () = until(deadline) => {}
                permit = events.reserve(), if self.sessions.has_news() => match (permit, self.sessions.poll_news()) {
                    (Ok(permit), Some((remote, change, failure))) => {
                        log(remote, change, failure);
                        permit.send(Event { remote, state: change.to, failure });
                    }
                    // Nobody listens: the process ends.
                    _ => return,
                },
            }
            self.turn();
        }
    }

    /// What has come counts before what is due: that this thread was late makes no path fail.
    fn turn(&mut self) {
        let Self { sessions, receivers, .. } = self;
        for receiver in receivers.iter_mut().flatten() {
            for _ in 0..BATCH {
                let came = receiver.receive(|arrival| {
                    if let Err(discard) = sessions.handle_datagram(arrival, now()) {
                        debug!(from = %arrival.from, ttl = arrival.ttl, reason = ?discard, "packet dropped");
                    }
                });
                if !came {
                    break;
                }
            }
        }
        let at = now();
        self.sessions.handle_timeout(at);
        if self.retry_at.is_some_and(|retry| retry <= at) {
            self.open_receivers();
        }
        self.transmit();
    }

    fn transmit(&mut self) {
        while let Some((remote, settings, packet)) = self.sessions.poll_transmit() {
            send(&mut self.senders, remote, settings, &packet, self.seed);
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Set(wanted, done) => {
                for (remote, settings, packet) in self.sessions.set(&wanted, now()) {
                    send(&mut self.senders, remote, &settings, &packet, self.seed);
                    self.senders.remove(&remote);
                }
                self.senders.retain(|remote, _| wanted.contains_key(remote));
                self.open_receivers();
                self.transmit();
                let _ = done.send(());
            }
            Command::EndFormer(former, done) => {
                for (remote, (settings, discriminator)) in former {
                    let packet = self.sessions.epitaph(remote, discriminator);
                    send(&mut self.senders, remote, &settings, &packet, self.seed);
                    self.senders.remove(&remote);
                }
                let _ = done.send(());
            }
            Command::Excuse(remote) => self.sessions.excuse(remote),
            Command::Report(reply) => {
                let report = Report { sessions: self.sessions.views(), discarded: self.sessions.discarded() };
                // Nobody waits for it any more: nothing to do.
                let _ = reply.send(report);
            }
        }
    }

    /// The sockets that the sessions need, and no others.
    fn open_receivers(&mut self) {
        let is_new = self.retry_at.take().is_none();
        for ((single_hop, is_v4), receiver) in KINDS.into_iter().zip(&mut self.receivers) {
            if !self.sessions.needs(single_hop, is_v4) {
                *receiver = None;
            } else if receiver.is_none() {
                match Receiver::open(single_hop, is_v4) {
                    Ok(open) => *receiver = Some(open),
                    Err(e) => {
                        if is_new {
                            let remedy = "stop other BFD daemons on this host, or take bfd off the neighbors";
                            error!(single_hop, is_v4, error = %e, remedy, "the port of BFD cannot be opened; it is tried again");
                        }
                        self.retry_at = Some(now() + RETRY);
                    }
                }
            }
        }
    }
}

/// Opens the sender where there is none; one that fails is made anew with the next packet, since addresses come and go.
fn send(senders: &mut BTreeMap<IpAddr, Sender>, remote: IpAddr, settings: &Settings, packet: &Packet, seed: u64) {
    let octets = packet.encode();
    let choice = seed ^ u64::from(packet.my_discriminator);
    let sent = match senders.get(&remote) {
        Some(sender) => sender.send(&octets),
        None => Sender::open(remote, settings, choice).and_then(|sender| {
            let sent = sender.send(&octets);
            senders.insert(remote, sender);
            sent
        }),
    };
    if let Err(e) = sent {
        senders.remove(&remote);
        debug!(peer = %remote, error = %e, "packet not sent");
    }
}

fn log(remote: IpAddr, change: Change, failure: Option<Failure>) {
    let Change { from, to, diagnostic, .. } = change;
    match (to, failure) {
        (_, Some(failure)) => warn!(peer = %remote, state = %to, reason = %failure.diagnostic, "BFD: the path failed"),
        (State::Up, None) => info!(peer = %remote, "BFD session up"),
        _ if from == State::Up => info!(peer = %remote, state = %to, reason = %diagnostic, "BFD session down, not by a failure"),
        _ => debug!(peer = %remote, %from, %to, %diagnostic, "BFD state changed"),
    }
}

async fn readable(receiver: &Option<Receiver>) {
    match receiver {
        Some(receiver) => receiver.readable().await,
        None => pending().await,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => pending().await,
    }
}

#[expect(clippy::disallowed_methods, reason = "the shell owns the clock of its machines")]
fn now() -> Instant {
    Instant::now()
}

const COMMANDS: usize = 16;
/// Datagrams of one socket that are taken before timers get their turn.
const BATCH: usize = 256;
/// How long a port that is taken is left alone.
const RETRY: Duration = Duration::from_secs(5);
