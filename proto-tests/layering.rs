//! The layers of the crate: which room may import which rooms and which external crates. `std`, `bytes` and `ipnet` are allowed
//! everywhere, `tracing` in every room outside the core.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

struct Room {
    name: &'static str,
    rooms: &'static [&'static str],
    crates: &'static [&'static str],
    core: bool,
}

const fn core(name: &'static str, rooms: &'static [&'static str], crates: &'static [&'static str]) -> Room {
    Room { name, rooms, crates, core: true }
}

const fn shell(name: &'static str, rooms: &'static [&'static str], crates: &'static [&'static str]) -> Room {
    Room { name, rooms, crates, core: false }
}

/// From bottom to top; the same table is in ARCHITECTURE.md.
const ROOMS: &[Room] = &[
    core("wire", &[], &["foldhash", "nom", "smallvec", "triomphe"]),
    core("policy", &["wire"], &["regex", "prefix_trie", "smallvec"]),
    core("session", &["wire"], &["smallvec"]),
    core("rib", &["wire", "policy"], &["hashbrown", "foldhash", "smallvec"]),
    core("export", &["wire", "policy", "rib"], &["hashbrown", "foldhash", "smallvec", "triomphe"]),
    shell(
        "fib",
        &["rib", "wire", "policy"],
        &[
            "rtnetlink",
            "netlink_packet_core",
            "netlink_packet_route",
            "netlink_proto",
            "netlink_sys",
            "tokio",
            "futures_util",
            "prefix_trie",
            "smallvec",
        ],
    ),
    shell("bfd", &[], &["tokio", "socket2", "nix", "libc"]),
    shell("net", &["wire", "session", "export", "policy", "rib"], &["tokio", "tokio_util", "socket2", "libc"]),
    shell("config", &["wire", "policy", "session", "rib", "export"], &["serde", "serde_saphyr", "serde_json", "miette", "regex"]),
    shell(
        "kube",
        &["config", "fib", "wire"],
        &["serde", "serde_json", "serde_saphyr", "tokio", "futures_util", "kube", "k8s_openapi", "kube_lease_manager", "rustls", "hyper"],
    ),
    shell(
        "speaker",
        &["wire", "policy", "session", "rib", "export", "fib", "bfd", "net", "config"],
        &["tokio", "arc_swap", "notify", "sd_notify", "tracing_subscriber"],
    ),
    shell("vips", &["fib", "config", "speaker"], &["tokio", "tokio_rustls", "rustls", "hyper", "hyper_util", "http_body_util"]),
    shell("operator", &["wire", "config", "kube", "speaker"], &["tokio"]),
    shell("bmp", &["wire", "session", "rib", "net", "config", "speaker"], &["tokio"]),
    shell("metrics", &[], &["prometheus"]),
    shell(
        "api",
        &["bmp", "operator", "vips", "speaker", "config", "wire", "policy", "session", "rib", "export", "fib", "bfd", "net", "metrics"],
        &["axum", "hyper", "hyper_util", "http_body_util", "serde", "serde_json", "tokio", "utoipa", "jiff", "futures_util", "regex"],
    ),
    shell(
        "cli",
        &["api", "config"],
        &["clap", "clap_complete", "clap_mangen", "comfy_table", "jiff", "ratatui", "serde", "serde_json", "serde_saphyr", "tokio"],
    ),
];

const EVERYWHERE: &[&str] = &["std", "bytes", "ipnet", "core", "alloc"];

#[test]
fn every_folder_of_src_is_a_room_of_the_table() {
    let known: BTreeSet<_> = ROOMS.iter().map(|r| r.name).collect();
    for entry in fs::read_dir(source()).expect("src is readable") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("UTF-8");
        if entry.path().is_dir() && name != "bin" {
            assert!(known.contains(name.as_str()), "src/{name} is not in the table of rooms");
        }
    }
}

#[test]
fn a_room_imports_only_rooms_below_it() {
    let order: BTreeMap<_, _> = ROOMS.iter().enumerate().map(|(i, r)| (r.name, i)).collect();
    for (i, room) in ROOMS.iter().enumerate() {
        for below in room.rooms {
            assert!(order[below] < i, "{} may not import {below}: it is not below", room.name);
        }
    }
    let mut faults = Vec::new();
    for room in ROOMS {
        for (file, text) in files_of(room.name) {
            for used in words_after(&text, "crate::") {
                if used != room.name && order.contains_key(used.as_str()) && !room.rooms.contains(&used.as_str()) {
                    faults.push(format!("{}: room {} may not import crate::{used}", file.display(), room.name));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_room_uses_only_its_external_crates() {
    let crates = dependencies();
    let mut faults = Vec::new();
    for room in ROOMS {
        for (file, text) in files_of(room.name) {
            for used in crates.iter().filter(|c| uses(&text, c)) {
                let logs = !room.core && used == "tracing";
                if !logs && !EVERYWHERE.contains(&used.as_str()) && !room.crates.contains(&used.as_str()) {
                    faults.push(format!("{}: room {} may not use the crate {used}", file.display(), room.name));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_core_reads_no_clock_and_opens_no_socket() {
    let mut faults = Vec::new();
    for room in ROOMS.iter().filter(|r| r.core) {
        for (file, text) in files_of(room.name) {
            for word in ["Instant::now", "SystemTime", "TcpStream", "UdpSocket", "thread::", "std::fs", "std::env", "println!", "eprintln!"]
            {
                if text.contains(word) {
                    faults.push(format!("{}: {word} in the core", file.display()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn unsafe_code_is_in_the_socket_options_only() {
    let mut found = BTreeSet::new();
    visit(&source(), &mut |path, text| {
        if uses_word(&strip(text), "unsafe") {
            found.insert(path.strip_prefix(source()).expect("below src").to_path_buf());
        }
    });
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [PathBuf::from("net/sockopt.rs")]);
}

/// The time of day jumps. Whatever holds timers of sessions, routes or paths uses the monotonic clock, so that no jump moves one; the
/// core reads no clock at all. The speaker has one place that reads the time of day, for people who are shown when something happened.
#[test]
fn no_room_with_timers_knows_the_time_of_day() {
    let mut found = BTreeSet::new();
    for room in ["fib", "bfd", "net", "speaker"] {
        for (file, text) in files_of(room) {
            if ["SystemTime::now", "Timestamp::now", "Zoned::now", "clock_gettime", "gettimeofday"].iter().any(|call| text.contains(call)) {
                found.insert(file.strip_prefix(source()).expect("below src").to_path_buf());
            }
        }
    }
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [PathBuf::from("speaker/mod.rs")]);
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The files of a room as code without comments, strings and test modules (tests may use more).
fn files_of(room: &str) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    visit(&source().join(room), &mut |path, text| {
        if path.file_name().is_some_and(|n| n == "tests.rs") || path.components().any(|c| c.as_os_str() == "tests") {
            return;
        }
        files.push((path.to_path_buf(), strip(&without_tests(text))));
    });
    files
}

/// Code without items that exist in tests only: from a `#[cfg(test)]` at the left margin to the brace that closes its item.
fn without_tests(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut inside = false;
    for line in text.lines() {
        inside |= line == "#[cfg(test)]";
        if !inside {
            code.push_str(line);
            code.push('\n');
        }
        inside &= line != "}" && (line.starts_with(' ') || !line.ends_with(';'));
    }
    code
}

fn visit(folder: &Path, with: &mut dyn FnMut(&Path, &str)) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            visit(&path, with);
        } else if path.extension().is_some_and(|e| e == "rs") {
            with(&path, &fs::read_to_string(&path).expect("UTF-8 source"));
        }
    }
}

/// Code without line comments and without the contents of string literals.
fn strip(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    for line in text.lines() {
        let mut in_string = false;
        let mut chars = line.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' if in_string => drop(chars.next()),
                '"' => in_string = !in_string,
                '/' if !in_string && chars.peek() == Some(&'/') => break,
                _ if in_string => {}
                _ => code.push(c),
            }
        }
        code.push('\n');
    }
    code
}

fn words_after(text: &str, marker: &str) -> BTreeSet<String> {
    text.match_indices(marker)
        .flat_map(|(at, _)| {
            let rest = &text[at + marker.len()..];
            match rest.strip_prefix('{') {
                Some(list) => first_words_of_list(list),
                None => vec![word(rest)],
            }
        })
        .collect()
}

/// `{policy::Reason, wire::{A, B}, rib}` gives policy, wire, rib.
fn first_words_of_list(list: &str) -> Vec<String> {
    let (mut depth, mut words, mut start) = (0, Vec::new(), true);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            c if start && c.is_alphabetic() => {
                words.push(word(&list[at..]));
                start = false;
            }
            _ => {}
        }
    }
    words
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn uses(text: &str, name: &str) -> bool {
    text.match_indices(&format!("{name}::")).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
    })
}

fn uses_word(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let edge = |c: Option<char>| !c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        edge(text[..at].chars().next_back()) && edge(text[at + name.len()..].chars().next())
    })
}

/// The names of all dependencies in Cargo.toml as they are written in code.
fn dependencies() -> Vec<String> {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).expect("Cargo.toml");
    let mut section = String::new();
    let mut names = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line.to_owned();
        } else if section == "[dependencies]"
            && let Some((name, _)) = line.split_once(" =")
        {
            names.push(name.replace('-', "_"));
        }
    }
    assert!(names.len() > 10, "Cargo.toml was not understood");
    names
}
