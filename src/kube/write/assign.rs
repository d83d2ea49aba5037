use serde_json::{Value, json};

use super::{Target, WriteError, Writer, version_of};
use crate::kube::metallb::allocator::StatusWrite;
use crate::kube::metallb::class::{ALLOCATED_FROM, annotation_name, ingress_addresses, is_load_balancer};
use crate::kube::objects::{Object, Service};

impl Writer {
    /// Gives a Service its addresses and the annotation that names their pool, in one update of the status subresource. `basis` is
    /// the Service as it was when that was decided. After a conflict the fresh object decides: one that shows this already is not
    /// written, and neither is another object of the same name, or one that is not of this type or class any more.
    ///
    /// # Errors
    /// [`WriteError::Conflict`] where the decision is out of date; what is newer comes by the watch.
    pub async fn assign(&self, basis: &Service, write: &StatusWrite) -> Result<(), WriteError> {
        let target = Target::of::<Service>(Service::KIND.served_by[0], write.service.clone());
        match self.patch_status(&target, &basis.metadata.resource_version, document(write)).await {
            Err(WriteError::Conflict(_) | WriteError::Failed(_)) => {}
            done => return done.map(drop),
        }
        let mut out_of_date = false;
        let change = |fresh: &Value| {
            let service: Service = serde_json::from_value(fresh.clone()).ok()?;
            out_of_date = !is_same(basis, &service) || version_of(fresh).is_empty();
            (!out_of_date && !shows(&service, write)).then(|| document(write))
        };
        self.update_status(&target, change).await?;
        if out_of_date { Err(WriteError::Conflict("the Service is another one by now".to_owned())) } else { Ok(()) }
    }
}

fn document(write: &StatusWrite) -> Value {
    let ingress: Value = match write.addresses.as_slice() {
        [] => Value::Null,
        addresses => addresses.iter().map(|address| json!({ "ip": address })).collect(),
    };
    json!({
        "metadata": { "annotations": { annotation_name(ALLOCATED_FROM): write.pool } },
        "status": { "loadBalancer": { "ingress": ingress } },
    })
}

fn is_same(old: &Service, new: &Service) -> bool {
    let class = |service: &Service| service.spec.load_balancer_class.clone();
    old.metadata.uid == new.metadata.uid && is_load_balancer(old) == is_load_balancer(new) && class(old) == class(new)
}

fn shows(service: &Service, write: &StatusWrite) -> bool {
    let pool = service.metadata.annotation(&annotation_name(ALLOCATED_FROM));
    ingress_addresses(service) == write.addresses && pool == write.pool.as_deref()
}
