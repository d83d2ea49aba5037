//! Manual pages out of the grammar.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::args::Cli;
use super::failure::Failure;

/// The page of `bgpctl`, or one page per command into a directory.
pub(super) fn write(directory: Option<&Path>, mut out: &mut (dyn Write + Send)) -> Result<(), Failure> {
    let mut command = Cli::command();
    command.build();
    let Some(directory) = directory else { return Ok(Man::new(command).render(&mut out)?) };
    let pages = pages(directory, &command, "bgpctl").map_err(|e| Failure::Refused(format!("{}: {e}", directory.display())))?;
    Ok(writeln!(out, "{pages} pages in {}", directory.display())?)
}

fn pages(directory: &Path, command: &Command, name: &str) -> io::Result<usize> {
    fs::create_dir_all(directory)?;
    let mut page = Vec::new();
    // The name must live as long as the program: a page each of a few dozen commands.
    let title: &'static str = Box::leak(name.to_owned().into_boxed_str());
    Man::new(command.clone().name(title).version(env!("CARGO_PKG_VERSION"))).render(&mut page)?;
    fs::write(directory.join(format!("{name}.1")), page)?;
    let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help");
    shown.map(|sub| pages(directory, sub, &format!("{name}-{}", sub.get_name()))).sum::<io::Result<usize>>().map(|below| below + 1)
}
