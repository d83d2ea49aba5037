//! The sockets that the configuration asks for: opened, moved when it changes, tried again while they cannot be had, closed at the end.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tracing::{error, info};

use super::{Daemon, birds};
use crate::api::server::{self, AdminSocket};
use crate::config::Plan;
use crate::config::plan::GlassPlan;

/// The running servers; they end with [`Serving::stop`].
#[derive(Debug)]
pub struct Serving {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Serving {
    /// Serves the admin socket and the metrics as the running configuration says.
    pub fn start(daemon: Daemon) -> Self {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(run(daemon, stopped));
        Self { stop, task }
    }

    /// Ends the servers; open requests have a moment to be answered.
    pub async fn stop(self) {
        // It ends only here; a task that has panicked has nothing to close.
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

async fn run(daemon: Daemon, mut stopped: oneshot::Receiver<()>) {
    let mut running = daemon.speaker().watch_running();
    let mut admin = Slot::default();
    let mut public = Slot::default();
    let mut birds = [Slot::default(), Slot::default()];
    let mut retry = tokio::time::interval(RETRY);
    retry.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let plan = Arc::clone(&running.borrow_and_update().plan);
        daemon.logs().configure(&plan.log.level);
        follow(&daemon, &plan, &mut admin, &mut public).await;
        for (slot, name) in birds.iter_mut().zip(birds::NAMES) {
            follow_bird(&daemon, &plan, slot, name).await;
        }
        tokio::select! {
            _ = &mut stopped => break,
            changed = wait(&mut running) => if !changed { break },
            _ = retry.tick() => {}
        }
    }
    admin.close().await;
    public.close().await;
    for mut slot in birds {
        slot.close().await;
    }
}

/// False when the speaker is gone.
async fn wait<T>(running: &mut watch::Receiver<T>) -> bool {
    running.changed().await.is_ok()
}

async fn follow(daemon: &Daemon, plan: &Plan, admin: &mut Slot<PathBuf>, public: &mut Slot<Public>) {
    if admin.wants(Some(&plan.api.socket)) {
        admin.close().await;
        let path = plan.api.socket.clone();
        match open_admin(&path).await {
            Ok(socket) => {
                let daemon = daemon.clone();
                info!(socket = %path.display(), "admin socket open");
                admin.open(path, |end| tokio::spawn(async move { drop(socket.serve(Arc::new(daemon), end).await) }));
            }
            Err(e) => admin.failed(&path, || {
                error!(socket = %path.display(), error = %e, "no admin socket: check the directory and its rights, or set `api.socket`");
            }),
        }
    }
    let wanted = plan.metrics.listen.map(|address| (address, plan.api.looking_glass.clone()));
    if public.wants(wanted.as_ref()) {
        public.close().await;
        let Some(wanted) = wanted else { return };
        let address = wanted.0;
        match TcpListener::bind(address).await {
            Ok(listener) => {
                let (daemon, glass) = (daemon.clone(), wanted.1.clone());
                info!(%address, looking_glass = ?glass.access, "metrics open");
                public.open(wanted, |end| {
                    tokio::spawn(async move { drop(server::serve_public(listener, Arc::new(daemon), glass, end).await) })
                });
            }
            Err(e) => public.failed(&wanted, || {
                error!(%address, error = %e, "no metrics: another program has the port; set `metrics.listen`, or `off`");
            }),
        }
    }
}

async fn follow_bird(daemon: &Daemon, plan: &Plan, slot: &mut Slot<PathBuf>, (name, is_v4): (&str, bool)) {
    let wanted = plan.api.bird_sockets.as_ref().map(|directory| directory.join(name));
    if !slot.wants(wanted.as_ref()) {
        return;
    }
    slot.close().await;
    let Some(path) = wanted else { return };
    match open_admin(&path).await {
        Ok(socket) => {
            let daemon = daemon.clone();
            info!(socket = %path.display(), "answering as BIRD");
            slot.open(path, |end| tokio::spawn(birds::serve(socket, daemon, is_v4, end)));
        }
        Err(e) => slot.failed(&path, || {
            error!(socket = %path.display(), error = %e, "cannot answer as BIRD: does BIRD run, or is `api.birdSockets` wrong?");
        }),
    }
}

async fn open_admin(path: &Path) -> io::Result<AdminSocket> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    AdminSocket::bind(path, MODE).await
}

/// Where metrics are, and who may open the looking glass beside them.
type Public = (SocketAddr, GlassPlan);

/// One server and where it is.
struct Slot<K> {
    open: Option<Open<K>>,
    /// Said already that this cannot be had.
    complained: Option<K>,
}

struct Open<K> {
    key: K,
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl<K> Default for Slot<K> {
    fn default() -> Self {
        Self { open: None, complained: None }
    }
}

impl<K: Clone + PartialEq> Slot<K> {
    /// Whether what is open is not what is wanted.
    fn wants(&self, key: Option<&K>) -> bool {
        self.open.as_ref().map(|o| &o.key) != key || self.open.as_ref().is_some_and(|o| o.task.is_finished())
    }

    fn open(&mut self, key: K, serve: impl FnOnce(End) -> JoinHandle<()>) {
        let (end, ended) = oneshot::channel();
        self.complained = None;
        self.open = Some(Open { key, end, task: serve(Box::pin(async { drop(ended.await) })) });
    }

    /// Complains once for each place.
    fn failed(&mut self, key: &K, complain: impl FnOnce()) {
        if self.complained.as_ref() != Some(key) {
            complain();
            self.complained = Some(key.clone());
        }
    }

    /// Requests that are under way are answered; watches, which never end by themselves, are cut.
    async fn close(&mut self) {
        let Some(Open { end, mut task, .. }) = self.open.take() else { return };
        // A server that has ended by itself hears nothing.
        let _ = end.send(());
        if tokio::time::timeout(LINGER, &mut task).await.is_err() {
            task.abort();
        }
    }
}

/// Completes when a server is to end.
type End = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// A group may administrate.
const MODE: u32 = 0o660;
/// How often a socket that cannot be had is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// How long open requests may take at the end.
const LINGER: Duration = Duration::from_millis(500);
