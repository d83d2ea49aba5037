//! What we originate: what the configuration and orders at run time say, as the drain leaves it, compared with what the RIB was told.

use super::control::{Control, NetworkChange};
use super::drain::{Causes, Drain, Stage};
use super::handle::HandleError;
use super::rib_task::RibCommand;
use crate::policy::DRAINING;
use crate::wire::attr::{AttrSet, PathAttributes};
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tracing::{info, warn};

impl Control {
    /// Tells the RIB what differs from what it was told.
    pub(super) async fn sync_routes(&mut self) {
        let (desired, withheld) = self.routes();
        let gone = self.originated.keys().filter(|prefix| !desired.contains_key(prefix)).map(|prefix| (*prefix, None));
        let changed = desired.iter().filter(|(prefix, attrs)| self.originated.get(prefix) != Some(attrs));
        let routes: Vec<_> = gone.chain(changed.map(|(prefix, attrs)| (*prefix, Some(attrs.clone())))).collect();
        self.originated = desired;
        if !routes.is_empty() {
            self.tell_rib(RibCommand::Originate(routes)).await;
            self.tell_rib(RibCommand::Withhold(withheld)).await;
        }
    }

    /// Everything to originate now, and what a drain keeps back.
    fn routes(&self) -> (BTreeMap<IpNet, AttrSet>, BTreeSet<IpNet>) {
        let (mut routes, mut withheld) = (BTreeMap::new(), BTreeSet::new());
        let added = self.networks.iter().map(|(prefix, attrs)| (*prefix, attrs, false));
        let configured = self.plan.networks.values().map(|n| (n.prefix, &n.attrs, n.stays_in_drain));
        for (prefix, attrs, stays) in added.chain(configured) {
            match self.drain.stage {
                Stage::Left if !stays => _ = withheld.insert(prefix),
                Stage::Leaving { .. } if !stays => _ = routes.insert(prefix, marked(attrs)),
                _ => _ = routes.insert(prefix, attrs.clone()),
            }
        }
        (routes, withheld)
    }

    pub(super) async fn change_network(&mut self, change: NetworkChange) -> Result<(), HandleError> {
        let NetworkChange { prefix, attrs } = change;
        if self.plan.networks.contains_key(&prefix) {
            return Err(HandleError::ConfiguredNetwork);
        }
        match attrs {
            Some(attrs) => _ = self.networks.insert(prefix, attrs),
            None => _ = self.networks.remove(&prefix).ok_or(HandleError::NoSuchNetwork)?,
        }
        self.sync_routes().await;
        self.publish(|_| {});
        Ok(())
    }

    /// Begins or ends the drain that an operator asked for.
    pub(super) async fn drain_by_operator(&mut self, wanted: bool) -> Drain {
        let causes = Causes { operator: wanted, ..self.drain.causes };
        self.want_drain(causes).await;
        self.drain
    }

    /// Looks again at whether our Node is cordoned and whether that counts.
    pub(super) async fn drain_by_cordon(&mut self) {
        let cordon = self.inputs.is_cordoned && self.plan.drain.on_cordon;
        self.want_drain(Causes { cordon, ..self.drain.causes }).await;
    }

    /// Begins the drain before the end; false where there is nothing to wait for: graceful restart keeps our routes, or nobody has them.
    pub(super) async fn drain_before_stop(&mut self) -> bool {
        if self.plan.keeps_routes_on_stop() && !self.drain.causes.any() {
            return false;
        }
        let serves = self.plan.networks.values().any(|network| !network.stays_in_drain) || !self.networks.is_empty();
        if serves && !self.up.is_empty() {
            self.want_drain(Causes { stop: true, ..self.drain.causes }).await;
        }
        self.drain.deadline().is_some()
    }

    async fn want_drain(&mut self, causes: Causes) {
        if causes == self.drain.causes {
            return;
        }
        if self.drain.want(causes, self.plan.drain.grace_period, super::now()) {
            self.follow_drain().await;
        }
        self.publish(|_| {});
    }

    /// The grace period may be over.
    pub(super) async fn drain_on(&mut self) {
        if self.drain.expire(super::now()) {
            self.follow_drain().await;
            self.publish(|_| {});
        }
    }

    async fn follow_drain(&mut self) {
        self.sync_routes().await;
        match self.drain.stage {
            Stage::Serving => info!("the drain is over: our prefixes are announced as before"),
            Stage::Leaving { .. } => {
                let grace = self.plan.drain.grace_period;
                info!(?grace, "draining: our prefixes carry GRACEFUL_SHUTDOWN, and are withdrawn after the grace period");
            }
            Stage::Left => {
                self.flush().await;
                info!("drained: our prefixes are withdrawn");
            }
        }
    }

    /// Waits until all peers have been written what there was to say, but for none longer than [`FLUSH`].
    async fn flush(&self) {
        let written = async {
            loop {
                let handle = super::Handle(std::sync::Arc::clone(&self.shared));
                // The tables end only with the process.
                if handle.inspect(|state| state.groups.are_read()).await.unwrap_or(true) {
                    return;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(FLUSH, written).await.is_err() {
            warn!("a neighbor does not read: it has not been told yet that our prefixes are withdrawn");
        }
    }
}

/// The attributes of a route that traffic is to leave.
fn marked(attrs: &AttrSet) -> AttrSet {
    let mut edited = PathAttributes::from(attrs);
    edited.tags.0 |= DRAINING.0;
    AttrSet::from(&edited)
}

/// How long a withdrawal may take to be written before it counts as said.
const FLUSH: Duration = Duration::from_secs(1);
/// How often the journals are looked at meanwhile.
const LOOK: Duration = Duration::from_millis(10);
