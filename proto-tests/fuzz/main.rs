//! Seeded mutation of small corpora against everything that reads octets or text from outside. `FUZZ_RUNS` is how many inputs each
//! target gets beyond its corpus, `FUZZ_SEED` where chance starts; a failure prints what failed. Session operations and the
//! journal with its cursors have their random runs beside their code (`FUZZ_RUNS` counts there too), netlink replies in `fib`.

#[path = "../hostile/chance.rs"]
mod chance;
mod messages;
#[path = "../vectors/notation.rs"]
mod notation;
mod paths;
mod texts;

use std::panic::{AssertUnwindSafe, catch_unwind};

use chance::Chance;

/// Gives `target` the corpus and then mutations of it.
fn run(name: &str, corpus: &[Vec<u8>], default: u64, mut target: impl FnMut(&[u8])) {
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |v| v.parse().expect("a number"));
    let (runs, seed) = (number("FUZZ_RUNS", default), number("FUZZ_SEED", 1));
    let mut chance = Chance(seed);
    let mut attempt = |octets: &[u8]| {
        if catch_unwind(AssertUnwindSafe(|| target(octets))).is_err() {
            panic!("{name}, seed {seed}: {octets:02X?}\n{}", String::from_utf8_lossy(octets));
        }
    };
    corpus.iter().for_each(|octets| attempt(octets));
    for _ in 0..runs {
        let mut octets = corpus[chance.below(corpus.len())].clone();
        for _ in 0..=chance.below(6) {
            let other = &corpus[chance.below(corpus.len())];
            chance.change(&mut octets, other);
        }
        attempt(&octets);
    }
    println!("{name}: {} of the corpus and {runs} from seed {seed}", corpus.len());
}
