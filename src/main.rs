//! `kubgpd`: reads its arguments and its configuration, starts the speaker, and waits for signals.

use clap::Parser;
use kubgp::api::live::{Daemon, Serving, Views};
use kubgp::bmp;
use kubgp::config::{self, Plan};
use kubgp::operator;
use kubgp::speaker::{self, Reload, logging, watchdog};
use kubgp::vips;
use sd_notify::NotifyState;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info};

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// BGP-4 speaker for Kubernetes nodes: VIP advertiser, route reflector and node speaker over one session per peer.
#[derive(Parser)]
#[command(name = "kubgpd", version)]
struct Arguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/kubgp/kubgp.yaml")]
    config: PathBuf,
    /// Checks the configuration and exits: 0 when it is good, 7 when it is not.
    #[arg(long)]
    check: bool,
    /// Threads that serve neighbors. Without, half as many as there are cores, and at most 16.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=64))]
    shards: Option<u8>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    watchdog::end_on_panic();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return fail(&format!("the operating system refuses threads: {e}")),
    };
    let host = runtime.block_on(speaker::local_host());
    let loaded = match config::load(&arguments.config, &[], &host) {
        Ok(loaded) => loaded,
        Err(diagnostics) => {
            eprintln!("{}", diagnostics.render(std::io::stderr().is_terminal()));
            return ExitCode::from(INVALID_CONFIG);
        }
    };
    if arguments.check {
        println!("{}: good", arguments.config.display());
        return ExitCode::SUCCESS;
    }
    match runtime.block_on(run(arguments, loaded)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => fail(&e),
    }
}

/// Runs until a signal says that it is enough.
async fn run(arguments: Arguments, (plan, text): (Plan, String)) -> Result<(), String> {
    let levels = logging::init(&plan.log)?;
    let signals = |e: std::io::Error| format!("signals cannot be received: {e}");
    let mut terminate = signal(SignalKind::terminate()).map_err(signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(signals)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(signals)?;
    let speaker = speaker::start(arguments.config, (plan, text), arguments.shards.map(usize::from)).await.map_err(|e| e.to_string())?;
    let vips = vips::start(speaker.clone());
    let cluster = operator::start(speaker.clone());
    let stations = bmp::start(speaker.clone());
    let views = Views { cluster: cluster.clone(), vips: vips.view(), stations };
    let serving = Serving::start(Daemon::new(speaker.clone(), levels.clone(), views));
    info!(version = env!("CARGO_PKG_VERSION"), "running");
    watchdog::notify(&[NotifyState::Ready]);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                watchdog::notify_reloading();
                if let Err(e) = speaker.reload(Reload::default()).await {
                    error!("{e}");
                }
                watchdog::notify(&[NotifyState::Ready]);
            }
        }
    }
    info!("stopping");
    watchdog::notify(&[NotifyState::Stopping]);
    tokio::select! {
        () = speaker.stop() => {}
        // Who says it again does not want to wait for a drain.
        _ = terminate.recv() => speaker.stop_at_once().await,
        _ = interrupt.recv() => speaker.stop_at_once().await,
    }
    cluster.ended().await;
    serving.stop().await;
    vips.stopped().await;
    levels.flush();
    Ok(())
}

fn fail(message: &str) -> ExitCode {
    eprintln!("kubgpd: {message}");
    ExitCode::FAILURE
}

/// Tasks beside shards and RIB: admin socket, metrics, kernel, Kubernetes.
const WORKERS: usize = 2;
const INVALID_CONFIG: u8 = 7;
