//! The objects of a cluster become configuration in force.
//!
//! Owns: which roles look at which objects, the way from the store through the translators to the speaker's inputs, what is told about
//! it (readiness, reports, figures).
//!
//! Invariants: nothing is put in force before everything was listed once; what is in force stays while the API server is away, while a
//! translator says that there is nothing to act on, and when a configuration is not good; the same objects change nothing.
//!
//! Must never know: sessions, the RIB, how answers are printed.

#[cfg(feature = "kube")]
mod allocator;
#[cfg(feature = "kube")]
mod environment;
#[cfg(feature = "kube")]
mod foresight;
#[cfg(feature = "kube")]
mod merge;
#[cfg(feature = "kube")]
mod news;
pub mod preview;
#[cfg(feature = "kube")]
mod reports;
mod state;
#[cfg(feature = "kube")]
mod status;
#[cfg(feature = "kube")]
mod task;
#[cfg(feature = "kube")]
mod translate;
#[cfg(feature = "kube")]
mod vip;

pub use crate::kube::calico::{Report, SessionKind, Severity, status as calico_status};
/// The language of [`Vips`].
pub use crate::kube::metallb;
pub use crate::kube::metallb::allocator::Refusal;
pub use crate::kube::objects::Key;
pub use state::{Allocated, Allocating, Figures, Foresight, Foresights, PoolUse, State, View, Vips};

use crate::speaker::Handle;

/// Follows the cluster as the running configuration says, as long as the speaker runs. Needs a tokio runtime.
#[cfg(feature = "kube")]
pub fn start(speaker: Handle) -> View {
    let (state, questions, view) = View::new();
    tokio::spawn(task::run(speaker, state, questions));
    view
}

/// Never, where there is no such time.
#[cfg(feature = "kube")]
async fn until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Without Kubernetes in the program there is no cluster to follow.
#[cfg(not(feature = "kube"))]
pub fn start(_: Handle) -> View {
    View::new().2
}
