//! What the allocator says on IPAddressPools and about its configuration. Each is written when it differs from what is known to stand
//! there, one write per object at a time; what failed is tried again with growing pauses.

use super::PATIENCE;
use crate::kube::client::{Connection, Error};
use crate::kube::metallb::allocator::Allocator;
use crate::kube::metallb::model::Config;
use crate::kube::metallb::objects::IPAddressPool;
use crate::kube::metallb::status::{Component, ConfigurationState, ConfigurationStateObject, PoolStatus, pool_statuses};
use crate::kube::objects::Key;
use crate::kube::selection::Selection;
use crate::kube::store::Store;
use crate::kube::write::{Retries, Target, WriteError, Writer};
use crate::operator::until;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::task::JoinSet;
use tracing::debug;

/// What stands, or is to stand, on one object.
#[derive(Clone, Debug, PartialEq)]
enum Content {
    /// Of the IPAddressPool with this `uid`.
    Pool(String, PoolStatus),
    State(ConfigurationState),
}

/// See the module.
pub struct Statuses {
    writer: Writer,
    namespace: String,
    /// Of the pools. The API server has it, as far as is known: nobody else writes there.
    written: BTreeMap<Key, Content>,
    busy: BTreeSet<Key>,
    writes: JoinSet<(Key, Content, Result<(), WriteError>)>,
    retries: Retries,
}

impl Statuses {
    pub fn new(connection: &Connection, namespace: &str) -> Result<Self, Error> {
        Ok(Self {
            writer: Writer::new(connection.impatient_client(PATIENCE)?, MANAGER, PATIENCE),
            namespace: namespace.to_owned(),
            written: BTreeMap::new(),
            busy: BTreeSet::new(),
            writes: JoinSet::new(),
            retries: Retries::new(AGAIN),
        })
    }

    /// What has to be watched for it: our own ConfigurationState, so that it comes back when somebody removes it.
    pub fn selection(namespace: &str) -> Selection {
        Selection { is_dispensable: true, ..Selection::of::<ConfigurationStateObject>().in_namespace(namespace).named("controller") }
    }

    /// Makes the objects say what is so.
    pub fn write(&mut self, allocator: &Allocator, config: &Config, store: &Store) {
        self.write_state(config, store);
        let Some(api) = store.served::<IPAddressPool>() else { return };
        let statuses = pool_statuses(allocator);
        self.written.retain(|key, _| statuses.iter().any(|(pool, _)| pool == key));
        for (key, status) in statuses {
            let Some(pool) = store.get::<IPAddressPool>(&key) else { continue };
            let content = Content::Pool(pool.metadata.uid.clone(), status.clone());
            if self.written.get(&key) == Some(&content) || !self.may_write(&key) {
                continue;
            }
            let (writer, target) = (self.writer.clone(), Target::of::<IPAddressPool>(api, key.clone()));
            self.writes.spawn(async move {
                let result = writer.put_pool_status(&target, &status).await;
                (key, content, result)
            });
        }
    }

    fn write_state(&mut self, config: &Config, store: &Store) {
        let Some(api) = store.served::<ConfigurationStateObject>() else { return };
        let target = Target::configuration_state(api, &self.namespace, None);
        let state = ConfigurationState::new(config, Component::Controller);
        let known = store.get::<ConfigurationStateObject>(&target.key);
        if known.is_some_and(|known| known.status == state) {
            self.retries.forget(&target.key);
            return;
        }
        if self.may_write(&target.key) {
            let writer = self.writer.clone();
            self.writes.spawn(async move {
                let result = writer.put_configuration_state(&target, (Component::Controller, None), &state).await;
                (target.key, Content::State(state), result)
            });
        }
    }

    fn may_write(&mut self, key: &Key) -> bool {
        !self.retries.is_waiting(key) && self.writes.len() < AT_ONCE && self.busy.insert(key.clone())
    }

    /// Waits until something may have to be written that [`write`](Self::write) has not begun. May be dropped.
    pub async fn progress(&mut self) {
        tokio::select! {
            Some(done) = self.writes.join_next() => {
                let (key, content, result) = done.expect("a write does not panic");
                self.written(key, content, result);
            }
            () = until(self.retries.next()) => while self.retries.due().is_some() {},
        }
    }

    fn written(&mut self, key: Key, content: Content, result: Result<(), WriteError>) {
        self.busy.remove(&key);
        match (result, content) {
            // Older definitions of the kind have no status; a pool that is gone needs none.
            (Ok(()) | Err(WriteError::NotFound), content @ Content::Pool(..)) => {
                self.retries.forget(&key);
                self.written.insert(key, content);
            }
            // It comes by the watch, and until then it is not written again.
            (Ok(()), Content::State(_)) => drop(self.retries.add(key)),
            (Err(e), _) => {
                let after = self.retries.add(key.clone());
                debug!(object = %key, reason = %e, ?after, "a status was not written");
            }
        }
    }
}

/// Owner of the fields that we write.
const MANAGER: &str = "kubgp-allocator";
/// Writes under way together.
const AT_ONCE: usize = 4;
/// First and longest pause before an object is written again.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));
