//! kubgp: a BGP-4 speaker for Kubernetes nodes. The rooms from bottom to top are described in `ARCHITECTURE.md`; a room imports only
//! rooms below it.

pub mod wire;

pub mod policy;

pub mod session;

pub mod rib;

pub mod export;

pub mod fib;

pub mod bfd;

pub mod net;

pub mod config;

pub mod kube;

pub mod speaker;

pub mod vips;

pub mod operator;

pub mod bmp;

pub mod metrics;

pub mod api;

pub mod cli;
