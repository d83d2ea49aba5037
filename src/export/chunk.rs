//! Building chunks: messages in order, with their audiences and the keys that are live in them.

use super::journal::{Audience, Chunk, Frame, Messages};
use super::key_list::KeyList;
use super::pack::Packer;
use super::route::{NOBODY, RouteId};
use super::slot::Slot;
use crate::rib::PeerId;
use crate::wire::nlri::Nlri;
use bytes::BytesMut;

/// Finds the NLRI of a key.
pub(super) type NlriOf<'a> = &'a dyn Fn(u32) -> Nlri;

/// Octets of a chunk, where its messages allow.
pub(super) const CHUNK: usize = 32 * 1024;

/// One key to encode, ordered as on the wire: withdraws first, then by what is said to whom.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Entry {
    advertises: bool,
    pub route: RouteId,
    pub owes: [bool; 2],
    pub key: u32,
}

impl Entry {
    /// `None` for a vacant slot.
    pub fn new(key: u32, slot: Slot) -> Option<Self> {
        (!slot.is_vacant()).then(|| Self { advertises: slot.advertises(), route: slot.route_id(), owes: slot.owes(), key })
    }

    pub fn shares_messages(&self, other: &Self) -> bool {
        (self.advertises, self.route, self.owes) == (other.advertises, other.route, other.owes)
    }

    pub fn is_tombstone(&self) -> bool {
        !self.advertises
    }
}

/// What the writer keeps of a chunk.
#[derive(Debug)]
pub(super) struct Meta {
    pub keys: KeyList,
    /// How many of the keys are live here.
    pub live: u32,
    pub tombstones: u32,
    /// Octets.
    pub len: u32,
}

impl Meta {
    /// Octets that nobody needs, by the average of the chunk.
    pub fn dead(&self) -> u64 {
        let keys = u64::from(self.keys.len());
        (keys - u64::from(self.live)) * u64::from(self.len) / keys.max(1)
    }
}

/// A chunk in the making.
#[derive(Debug, Default)]
pub(super) struct Builder {
    out: BytesMut,
    messages: Messages,
    keys: Vec<u32>,
    updates: Option<usize>,
    /// Withdraws for single peers, which come last.
    owed: Vec<(PeerId, u32)>,
    /// At most so many octets they will take.
    owed_len: usize,
    last: Last,
    /// Messages and octets that were there before.
    copied: (usize, usize),
}

/// The message that was added last, to take it out again.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    start: usize,
    keys: usize,
    owed: usize,
    owed_len: usize,
}

/// What became of an [`Builder::add`].
pub(super) struct Added {
    /// How many entries the message took.
    pub entries: usize,
    /// The chunk is too long with this message, and would not be without.
    pub overfull: bool,
}

/// A chunk, and the writer's side of it.
pub(super) struct Finished {
    pub chunk: Chunk,
    /// What is live in it, in the order of its messages.
    pub keys: Vec<u32>,
    /// Messages and octets that were not copied.
    pub encoded: (usize, usize),
}

impl Builder {
    /// Adds one message with as many of `entries`, which share messages, as it takes.
    pub fn add(&mut self, packer: &mut Packer, entries: &[Entry], nlri: NlriOf<'_>, but: [PeerId; 2], owes: [bool; 2]) -> Added {
        let start = self.out.len();
        self.last = Last { start, keys: self.keys.len(), owed: self.owed.len(), owed_len: self.owed_len };
        let withdraws = entries.first().is_some_and(Entry::is_tombstone);
        let keys = entries.iter().map(|e| e.key);
        let taken = if withdraws {
            packer.withdraw(keys, nlri, &mut self.out)
        } else {
            self.updates.get_or_insert(start);
            packer.update(keys, nlri, &mut self.out)
        };
        let entries = &entries[..taken];
        self.keys.extend(entries.iter().map(|e| e.key));
        let mut left_out = but;
        for (peer, owed) in left_out.iter_mut().zip(owes) {
            if owed && withdraws {
                *peer = NOBODY;
            } else if owed {
                self.owe(*peer, entries.iter().map(|e| e.key), self.out.len() - start);
            }
        }
        let audience = if left_out == [NOBODY; 2] { Audience::All } else { Audience::AllBut(left_out[0], left_out[1]) };
        self.messages.push(self.out.len() as u32, taken, audience);
        Added { entries: taken, overfull: start > 0 && self.out.len() + self.owed_len > CHUNK }
    }

    /// Adds a message as it is; `keys` are those of its NLRI.
    pub fn copy(&mut self, frame: &Frame<'_>, keys: &[u32]) {
        if frame.is_update {
            self.updates.get_or_insert(self.out.len());
        }
        self.out.extend_from_slice(frame.bytes);
        self.keys.extend_from_slice(keys);
        self.messages.push(self.out.len() as u32, frame.count, frame.audience);
        self.copied = (self.copied.0 + 1, self.copied.1 + frame.bytes.len());
    }

    /// A peer does not get the update with these keys, and may hold what was there before. `len`: the octets of the update.
    pub fn owe(&mut self, peer: PeerId, keys: impl Iterator<Item = u32>, len: usize) {
        self.owed.extend(keys.map(|key| (peer, key)));
        self.owed_len += len;
    }

    /// Takes the last message out into a chunk of its own.
    pub fn split_last(&mut self) -> Self {
        let Last { start, keys, owed, owed_len } = self.last;
        let out = self.out.split_off(start);
        let (count, audience) = self.messages.pop().expect("a message was added");
        let mut messages = Messages::default();
        messages.push(out.len() as u32, count, audience);
        let updates = self.updates.filter(|at| *at <= start).map(|_| 0);
        self.updates = self.updates.filter(|at| *at < start);
        let next = Self {
            messages,
            keys: self.keys.split_off(keys),
            updates,
            owed: self.owed.split_off(owed),
            owed_len: self.owed_len - owed_len,
            last: Last::default(),
            copied: (0, 0),
            out,
        };
        self.owed_len = owed_len;
        next
    }

    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Adds the withdraws for single peers.
    pub fn finish(mut self, number: u64, packer: &mut Packer, nlri: NlriOf<'_>) -> Finished {
        let exceptions = self.out.len();
        self.owed.sort_unstable();
        for owed in self.owed.chunk_by(|a, b| a.0 == b.0) {
            let mut rest = owed;
            while let Some((peer, _)) = rest.first() {
                let taken = packer.withdraw(rest.iter().map(|(_, key)| *key), nlri, &mut self.out);
                self.messages.push(self.out.len() as u32, taken, Audience::Only(*peer));
                rest = &rest[taken..];
            }
        }
        let mut special: Vec<PeerId> = self.messages.audiences().flat_map(Audience::named).filter(|p| *p != NOBODY).collect();
        special.sort_unstable();
        special.dedup();
        self.messages.shrink();
        let chunk = Chunk {
            number,
            bytes: self.out[..].into(),
            messages: self.messages,
            special: special.into(),
            updates: self.updates.unwrap_or(exceptions) as u32,
            exceptions: exceptions as u32,
        };
        let (messages, octets) = self.copied;
        let encoded = (chunk.messages.len() - messages, chunk.bytes.len() - octets);
        Finished { chunk, keys: self.keys, encoded }
    }
}
