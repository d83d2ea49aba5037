//! kubgp: a BGP-4 speaker for Kubernetes nodes.

pub mod config;
pub mod policy;
pub mod wire;
