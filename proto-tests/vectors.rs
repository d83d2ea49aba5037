//! Golden vectors: messages as octets, the class that the RFCs give them, and all that the decoder makes of them.
//!
//! `vectors/*.hex` holds one vector a line: name, class, message. The class is written by hand from the RFCs: `K` route taken,
//! `W` treat-as-withdraw, `D` attribute discarded, `I` ignored, `R c/s` session reset with that NOTIFICATION; two classes with a
//! slash between them are for eBGP and iBGP. `vectors/*.json` holds the decoder's full answer; `UPDATE_VECTORS=1` rewrites it.
//!
//! A message is `M[type|body]`, `U[withdrawn|attributes|NLRI]` (lengths are computed; ` wl=` and ` al=` override them), or plain
//! octets. The blocks OE, PP, NH, LP, BASE, P4, n1, n2 stand for attributes and prefixes that are good in the session at hand.
//! A name may end in `@` and options: e4, e2, i4 choose sessions, nh is extended next hop, ap is add-path, ext is extended
//! messages or enhanced refresh, v4 is IPv4 only.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its vectors has failed")]

#[path = "vectors/notation.rs"]
mod notation;

use kubgp::wire::*;
use notation::{Line, Session, lines};
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn vectors_decode_as_the_rfcs_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-tests/vectors");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "hex"));
    files.sort();
    assert!(files.len() >= 5, "vectors are missing");
    let mut failures = String::new();
    files.iter().for_each(|f| check_file(f, &mut failures));
    assert!(failures.is_empty(), "\n{failures}");
}

fn check_file(file: &Path, failures: &mut String) {
    let text = fs::read_to_string(file).unwrap();
    let mut answers = Map::new();
    for Line { name, options, class, message } in lines(&text) {
        let by_session = answers.entry(name).or_insert_with(|| json!({})).as_object_mut().unwrap();
        for session in Session::chosen(&options) {
            let octets = session.expand(message);
            let (got, answer) = decode(&session, &octets);
            let want = session.class(class);
            if got != want {
                writeln!(failures, "{} {name} ({}): expected {want}, got {got}: {answer}", file.display(), session.name).unwrap();
            }
            let mut shown = json!({ "octets": hex(&octets), "class": got });
            shown.as_object_mut().unwrap().extend(answer.as_object().unwrap().clone());
            assert!(by_session.insert(session.name.to_owned(), shown).is_none(), "{name} twice in {}", file.display());
        }
    }
    let golden = file.with_extension("json");
    let answers = one_line_an_answer(&answers);
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        fs::write(&golden, &answers).unwrap();
    } else if fs::read_to_string(&golden).unwrap_or_default() != answers {
        writeln!(failures, "{} differs; look at the diff after UPDATE_VECTORS=1", golden.display()).unwrap();
    }
}

/// JSON in which a changed answer is a changed line.
fn one_line_an_answer(answers: &Map<String, Value>) -> String {
    let vector = |(name, by_session): (&String, &Value)| {
        let sessions = by_session.as_object().unwrap().iter().map(|(session, answer)| format!("    \"{session}\": {answer}"));
        format!("  \"{name}\": {{\n{}\n  }}", sessions.collect::<Vec<_>>().join(",\n"))
    };
    format!("{{\n{}\n}}\n", answers.iter().map(vector).collect::<Vec<_>>().join(",\n"))
}

/// Class and full answer.
fn decode(session: &Session, octets: &[u8]) -> (String, Value) {
    let max = if session.extended { MAX_EXTENDED } else { MAX_MESSAGE };
    let header = match decode_header(octets, max) {
        Err(notification) => return reset(&notification),
        Ok(None) => return ("incomplete".into(), json!({})),
        Ok(Some(header)) => header,
    };
    let Some(body) = octets.get(HEADER_LEN..usize::from(header.len)) else { return ("incomplete".into(), json!({})) };
    let shown = match header.kind {
        MessageType::Open => Open::decode(body).map(|o| ("K", show_open(&o))),
        MessageType::Update => decode_update(body, &session.context()).map(|u| (class_of(&u), show_update(&u))),
        MessageType::Notification => Notification::decode(body).map(|n| ("K", json!({ "shown": n.to_string() }))),
        MessageType::Keepalive => Ok(("K", json!({}))),
        MessageType::RouteRefresh => RouteRefresh::decode(body, session.extended).map(|r| {
            let ignored = matches!(r.kind, RefreshKind::Other(_)) || Family::from_afi_safi(r.family).is_none();
            (if ignored { "I" } else { "K" }, json!({ "refresh": format!("{r:?}") }))
        }),
    };
    match shown {
        Ok((class, answer)) => (class.to_owned(), answer),
        Err(notification) => reset(&notification),
    }
}

fn reset(notification: &Notification) -> (String, Value) {
    let class = format!("R{}/{}", notification.code, notification.subcode);
    (class, json!({ "data": hex(&notification.data), "shown": notification.to_string() }))
}

fn class_of(update: &Update) -> &'static str {
    let strongest = update.faults.iter().map(|f| f.action).max();
    match strongest {
        Some(FaultAction::TreatAsWithdraw) => {
            assert!(update.reach.is_empty(), "treat-as-withdraw leaves nothing reachable");
            "W"
        }
        Some(FaultAction::Discard) => "D",
        Some(FaultAction::Ignored) => "I",
        None => "K",
    }
}

fn show_open(open: &Open) -> Value {
    json!({
        "asn": open.asn, "asnField": open.asn_field, "holdTime": open.hold_time, "id": open.id.to_string(), "extended": open.extended,
        "capabilities": open.capabilities.iter().map(|c| format!("{c:?}")).collect::<Vec<_>>(),
    })
}

fn show_update(update: &Update) -> Value {
    let nlri = |all: &[Nlri]| {
        let show = |n: &Nlri| if n.path_id == 0 { n.prefix.to_string() } else { format!("{} id {}", n.prefix, n.path_id) };
        match all {
            [first, .., last] if all.len() > 8 => json!(format!("{} .. {} ({} prefixes)", show(first), show(last), all.len())),
            _ => json!(all.iter().map(show).collect::<Vec<_>>()),
        }
    };
    let mut shown = json!({
        "faults": update.faults.iter().map(|f| format!("{} {:?}: {}", f.code, f.action, f.why)).collect::<Vec<_>>(),
        "withdrawn": update.withdrawn.iter().map(|(f, n)| json!({ "family": f.to_string(), "nlri": nlri(n) })).collect::<Vec<_>>(),
        "reach": update.reach.iter().map(|r| json!({
            "family": r.family.to_string(), "nextHop": format!("{:?}", r.attrs.next_hop()), "nlri": nlri(&r.nlri),
            "attributes": r.attrs.tlvs().map(|t| hex(t.raw)).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
    });
    if let Some(family) = update.end_of_rib {
        shown["endOfRib"] = json!(family.to_string());
    }
    let shown_object = shown.as_object_mut().unwrap();
    shown_object.retain(|_, v| v.as_array().is_none_or(|a| !a.is_empty()));
    shown
}

/// Long runs are shortened, so that the files stay readable.
fn hex(octets: &[u8]) -> String {
    let digits = |octets: &[u8]| octets.iter().map(|b| format!("{b:02X}")).collect::<String>();
    match octets.len() {
        0..=160 => digits(octets),
        len => format!("{}..{} ({len} octets)", digits(&octets[..64]), digits(&octets[len - 16..])),
    }
}
