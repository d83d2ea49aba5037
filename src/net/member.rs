//! A peer's place in an update group: a cursor over the group's journal, and writing from it.

use super::conn::{Conn, Stream};
use crate::export::{Cursor, Journal, Poll, Slices, View};
use crate::wire::{Family, RefreshKind, RouteRefresh, end_of_rib};
use bytes::{Bytes, BytesMut};
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;

/// What the members of one group in one shard share.
pub struct GroupView {
    pub view: RefCell<View>,
    /// The lowest need seen in the pass that is under way.
    least: Cell<u64>,
}

impl GroupView {
    pub fn new(view: View) -> Self {
        Self { view: RefCell::new(view), least: Cell::new(u64::MAX) }
    }

    /// Starts to count the needs of its members anew.
    pub fn begin_count(&self) {
        self.least.set(u64::MAX);
    }

    /// Tells the group the lowest need of all members counted.
    pub fn publish(&self) {
        self.view.borrow().publish([self.least.get()]);
    }
}

/// One family of one established session, joined to its group.
pub struct Member {
    family: Family,
    group: Rc<GroupView>,
    cursor: Cursor,
    /// RFC 7313 was negotiated: a refresh goes out between BoRR and EoRR.
    enhanced: bool,
}

impl Member {
    pub fn new(family: Family, group: Rc<GroupView>, cursor: Cursor, enhanced: bool) -> Self {
        group.view.borrow().attach(&cursor);
        Self { family, group, cursor, enhanced }
    }

    pub fn eor_sent(&self) -> bool {
        self.cursor.is_past_end_of_rib()
    }

    /// The peer wants the table again (RFC 2918).
    pub fn refresh(&mut self) {
        self.cursor.request_refresh(self.enhanced);
    }

    /// Writes no more than the end of the message that was begun; its need still counts.
    pub fn retire(&mut self) {
        self.cursor.retire();
    }

    /// Goes on for a member of another group, which has retired: first the rest of the message that it began, then its `farewell`.
    pub fn succeed(&mut self, old: Option<&Self>, farewell: Vec<Bytes>, conn: &mut Conn<impl Stream>) {
        if let Some(old) = old {
            self.cursor.follow(&old.cursor);
            old.unfinished().into_iter().for_each(|rest| conn.push_first(rest));
        }
        farewell.into_iter().for_each(|message| conn.push(message));
    }

    /// The rest of a message that is half written.
    pub fn unfinished(&self) -> Option<Bytes> {
        let mut slices = Slices::new();
        self.cursor.rest_of_message(&mut slices);
        slices.first().map(|rest| Bytes::copy_from_slice(rest))
    }

    /// Whether it reads `journal` and needs something at or below `need`.
    pub fn lags(&self, journal: &Arc<Journal>, need: u64) -> bool {
        Arc::ptr_eq(self.group.view.borrow().journal(), journal) && self.cursor.need() <= need
    }

    pub fn count_need(&self) {
        self.group.least.set(self.group.least.get().min(self.cursor.need()));
    }

    /// Writes from the journal once, or queues the marker that is due.
    fn step(&mut self, conn: &mut Conn<impl Stream>, progress: &mut Progress) -> io::Result<Step> {
        let mut view = self.group.view.borrow_mut();
        match self.cursor.poll(&mut view) {
            Poll::Data => {}
            Poll::EndOfRib => {
                conn.push(end_of_rib(self.family));
                return Ok(Step::Queued);
            }
            Poll::BeginRefresh => {
                conn.push(self.marker(RefreshKind::Begin));
                return Ok(Step::Queued);
            }
            Poll::EndRefresh => {
                conn.push(self.marker(RefreshKind::End));
                return Ok(Step::Queued);
            }
            Poll::AskClean => {
                progress.ask_clean[self.family.index()] = true;
                return Ok(Step::Queued);
            }
            Poll::Idle => return Ok(Step::Idle),
        }
        let mut slices = Slices::new();
        if conn.has_control() {
            // A control message waits for the end of the message that is half written.
            self.cursor.rest_of_message(&mut slices);
        } else {
            self.cursor.slices(&view, &mut slices, WRITE);
        }
        let written = conn.write(&slices)?;
        drop(slices);
        let messages = self.cursor.advance(&view, written);
        progress.bytes += written;
        progress.updates += messages as u64;
        progress.messages += messages;
        Ok(Step::Wrote)
    }

    fn marker(&self, kind: RefreshKind) -> Bytes {
        let mut out = BytesMut::new();
        RouteRefresh { family: self.family.afi_safi(), kind }.encode(&mut out);
        out.freeze()
    }
}

enum Step {
    Idle,
    Queued,
    Wrote,
}

/// What one pass of writing did.
#[derive(Debug, Default)]
pub struct Progress {
    pub bytes: usize,
    /// Messages that were completed, UPDATEs among them.
    pub messages: usize,
    pub updates: u64,
    /// The budget ended before the work did.
    pub more: bool,
    /// Families whose group must be cleaned before a refresh can be answered.
    pub ask_clean: [bool; 2],
}

/// Writes control messages between UPDATEs, and UPDATEs of every family, until nothing is left, the socket is full or `budget` bytes
/// are written.
///
/// # Errors
/// The connection is broken.
pub fn write(conn: &mut Conn<impl Stream>, members: &mut [Option<Member>], budget: usize, progress: &mut Progress) -> io::Result<()> {
    let mut turn = 0;
    let mut idle = 0;
    while !conn.blocked {
        let inside = members.iter().position(|m| m.as_ref().is_some_and(|m| !m.cursor.at_boundary()));
        if inside.is_none() && conn.has_control() {
            progress.messages += conn.write_control()?;
            continue;
        }
        if progress.bytes >= budget {
            progress.more = true;
            break;
        }
        if idle >= members.len() {
            break;
        }
        let at = inside.unwrap_or(turn % members.len());
        turn += 1;
        let step = match &mut members[at] {
            Some(member) => member.step(conn, progress)?,
            None => Step::Idle,
        };
        idle = if matches!(step, Step::Idle) { idle + 1 } else { 0 };
    }
    Ok(())
}

/// Bytes handed to the kernel at once.
const WRITE: usize = 128 * 1024;
