//! The vectors, in every kind of session, as one write and octet by octet.

use std::fmt::Write;
use std::path::Path;

use crate::driver::{Driver, Split};
use crate::notation::{Line, Session, lines};
use crate::victim::Victim;

#[test]
fn ebgp_sessions_with_four_octet_as_numbers_withstand_the_catalogue() {
    run("e4", 51, "info");
}

#[test]
fn ebgp_sessions_with_two_octet_as_numbers_withstand_the_catalogue() {
    run("e2", 52, "info,kubgp=debug");
}

#[test]
fn ibgp_sessions_withstand_the_catalogue() {
    run("i4", 53, "info,kubgp=trace");
}

/// One vector in one kind of session.
pub struct Case {
    name: String,
    pub session: Session,
    class: String,
    pub octets: Vec<u8>,
}

/// Runs them; logging in more or less detail changes no verdict.
fn run(kind: &str, number: u8, level: &str) {
    let mut victim = Victim::start(number, level);
    let cases = cases(kind);
    assert!(cases.len() > 150, "{} cases", cases.len());
    let before = victim.rss();
    let mut failures = String::new();
    let mut driver = Driver::new(&victim, cases[0].session);
    for case in &cases {
        driver.change(case.session);
        for split in [Split::OneWrite, Split::OctetByOctet] {
            if let Err(what) = driver.judge(&case.octets, &case.class, split) {
                writeln!(failures, "{} {kind} {split:?}: {what}", case.name).expect("a string");
            }
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
    let bystander = driver.bystander;
    victim.is_unharmed();
    drop(bystander);
    let grown = victim.rss().saturating_sub(before);
    assert!(grown < 32 * 1024, "{grown} KiB more after {} cases", cases.len());
    println!("{kind}: {} cases, {grown} KiB", cases.len());
}

/// All cases of one kind of session.
pub fn cases(kind: &str) -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-tests");
    let files = ["vectors/header", "vectors/notification", "vectors/refresh", "vectors/update-structure"];
    let more = ["vectors/update-attributes", "vectors/update-multiprotocol", "hostile/sessions"];
    let mut cases = Vec::new();
    for file in files.into_iter().chain(more) {
        let text = std::fs::read_to_string(folder.join(file).with_extension("hex")).expect("vectors");
        // The header is the same in every session, so that one is named for it; here they all are tried.
        let any = matches!(file, "vectors/header" | "vectors/notification" | "vectors/refresh");
        for line in lines(&text).filter(|l| l.class != "incomplete") {
            cases.extend(case_of(&line, kind, any));
        }
    }
    // One session serves all that want the same of it.
    cases.sort_by_key(|c: &Case| (c.session.extended, c.session.add_path, c.session.extended_next_hop, c.session.families.iter().count()));
    cases
}

fn case_of(line: &Line<'_>, kind: &str, any: bool) -> Option<Case> {
    let options: Vec<&str> = match any {
        true => line.options.iter().copied().filter(|o| !["e4", "e2", "i4"].contains(o)).collect(),
        false => line.options.clone(),
    };
    let session = Session::chosen(&options).into_iter().find(|s| s.name == kind)?;
    let other = OTHERWISE.iter().find(|(name, kinds, _)| *name == line.name && kinds.contains(&kind));
    let class = other.map_or_else(|| session.class(line.class), |(.., class)| (*class).to_owned());
    let octets = session.expand(line.message);
    Some(Case { name: line.name.to_owned(), session, class, octets })
}

/// What a session makes of messages that decode otherwise: nothing is answered to a broken NOTIFICATION (RFC 4271 6.4), and good routes
/// that hold our cluster id, or that do not fit the bystander's messages, go no further.
const OTHERWISE: [(&str, &[&str], &str); 5] = [
    ("H9-notification-20", &["e4", "e2", "i4"], "C"),
    ("A0-ibgp", &["i4"], "L"),
    ("A13-2040-hops", &["e4"], "L"),
    ("A29-cluster-list-64", &["i4"], "L"),
    ("P21-60-kilobytes", &["e4", "e2", "i4"], "L"),
];
