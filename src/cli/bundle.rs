//! What is written to files. `bgpctl mrt dump`: the tables. `bgpctl bundle`: everything that helps somebody elsewhere to see what is wrong, in one archive, without secrets.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::Value;

use super::Context;
use super::archive::Archive;
use super::failure::Failure;
use crate::api::client::{Client, Error};
use crate::api::types::{Document, Version};

/// Writes the archive; what the daemon does not answer is listed in it.
pub(super) async fn bundle(context: &mut Context<'_>, file: Option<&Path>) -> Result<(), Failure> {
    // Whether there is a daemon at all comes first.
    let version: Document<Version> = context.client.get("/v1/version", &()).await?;
    let now = Timestamp::now();
    let name = format!("kubgp-bundle-{}-{}", host(), now.strftime("%Y%m%dT%H%M%SZ"));
    let mut notes = format!(
        "Support bundle of kubgpd {} on {}, {now}.\nPasswords are not in it: the configuration names where they come from, never what they are.\n\n",
        version.body.version,
        host()
    );
    let mut archive = Archive::default();
    for (entry, path) in CONTENT {
        match content(&context.client, path).await {
            Ok(text) => {
                archive.file(&format!("{name}/{entry}"), text.as_bytes(), now.as_second());
                writeln!(notes, "{entry:<24} GET {path}").expect("writing to a String does not fail");
            }
            Err(error) => writeln!(notes, "{entry:<24} GET {path}: {error}").expect("writing to a String does not fail"),
        }
    }
    archive.file(&format!("{name}/README.txt"), notes.as_bytes(), now.as_second());
    let octets = archive.finish();
    if file.is_some_and(|file| file.as_os_str() == "-") {
        return Ok(context.printer.out.write_all(&octets)?);
    }
    let file = file.map_or_else(|| PathBuf::from(format!("{name}.tar.gz")), Path::to_owned);
    save(&file, &octets).map_err(|error| Failure::Refused(format!("{} cannot be written: {error}", file.display())))?;
    Ok(writeln!(context.printer.out, "{} ({})", file.display(), super::text::bytes(octets.len() as u64))?)
}

/// Writes the tables as an MRT dump, while they arrive.
pub(super) async fn mrt(context: &mut Context<'_>, file: &Path) -> Result<(), Failure> {
    let mut octets = context.client.stream("/v1/mrt", &()).await?;
    if file.as_os_str() == "-" {
        while let Some(piece) = octets.piece().await? {
            context.printer.out.write_all(&piece)?;
        }
        return Ok(());
    }
    let failed = |error| Failure::Refused(format!("{} cannot be written: {error}", file.display()));
    let mut out = std::io::BufWriter::new(std::fs::File::create(file).map_err(failed)?);
    let mut written = 0;
    while let Some(piece) = octets.piece().await? {
        out.write_all(&piece).map_err(failed)?;
        written += piece.len() as u64;
    }
    out.flush().map_err(failed)?;
    Ok(writeln!(context.printer.out, "{} ({})", file.display(), super::text::bytes(written))?)
}

/// A text as it is; JSON for readers.
async fn content(client: &Client, path: &str) -> Result<String, Error> {
    let text = client.text(path).await?;
    match serde_json::from_str::<Value>(&text) {
        Ok(value) => Ok(serde_json::to_string_pretty(&value)? + "\n"),
        Err(_) => Ok(text),
    }
}

/// Only for its owner: routes and addresses are nobody else's business.
fn save(file: &Path, octets: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut out = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    out.write_all(octets)
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.trim().chars().filter(|c| c.is_ascii_alphanumeric() || "-.".contains(*c)).take(HOST).collect();
    if name.is_empty() { "host".to_owned() } else { name }
}

/// Leaves room for the rest of a name in an archive.
const HOST: usize = 40;

/// Files of the archive and what answers them. Tables are cut: what is wrong with one route shows in the first thousand, or in `explain`.
const CONTENT: &[(&str, &str)] = &[
    ("summary.json", "/v1/summary"),
    ("version.json", "/v1/version"),
    ("readiness.json", "/readyz?verbose"),
    ("neighbors.json", "/v1/neighbors"),
    ("history.json", "/v1/histories"),
    ("events.json", "/v1/events"),
    ("log.txt", "/v1/log"),
    ("config-effective.json", "/v1/config?view=effective"),
    ("config-running.json", "/v1/config?view=running"),
    ("policies.json", "/v1/policies"),
    ("networks.json", "/v1/networks"),
    ("memory.json", "/v1/memory"),
    ("metrics.txt", "/metrics"),
    ("rib-count.json", "/v1/rib?count=true"),
    ("rib.json", "/v1/rib?limit=1000"),
    ("rib-filtered.json", "/v1/rib?view=filtered&limit=1000"),
    ("nexthops.json", "/v1/nexthops"),
    ("interfaces.json", "/v1/interfaces"),
    ("fib-diff.json", "/v1/fib?view=diff"),
    ("fib-kernel.json", "/v1/fib?view=kernel"),
    ("services.json", "/v1/services"),
    ("pools.json", "/v1/pools"),
    ("allocations.json", "/v1/allocations"),
    ("advertisements.json", "/v1/advertisements"),
    ("bmp.json", "/v1/bmp"),
    ("drain.json", "/v1/drain"),
];
