//! The role `reflector`: sessions as Calico's objects ask for them.

use crate::config::plan::KubernetesPlan;
use crate::kube::calico::{self, Hold, Local, Objects, Output, Roles};
use crate::kube::selection::{Role, Scope, Selections};
use crate::kube::store::Store;

/// What has to be watched.
pub fn selections(plan: &KubernetesPlan, namespace: &str) -> Selections {
    let scope = Scope { node_name: Some(plan.node_name.clone()), namespace: namespace.to_owned(), calico_namespace: namespace.to_owned() };
    let mut selections = Selections::for_roles(&plan.roles, &scope);
    for selection in calico::watches(roles(plan), &plan.node_name, true) {
        selections.add(selection);
    }
    selections
}

/// What follows from the objects.
///
/// # Errors
/// There is nothing to act on: what is in force stays.
pub fn translate(plan: &KubernetesPlan, namespace: &str, store: &Store) -> Result<Output, Hold> {
    let local = Local { node: plan.node_name.clone(), roles: roles(plan), secret_namespace: namespace.to_owned(), ..Local::default() };
    calico::translate(&Objects::of(store), &local)
}

fn roles(plan: &KubernetesPlan) -> Roles {
    Roles { reflector: plan.roles.contains(&Role::Reflector), node: plan.roles.contains(&Role::Node) }
}
