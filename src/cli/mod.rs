//! `bgpctl`: a command line becomes a few requests to the admin API, and their answers become tables, text or JSON.
//!
//! Owns the grammar (clap, and OpenBGPD's positional words), the tables, and the exit codes.
//! Invariants: filters run in the daemon; big tables are printed while they arrive; nothing from the network can send control
//! sequences to the terminal; STATE is always the word of RFC 4271; the exit code follows the table in the help text.
//!
//! Must never know: anything of the daemon but its API types and its client.

mod archive;
pub mod args;
mod bundle;
mod change;
mod connect;
mod detail;
mod diff;
mod failure;
mod manual;
mod neighbor;
mod nodes;
mod offline;
mod output;
mod show;
mod tables;
#[cfg(test)]
mod tests;
mod text;
mod top;
mod words;

pub use args::ImportFormat;
pub use failure::Failure;
pub use offline::{Imported, Offline};

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{CommandFactory, Parser};
use jiff::tz::TimeZone;

use crate::api::client::Client;
use crate::api::reason_codes;
use crate::api::types::List;
use args::{Cli, Color, Command, Global, Output};
use nodes::Target;
use output::{Printer, Style};

/// Runs one command line and answers its exit code. `out` gets what was asked for, `err` why it failed.
pub async fn run(args: Vec<OsString>, offline: Offline, out: &mut (dyn Write + Send), err: &mut (dyn Write + Send)) -> u8 {
    let name = args.first().map(PathBuf::from).unwrap_or_default();
    let is_plugin = name.file_stem().is_some_and(|name| name == PLUGIN);
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let to: &mut (dyn Write + Send) = if error.use_stderr() { err } else { out };
            // A closed pipe leaves nobody to tell.
            let _ = write!(to, "{}", error.render());
            return u8::try_from(error.exit_code()).unwrap_or(1);
        }
    };
    let mut sink = std::io::sink();
    let out = if cli.global.quiet { &mut sink } else { out };
    let outcome = dispatch(cli, is_plugin, offline, out).await;
    // What was found comes before why it was not enough.
    let flushed = out.flush().map_err(Failure::Output);
    let Err(failure) = outcome.and(flushed) else { return 0 };
    let code = failure.code();
    if code != 0 {
        // As above.
        let _ = writeln!(err, "bgpctl: {failure}");
    }
    code
}

/// What a command needs: the daemon, the options, and where to print.
pub(crate) struct Context<'a> {
    client: Client,
    global: &'a Global,
    printer: Printer<'a>,
}

/// Here, at the daemon of one node, or at those of all.
async fn dispatch(cli: Cli, is_plugin: bool, offline: Offline, out: &mut (dyn Write + Send)) -> Result<(), Failure> {
    let style = style(&cli.global);
    let mut printer = Printer { out, output: cli.global.output(), style, gathered: None };
    if let Some(outcome) = alone(&cli, offline, &mut printer).await {
        return outcome;
    }
    let client = match nodes::target(&cli, is_plugin)? {
        Target::Socket => Client::new(&cli.global.socket),
        Target::Node(node) => nodes::client(&cli.global.cluster, node).await?,
        Target::All if cli.global.watch => return Err(Failure::usage("--watch is for one node: name it with --node NAME")),
        Target::All => {
            let Printer { out, style, .. } = printer;
            return nodes::everywhere(Arc::new(cli), style, out).await;
        }
    };
    ask(&cli.command, &mut Context { client, global: &cli.global, printer }).await
}

/// What needs no daemon; `None` for the rest.
async fn alone(cli: &Cli, offline: Offline, printer: &mut Printer<'_>) -> Option<Result<(), Failure>> {
    Some(match &cli.command {
        Command::CheckConfig { file: Some(file), .. } => match (offline.check)(file, printer.style.color) {
            Ok(report) => writeln!(printer.out, "{report}").map_err(Failure::Output),
            Err(diagnostics) => Err(Failure::Config(diagnostics)),
        },
        Command::CheckConfig { file: None, .. } => write!(printer.out, "{}", crate::config::SCHEMA).map_err(Failure::Output),
        Command::Show { what: Some(args::Show::Reasons) } => printer.list(&List::from(reason_codes::all())),
        Command::Diff { config, with_kernel } => match (offline.preview)(config, *with_kernel).await {
            Ok(preview) => printer.document(&preview.into()),
            Err(problem) => Err(problem.into()),
        },
        Command::Import(import) => offline::import(offline, import, printer),
        Command::Completion { shell } => {
            // It panics where it cannot write, as into a pipe that nobody reads.
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "bgpctl", &mut script);
            printer.out.write_all(&script).map_err(Failure::from)
        }
        Command::Man { dir } => manual::write(dir.as_deref(), printer.out),
        Command::Connect => connect::connect(&cli.global.socket),
        _ => return None,
    })
}

/// Commands that a daemon answers.
async fn ask(command: &Command, context: &mut Context<'_>) -> Result<(), Failure> {
    let can_watch = match command {
        Command::Show { what } => matches!(what, Some(args::Show::Neighbors(_) | args::Show::Rib { .. } | args::Show::Events { .. })),
        Command::Monitor { .. } => true,
        _ => false,
    };
    if context.global.watch && !can_watch {
        return Err(Failure::usage("--watch works with show neighbors, show rib, show events and monitor"));
    }
    match command {
        Command::Show { what } => show::show(context, what.as_ref().unwrap_or(&args::Show::Summary)).await,
        Command::Explain { subject, to } => show::explain(context, subject, to.as_ref()).await,
        Command::Monitor { what } => show::monitor(context, what).await,
        Command::Top { interval } => top::run(context, *interval).await,
        Command::Bundle { file } => bundle::bundle(context, file.as_deref()).await,
        Command::Bmp { action: args::Bmp::Status } => show::bmp(context).await,
        Command::Mrt { action: args::Mrt::Dump { file } } => bundle::mrt(context, file).await,
        Command::Healthcheck { require_established } => show::healthcheck(context, require_established).await,
        Command::Clear { words, reason } => change::clear(context, words, reason).await,
        Command::Neighbor { peer, action, reason } => change::neighbor(context, peer, *action, reason).await,
        Command::Network { action } => change::network(context, action).await,
        Command::Policy { action: args::Policy::Test(test) } => change::policy_test(context, test).await,
        Command::Reload { dry_run, confirm } => change::reload(context, *dry_run, *confirm).await,
        Command::Drain { wait, timeout } => change::drain(context, wait.then_some(*timeout)).await,
        Command::Undrain => change::undrain(context).await,
        Command::Confirm => change::confirm(context).await,
        Command::Rollback => change::rollback(context).await,
        Command::Log { action } => change::log(context, action).await,
        Command::CheckConfig { .. }
        | Command::Diff { .. }
        | Command::Import(_)
        | Command::Completion { .. }
        | Command::Man { .. }
        | Command::Connect => unreachable!("these need no daemon"),
    }
}

/// As kubectl calls it for `kubectl bgp`.
const PLUGIN: &str = "kubectl-bgp";

fn style(global: &Global) -> Style {
    let color = match global.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    };
    let zone = if global.utc { TimeZone::UTC } else { TimeZone::system() };
    Style { wide: global.output() == Output::Wide, headers: !global.no_headers, color, zone }
}
