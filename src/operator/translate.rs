//! From the store to the speaker's inputs, role by role.

use super::environment::Environment;
use super::merge::{Merged, Merger, object_of};
use super::state::{Foresights, Vips};
use super::status::Wanted;
use super::vip::Vip;
use crate::config::Identities;
use crate::config::file::Asn;
use crate::config::plan::KubernetesPlan;
use crate::kube::calico::{self, Affinities, Hold, Local, Objects, Report, Roles};
use crate::kube::metallb::objects::IPAddressPool;
use crate::kube::objects::{Key, Node};
use crate::kube::selection::{Role, Scope, Selection, Selections};
use crate::kube::store::Store;
use crate::kube::write::{About, News};
use crate::speaker::{Expected, Inputs};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What follows from the objects.
#[derive(Debug, Default)]
pub struct Translated {
    pub inputs: Inputs,
    pub named: Vec<Named>,
    pub reports: Vec<Report>,
}

/// A neighbor and the object that asks for it.
#[derive(Clone, Debug)]
pub struct Named {
    pub address: IpAddr,
    pub name: String,
    pub asn: Option<Asn>,
    /// Kind and name.
    pub object: String,
}

/// The roles of a configuration at work.
pub struct Translator {
    plan: KubernetesPlan,
    /// Where Secrets and namespaced configuration are.
    namespace: String,
    /// Who the file says that we and its neighbors are, and the text that says so.
    said: Identities,
    file: Arc<str>,
    vip: Option<Vip>,
    affinities: Affinities,
    merger: Merger,
    environment: Environment,
}

impl Translator {
    pub fn new(plan: &KubernetesPlan, namespace: &str) -> Self {
        let vip = plan.roles.contains(&Role::Vip).then(|| Vip::new(plan));
        Self {
            plan: plan.clone(),
            namespace: namespace.to_owned(),
            said: Identities::default(),
            file: Arc::default(),
            vip,
            affinities: Affinities::default(),
            merger: Merger::default(),
            environment: Environment::read(),
        }
    }

    /// The file as it was loaded.
    pub fn handle_file(&mut self, text: &Arc<str>) {
        if !Arc::ptr_eq(&self.file, text) {
            self.said = Identities::read(text);
            self.file = Arc::clone(text);
        }
    }

    /// Where Calico's objects want us to listen, in place of BIRD.
    pub fn listeners(&self, inputs: &Inputs) -> Vec<SocketAddr> {
        if !self.is_calico() || self.said.says_listeners {
            return Vec::new();
        }
        let entries = inputs.fragments.iter().flat_map(|fragment| fragment.file.listen.iter().flatten());
        entries.filter_map(|listen| Some(SocketAddr::new(listen.address?, listen.port?))).collect()
    }

    /// What has to be watched.
    pub fn selections(&self) -> Selections {
        let scope = Scope {
            node_name: Some(self.plan.node_name.clone()),
            namespace: self.namespace.clone(),
            calico_namespace: self.calico_namespace().to_owned(),
        };
        // The role `allocator` has watches of its own while it leads; the pools show that there is contact meanwhile.
        let (apart, roles): (Vec<_>, Vec<_>) = self.plan.roles.iter().partition(|role| **role == Role::Allocator);
        let mut selections = Selections::for_roles(&roles, &scope);
        if !apart.is_empty() {
            selections.add(Selection::of::<IPAddressPool>().in_namespace(&self.namespace));
        }
        let calico =
            if self.is_calico() { calico::watches(self.calico_roles(), &self.plan.node_name, self.affinities) } else { Vec::new() };
        let metallb = if self.vip.is_some() { Vip::watches(&self.namespace) } else { Vec::new() };
        calico.into_iter().chain(metallb).for_each(|selection| selections.add(selection));
        self.environment.hidden_group.iter().for_each(|group| selections.hide_group(group));
        selections
    }

    /// Whether Calico's objects are on their way to another API group.
    pub fn is_migrating(&self, store: &Store) -> bool {
        self.is_calico() && calico::is_migrating(store)
    }

    /// Whether, after everything was listed, something else has to be watched than [`Self::selections`] said before.
    pub fn widens(&mut self, store: &Store) -> bool {
        let next = self.calico_roles().node.then(|| self.affinities.next(store)).flatten();
        self.affinities = next.unwrap_or(self.affinities);
        next.is_some()
    }

    /// Has the blocks of all nodes listed, for [`Self::expected`].
    pub fn look_at_all_blocks(&mut self) {
        self.affinities = Affinities::All;
    }

    /// What other nodes will announce, as far as it was listed.
    ///
    /// # Errors
    /// There is nothing to act on.
    pub fn expected(&self, store: &Store) -> Result<BTreeMap<IpNet, Expected>, Hold> {
        if self.calico_roles().node { calico::expected(&Objects::of(store), &self.local()) } else { Ok(BTreeMap::new()) }
    }

    /// What follows from the objects as they are.
    ///
    /// # Errors
    /// There is nothing to act on: what is in force stays.
    pub fn translate(&mut self, store: &Store) -> Result<Translated, Hold> {
        let calico = if self.is_calico() { Some(self.calico(store)?) } else { None };
        let kernel = calico.as_ref().filter(|_| self.calico_roles().node).map(|output| output.kernel.clone());
        let (lowered, mut reports) = match &mut self.vip {
            Some(vip) => {
                let node = store.get::<Node>(&Key::new("", &self.plan.node_name)).ok_or(Hold::NodeUnknown)?;
                let mut said = self.said.clone();
                said.neighbors.extend(calico.iter().flat_map(|output| &output.sessions).map(|s| (s.address, s.name.clone())));
                let (lowered, reports) = vip.translate(store, node, said);
                (Some(lowered), reports)
            }
            None => (None, Vec::new()),
        };
        let mut all = Translated::default();
        match (calico, lowered) {
            (Some(output), Some(lowered)) => {
                let Merged { fragments, secrets, named, reports: more } = self.merger.merge(output, lowered);
                reports.extend(more);
                all = Translated {
                    inputs: Inputs { fragments: fragments.into(), secrets, kernel, ..Inputs::default() },
                    named,
                    reports: Vec::new(),
                };
            }
            (Some(output), None) => {
                let named = |s: calico::Session| Named {
                    address: s.address,
                    asn: crate::wire::Asn::new(s.asn).map(Asn::Number),
                    object: object_of(s.object.as_deref()),
                    name: s.name,
                };
                all.named = output.sessions.into_iter().map(named).collect();
                all.inputs = Inputs { fragments: vec![output.input], secrets: output.secrets, kernel, ..Inputs::default() };
                reports.extend(output.reports);
            }
            (None, Some(lowered)) => {
                all.inputs = Inputs { fragments: vec![lowered.input], secrets: lowered.secrets, kernel, ..Inputs::default() }
            }
            (None, None) => {}
        }
        all.reports = reports;
        all.inputs.is_cordoned = store.get::<Node>(&Key::new("", &self.plan.node_name)).is_some_and(Node::is_leaving);
        Ok(all)
    }

    /// What the role `vip` decided, if that is news.
    pub fn vips(&mut self) -> Option<Arc<Vips>> {
        self.vip.as_mut()?.picture()
    }

    /// What the role `vip` has to tell on objects since the last call, and what it wants to announce.
    pub fn said(&mut self) -> (Vec<(About, News)>, Option<Arc<Wanted>>) {
        self.vip.as_mut().map(Vip::said).unwrap_or_default()
    }

    /// What an allocator would decide about Services without address.
    pub fn foresights(&self, store: &Store) -> Foresights {
        self.vip.as_ref().map(|vip| vip.foresights(store)).unwrap_or_default()
    }

    fn calico(&self, store: &Store) -> Result<calico::Output, Hold> {
        calico::translate(&Objects::of(store), &self.local())
    }

    fn local(&self) -> Local {
        Local {
            node: self.plan.node_name.clone(),
            roles: self.calico_roles(),
            secret_namespace: self.calico_namespace().to_owned(),
            router_id: self.environment.router_id,
            version: self.environment.version.clone(),
            use_pod_cidr: self.environment.use_pod_cidr,
            cluster_ips: self.environment.cluster_ips.clone(),
            ..Local::default()
        }
    }

    /// Where the Secrets are that Calico's objects name.
    fn calico_namespace(&self) -> &str {
        self.plan.calico_namespace.as_deref().unwrap_or(&self.namespace)
    }

    fn calico_roles(&self) -> Roles {
        Roles { reflector: self.plan.roles.contains(&Role::Reflector), node: self.plan.roles.contains(&Role::Node) }
    }

    /// Whether Calico's objects are looked at.
    fn is_calico(&self) -> bool {
        self.calico_roles() != Roles::default()
    }
}
