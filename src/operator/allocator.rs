//! The role `allocator`: of all processes that have it one, the holder of a Lease, gives addresses to Services.
//!
//! The others watch nothing but the Lease. Who becomes the leader begins from nothing: it lists everything after it has the Lease, so
//! that it sees what its predecessor wrote last, and takes back into the book what Services have before anybody gets something new.
//! Who loses the Lease drops all of that at once, writes under way included.

mod leading;
mod statuses;

use super::state::{Allocating, State};
use crate::config::plan::KubernetesPlan;
use crate::kube::client::Connection;
use crate::kube::write::{Election, Terms};
use leading::Leading;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tracing::error;

/// What the role needs to know.
#[derive(Clone)]
pub struct Scope {
    pub connection: Connection,
    /// Of the pools, the ConfigMap and the Lease.
    pub namespace: String,
    /// The class that we are responsible for; `None`: Services without class.
    pub class: Option<String>,
    /// What Events name as their reporter, and the Lease as its holder.
    pub identity: String,
}

impl Scope {
    pub fn new(connection: &Connection, namespace: &str, plan: &KubernetesPlan) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        // Two processes of one name would both take the Lease for theirs.
        let unique = RandomState::new().hash_one(std::process::id());
        Self {
            connection: connection.clone(),
            namespace: namespace.to_owned(),
            class: plan.load_balancer_class.clone(),
            identity: format!("{}_{unique:016x}", host.trim()),
        }
    }
}

/// Takes part in the election, and leads while it is won. Ends when `stop` says so, and gives the Lease back then.
pub async fn run(scope: Scope, state: watch::Sender<Arc<State>>, mut stop: watch::Receiver<bool>) {
    let Some(election) = candidate(&scope).await else { return };
    let mut leader = election.leader();
    let stopped = async {
        // Whoever cannot say it any more has stopped too.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    let work = async {
        loop {
            tell(&state, Allocating::default());
            // The election lives longer than this loop.
            let _ = leader.wait_for(|leads| *leads).await;
            let term = Leading::start(&scope, &state, election.leader());
            let lost = async { _ = leader.wait_for(|leads| !leads).await };
            tokio::select! {
                biased;
                () = lost => {}
                () = term => {}
            }
        }
    };
    tokio::select! {
        () = stopped => {}
        () = work => {}
    }
    tell(&state, Allocating::default());
    election.resign().await;
}

async fn candidate(scope: &Scope) -> Option<Election> {
    let terms = Terms {
        name: LEASE.to_owned(),
        namespace: scope.namespace.clone(),
        identity: scope.identity.clone(),
        duration: LEASE_SECONDS,
        grace: GRACE_SECONDS,
    };
    let election = Election::start(&scope.connection, terms);
    election.inspect_err(|e| error!(reason = %e, "no part in the election of the allocator")).ok()
}

fn tell(state: &watch::Sender<Arc<State>>, allocating: Allocating) {
    state.send_modify(|state| Arc::make_mut(state).allocator = Some(Arc::new(allocating)));
}

/// The Lease that the processes with this role compete for.
const LEASE: &str = "kubgp-allocator";
/// So long after a leader died its place is taken.
const LEASE_SECONDS: u64 = 10;
/// The Lease is renewed so many seconds before its end; clocks may differ by less than that.
const GRACE_SECONDS: u64 = 4;
/// No request may outlive the Lease that allowed it.
const PATIENCE: Duration = Duration::from_secs(2);
