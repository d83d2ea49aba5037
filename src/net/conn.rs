//! One TCP connection of a peer: what waits to be written, and writing it without ever splitting a message.

use crate::session::ConnId;
use bytes::Bytes;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// What a connection writes to.
pub trait Stream {
    /// Takes what fits.
    ///
    /// # Errors
    /// `WouldBlock` when it is full; anything else says that it is broken.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// As [`Self::try_write`], from several pieces.
    ///
    /// # Errors
    /// As [`Self::try_write`].
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
}

impl Stream for TcpStream {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        Self::try_write(self, bytes)
    }

    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Self::try_write_vectored(self, slices)
    }
}

/// An open connection and its control messages (OPEN, KEEPALIVE, NOTIFICATION, ROUTE-REFRESH, End-of-RIB), which go out between
/// UPDATEs.
pub struct Conn<S = TcpStream> {
    pub id: ConnId,
    pub stream: Rc<S>,
    control: VecDeque<Bytes>,
    /// Bytes of the first control message that are written already.
    written: usize,
    /// Octets written since somebody asked.
    sent: u64,
    /// What the machine has still to hear: when a message was completed last, and how many UPDATEs were.
    unheard: Option<(Instant, u64)>,
    /// The socket took less than it was given; nothing more until it is writable.
    pub blocked: bool,
}

impl<S: Stream> Conn<S> {
    pub fn new(id: ConnId, stream: S) -> Self {
        Self { id, stream: Rc::new(stream), control: VecDeque::new(), written: 0, sent: 0, unheard: None, blocked: false }
    }

    pub fn push(&mut self, message: Bytes) {
        self.control.push_back(message);
    }

    /// Before all others: the rest of something that is half written.
    pub fn push_first(&mut self, message: Bytes) {
        debug_assert_eq!(self.written, 0, "control messages are not begun inside an UPDATE");
        self.control.push_front(message);
    }

    pub fn has_control(&self) -> bool {
        !self.control.is_empty()
    }

    pub fn control_messages(&self) -> usize {
        self.control.len()
    }

    pub fn control_bytes(&self) -> usize {
        self.control.iter().map(Bytes::len).sum::<usize>() - self.written
    }

    /// Writes control messages until there are none or the socket is full. Returns how many were completed.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn write_control(&mut self) -> io::Result<usize> {
        let mut completed = 0;
        while let Some(first) = self.control.front() {
            let rest = &first[self.written..];
            match self.stream.try_write(rest) {
                Ok(n) if n == rest.len() => {
                    self.sent += n as u64;
                    self.written = 0;
                    self.control.pop_front();
                    completed += 1;
                }
                Ok(n) => {
                    self.sent += n as u64;
                    self.written += n;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    break;
                }
                Err(e) => return Err(e),
            }
        }
        Ok(completed)
    }

    /// What is left of the control messages.
    pub fn rest(&self) -> impl Iterator<Item = &[u8]> {
        let skip = |(i, message): (usize, _)| &Bytes::as_ref(message)[if i == 0 { self.written } else { 0 }..];
        self.control.iter().enumerate().map(skip)
    }

    /// Writes from `slices`; `Ok(0)` says that the socket is full.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let result = match slices {
            [one] => self.stream.try_write(one),
            more => self.stream.try_write_vectored(more),
        };
        match result {
            Ok(n) => {
                self.sent += n as u64;
                Ok(n)
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                self.blocked = true;
                Ok(0)
            }
            Err(e) => Err(e),
        }
    }

    /// Messages were completed, `updates` UPDATEs among them.
    pub fn note_written(&mut self, updates: u64, now: Instant) {
        let before = self.unheard.map_or(0, |(_, updates)| updates);
        self.unheard = Some((now, before + updates));
    }

    /// What was noted since the last call.
    pub fn take_written(&mut self) -> Option<(Instant, u64)> {
        self.unheard.take()
    }

    /// Octets written since the last call.
    pub fn take_sent(&mut self) -> u64 {
        std::mem::take(&mut self.sent)
    }
}

impl Conn {
    /// Ends the connection after its last control messages: writes them, closes the sending side and waits for the peer's end,
    /// since a reset would destroy the NOTIFICATION on its way (RFC 4271 6 leaves the method open). Bounded by a second.
    pub async fn finish(self) {
        let messages: Vec<u8> = self.rest().flatten().copied().collect();
        let Ok(mut stream) = Rc::try_unwrap(self.stream) else { return };
        let last = async {
            stream.write_all(&messages).await?;
            stream.shutdown().await?;
            // What still comes in is of no interest, and a peer that floods must not keep us here.
            let mut sink = [0; 4096];
            for _ in 0..MAX_LAST_READS {
                stream.readable().await?;
                match stream.try_read(&mut sink) {
                    Ok(0) => break,
                    Err(e) if e.kind() != io::ErrorKind::WouldBlock => return Err(e),
                    _ => {}
                }
            }
            Ok::<(), io::Error>(())
        };
        let _ = tokio::time::timeout(LINGER, last).await;
    }

    /// Ends the connection at once with a TCP reset; what is queued is lost.
    pub fn reset(self) {
        let _ = socket2::SockRef::from(&*self.stream).set_linger(Some(Duration::ZERO));
    }
}

const LINGER: Duration = Duration::from_secs(1);
const MAX_LAST_READS: usize = 64;
