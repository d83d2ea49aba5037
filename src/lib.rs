//! kubgp: a BGP-4 speaker for Kubernetes nodes. The rooms from bottom to top are described in `ARCHITECTURE.md`; a room imports only
//! rooms below it.

pub mod export;
pub mod net;
pub mod config;
pub mod fib;
pub mod api;
pub mod policy;
pub mod rib;
pub mod session;
pub mod wire;
