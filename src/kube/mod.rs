//! Access to the Kubernetes API, and the translation of its objects into config input.
//!
//! [`objects`] are trimmed plain structs of what is watched, [`selection`] is what the roles need of them, and [`store`] holds the
//! latest object per key and kind. These are pure and exist without the feature `kube`, as do the translators, so that manifests can
//! be translated offline. The rest is the shell: API client, watches, and writers of status, Events and Leases.
//!
//! Invariants: trouble with the API server never removes an object from the store; one malformed object never hides another; what
//! is not needed is dropped before it reaches the store; every queue has a bound.
//!
//! Must never know: peers, the RIB.

pub mod calico;
#[cfg(feature = "kube")]
pub mod client;
pub mod metallb;
pub mod objects;
pub mod selection;
pub mod store;
#[cfg(feature = "kube")]
pub mod watch;
#[cfg(feature = "kube")]
pub mod write;

#[cfg(feature = "kube")]
mod backoff;
#[cfg(feature = "kube")]
mod words;
