//! The command line tool: see `kubgp::cli`.

use std::io::{BufWriter, stderr, stdout};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::ExitCode;

use kubgp::api::live::preview::preview;
use kubgp::cli::{ImportFormat, Imported, Offline};
use kubgp::config::{self, check::LocalHost};
use kubgp::kube::metallb::legacy::import;

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("bgpctl: cannot start: {error}");
            return ExitCode::from(1);
        }
    };
    let (mut out, mut err) = (BufWriter::new(stdout()), stderr());
    runtime.block_on(kubgp::cli::run(std::env::args_os().collect(), OFFLINE, &mut out, &mut err)).into()
}

const OFFLINE: Offline =
    Offline { check: check_config, import: import_file, preview: |file, with_kernel| Box::pin(preview(file, with_kernel)) };

/// Which address `router.id: auto` will find is known only where the daemon runs; any stands for it here.
const SOME_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// One line on a good file, else its diagnostics with excerpts.
fn check_config(file: &Path, color: bool) -> Result<String, String> {
    match config::load(file, &[], &LocalHost { first_ipv4: Some(SOME_ADDRESS) }) {
        Ok((plan, _)) => Ok(format!("{}: ok, {} neighbors", file.display(), plan.peers.len())),
        Err(diagnostics) => Err(diagnostics.render(color)),
    }
}

/// A configuration that has no custom resources.
fn of_daemon(imported: config::import::Imported) -> Imported {
    Imported {
        is_partial: !imported.is_complete(),
        remarks: imported.remarks.iter().map(ToString::to_string).collect(),
        resources: String::new(),
        configuration: imported.configuration,
    }
}

fn import_file(format: ImportFormat, (name, text): (&str, &str), namespace: &str) -> Result<Imported, String> {
    let format = match format {
        ImportFormat::Metallb => import::Format::Metallb,
        ImportFormat::Konvoy => import::Format::Konvoy,
        ImportFormat::Frr => return config::import::frr(text).map(of_daemon),
        ImportFormat::Bird => return config::import::bird(text).map(of_daemon),
    };
    let imported = import::import(name, text, format, namespace)?;
    Ok(Imported {
        is_partial: !imported.is_complete(),
        remarks: imported.complaints.iter().map(ToString::to_string).collect(),
        resources: imported.resources,
        configuration: imported.configuration,
    })
}
