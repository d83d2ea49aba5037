//! kubgp: a BGP-4 speaker for Kubernetes nodes.

pub mod fib;
pub mod policy;
pub mod wire;
