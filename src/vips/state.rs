//! What is told about the services.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::watch;

/// The services by name, replaced as a whole.
pub type State = BTreeMap<String, Service>;

/// One service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Service {
    pub addresses: Vec<IpAddr>,
    pub pool: Option<String>,
    /// Its check succeeds, or it has none.
    pub is_healthy: bool,
    /// Healthy, and its addresses are where they have to be. A drain may still keep them back.
    pub is_announced: bool,
    pub has_check: bool,
    /// `None` before the first one, and where there is no check.
    pub last: Option<Checked>,
    /// How many checks succeeded, and how many failed.
    pub counts: [u64; 2],
    /// Why an address cannot be bound.
    pub bind_error: Option<String>,
}

/// One check.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    pub at: SystemTime,
    pub ok: bool,
    /// What came of it, for people.
    pub message: String,
}

/// The way to the latest [`State`]; cheap to clone.
#[derive(Clone, Debug)]
pub struct View(watch::Receiver<Arc<State>>);

impl View {
    pub(super) fn new() -> (watch::Sender<Arc<State>>, Self) {
        let (sender, receiver) = watch::channel(Arc::default());
        (sender, Self(receiver))
    }

    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.0.borrow())
    }
}
