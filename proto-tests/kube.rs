//! Kubernetes access against the API server in memory, over real HTTP: watches and store through all that can go wrong, status
//! writes, Events, and the leader election. Nothing waits for a fixed time; everything has an upper bound.

#[path = "apiserver/mod.rs"]
mod apiserver;
#[path = "kube/server.rs"]
mod server;
#[path = "kube/setup.rs"]
mod setup;
#[path = "kube/watching.rs"]
mod watching;
#[path = "kube/writing.rs"]
mod writing;
