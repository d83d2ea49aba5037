//! The command line tool: see `kubgp::cli`.

use std::io::{BufWriter, stderr, stdout};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::ExitCode;

use kubgp::config::{self, check::LocalHost};

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("bgpctl: cannot start: {error}");
            return ExitCode::from(1);
        }
    };
    let (mut out, mut err) = (BufWriter::new(stdout()), stderr());
    runtime.block_on(kubgp::cli::run(std::env::args_os().collect(), check_config, &mut out, &mut err)).into()
}

/// Which address `router.id: auto` will find is known only where the daemon runs; any stands for it here.
const SOME_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// One line on a good file, else its diagnostics with excerpts.
fn check_config(file: &Path, color: bool) -> Result<String, String> {
    match config::load(file, &[], &LocalHost { first_ipv4: Some(SOME_ADDRESS) }) {
        Ok((plan, _)) => Ok(format!("{}: ok, {} neighbors", file.display(), plan.peers.len())),
        Err(diagnostics) => Err(diagnostics.render(color)),
    }
}
