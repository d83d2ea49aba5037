//! Seeded mutations of the catalogue: whatever a message has become, its session goes on or ends as the decoder says, and nobody
//! else notices. `HOSTILE_INPUTS` and `HOSTILE_SEED` make longer and other runs.

use kubgp::wire::{HEADER_LEN, MAX_MESSAGE, MessageType, decode_header, decode_update};

use crate::catalogue::cases;
use crate::chance::Chance;
use crate::driver::{Driver, Split, Verdict};
use crate::notation::Session;
use crate::peer::keepalive;
use crate::victim::Victim;

#[test]
fn mutated_messages_cost_at_most_their_own_session() {
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |v| v.parse().expect("a number"));
    let (inputs, seed) = (number("HOSTILE_INPUTS", 900), number("HOSTILE_SEED", 1));
    for (index, kind) in ["e4", "e2", "i4"].into_iter().enumerate() {
        run(kind, 57 + index as u8, inputs / 3, seed + index as u64);
    }
}

fn run(kind: &str, number: u8, inputs: u64, seed: u64) {
    let mut victim = Victim::start(number, "warn");
    let plain = |s: &Session| !s.extended && !s.add_path && !s.extended_next_hop && s.families.iter().count() == 2;
    let corpus: Vec<Vec<u8>> = cases(kind).into_iter().filter(|c| plain(&c.session)).map(|c| c.octets).collect();
    let session = Session::chosen(&[kind])[0];
    let mut driver = Driver::new(&victim, session);
    let mut chance = Chance(seed);
    let (mut kept, mut ended) = (0, 0);
    for input in 0..inputs {
        let octets = mutate(&corpus, &mut chance);
        let expected = expectation(&octets, &session);
        let verdict = driver.send(&with_filling(&octets), Split::OneWrite);
        let got = match &verdict {
            Verdict::Kept => None,
            Verdict::Ended(n) => Some(n.as_ref().map(|n| (n.code, n.subcode))),
        };
        kept += u32::from(got.is_none());
        ended += u32::from(got.is_some());
        let right = expected.is_none_or(|expected| got == expected.map(Some));
        assert!(right, "{kind} seed {seed} input {input} {octets:02X?}: expected {expected:?}, got {verdict:?}");
    }
    let bystander = driver.bystander;
    victim.is_unharmed();
    drop(bystander);
    println!("{kind}: {inputs} inputs from seed {seed}: {kept} sessions kept, {ended} ended");
}

/// What must become of a session that gets one whole UPDATE; `None` where other messages and broken framing leave it open here.
fn expectation(octets: &[u8], session: &Session) -> Option<Option<(u8, u8)>> {
    let header = decode_header(octets, MAX_MESSAGE).ok()??;
    if header.kind != MessageType::Update || usize::from(header.len) != octets.len() {
        return None;
    }
    Some(decode_update(&octets[HEADER_LEN..], &session.context()).err().map(|n| (n.code, n.subcode)))
}

/// A header that promises more than came must not swallow the sentinel.
fn with_filling(octets: &[u8]) -> Vec<u8> {
    let whole = matches!(decode_header(octets, MAX_MESSAGE), Ok(Some(header)) if usize::from(header.len) == octets.len());
    if whole { octets.to_vec() } else { [octets, &keepalive().repeat(MAX_MESSAGE / HEADER_LEN + 1)].concat() }
}

/// One to four changes of a message of the corpus. Mostly the header says its length then.
fn mutate(corpus: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut octets = corpus[chance.below(corpus.len())].clone();
    for _ in 0..=chance.below(4) {
        chance.change(&mut octets, &corpus[chance.0 as usize % corpus.len()]);
    }
    octets.truncate(MAX_MESSAGE);
    if octets.len() >= HEADER_LEN && chance.below(10) > 0 {
        octets[..16].fill(0xFF);
        let len = (octets.len() as u16).to_be_bytes();
        octets[16..18].copy_from_slice(&len);
        if chance.below(4) > 0 {
            octets[18] = MessageType::Update as u8;
        }
    }
    octets
}

/// A50: every attribute type with flags and lengths of all kinds. One in 48, unless there is a long run.
#[test]
fn no_attribute_of_any_type_flags_or_length_ends_a_session_but_those_that_must() {
    let victim = Victim::start(60, "warn");
    let session = Session::chosen(&["e4"])[0];
    let mut driver = Driver::new(&victim, session);
    let step = if std::env::var_os("HOSTILE_INPUTS").is_some() { 1 } else { 48 };
    let all = (0..=255u8).flat_map(|code| [0u8, 0x40, 0x80, 0xC0, 0xE0, 0xF0].map(|flags| (code, flags)));
    let all = all.flat_map(|(code, flags)| [0u16, 1, 3, 4, 5, 255].map(|len| (code, flags, len)));
    for (code, flags, len) in all.skip(7).step_by(step) {
        let width = if flags & 0x10 != 0 { format!("{len:04X}") } else { format!("{len:02X}") };
        let octets = session.expand(&format!("U[|BASE {flags:02X}{code:02X}{width} 01*{len}|n1]"));
        let expected = expectation(&octets, &session).expect("a whole UPDATE");
        assert!(expected.is_none() || matches!(code, 14 | 15), "type {code} flags {flags:02X} length {len}: {expected:?}");
        let verdict = driver.send(&octets, Split::OneWrite);
        let right = match &verdict {
            Verdict::Kept => expected.is_none(),
            Verdict::Ended(n) => expected.is_some() && n.as_ref().map(|n| (n.code, n.subcode)) == expected,
        };
        assert!(right, "type {code} flags {flags:02X} length {len}: expected {expected:?}, got {verdict:?}");
    }
}
