//! From the store to the speaker's inputs, role by role.

use super::vip::Vip;
use crate::config::plan::KubernetesPlan;
use crate::kube::calico::{self, Affinities, Hold, Local, Objects, Report, Roles};
use crate::kube::objects::{Key, Node};
use crate::kube::selection::{Role, Scope, Selections};
use crate::kube::store::Store;
use crate::speaker::Inputs;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What follows from the objects.
#[derive(Debug, Default)]
pub struct Translated {
    pub inputs: Inputs,
    /// The sessions of Calico's objects: name, and the BGPPeer if there is one.
    pub sessions: BTreeMap<IpAddr, (String, Option<String>)>,
    pub reports: Vec<Report>,
}

/// The roles of a configuration at work.
pub struct Translator {
    plan: KubernetesPlan,
    /// Where Secrets and namespaced configuration are.
    namespace: String,
    vip: Option<Vip>,
    affinities: Affinities,
}

impl Translator {
    pub fn new(plan: &KubernetesPlan, namespace: &str) -> Self {
        let vip = plan.roles.contains(&Role::Vip).then(|| Vip::new(plan));
        Self { plan: plan.clone(), namespace: namespace.to_owned(), vip, affinities: Affinities::default() }
    }

    /// What has to be watched.
    pub fn selections(&self) -> Selections {
        let scope = Scope {
            node_name: Some(self.plan.node_name.clone()),
            namespace: self.namespace.clone(),
            calico_namespace: self.namespace.clone(),
        };
        let mut selections = Selections::for_roles(&self.plan.roles, &scope);
        let calico =
            if self.is_calico() { calico::watches(self.calico_roles(), &self.plan.node_name, self.affinities) } else { Vec::new() };
        let metallb = if self.vip.is_some() { Vip::watches(&self.namespace) } else { Vec::new() };
        calico.into_iter().chain(metallb).for_each(|selection| selections.add(selection));
        selections
    }

    /// Whether, after everything was listed, something else has to be watched than [`Self::selections`] said before.
    pub fn widens(&mut self, store: &Store) -> bool {
        let next = self.calico_roles().node.then(|| self.affinities.next(store)).flatten();
        self.affinities = next.unwrap_or(self.affinities);
        next.is_some()
    }

    /// What follows from the objects as they are.
    ///
    /// # Errors
    /// There is nothing to act on: what is in force stays.
    pub fn translate(&mut self, store: &Store) -> Result<Translated, Hold> {
        let mut all = Translated::default();
        if self.is_calico() {
            self.calico(store, &mut all)?;
        }
        if let Some(vip) = &mut self.vip {
            let node = store.get::<Node>(&Key::new("", &self.plan.node_name)).ok_or(Hold::NodeUnknown)?;
            let neighbors = all.sessions.iter().map(|(address, (name, _))| (*address, name.clone())).collect();
            vip.translate(store, node, neighbors, &mut all);
        }
        Ok(all)
    }

    fn calico(&self, store: &Store, all: &mut Translated) -> Result<(), Hold> {
        let local = Local {
            node: self.plan.node_name.clone(),
            roles: self.calico_roles(),
            secret_namespace: self.namespace.clone(),
            ..Local::default()
        };
        let output = calico::translate(&Objects::of(store), &local)?;
        if local.roles.node {
            all.inputs.kernel = Some(output.kernel);
        }
        all.inputs.fragments.push(output.input);
        all.inputs.secrets.extend(output.secrets);
        all.sessions = output.sessions.into_iter().map(|s| (s.address, (s.name, s.object))).collect();
        all.reports.extend(output.reports);
        Ok(())
    }

    fn calico_roles(&self) -> Roles {
        Roles { reflector: self.plan.roles.contains(&Role::Reflector), node: self.plan.roles.contains(&Role::Node) }
    }

    /// Whether Calico's objects are looked at.
    fn is_calico(&self) -> bool {
        self.calico_roles() != Roles::default()
    }
}
