//! The task: follows the running configuration, and for it the API server.

use super::reflector;
use super::state::State;
use crate::config::plan::{KubernetesPlan, Plan};
use crate::kube::calico::{Hold, Output, Report, Severity};
use crate::kube::client::{Connection, Error};
use crate::kube::store::Store;
use crate::kube::watch::{Options, Watch};
use crate::speaker::{Handle, HandleError, Inputs, Running};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tracing::{error, info, warn};

/// Runs as long as the speaker does. Other settings of the section `kubernetes` start it anew.
pub async fn run(speaker: Handle, state: watch::Sender<Arc<State>>) {
    let mut running = speaker.watch_running();
    let mut operator = Operator { speaker, state, told: None, refusal: None };
    loop {
        let plan = running.borrow_and_update().plan.kubernetes.clone();
        let work = async {
            match &plan {
                Some(plan) => operator.serve(plan).await,
                None => operator.rest().await,
            }
            std::future::pending::<()>().await
        };
        tokio::select! {
            () = work => {}
            changed = other(&mut running, plan.as_ref()) => if !changed { return },
        }
    }
}

/// Waits for other settings; false when there will be none.
async fn other(running: &mut watch::Receiver<Arc<Running>>, plan: Option<&KubernetesPlan>) -> bool {
    while running.changed().await.is_ok() {
        if running.borrow_and_update().plan.kubernetes.as_ref() != plan {
            return true;
        }
    }
    false
}

struct Operator {
    speaker: Handle,
    state: watch::Sender<Arc<State>>,
    /// What the speaker was told last. It tries this again by itself when the file is reloaded.
    told: Option<Inputs>,
    /// Why that is not in force.
    refusal: Option<String>,
}

impl Operator {
    /// No cluster is to be followed: what came from one goes.
    async fn rest(&mut self) {
        self.state.send_replace(Arc::default());
        if self.told.as_ref().is_some_and(|told| *told != Inputs::default()) {
            self.put_in_force(Inputs::default()).await;
        }
    }

    /// Follows a cluster; ends only with the speaker.
    async fn serve(&mut self, plan: &KubernetesPlan) {
        self.tell(|state| state.is_enabled = true);
        let (connection, mut watch) = loop {
            match connect(plan).await {
                Ok(both) => break both,
                Err(e) => {
                    let reason = e.to_string();
                    error!(reason, "the API server cannot be asked");
                    self.tell(|state| state.reason = Some(reason));
                    tokio::time::sleep(RETRY).await;
                }
            }
        };
        let namespace = namespace(plan, &connection).to_owned();
        info!(server = connection.server(), node = plan.node_name, "following the cluster");
        let counters = watch.counters();
        self.tell(|state| state.counters = Some(counters));
        let (mut status, mut running) = (watch.status(), self.speaker.watch_running());
        loop {
            let now = status.borrow_and_update().clone();
            let hold = if now.synced { self.take(plan, &namespace, watch.store()).await.err() } else { None };
            let reason = now.reason.or_else(|| hold.map(|hold| say(hold, plan))).or_else(|| self.refusal.clone());
            self.tell(|state| (state.is_connected, state.reason) = (now.connected, reason));
            tokio::select! {
                () = watch.changed() => {}
                // The watch lives as long as this loop, so there is a next one.
                _ = status.changed() => {}
                changed = running.changed() => match changed {
                    Ok(()) => self.notice(&running.borrow_and_update()),
                    Err(_) => return,
                },
            }
        }
    }

    /// A reload of the file may have made good what was refused.
    fn notice(&mut self, running: &Running) {
        if self.refusal.is_some() && running.last_failure.is_none() {
            self.refusal = None;
            self.tell(|state| state.is_in_force = true);
        }
    }

    /// Puts in force what the objects say, if that differs from what the speaker was told.
    async fn take(&mut self, plan: &KubernetesPlan, namespace: &str, store: &Store) -> Result<(), Hold> {
        let output = reflector::translate(plan, namespace, store)?;
        let reports = [output.reports.clone(), malformed(store), self.overruled(&output)].concat();
        self.report(reports);
        let inputs = Inputs { fragments: vec![output.input], secrets: output.secrets };
        if self.told.as_ref() != Some(&inputs) {
            self.put_in_force(inputs).await;
        }
        Ok(())
    }

    async fn put_in_force(&mut self, inputs: Inputs) {
        self.told = Some(inputs.clone());
        self.refusal = match self.speaker.set_inputs(inputs).await {
            Ok(_) => None,
            Err(HandleError::Config(diagnostics)) => Some(diagnostics.complaints.first().map(ToString::to_string).unwrap_or_default()),
            // It ends, and the process with it.
            Err(e) => Some(e.to_string()),
        };
        match self.refusal.clone() {
            None => self.tell(|state| state.is_in_force = true),
            Some(why) => error!(why, "what the objects say cannot be put in force"),
        }
    }

    /// Neighbors of the objects that the file has too: its settings count.
    fn overruled(&self, output: &Output) -> Vec<Report> {
        let running = self.speaker.running();
        let in_force: &Plan = &running.plan;
        let neighbors = output.sessions.iter().filter_map(|session| {
            let peer = in_force.peers.get(&session.address).filter(|peer| peer.name != session.name)?;
            let message = format!("{} is neighbor {} of the configuration file, whose settings count", session.address, peer.name);
            let object = session.object.as_deref().unwrap_or("mesh");
            Some(Report::warning("BGPPeer", object, "spec", message))
        });
        neighbors.collect()
    }

    /// Logs each report once, as long as it holds.
    fn report(&self, mut reports: Vec<Report>) {
        reports.sort();
        reports.dedup();
        let before: BTreeSet<Report> = self.state.borrow().reports.iter().cloned().collect();
        for Report { severity, object, field, message } in reports.iter().filter(|report| !before.contains(report)) {
            match severity {
                Severity::Error => error!(object, field, "{message}"),
                Severity::Warning => warn!(object, field, "{message}"),
            }
        }
        self.tell(|state| state.reports = reports.into());
    }

    fn tell(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(|state| change(Arc::make_mut(state)));
    }
}

async fn connect(plan: &KubernetesPlan) -> Result<(Connection, Watch), Error> {
    let connection = Connection::read(plan.kubeconfig.as_deref()).await?;
    let selections = reflector::selections(plan, namespace(plan, &connection));
    let watch = Watch::start(&connection.client()?, &selections, Options::default());
    Ok((connection, watch))
}

fn namespace<'a>(plan: &'a KubernetesPlan, connection: &'a Connection) -> &'a str {
    plan.namespace.as_deref().unwrap_or_else(|| connection.namespace())
}

fn say(hold: Hold, plan: &KubernetesPlan) -> String {
    match hold {
        Hold::DatastoreNotReady => "ClusterInformation says that Calico's datastore is not ready".to_owned(),
        Hold::NodeUnknown => format!("there is no Node {}; is kubernetes.nodeName right?", plan.node_name),
    }
}

/// Objects that cannot be read: their last good version counts.
fn malformed(store: &Store) -> Vec<Report> {
    let report = |m: crate::kube::store::Malformed<'_>| Report::error(m.kind, &m.key.to_string(), "", format!("cannot be read: {}", m.why));
    store.malformed().into_iter().map(report).collect()
}

/// How often files are read again that lead to no API server.
const RETRY: Duration = Duration::from_secs(5);
