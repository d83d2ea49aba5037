//! What `bgpctl` does without a daemon. The rooms that do it are above or beside this one, so the program hands them in.

use std::io::{Read, stdin};
use std::path::Path;

use super::args::{Import, ImportFormat, ImportPart};
use super::failure::Failure;
use super::output::Printer;
use crate::api::backend::Answer;
use crate::api::types::Preview;

/// The work of other rooms.
#[derive(Clone, Copy, Debug)]
pub struct Offline {
    /// Checks a configuration file: a line on what it holds, or the diagnostics as they should be printed, in colour if the flag is
    /// set.
    pub check: fn(&Path, bool) -> Result<String, String>,
    pub import: ImportFile,
    /// What a configuration file would do here, with kernel routes if the flag is set.
    pub preview: for<'a> fn(&'a Path, bool) -> Answer<'a, Preview>,
}

/// Translates a file, given as name and text, for a namespace.
type ImportFile = fn(ImportFormat, (&str, &str), &str) -> Result<Imported, String>;

/// What became of an old configuration.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Imported {
    /// Manifests, each behind a `---`.
    pub resources: String,
    /// A configuration file.
    pub configuration: String,
    /// What was not understood or taken over, one thing each, and what to know about the rest.
    pub remarks: Vec<String>,
    /// Something cannot be used.
    pub is_partial: bool,
}

pub(super) fn import(offline: Offline, import: &Import, printer: &mut Printer<'_>) -> Result<(), Failure> {
    let text = read(&import.file).map_err(|e| Failure::Refused(format!("{} cannot be read: {e}", import.file.display())))?;
    let name = import.file.display().to_string();
    let imported = (offline.import)(import.format, (&name, &text), &import.namespace).map_err(Failure::Config)?;
    for remark in &imported.remarks {
        writeln!(printer.out, "# {}", remark.replace('\n', "\n# "))?;
    }
    if import.what != ImportPart::Config {
        write!(printer.out, "{}", imported.resources)?;
    }
    if import.what != ImportPart::Crs {
        let separator = if imported.resources.is_empty() || import.what != ImportPart::All { "" } else { "---\n" };
        write!(printer.out, "{separator}{}", imported.configuration)?;
    }
    match imported.is_partial {
        true => Err(Failure::Partial("not everything was taken over; see the comments at the top".to_owned())),
        false => Ok(()),
    }
}

fn read(file: &Path) -> std::io::Result<String> {
    if file.as_os_str() != "-" {
        return std::fs::read_to_string(file);
    }
    let mut text = String::new();
    stdin().read_to_string(&mut text).map(|_| text)
}
