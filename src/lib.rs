//! kubgp: a BGP-4 speaker for Kubernetes nodes.

pub mod export;
pub mod net;
pub mod policy;
pub mod rib;
pub mod wire;
