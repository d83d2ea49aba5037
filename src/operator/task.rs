//! The task: follows the running configuration, and for it the API server.

use super::allocator;
use super::news::{self, Voice};
use super::state::{Question, State};
use super::translate::{Named, Translated, Translator};
use crate::config::file::Asn;
use crate::config::plan::{KubernetesPlan, Plan, RemoteAs};
use crate::kube::calico::{Hold, Report, Severity};
use crate::kube::client::{Connection, Error};
use crate::kube::selection::Role;
use crate::kube::store::Store;
use crate::kube::watch::{Options, Status, Watch};
use crate::speaker::{Handle, HandleError, Inputs, Running};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{error, info, warn};

/// Runs as long as the speaker does. Other settings of the section `kubernetes` start it anew.
pub async fn run(speaker: Handle, state: watch::Sender<Arc<State>>, questions: mpsc::Receiver<Question>) {
    let mut running = speaker.watch_running();
    let mut operator = Operator { speaker, state, questions, told: None, refusal: None, occupied: None, voice: None };
    loop {
        let plan = running.borrow_and_update().plan.kubernetes.clone();
        let mut helpers = Helpers::default();
        let work = async {
            match &plan {
                Some(plan) => operator.serve(plan, &mut helpers).await,
                None => operator.rest().await,
            }
            std::future::pending::<()>().await
        };
        let goes_on = tokio::select! {
            () = work => true,
            changed = other(&mut running, plan.as_ref()) => changed,
        };
        operator.voice = None;
        helpers.end().await;
        if !goes_on {
            return;
        }
    }
}

/// Tasks beside the one that puts configuration in force.
#[derive(Default)]
struct Helpers {
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Helpers {
    /// Ends them in good order, if that does not take long.
    async fn end(mut self) {
        self.stop.send_replace(true);
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(PARTING, ended).await.is_err() {
            warn!("the API server does not let go: its Lease ends by itself");
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
    /// What would become of Services, asked by people.
    questions: mpsc::Receiver<Question>,
    /// What the speaker was told last. It tries this again by itself when the file is reloaded.
    told: Option<Inputs>,
    /// Why that is not in force.
    refusal: Option<String>,
    /// Where another daemon listens, so that nothing is put in force yet.
    occupied: Option<SocketAddr>,
    /// Tells on objects what this node does; the role `vip` has one.
    voice: Option<Voice>,
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
    async fn serve(&mut self, plan: &KubernetesPlan, helpers: &mut Helpers) {
        self.tell(|state| state.is_enabled = true);
        let (connection, mut translator, mut watch) = loop {
            match connect(plan).await {
                Ok(all) => break all,
                Err(e) => {
                    let reason = e.to_string();
                    error!(reason, "the API server cannot be asked");
                    self.tell(|state| state.reason = Some(reason));
                    tokio::time::sleep(RETRY).await;
                }
            }
        };
        info!(server = connection.server(), node = plan.node_name, "following the cluster");
        if let Err(e) = self.help(plan, &connection, helpers) {
            error!(reason = %e, "nothing will be told on objects");
        }
        let mut running = self.speaker.watch_running();
        let mut status = self.count(&watch);
        let mut is_migrating = false;
        loop {
            let now = status.borrow_and_update().clone();
            // After a migration the objects may be in another API group: what is known of them may be from the old one.
            let was_migrating = std::mem::replace(&mut is_migrating, now.synced && translator.is_migrating(watch.store()));
            let has_migrated = now.synced && was_migrating && !is_migrating;
            if has_migrated || now.synced && translator.widens(watch.store()) {
                watch.replace(&translator.selections());
                status = self.count(&watch);
                continue;
            }
            let hold = if now.synced { self.take(&mut translator, watch.store()).await.err() } else { None };
            let reason = now.reason.or_else(|| hold.map(|hold| say(hold, plan))).or_else(|| self.refusal.clone());
            let reason = reason.or_else(|| self.occupied.map(beside));
            let is_nobody = has_sessions(plan) && !self.speaker.running().plan.router.is_known();
            let reason = reason.or_else(|| is_nobody.then(|| NO_ROUTER.to_owned()));
            self.tell(|state| (state.is_connected, state.reason) = (now.connected, reason));
            tokio::select! {
                () = watch.changed() => {}
                // The watch lives as long as this loop, so there is a next one.
                _ = status.changed() => {}
                // Nobody listens who did not want to wait.
                Some(question) = self.questions.recv() => drop(question.send(translator.foresights(watch.store()))),
                changed = running.changed() => match changed {
                    Ok(()) => self.notice(&running.borrow_and_update()),
                    Err(_) => return,
                },
                () = tokio::time::sleep(SECOND_LOOK), if self.occupied.is_some() => {}
            }
        }
    }

    /// Shows the figures of a watch, and follows its state.
    fn count(&self, watch: &Watch) -> watch::Receiver<Status> {
        let counters = watch.counters();
        self.tell(|state| state.counters = Some(counters));
        watch.status()
    }

    /// Starts what works on its own.
    fn help(&mut self, plan: &KubernetesPlan, connection: &Connection, helpers: &mut Helpers) -> Result<(), Error> {
        if plan.roles.contains(&Role::Vip) {
            self.voice = Some(Voice::start(connection, (namespace(plan, connection), &plan.node_name), self.speaker.clone())?);
        }
        if plan.roles.contains(&Role::Allocator) {
            let scope = allocator::Scope::new(connection, namespace(plan, connection), plan);
            helpers.tasks.spawn(allocator::run(scope, self.state.clone(), helpers.stop.subscribe()));
        }
        Ok(())
    }

    /// A reload of the file may have made good what was refused.
    fn notice(&mut self, running: &Running) {
        if self.refusal.is_some() && running.last_failure.is_none() {
            self.refusal = None;
            self.tell(|state| state.is_in_force = true);
        }
    }

    /// Puts in force what the objects say, if that differs from what the speaker was told.
    async fn take(&mut self, translator: &mut Translator, store: &Store) -> Result<(), Hold> {
        translator.handle_file(&self.speaker.running().text);
        let translated = translator.translate(store)?;
        let overruled = self.overruled(&translated);
        let Translated { inputs, reports, .. } = translated;
        let reports = [reports, malformed(store), overruled].concat();
        self.report(reports, store);
        if let Some(voice) = &self.voice {
            let (news, wanted) = translator.said();
            voice.tell(news, wanted);
        }
        if self.told.is_none() {
            self.look_for_another(&translator.listeners(&inputs));
        }
        if self.occupied.is_none() && self.told.as_ref() != Some(&inputs) {
            self.put_in_force(inputs).await;
        }
        // After that: to show it is less urgent than to do it.
        if let Some(vips) = translator.vips() {
            self.tell(|state| state.vips = Some(vips));
        }
        Ok(())
    }

    /// Before anything of Calico's is put in force: while BIRD has the port it has the sessions, too, and the kernel routes. A second
    /// connection would look like its restart to every neighbor.
    fn look_for_another(&mut self, listeners: &[SocketAddr]) {
        let ours = self.speaker.running().listening.clone();
        let is_taken = |at: &&SocketAddr| !ours.contains(*at) && TcpListener::bind(at).is_err_and(|e| e.kind() == ErrorKind::AddrInUse);
        let occupied = listeners.iter().find(is_taken).copied();
        if let Some(at) = occupied.filter(|_| self.occupied.is_none()) {
            warn!("{}", beside(at));
        }
        self.occupied = occupied;
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
    fn overruled(&self, translated: &Translated) -> Vec<Report> {
        let running = self.speaker.running();
        let in_force: &Plan = &running.plan;
        let neighbors = translated.named.iter().filter_map(|named| {
            let Named { address, name, object, asn } = named;
            let peer = in_force.peers.get(address)?;
            let other_asn = match (asn, peer.session.remote_as) {
                (Some(Asn::Number(ours)), RemoteAs::Fixed(theirs)) if *ours != theirs => Some((ours, theirs)),
                _ => None,
            };
            let (severity, message) = match other_asn {
                // What was just changed is not in force yet, and then it is no neighbor of the file.
                _ if peer.name == *name => return None,
                Some((ours, theirs)) => (
                    Severity::Error,
                    format!("AS {ours}, but the configuration file says that neighbor {} at {address} is in AS {theirs}", peer.name),
                ),
                None => (
                    Severity::Warning,
                    format!("{address} is neighbor {} of the configuration file, whose session settings count", peer.name),
                ),
            };
            Some(Report { severity, object: object.clone(), field: "spec".to_owned(), message })
        });
        neighbors.collect()
    }

    /// Logs each report once, as long as it holds.
    fn report(&self, mut reports: Vec<Report>, store: &Store) {
        reports.sort();
        reports.dedup();
        let before: BTreeSet<Report> = self.state.borrow().reports.iter().cloned().collect();
        for report in reports.iter().filter(|report| !before.contains(report)) {
            if let (Some(voice), Some(about)) = (&self.voice, news::about_report(store, report)) {
                voice.events.publish(about, news::of_report(report));
            }
            let Report { severity, object, field, message } = report;
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

async fn connect(plan: &KubernetesPlan) -> Result<(Connection, Translator, Watch), Error> {
    let connection = Connection::read(plan.kubeconfig.as_deref()).await?;
    let translator = Translator::new(plan, namespace(plan, &connection));
    let watch = Watch::start(&connection.client()?, &translator.selections(), Options::default());
    Ok((connection, translator, watch))
}

/// Where Secrets and namespaced objects are.
pub(super) fn namespace<'a>(plan: &'a KubernetesPlan, connection: &'a Connection) -> &'a str {
    plan.namespace.as_deref().unwrap_or_else(|| connection.namespace())
}

/// Whether any role needs to know who we are.
fn has_sessions(plan: &KubernetesPlan) -> bool {
    plan.roles.iter().any(|role| *role != Role::Allocator)
}

pub(super) fn say(hold: Hold, plan: &KubernetesPlan) -> String {
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

fn beside(at: SocketAddr) -> String {
    format!(
        "another program listens on {at}, most likely BIRD: nothing is done beside it. kubgp takes over once it is gone; end it with its pod \
         (calico_backend: vxlan, or bgp: Disabled of the operator), or give kubgp another port"
    )
}

const NO_ROUTER: &str = "neither the file nor an object says which AS number is ours, so there are no sessions";
/// How soon a port that is taken is tried again: BIRD's neighbors wait for two minutes.
const SECOND_LOOK: Duration = Duration::from_millis(500);
/// How often files are read again that lead to no API server.
const RETRY: Duration = Duration::from_secs(5);
/// How long the parting from the API server may take.
const PARTING: Duration = Duration::from_secs(3);
