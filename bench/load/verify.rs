//! Checks what the receivers hold, at the price of one hash per message.
//!
//! A message is decoded and judged the first time its bytes are seen; every later receiver of the same bytes pays for a lookup,
//! a comparison and a few words of its bitmap. The judgement is never skipped: other bytes are another entry.

use hashbrown::HashMap;

use crate::plan::{Judgement, Shape};
use crate::wire;

/// What one message does to a receiver's bitmap.
#[derive(Debug, Default)]
pub struct Effect {
    /// Client that announced the routes; `None` for a withdrawal.
    pub source: Option<usize>,
    pub flap: Option<Flap>,
    words: Box<[Word]>,
}

/// The extra prefix was announced (with its sequence number) or withdrawn.
#[derive(Clone, Copy, Debug)]
pub enum Flap {
    Announced(u32),
    Withdrawn,
}

#[derive(Debug)]
struct Word {
    index: u32,
    set: u64,
    clear: u64,
}

/// Judges messages, each only once.
pub struct Verifier {
    shape: Shape,
    seen: HashMap<Box<[u8]>, usize, foldhash::fast::RandomState>,
    effects: Vec<Effect>,
    /// There is one receiver, so that nothing is seen twice.
    only_once: bool,
    /// Messages that no correct daemon could have sent, and the first few of them in words.
    pub wrong: u64,
    pub complaints: Vec<String>,
}

/// The prefixes that one receiver holds with the right route.
#[derive(Clone, Default)]
pub struct Holdings {
    words: Vec<u64>,
    held: usize,
    /// Changed since the last look.
    pub dirty: bool,
}

impl Verifier {
    pub fn new(shape: Shape) -> Self {
        let only_once = matches!(shape, Shape::Table { receivers: 1, .. });
        Self { shape, only_once, seen: HashMap::default(), effects: Vec::new(), wrong: 0, complaints: Vec::new() }
    }

    /// The effect of an UPDATE's body.
    pub fn judge(&mut self, body: &[u8]) -> &Effect {
        let index = match self.seen.get(body) {
            Some(&index) => index,
            None => self.judge_new(body),
        };
        &self.effects[index]
    }

    fn judge_new(&mut self, body: &[u8]) -> usize {
        let effect = self.examine(body).unwrap_or_else(|complaint| {
            self.wrong += 1;
            if self.complaints.len() < 5 {
                self.complaints.push(complaint);
            }
            Effect::default()
        });
        if self.only_once {
            self.effects.clear();
        } else {
            self.seen.insert(body.into(), self.effects.len());
        }
        self.effects.push(effect);
        self.effects.len() - 1
    }

    fn examine(&self, body: &[u8]) -> Result<Effect, String> {
        let update = wire::decode(body)?;
        let mut effect = Effect::default();
        let mut words: Vec<Word> = Vec::new();
        for &prefix in &update.withdrawn {
            let number = self.shape.number(prefix).ok_or_else(|| format!("withdrawal of unknown prefix {prefix:#x}"))?;
            if number == self.shape.prefixes() {
                effect.flap = Some(Flap::Withdrawn);
            } else {
                mark(&mut words, number, false);
            }
        }
        if !update.announced.is_empty() {
            let source = self.shape.source(&update.route)?;
            effect.source = Some(source);
            let known = |&prefix: &u32| self.shape.number(prefix).ok_or_else(|| format!("unknown prefix {prefix:#x}"));
            let numbers = update.announced.iter().map(known).collect::<Result<Vec<_>, _>>()?;
            for (&number, judgement) in numbers.iter().zip(self.shape.judge(source, &numbers, &update.route)?) {
                if number == self.shape.prefixes() {
                    effect.flap = Some(Flap::Announced(update.route.med.unwrap_or(0)));
                } else {
                    mark(&mut words, number, judgement == Judgement::Right);
                }
            }
        }
        effect.words = words.into();
        Ok(effect)
    }
}

impl Holdings {
    pub fn new(prefixes: usize) -> Self {
        Self { words: vec![0; prefixes.div_ceil(64)], held: 0, dirty: true }
    }

    /// All prefixes of the given owners that stay.
    pub fn of_owners(shape: &Shape, is_wanted: impl Fn(usize) -> bool) -> Self {
        let mut holdings = Self::new(shape.prefixes());
        for number in (0..shape.prefixes()).filter(|&number| shape.stays(number) && is_wanted(shape.owner(number))) {
            holdings.words[number / 64] |= 1 << (number % 64);
            holdings.held += 1;
        }
        holdings
    }

    pub fn apply(&mut self, effect: &Effect) {
        for word in &effect.words {
            let slot = &mut self.words[word.index as usize];
            let new = *slot & !word.clear | word.set;
            self.held = self.held + new.count_ones() as usize - slot.count_ones() as usize;
            *slot = new;
        }
        self.dirty |= !effect.words.is_empty();
    }

    pub fn count(&self) -> usize {
        self.held
    }

    /// Exactly `wanted`, but for the prefixes of `own`.
    pub fn matches(&self, wanted: &Self, own: &Self) -> bool {
        self.held + own.held == wanted.held
            && self.words.iter().zip(&wanted.words).zip(&own.words).all(|((&have, &want), &own)| have == want & !own)
    }
}

fn mark(words: &mut Vec<Word>, number: usize, right: bool) {
    let (index, bit) = ((number / 64) as u32, 1u64 << (number % 64));
    let position = words.iter().rposition(|word| word.index == index).unwrap_or_else(|| {
        words.push(Word { index, set: 0, clear: 0 });
        words.len() - 1
    });
    let word = &mut words[position];
    // An announcement behind a withdrawal of the same prefix in one message wins (RFC 4271 4.3 advises against it).
    if right {
        word.set |= bit;
    } else {
        word.set &= !bit;
        word.clear |= bit;
    }
}
