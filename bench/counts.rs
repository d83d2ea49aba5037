//! A fixed amount of work of one stage, for counting its instructions: `bench/counts` runs this under valgrind.
//!
//! The stage is a function of its own that is never inlined, so that only what it does is counted and not what prepares it.

mod fixture;

use kubgp::export::Group;
use kubgp::net::Item;
use kubgp::rib::{Changed, Rib};

/// Small enough to run in a second, large enough that no constant cost matters.
const PREFIXES: usize = 6_000;
const PEERS: u32 = 2;

fn main() {
    let bodies = fixture::messages(PREFIXES, 0);
    match std::env::args().nth(1).as_deref() {
        Some("decode") => _ = counted_decode(&bodies),
        Some("decide") => counted_decide(&mut fixture::rib(PEERS), &tables()),
        Some("encode") => {
            let mut rib = fixture::rib(1);
            fixture::store(&mut rib, 1, &fixture::accept(fixture::decode(&bodies)));
            let mut group = fixture::group(&mut fixture::rib(1));
            let changed = rib.decide(fixture::FAMILY);
            counted_encode(&mut group, &mut rib, &changed);
        }
        _ => eprintln!("expected decode, decide or encode"),
    }
}

/// What each peer announces: the same prefixes, the later peers with the shorter paths, so that each wins in its turn.
fn tables() -> Vec<Vec<Item>> {
    (0..PEERS as usize).rev().map(|detour| fixture::accept(fixture::decode(&fixture::messages(PREFIXES, detour)))).collect()
}

/// From octets to what import leaves of them.
#[inline(never)]
fn counted_decode(bodies: &[Vec<u8>]) -> usize {
    fixture::accept(fixture::decode(bodies)).len()
}

/// Intern, store, decide, for one peer after the other.
#[inline(never)]
fn counted_decide(rib: &mut Rib, tables: &[Vec<Item>]) {
    for (peer, items) in (1..).zip(tables) {
        fixture::store(rib, peer, items);
        assert_eq!(rib.decide(fixture::FAMILY).best.len(), PREFIXES, "each peer wins in its turn");
    }
}

/// From changed destinations to what a member has read.
#[inline(never)]
fn counted_encode(group: &mut Group, rib: &mut Rib, changed: &Changed) {
    fixture::publish(group, rib, changed);
    let (mut cursor, mut view) = fixture::member(group, rib, 2);
    assert!(fixture::read(&mut cursor, &mut view) > 4 * PREFIXES, "every prefix is there");
}
