//! `kubgp-load`: many BGP clients in one cheap process, and the floor that the daemon is compared with.
//!
//! One run is one scenario against one running daemon; the result is one JSON line on stdout. A table that is wrong in the end
//! is reported as wrong and never as a time. `bench/compare` starts daemons, repeats runs and makes the tables.
#![allow(clippy::disallowed_methods, reason = "a load generator measures time")]

mod engine;
mod floor;
mod kernel;
mod latency;
mod metrics;
mod plan;
mod process;
mod scenario;
mod verify;
mod wire;

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

#[derive(Parser)]
#[command(about = "BGP load generator: many clients on loopback, every received route verified")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Every client announces its prefixes; time until each holds everybody else's.
    Mesh(Mesh),
    /// The same, but the clock starts before the first connection.
    Cold(Mesh),
    /// Senders announce one table; time until each receiver holds the best paths.
    Table(Table),
    /// One prefix is announced and withdrawn in turn; latency from write to each receiver's read.
    Churn(Churn),
    /// All sessions drop at once and nine in ten come back; time until these hold each other's prefixes.
    Storm(Mesh),
    /// A mesh in which one receiver in ten reads 1 kB/s; time until the others are done.
    Slow(Mesh),
    /// Every route changes many times without a pause; time until each client holds the last state of all.
    Rewrite(Rewrite),
    /// One sender announces a table; time until the kernel has it, and until it follows a small change.
    Fib(Fib),
    /// CPU time and memory with all sessions established and nothing to do.
    Idle(Idle),
    /// Serve as the floor: pass on the bytes and nothing else.
    Floor(Floor),
}

/// The daemon under test.
#[derive(Args, Clone)]
pub struct Common {
    /// Where the daemon listens.
    #[arg(long, value_parser = engine::target)]
    target: SocketAddr,
    /// Its process, for CPU time and memory.
    #[arg(long)]
    pid: Option<u32>,
    /// Give up after so many seconds.
    #[arg(long, default_value_t = 120)]
    timeout: u64,
    /// Where its metrics are, for what is counted rather than timed.
    #[arg(long)]
    metrics: Option<SocketAddr>,
    /// Hold time to ask for, in seconds. A keepalive that is late by more than half of its interval fails the run.
    #[arg(long, default_value_t = 90)]
    hold: u16,
    /// Pause between the last session's Established and the start of the clock, in milliseconds.
    #[arg(long, default_value_t = 1000)]
    settle: u64,
    /// Sessions that may be in the making at once where that is not what is measured.
    #[arg(long, default_value_t = 64)]
    window: usize,
}

#[derive(Args, Clone)]
pub struct Mesh {
    #[command(flatten)]
    common: Common,
    #[arg(long, default_value_t = 200)]
    clients: usize,
    /// Prefixes of each client.
    #[arg(long, default_value_t = 10)]
    each: usize,
}

#[derive(Args, Clone)]
pub struct Table {
    #[command(flatten)]
    common: Common,
    #[arg(long, default_value_t = 100_000)]
    prefixes: usize,
    #[arg(long, default_value_t = 1)]
    senders: usize,
    #[arg(long, default_value_t = 1)]
    receivers: usize,
    /// External sessions, every client in an AS of its own.
    #[arg(long)]
    ebgp: bool,
}

#[derive(Args, Clone)]
pub struct Churn {
    #[command(flatten)]
    mesh: Mesh,
    /// Changes per second.
    #[arg(long, default_value_t = 50)]
    rate: u32,
    /// How long to go on, in seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
}

#[derive(Args, Clone)]
pub struct Rewrite {
    #[command(flatten)]
    mesh: Mesh,
    /// States of each route.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=i64::from(plan::ROUNDS)))]
    rounds: u32,
    /// One receiver in ten reads 1 kB/s and does not count.
    #[arg(long)]
    slow: bool,
}

#[derive(Args, Clone)]
pub struct Fib {
    #[command(flatten)]
    common: Common,
    #[arg(long, default_value_t = 100_000)]
    prefixes: usize,
    /// Prefixes that are withdrawn and announced again when all are installed.
    #[arg(long, default_value_t = 100)]
    changes: usize,
}

#[derive(Args, Clone)]
pub struct Idle {
    #[command(flatten)]
    mesh: Mesh,
    #[arg(long, default_value_t = 20)]
    seconds: u32,
}

#[derive(Args)]
struct Floor {
    #[arg(long, value_parser = engine::target)]
    listen: SocketAddr,
    /// Senders of a table; 0 for a mesh.
    #[arg(long, default_value_t = 0)]
    senders: usize,
    #[arg(long)]
    ebgp: bool,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Mesh(mesh) => scenario::mesh(&mesh),
        Command::Cold(mesh) => scenario::cold(&mesh),
        Command::Table(table) => scenario::table(&table),
        Command::Churn(churn) => scenario::churn(&churn),
        Command::Storm(mesh) => scenario::storm(&mesh),
        Command::Slow(mesh) => scenario::slow(&mesh),
        Command::Rewrite(rewrite) => scenario::rewrite(&rewrite),
        Command::Fib(fib) => scenario::fib(&fib),
        Command::Idle(idle) => scenario::idle(&idle),
        Command::Floor(floor) => {
            let params = floor::Params { listen: floor.listen, senders: floor.senders, ebgp: floor.ebgp };
            floor::run(params).map(|()| serde_json::Value::Null)
        }
    };
    match outcome {
        Ok(result) => {
            println!("{result}");
            if result["verdict"] == "ok" { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("kubgp-load: {error}");
            ExitCode::from(2)
        }
    }
}
