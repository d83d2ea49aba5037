//! kubgp: a BGP-4 speaker for Kubernetes nodes.

pub mod api;
pub mod cli;
pub mod metrics;
pub mod config;
pub mod policy;
pub mod wire;
