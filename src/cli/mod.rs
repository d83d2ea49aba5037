//! `bgpctl`: a command line becomes a few requests to the admin API, and their answers become tables, text or JSON.
//!
//! Owns the grammar (clap, and OpenBGPD's positional words), the tables, and the exit codes.
//! Invariants: filters run in the daemon; big tables are printed while they arrive; nothing from the network can send control
//! sequences to the terminal; STATE is always the word of RFC 4271; the exit code follows the table in the help text.
//!
//! Must never know: anything of the daemon but its API types and its client.

pub mod args;
mod change;
mod detail;
mod diff;
mod failure;
mod neighbor;
mod offline;
mod output;
mod show;
mod tables;
#[cfg(test)]
mod tests;
mod text;
mod words;

pub use args::ImportFormat;
pub use failure::Failure;
pub use offline::{Imported, Offline};

use std::ffi::OsString;
use std::io::{IsTerminal, Write};

use clap::{CommandFactory, Parser};
use jiff::tz::TimeZone;

use crate::api::client::Client;
use args::{Cli, Color, Command, Global, Output};
use output::{Printer, Style};

/// Runs one command line and answers its exit code. `out` gets what was asked for, `err` why it failed.
pub async fn run(args: Vec<OsString>, offline: Offline, out: &mut (dyn Write + Send), err: &mut (dyn Write + Send)) -> u8 {
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
    let outcome = dispatch(&cli, offline, out).await;
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

async fn dispatch(cli: &Cli, offline: Offline, out: &mut (dyn Write + Send)) -> Result<(), Failure> {
    let printer = Printer { out, output: cli.global.output(), style: style(&cli.global) };
    let mut context = Context { client: Client::new(&cli.global.socket), global: &cli.global, printer };
    let can_watch = match &cli.command {
        Command::Show { what } => matches!(what, Some(args::Show::Neighbors(_) | args::Show::Rib { .. } | args::Show::Events { .. })),
        Command::Monitor { .. } => true,
        _ => false,
    };
    if cli.global.watch && !can_watch {
        return Err(Failure::usage("--watch works with show neighbors, show rib, show events and monitor"));
    }
    match &cli.command {
        Command::Show { what } => show::show(&mut context, what.as_ref().unwrap_or(&args::Show::Summary)).await,
        Command::Explain { subject, to } => show::explain(&mut context, subject, to.as_ref()).await,
        Command::Monitor { what } => show::monitor(&mut context, what).await,
        Command::Healthcheck { require_established } => show::healthcheck(&mut context, require_established).await,
        Command::CheckConfig { file } => {
            let report = (offline.check)(file, context.printer.style.color).map_err(Failure::Config)?;
            Ok(writeln!(context.printer.out, "{report}")?)
        }
        Command::Diff { config, with_kernel } => {
            let preview = (offline.preview)(config, *with_kernel).await.map_err(Failure::from)?;
            context.printer.document(&preview.into())
        }
        Command::Import(import) => offline::import(offline, import, &mut context.printer),
        Command::Completion { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "bgpctl", &mut context.printer.out);
            Ok(())
        }
        Command::Clear { words, reason } => change::clear(&mut context, words, reason).await,
        Command::Neighbor { peer, action, reason } => change::neighbor(&mut context, peer, *action, reason).await,
        Command::Network { action } => change::network(&mut context, action).await,
        Command::Policy { action: args::Policy::Test(test) } => change::policy_test(&mut context, test).await,
        Command::Reload { dry_run, confirm } => change::reload(&mut context, *dry_run, *confirm).await,
        Command::Drain { wait, timeout } => change::drain(&mut context, wait.then_some(*timeout)).await,
        Command::Undrain => change::undrain(&mut context).await,
        Command::Confirm => change::confirm(&mut context).await,
        Command::Rollback => change::rollback(&mut context).await,
        Command::Log { action } => change::log(&mut context, action).await,
    }
}

fn style(global: &Global) -> Style {
    let color = match global.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    };
    let zone = if global.utc { TimeZone::UTC } else { TimeZone::system() };
    Style { wide: global.output() == Output::Wide, headers: !global.no_headers, color, zone }
}
