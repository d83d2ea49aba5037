//! kubgp: a BGP-4 speaker for Kubernetes nodes.

pub mod api;
pub mod cli;
pub mod config;
pub mod metrics;
pub mod policy;
pub mod wire;
