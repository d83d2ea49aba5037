use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::kube::backoff::Backoff;
use crate::kube::client::{Connection, Error};

/// The Lease that candidates compete for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Terms {
    pub name: String,
    pub namespace: String,
    /// Unique among the candidates, for example the pod's name.
    pub identity: String,
    /// Seconds that the Lease is good for without renewal.
    pub duration: u64,
    /// It is renewed so many seconds before its end; less than `duration`, more than the clocks of two nodes may differ.
    pub grace: u64,
}

/// Our candidature. Dropping it ends the leadership without releasing the Lease; [`resign`](Self::resign) does that.
#[derive(Debug)]
pub struct Election {
    leader: watch::Receiver<bool>,
    resign: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Election {
    /// Needs a tokio runtime. The API server may appear later.
    pub fn start(connection: &Connection, terms: Terms) -> Result<Self, Error> {
        // Half-open connections must not make us a leader who merely has not heard otherwise.
        let client = connection.impatient_client(Duration::from_secs(terms.grace) / 3)?;
        let (sender, leader) = watch::channel(false);
        let (resign, resigned) = oneshot::channel();
        let task = tokio::spawn(Candidate { client, terms, leader: sender }.run(resigned));
        Ok(Self { leader, resign: Some(resign), task })
    }

    /// Whether we lead at this moment.
    pub fn is_leader(&self) -> bool {
        *self.leader.borrow()
    }

    pub fn leader(&self) -> watch::Receiver<bool> {
        self.leader.clone()
    }

    /// Gives the Lease back, so that the next leader need not wait for its end.
    pub async fn resign(mut self) {
        // Nobody listens when the task is gone, and then there is nothing to give back.
        let _ = self.resign.take().map(|resign| resign.send(()));
        let _ = (&mut self.task).await;
    }
}

impl Drop for Election {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Candidate {
    client: Client,
    terms: Terms,
    leader: watch::Sender<bool>,
}

impl Candidate {
    async fn run(self, mut resigned: oneshot::Receiver<()>) {
        let mut backoff = Backoff::new(RETRY);
        loop {
            let manager = tokio::select! {
                manager = self.manager() => manager,
                _ = &mut resigned => return,
            };
            match manager {
                Ok(manager) => {
                    backoff.reset();
                    tokio::select! {
                        () = self.compete(&manager) => {}
                        // Nobody holds it: a new manager takes it at once, the present one only when it would have ended.
                        () = self.given_back() => continue,
                        _ = &mut resigned => {
                            self.tell(false);
                            if let Err(error) = manager.release().await {
                                tracing::warn!(lease = self.terms.name, %error, "the Lease was not released");
                            }
                            return;
                        }
                    }
                }
                Err(error) => tracing::warn!(lease = self.terms.name, %error, "leader election cannot begin"),
            }
            tokio::select! {
                () = sleep(backoff.next()) => {}
                _ = &mut resigned => return,
            }
        }
    }

    async fn manager(&self) -> kube_lease_manager::Result<LeaseManager> {
        LeaseManagerBuilder::new(self.client.clone(), &self.terms.name)
            .with_namespace(&self.terms.namespace)
            .with_identity(&self.terms.identity)
            .with_duration(self.terms.duration)
            .with_grace(self.terms.grace)
            .build()
            .await
    }

    /// Returns when this manager's view can no longer be trusted. It reports what the Lease says, and says nothing while it cannot
    /// renew; so a leader who fails to renew for half the grace time steps down on its own, before the Lease ends.
    async fn compete(&self, manager: &LeaseManager) {
        let grace = Duration::from_secs(self.terms.grace);
        let mut failing_since: Option<Instant> = None;
        loop {
            match manager.changed().await {
                Ok(leads) => self.tell(leads),
                Err(error) => {
                    let since = failing_since.filter(|since| since.elapsed() < grace).unwrap_or_else(Instant::now);
                    failing_since = Some(since);
                    tracing::debug!(lease = self.terms.name, %error, "leader election failed");
                    if since.elapsed() >= grace / 2 || !*self.leader.borrow() {
                        self.tell(false);
                        return;
                    }
                    sleep(grace / 6).await;
                }
            }
        }
    }

    /// Returns when the holder, who is not us, has given the Lease back.
    async fn given_back(&self) {
        let mut leader = self.leader.subscribe();
        let (mut was_held, mut free) = (false, 0);
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), &self.terms.namespace);
        loop {
            // The candidate lives as long as this.
            let _ = leader.wait_for(|leads| !leads).await;
            sleep(LOOK).await;
            // A Lease that cannot be read says nothing; whoever takes it finds out.
            let Ok(Some(lease)) = leases.get_opt(&self.terms.name).await else { continue };
            let is_held = lease.spec.and_then(|spec| spec.holder_identity).is_some_and(|holder| !holder.is_empty());
            free = if is_held { 0 } else { free + 1 };
            // One that nobody held before is being taken by the present manager, unless it thinks otherwise.
            if !*leader.borrow() && free > if was_held { 0 } else { DOUBT } {
                return;
            }
            was_held |= is_held;
        }
    }

    fn tell(&self, leads: bool) {
        let changed = self.leader.send_if_modified(|old| std::mem::replace(old, leads) != leads);
        if changed {
            tracing::info!(lease = self.terms.name, identity = self.terms.identity, leads, "leader election");
        }
    }
}

/// How often those who do not lead look whether the Lease has been given back.
const LOOK: Duration = Duration::from_secs(1);
/// So many looks in a row at a Lease that nobody holds are not yet a reason to begin anew.
const DOUBT: u32 = 3;
/// First and longest pause before another attempt to take part.
const RETRY: (Duration, Duration) = (Duration::from_millis(400), Duration::from_secs(10));
