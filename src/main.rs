//! `kubgpd`: reads its arguments and its configuration, starts the speaker, and waits for signals.

use clap::Parser;
use kubgp::config::{self, Plan};
use kubgp::{api, log, speaker};
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
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let plan = match config::load(&arguments.config, &[], &config::System) {
        Ok(plan) => plan,
        Err(diagnostics) => {
            eprintln!("{}", diagnostics.render(std::io::stderr().is_terminal()));
            return ExitCode::from(INVALID_CONFIG);
        }
    };
    if arguments.check {
        println!("{}: good", arguments.config.display());
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    let result = runtime.map_err(speaker::StartError::Runtime).and_then(|runtime| runtime.block_on(run(arguments, plan)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("kubgpd: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Runs until a signal says that it is enough.
async fn run(arguments: Arguments, plan: Plan) -> Result<(), speaker::StartError> {
    let levels = log::init(&plan.log);
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()));
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) = signals else {
        return Err(speaker::StartError::Signals);
    };
    let speaker = speaker::start(arguments.config, plan).await?;
    let server = api::serve(speaker.clone(), levels).await.map_err(speaker::StartError::Api)?;
    info!(version = env!("CARGO_PKG_VERSION"), "running");
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => if let Err(e) = speaker.reload(false).await {
                error!(error = %e, "the running configuration stays");
            },
        }
    }
    info!("stopping");
    speaker.stop().await;
    server.stop().await;
    Ok(())
}

/// Tasks beside shards and RIB: admin socket, metrics, kernel, Kubernetes.
const WORKERS: usize = 2;
const INVALID_CONFIG: u8 = 7;
