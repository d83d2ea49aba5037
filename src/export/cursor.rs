//! How far one member has read the journal of its group: a few words, nothing per route.

use super::journal::{Chunk, View};
use crate::rib::PeerId;
use smallvec::SmallVec;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What a member does next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Poll {
    /// Messages are at hand: [`Cursor::slices`], then [`Cursor::advance`].
    Data,
    /// Send End-of-RIB (RFC 4724 2) before anything else.
    EndOfRib,
    /// Send BoRR (RFC 7313 4.1) before anything else.
    BeginRefresh,
    /// Send EoRR (RFC 7313 4.1) before anything else.
    EndRefresh,
    /// Have the RIB task call [`Group::refresh`](super::Group::refresh): the table is sent again once that has happened.
    AskClean,
    /// Nothing until the journal grows.
    Idle,
}

/// Pieces of a vectored write.
pub type Slices<'a> = SmallVec<[IoSlice<'a>; 32]>;

/// A member of a group: where it reads its journal.
///
/// Of `poll`, `slices` and `advance` no other call may come between on the same view.
#[derive(Debug)]
pub struct Cursor {
    peer: PeerId,
    /// Chunks below have been read.
    next: u64,
    /// The member holds no route that a chunk below withdraws.
    floor: u64,
    /// End-of-RIB is due when `next` is here, and the group is complete.
    eor_at: Option<u64>,
    /// A chunk of which a part is written, and the offset of the rest.
    in_flight: Option<(Arc<Chunk>, u32)>,
    refresh: Refresh,
    /// A refresh waits for its turn; whether with BoRR and EoRR.
    wanted: Option<bool>,
    /// Ends after the message that was begun.
    retired: bool,
    /// Set when a shard has taken it over.
    pub(super) attached: Arc<AtomicBool>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Refresh {
    None,
    /// Reads nothing until the group has been cleaned more often than this.
    Frozen {
        cleans: u64,
        enhanced: bool,
    },
    /// Reads the journal again; done at `end`.
    Running {
        end: u64,
        enhanced: bool,
    },
}

impl Cursor {
    pub(super) fn new(peer: PeerId, tail: u64, attached: Arc<AtomicBool>) -> Self {
        Self {
            peer,
            next: 0,
            floor: tail,
            eor_at: Some(tail),
            in_flight: None,
            refresh: Refresh::None,
            wanted: None,
            retired: false,
            attached,
        }
    }

    /// What to do now. Cheap when nothing is: two atomic loads.
    pub fn poll(&mut self, view: &mut View) -> Poll {
        loop {
            if let Some((chunk, at)) = &self.in_flight {
                if !(self.stops_at_boundary() && chunk.is_boundary(*at)) {
                    return Poll::Data;
                }
                // An unfinished chunk counts as unread.
                self.in_flight = None;
            }
            if self.retired {
                return Poll::Idle;
            }
            if let Some(marker) = self.poll_marker(view) {
                return marker;
            }
            let journal = view.journal();
            if self.next >= journal.tail() {
                return Poll::Idle;
            }
            view.load(self.next);
            let (run, end) = view.run(self.next);
            match run.first() {
                Some(chunk) if chunk.number > self.next => self.next = chunk.number,
                Some(chunk) if chunk.span(self.peer, self.floor, 0).is_some() => {
                    if self.next < self.barrier(view) {
                        return Poll::Data;
                    }
                }
                Some(chunk) => self.next = chunk.number + 1,
                None => self.next = end,
            }
        }
    }

    /// What comes between messages: markers, and the states of a refresh.
    fn poll_marker(&mut self, view: &View) -> Option<Poll> {
        let journal = view.journal();
        if self.eor_at.is_some_and(|at| self.next >= at.max(journal.complete_at())) {
            self.eor_at = None;
            return Some(Poll::EndOfRib);
        }
        match self.refresh {
            Refresh::Frozen { cleans, enhanced } => {
                if journal.cleans() <= cleans {
                    return Some(Poll::Idle);
                }
                self.next = 0;
                self.refresh = Refresh::Running { end: journal.tail(), enhanced };
                return enhanced.then_some(Poll::BeginRefresh);
            }
            Refresh::Running { end, enhanced } if self.next >= end.max(journal.complete_at()) => {
                self.refresh = Refresh::None;
                if enhanced {
                    return Some(Poll::EndRefresh);
                }
            }
            Refresh::Running { .. } | Refresh::None => {}
        }
        if self.refresh_is_due() {
            let enhanced = self.wanted.take()?;
            // What was read so far may be held; what comes again from below withdraws nothing.
            self.floor = self.floor.max(self.next);
            self.refresh = Refresh::Frozen { cleans: journal.cleans(), enhanced };
            return Some(Poll::AskClean);
        }
        None
    }

    /// One refresh at a time, and none before End-of-RIB (RFC 7313 4.1).
    fn refresh_is_due(&self) -> bool {
        self.wanted.is_some() && self.refresh == Refresh::None && self.eor_at.is_none()
    }

    fn stops_at_boundary(&self) -> bool {
        self.retired || self.refresh_is_due()
    }

    /// Chunks from this number on come after a marker that is not sent yet.
    fn barrier(&self, view: &View) -> u64 {
        let complete = view.journal().complete_at();
        let eor = self.eor_at.map_or(u64::MAX, |at| at.max(complete));
        match self.refresh {
            Refresh::Running { end, .. } => eor.min(end.max(complete)),
            Refresh::None | Refresh::Frozen { .. } => eor,
        }
    }

    /// Adds to `out` what [`poll`](Self::poll) has at hand, up to about `limit` octets (one piece at least). A member that no
    /// message treats specially gets one piece a chunk.
    pub fn slices<'a>(&'a self, view: &'a View, out: &mut Slices<'a>, limit: usize) {
        let mut left = limit;
        let mut next = self.next;
        if let Some((chunk, at)) = &self.in_flight {
            if self.stops_at_boundary() {
                return self.rest_of_message(out);
            }
            if !self.take(chunk, *at, out, &mut left) {
                return;
            }
            next = chunk.number + 1;
        }
        let barrier = self.barrier(view);
        for chunk in view.run(next).0 {
            if chunk.number >= barrier || !self.take(chunk, 0, out, &mut left) {
                return;
            }
        }
    }

    /// Adds what is left of the message that was begun; nothing at a boundary. For [`advance`](Self::advance), when a control
    /// message waits.
    pub fn rest_of_message<'a>(&'a self, out: &mut Slices<'a>) {
        if let Some((chunk, at)) = &self.in_flight
            && !chunk.is_boundary(*at)
        {
            out.push(IoSlice::new(&chunk.bytes[*at as usize..chunk.message_end(*at) as usize]));
        }
    }

    /// Adds what is left of a chunk; false when there is no room for more.
    fn take<'a>(&self, chunk: &'a Chunk, mut at: u32, out: &mut Slices<'a>, left: &mut usize) -> bool {
        while let Some(span) = chunk.span(self.peer, self.floor, at) {
            if *left == 0 || out.len() == out.inline_size() {
                return false;
            }
            let end = span.end.min(span.start + *left);
            out.push(IoSlice::new(&chunk.bytes[span.start..end]));
            *left -= end - span.start;
            at = end as u32;
        }
        true
    }

    /// `n` octets of what [`slices`](Self::slices) gave are written. Returns how many messages they completed.
    pub fn advance(&mut self, view: &View, mut n: usize) -> usize {
        let mut messages = 0;
        while n > 0 {
            let (chunk, mut at) = match self.in_flight.take() {
                Some(part) => part,
                None => {
                    let first = view.run(self.next).0.first();
                    (first.expect("no more is written than slices gave").clone(), 0)
                }
            };
            self.next = chunk.number;
            while let Some(span) = chunk.span(self.peer, self.floor, at) {
                if n == 0 {
                    self.in_flight = Some((chunk, at));
                    return messages;
                }
                let end = span.end.min(span.start + n);
                n -= end - span.start;
                messages += chunk.messages(span.start, end);
                at = end as u32;
            }
            self.next = chunk.number + 1;
        }
        messages
    }

    /// Whether the last message that was begun is complete, so that a control message may follow.
    pub fn at_boundary(&self) -> bool {
        self.in_flight.as_ref().is_none_or(|(chunk, at)| chunk.is_boundary(*at))
    }

    /// The peer asks for the table again (RFC 2918), `enhanced` if RFC 7313 was negotiated. Any number of requests while one is
    /// served make one more.
    pub fn request_refresh(&mut self, enhanced: bool) {
        self.wanted = Some(enhanced);
    }

    /// The member leaves the group while its session stays: only the message that was begun is still to be written.
    pub fn retire(&mut self) {
        self.retired = true;
    }

    /// Goes on where the retired cursor of another group ended: End-of-RIB and markers that the peer has seen are not sent again,
    /// those that it waits for are. To be called before this cursor is polled.
    pub fn follow(&mut self, old: &Self) {
        if old.eor_at.is_none() {
            self.eor_at = None;
        }
        self.wanted = old.wanted;
        match old.refresh {
            Refresh::Running { enhanced, .. } => self.refresh = Refresh::Running { end: self.floor, enhanced },
            Refresh::Frozen { enhanced, .. } => self.wanted = Some(enhanced),
            Refresh::None => {}
        }
    }

    /// Chunks from this number on may hold a withdraw that the member needs. It never falls.
    pub fn need(&self) -> u64 {
        self.next.max(self.floor)
    }

    /// Whether End-of-RIB has been due, that is, the first table is sent.
    pub fn is_past_end_of_rib(&self) -> bool {
        self.eor_at.is_none()
    }

    pub fn peer(&self) -> PeerId {
        self.peer
    }
}
