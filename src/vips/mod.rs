//! VIPs of the file: announced from here while their service works here.
//!
//! Owns: the health checks, which addresses are bound to the loopback interface for that, what is told about both.
//!
//! Invariants: an address is bound before it is announced and withdrawn before it is taken away; addresses of others are never
//! touched; what an earlier life bound is taken over or removed; a service has at most one check under way, and one that takes longer
//! than its timeout has failed.
//!
//! Must never know: sessions, routes, how answers are printed.

mod checks;
mod health;
mod loopback;
mod probe;
mod state;
mod task;
mod tls;

pub use state::{Checked, Service, State, View};

use crate::speaker::Handle;
use tokio::task::JoinHandle;

/// The running checks.
pub struct Vips {
    view: View,
    task: JoinHandle<()>,
}

/// Follows the running configuration as long as the speaker runs. Needs a tokio runtime.
pub fn start(speaker: Handle) -> Vips {
    let (state, view) = View::new();
    Vips { view, task: tokio::spawn(task::run(speaker, state)) }
}

impl Vips {
    pub fn view(&self) -> View {
        self.view.clone()
    }

    /// To be called when the speaker has stopped: waits until the addresses are gone, where they have to.
    pub async fn stopped(self) {
        // A panic has been reported already.
        let _ = self.task.await;
    }
}
