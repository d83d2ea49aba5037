//! The admin API: HTTP/1 with JSON and NDJSON over a Unix socket, and the types that `bgpctl` reads from it.
//!
//! Owns the routes, the query parameters, the JSON types, the OpenAPI description, the audit line of every change, and the client.
//! Invariants: lists are filtered by the daemon and big ones are streamed, never collected; unknown parameters are refused; an
//! error is a [`types::Problem`] whose `code` is the exit code of the CLI; the TCP listener serves nothing that changes anything, and the
//! looking glass (`glass`) to its own host only unless the configuration opens it.
//!
//! Must never know: how answers are printed. Only [`live`] knows where the data comes from.

pub mod backend;
mod bird;
pub mod client;
mod glass;
pub mod live;
pub mod query;
pub mod reason_codes;
pub mod remedy;
mod routes;
pub mod server;
pub mod session_trace;
mod stream;
pub mod types;

pub use routes::description;
