//! Access to the Kubernetes API, and the translation of its objects into config input.
//!
//! [`objects`] are trimmed plain structs of what is watched; [`store`] holds the latest object per key and kind. Both are pure and
//! exist without the feature `kube`, as do the translators, so that manifests can be translated offline. The rest is the shell: API
//! client, watches, and writers of status, Events and Leases.
//!
//! Invariants: trouble with the API server never removes an object from the store; one malformed object never hides another; what
//! is not needed is dropped before it reaches the store; every queue has a bound.
//!
//! Must never know: peers, the RIB.

pub mod calico;
pub mod objects;
