//! From the store to the speaker's inputs, role by role.

use super::state::Vips;
use super::vip::Vip;
use crate::config::Identities;
use crate::config::plan::KubernetesPlan;
use crate::kube::calico::{self, Hold, Local, Objects, Report, Roles};
use crate::kube::objects::{Key, Node};
use crate::kube::selection::{Role, Scope, Selections};
use crate::kube::store::Store;
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
}

impl Translator {
    pub fn new(plan: &KubernetesPlan, namespace: &str) -> Self {
        let vip = plan.roles.contains(&Role::Vip).then(|| Vip::new(plan));
        Self { plan: plan.clone(), namespace: namespace.to_owned(), said: Identities::default(), file: Arc::default(), vip }
    }

    /// The file as it was loaded.
    pub fn handle_file(&mut self, text: &Arc<str>) {
        if !Arc::ptr_eq(&self.file, text) {
            self.said = Identities::read(text);
            self.file = Arc::clone(text);
        }
    }

    /// What has to be watched.
    pub fn selections(&self) -> Selections {
        let scope = Scope {
            node_name: Some(self.plan.node_name.clone()),
            namespace: self.namespace.clone(),
            calico_namespace: self.namespace.clone(),
        };
        let mut selections = Selections::for_roles(&self.plan.roles, &scope);
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
            let mut said = self.said.clone();
            said.neighbors.extend(all.sessions.iter().map(|(address, (name, _))| (*address, name.clone())));
            vip.translate(store, node, said, &mut all);
        }
        Ok(all)
    }

    /// What the role `vip` decided, if that is news.
    pub fn vips(&mut self) -> Option<Arc<Vips>> {
        self.vip.as_mut()?.picture()
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
