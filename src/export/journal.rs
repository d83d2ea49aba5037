//! The journal of a group as its readers see it: encoded chunks, shared between the RIB thread, which writes, and the shards.

use super::cursor::Cursor;
use super::route::NOBODY;
use crate::rib::PeerId;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Messages that were encoded together: withdraws, then updates, then withdraws for single peers. Immutable.
#[derive(Debug)]
pub struct Chunk {
    pub(super) number: u64,
    pub(super) bytes: Box<[u8]>,
    pub(super) messages: Messages,
    /// Peers that do not get the plain middle of the chunk, sorted.
    pub(super) special: Box<[PeerId]>,
    /// Where the updates begin.
    pub(super) updates: u32,
    /// Where the withdraws for single peers begin.
    pub(super) exceptions: u32,
}

/// Where the messages of a chunk end, and whom they are for. Messages side by side often have the same audience, so that is
/// kept by runs: 6 octets a message.
#[derive(Debug, Default)]
pub(super) struct Messages {
    ends: Vec<u32>,
    /// How many NLRI each has.
    counts: Vec<u16>,
    /// The first message of each run.
    runs: Vec<(u32, Audience)>,
}

impl Messages {
    /// Appends a message; `end` is the offset of its end.
    pub fn push(&mut self, end: u32, count: usize, audience: Audience) {
        if self.runs.last().is_none_or(|(_, last)| *last != audience) {
            self.runs.push((self.ends.len() as u32, audience));
        }
        self.ends.push(end);
        self.counts.push(u16::try_from(count).expect("a message is shorter than 2^16 octets"));
    }

    /// Takes the last message away: how many NLRI it has, and whom it is for.
    pub fn pop(&mut self) -> Option<(usize, Audience)> {
        self.ends.pop()?;
        let count = self.counts.pop()?;
        let (first, audience) = *self.runs.last()?;
        if first as usize == self.ends.len() {
            self.runs.pop();
        }
        Some((count.into(), audience))
    }

    pub fn shrink(&mut self) {
        self.ends.shrink_to_fit();
        self.counts.shrink_to_fit();
        self.runs.shrink_to_fit();
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub fn audiences(&self) -> impl Iterator<Item = Audience> {
        self.runs.iter().map(|(_, audience)| *audience)
    }

    /// The first message that ends after `offset`.
    fn after(&self, offset: u32) -> usize {
        self.ends.partition_point(|end| *end <= offset)
    }

    fn start(&self, index: usize) -> u32 {
        index.checked_sub(1).map_or(0, |before| self.ends[before])
    }

    /// End and audience of the messages from number `first`.
    fn from(&self, first: usize) -> impl Iterator<Item = (u32, Audience)> {
        let mut run = self.runs.partition_point(|(start, _)| *start as usize <= first).saturating_sub(1);
        self.ends.iter().enumerate().skip(first).map(move |(index, end)| {
            if self.runs.get(run + 1).is_some_and(|(start, _)| *start as usize <= index) {
                run += 1;
            }
            (*end, self.runs[run].1)
        })
    }
}

/// Whom a message is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Audience {
    All,
    AllBut(PeerId, PeerId),
    Only(PeerId),
}

impl Audience {
    fn includes(self, peer: PeerId) -> bool {
        match self {
            Self::All => true,
            Self::AllBut(a, b) => peer != a && peer != b,
            Self::Only(p) => peer == p,
        }
    }

    /// The peers that it names.
    pub fn named(self) -> [PeerId; 2] {
        match self {
            Self::All => [NOBODY; 2],
            Self::AllBut(a, b) => [a, b],
            Self::Only(p) => [p, NOBODY],
        }
    }
}

/// A message for many, as it stands in a chunk.
pub(super) struct Frame<'a> {
    pub bytes: &'a [u8],
    pub audience: Audience,
    pub is_update: bool,
    /// How many NLRI it has.
    pub count: usize,
}

impl Chunk {
    /// All messages but the withdraws for single peers.
    pub(super) fn frames(&self) -> impl Iterator<Item = Frame<'_>> {
        let mut start = 0;
        let plain = self.messages.from(0).zip(&self.messages.counts).take_while(|((end, _), _)| *end <= self.exceptions);
        plain.map(move |((end, audience), count)| {
            let bytes = &self.bytes[start as usize..end as usize];
            let is_update = start >= self.updates;
            start = end;
            Frame { bytes, audience, is_update, count: (*count).into() }
        })
    }

    /// The next octets for `peer` at or after `from`, in one piece. A peer whose `floor` is above the chunk gets no withdraws.
    pub(super) fn span(&self, peer: PeerId, floor: u64, from: u32) -> Option<Range<usize>> {
        if self.special.binary_search(&peer).is_ok() {
            return self.special_span(peer, floor, from);
        }
        let start = if self.number < floor { self.updates } else { 0 }.max(from);
        (start < self.exceptions).then_some(start as usize..self.exceptions as usize)
    }

    fn special_span(&self, peer: PeerId, floor: u64, from: u32) -> Option<Range<usize>> {
        let first = self.messages.after(from);
        let mut start = self.messages.start(first);
        let mut span: Option<Range<usize>> = None;
        for (end, audience) in self.messages.from(first) {
            let is_update = start >= self.updates && start < self.exceptions;
            if audience.includes(peer) && (is_update || self.number >= floor) {
                span.get_or_insert(start.max(from) as usize..0).end = end as usize;
            } else if span.is_some() {
                break;
            }
            start = end;
        }
        span
    }

    /// Whether a message ends at `offset`.
    pub(super) fn is_boundary(&self, offset: u32) -> bool {
        offset == 0 || self.messages.ends.binary_search(&offset).is_ok()
    }

    /// The end of the message that `offset` is in.
    pub(super) fn message_end(&self, offset: u32) -> u32 {
        self.messages.ends.get(self.messages.after(offset)).copied().unwrap_or(offset)
    }

    /// How many messages end after `from` and not after `to`.
    pub(super) fn messages(&self, from: usize, to: usize) -> usize {
        let ended = |offset: usize| self.messages.ends.partition_point(|end| *end as usize <= offset);
        ended(to) - ended(from)
    }
}

/// The shared side of a group: its chunks by number, and how far its readers are.
#[derive(Debug)]
pub struct Journal {
    chunks: Mutex<BTreeMap<u64, Arc<Chunk>>>,
    tail: AtomicU64,
    /// Raised when a chunk goes or is replaced.
    version: AtomicU64,
    /// The tail when everything that the group has to say was published, or became newer chunks; `u64::MAX` before.
    complete_at: AtomicU64,
    /// How often all chunks were freed of dead entries.
    cleans: AtomicU64,
    shards: Box<[ShardNeed]>,
}

/// What a shard tells the writer; a line of its own, because each shard writes its own often.
#[derive(Debug)]
#[repr(align(64))]
struct ShardNeed {
    /// The lowest `need` of the shard's members.
    need: AtomicU64,
}

impl Journal {
    pub(super) fn new(tail: u64, shards: usize) -> Self {
        let shard = |_| ShardNeed { need: AtomicU64::new(u64::MAX) };
        Self {
            chunks: Mutex::default(),
            tail: AtomicU64::new(tail),
            version: AtomicU64::new(0),
            complete_at: AtomicU64::new(u64::MAX),
            cleans: AtomicU64::new(0),
            shards: (0..shards).map(shard).collect(),
        }
    }

    /// The number that the next chunk will have.
    pub fn tail(&self) -> u64 {
        self.tail.load(Ordering::Acquire)
    }

    /// The tail when the full table of the group was published, or chunks of it became newer ones, last; `u64::MAX` before.
    pub fn complete_at(&self) -> u64 {
        self.complete_at.load(Ordering::Acquire)
    }

    pub(super) fn cleans(&self) -> u64 {
        self.cleans.load(Ordering::Acquire)
    }

    pub(super) fn set_cleaned(&self) {
        self.cleans.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn set_complete(&self, at: u64) {
        self.complete_at.store(at, Ordering::Release);
    }

    /// Routes of a complete table are in the chunk of that number now.
    pub(super) fn complete_after(&self, number: u64) {
        let later = |at: u64| (at <= number).then_some(number + 1);
        // What is not complete yet will be later anyway.
        let _ = self.complete_at.fetch_update(Ordering::AcqRel, Ordering::Acquire, later);
    }

    pub(super) fn published_need(&self, shard: usize) -> u64 {
        self.shards[shard].need.load(Ordering::Acquire)
    }

    pub(super) fn chunk(&self, number: u64) -> Option<Arc<Chunk>> {
        self.lock().get(&number).cloned()
    }

    /// Removes and replaces chunks, then appends new ones, all seen at once.
    pub(super) fn apply(&self, removed: &[u64], replaced: Vec<Chunk>, new: Vec<Chunk>) {
        let mut chunks = self.lock();
        if !removed.is_empty() || !replaced.is_empty() {
            self.version.fetch_add(1, Ordering::AcqRel);
        }
        for number in removed {
            chunks.remove(number);
        }
        let tail = new.last().map(|c| c.number + 1);
        for chunk in replaced.into_iter().chain(new) {
            chunks.insert(chunk.number, Arc::new(chunk));
        }
        if let Some(tail) = tail {
            self.tail.store(tail, Ordering::Release);
        }
    }

    /// A panic of another thread leaves the map whole: each change of it is one call.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Chunk>>> {
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A shard's view of a journal: a few runs of chunks, fetched together for all its members. Pins at most 2 x 16 chunks.
#[derive(Debug)]
pub struct View {
    journal: Arc<Journal>,
    shard: usize,
    version: u64,
    windows: [Window; 2],
    /// Which window was used last; the other one is given up when a third run is asked for.
    recent: usize,
}

/// All chunks with numbers in a range.
#[derive(Debug, Default)]
struct Window {
    numbers: Range<u64>,
    chunks: Vec<Arc<Chunk>>,
}

/// Chunks fetched at once: 512 KiB when they are full, so that a fetch is nothing beside writing them.
const WINDOW: usize = 16;

impl View {
    /// The view of shard number `shard`.
    pub fn new(journal: Arc<Journal>, shard: usize) -> Self {
        Self { journal, shard, version: 0, windows: Default::default(), recent: 0 }
    }

    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// Takes over a cursor that the group made for a member in this shard. From now on [`publish`](Self::publish) must count it.
    pub fn attach(&self, cursor: &Cursor) {
        self.journal.shards[self.shard].need.fetch_min(cursor.need(), Ordering::AcqRel);
        // Only now may what the shard publishes stand for this member.
        cursor.attached.store(true, Ordering::Release);
    }

    /// Tells the group how far the members of this shard are: the [`need`](Cursor::need) of all attached cursors at this moment,
    /// those included that were attached during a pass over the others: who is left out loses withdraws. To be called after a
    /// pass, also with no members.
    pub fn publish(&self, needs: impl IntoIterator<Item = u64>) {
        let least = needs.into_iter().min().unwrap_or(u64::MAX);
        self.journal.shards[self.shard].need.store(least, Ordering::Release);
    }

    /// Lets go of all chunks, for times of rest.
    pub fn release(&mut self) {
        self.windows = Default::default();
    }

    /// Makes sure that the first chunk at or after `next` is at hand, if there is one. One atomic load when it is.
    pub(super) fn load(&mut self, next: u64) {
        let version = self.journal.version.load(Ordering::Acquire);
        if version != self.version {
            self.version = version;
            self.windows = Default::default();
        }
        if let Some(at) = self.windows.iter().position(|w| w.numbers.contains(&next)) {
            self.recent = at;
            return;
        }
        self.recent ^= 1;
        let window = &mut self.windows[self.recent];
        window.chunks.clear();
        let chunks = self.journal.lock();
        window.chunks.extend(chunks.range(next..).take(WINDOW).map(|(_, chunk)| chunk.clone()));
        let end = match window.chunks.last() {
            Some(last) if window.chunks.len() == WINDOW => last.number + 1,
            _ => self.journal.tail(),
        };
        window.numbers = next..end.max(next);
    }

    /// Chunks at hand from the first one at or after `next`, and the number up to which no other exists.
    pub(super) fn run(&self, next: u64) -> (&[Arc<Chunk>], u64) {
        match self.windows.iter().find(|w| w.numbers.contains(&next)) {
            Some(window) => (&window.chunks[window.chunks.partition_point(|c| c.number < next)..], window.numbers.end),
            None => (&[], next),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_reads_one_piece_unless_the_chunk_names_it() {
        let mut messages = Messages::default();
        messages.push(10, 1, Audience::All);
        messages.push(20, 1, Audience::AllBut(PeerId(1), NOBODY));
        messages.push(30, 1, Audience::AllBut(PeerId(2), NOBODY));
        messages.push(40, 1, Audience::All);
        messages.push(50, 1, Audience::Only(PeerId(1)));
        messages.push(60, 1, Audience::Only(PeerId(1)));
        assert_eq!(messages.pop(), Some((1, Audience::Only(PeerId(1)))));
        assert_eq!(messages.audiences().count(), 5);
        let special = [PeerId(1), PeerId(2)].into();
        let chunk = Chunk { number: 5, bytes: [0; 50].into(), messages, special, updates: 20, exceptions: 40 };
        let pieces = |peer: u32, floor: u64| {
            let mut at = 0;
            let mut found = Vec::new();
            while let Some(span) = chunk.span(PeerId(peer), floor, at) {
                at = span.end as u32;
                found.push((span.start, span.end));
            }
            found
        };
        assert_eq!(pieces(9, 0), [(0, 40)]);
        assert_eq!(pieces(9, 6), [(20, 40)]);
        assert_eq!(pieces(1, 0), [(0, 10), (20, 50)]);
        assert_eq!(pieces(1, 6), [(20, 40)]);
        assert_eq!(pieces(2, 0), [(0, 20), (30, 40)]);
        assert_eq!(chunk.span(PeerId(2), 0, 33), Some(33..40));
        assert!(chunk.is_boundary(20) && !chunk.is_boundary(21));
        assert_eq!((chunk.message_end(21), chunk.messages(5, 30), chunk.messages(10, 29)), (30, 3, 1));
    }
}
