//! From the store to the speaker's inputs, role by role.

use super::status::Wanted;
use super::vip::Vip;
use crate::config::plan::KubernetesPlan;
use crate::kube::calico::{self, Hold, Local, Objects, Report, Roles};
use crate::kube::metallb::objects::IPAddressPool;
use crate::kube::objects::{Key, Node};
use crate::kube::selection::{Role, Scope, Selection, Selections};
use crate::kube::store::Store;
use crate::kube::write::{About, News};
use crate::speaker::Inputs;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// What follows from the objects.
#[derive(Debug, Default)]
pub struct Translated {
    pub inputs: Inputs,
    /// The sessions of Calico's objects: name, and the BGPPeer if there is one.
    pub sessions: BTreeMap<IpAddr, (String, Option<String>)>,
    pub reports: Vec<Report>,
    /// What is told on objects.
    pub news: Vec<(About, News)>,
    /// What the role `vip` wants to announce.
    pub wanted: Option<Arc<Wanted>>,
}

/// The roles of a configuration at work.
pub struct Translator {
    plan: KubernetesPlan,
    /// Where Secrets and namespaced configuration are.
    namespace: String,
    vip: Option<Vip>,
}

impl Translator {
    pub fn new(plan: &KubernetesPlan, namespace: &str) -> Self {
        let vip = plan.roles.contains(&Role::Vip).then(|| Vip::new(plan));
        Self { plan: plan.clone(), namespace: namespace.to_owned(), vip }
    }

    /// What has to be watched.
    pub fn selections(&self) -> Selections {
        let scope = Scope {
            node_name: Some(self.plan.node_name.clone()),
            namespace: self.namespace.clone(),
            calico_namespace: self.namespace.clone(),
        };
        // The role `allocator` has watches of its own while it leads; the pools show that there is contact meanwhile.
        let (apart, roles): (Vec<_>, Vec<_>) = self.plan.roles.iter().partition(|role| **role == Role::Allocator);
        let mut selections = Selections::for_roles(&roles, &scope);
        if !apart.is_empty() {
            selections.add(Selection::of::<IPAddressPool>().in_namespace(&self.namespace));
        }
        let calico = if self.reflects() { calico::watches(CALICO_ROLES, &self.plan.node_name, true) } else { Vec::new() };
        let metallb = if self.vip.is_some() { Vip::watches(&self.namespace) } else { Vec::new() };
        calico.into_iter().chain(metallb).for_each(|selection| selections.add(selection));
        selections
    }

    /// What follows from the objects as they are.
    ///
    /// # Errors
    /// There is nothing to act on: what is in force stays.
    pub fn translate(&mut self, store: &Store) -> Result<Translated, Hold> {
        let mut all = Translated::default();
        if self.reflects() {
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
        let local =
            Local { node: self.plan.node_name.clone(), roles: CALICO_ROLES, secret_namespace: self.namespace.clone(), ..Local::default() };
        let output = calico::translate(&Objects::of(store), &local)?;
        all.inputs.fragments.push(output.input);
        all.inputs.secrets.extend(output.secrets);
        all.sessions = output.sessions.into_iter().map(|s| (s.address, (s.name, s.object))).collect();
        all.reports.extend(output.reports);
        Ok(())
    }

    fn reflects(&self) -> bool {
        self.plan.roles.contains(&Role::Reflector)
    }
}

const CALICO_ROLES: Roles = Roles { reflector: true, node: false };
