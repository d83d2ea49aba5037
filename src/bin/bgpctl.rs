//! The command line tool: see `kubgp::cli`.

use std::io::{BufWriter, stderr, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("bgpctl: cannot start: {error}");
            return ExitCode::from(1);
        }
    };
    let (mut out, mut err) = (BufWriter::new(stdout()), stderr());
    runtime.block_on(kubgp::cli::run(std::env::args_os(), check_config, &mut out, &mut err)).into()
}
