//! One direction of a TCP connection: a bounded buffer that delivers late, in pieces of any size, or never.

use kubgp::net::Stream;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::rc::Rc;

/// Bytes on their way from one end to the other.
#[derive(Debug)]
pub struct Pipe {
    bytes: RefCell<VecDeque<u8>>,
    /// How much fits: the buffers of both kernels.
    capacity: usize,
    /// What follows the last byte.
    end: Cell<Option<End>>,
    /// What is written goes nowhere: the reader is gone, or the connection was reset.
    drained: Cell<bool>,
}

/// How a direction ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// After everything that was written.
    Fin,
    /// At once.
    Reset,
}

impl Pipe {
    pub fn new(capacity: usize) -> Rc<Self> {
        Rc::new(Self { bytes: RefCell::default(), capacity, end: Cell::new(None), drained: Cell::new(false) })
    }

    /// Writes beyond the capacity, for the last message of a connection that ends.
    pub fn append(&self, bytes: &[u8]) {
        if !self.drained.get() {
            self.bytes.borrow_mut().extend(bytes);
        }
    }

    pub fn finish(&self, end: End) {
        // After a reset nothing arrives, and the writer may not know yet.
        if end == End::Reset {
            self.drain();
        }
        if self.end.get() != Some(End::Reset) {
            self.end.set(Some(end));
        }
    }

    /// Nobody reads any more.
    pub fn drain(&self) {
        self.bytes.borrow_mut().clear();
        self.drained.set(true);
    }

    pub fn take(&self, most: usize) -> Vec<u8> {
        let mut bytes = self.bytes.borrow_mut();
        let n = most.min(bytes.len());
        bytes.drain(..n).collect()
    }

    /// The end, once everything before it has been taken.
    pub fn ended(&self) -> Option<End> {
        self.end.get().filter(|_| self.is_empty())
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.borrow().is_empty()
    }
}

/// The writing end of a pipe.
#[derive(Debug)]
pub struct Writer(pub Rc<Pipe>);

impl Stream for Writer {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.drained.get() {
            return Ok(bytes.len());
        }
        let mut buffer = self.0.bytes.borrow_mut();
        let n = bytes.len().min(self.0.capacity.saturating_sub(buffer.len()));
        if n == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        buffer.extend(&bytes[..n]);
        Ok(n)
    }

    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut written = 0;
        for slice in slices {
            match self.try_write(slice) {
                Ok(n) => written += n,
                Err(e) if written == 0 => return Err(e),
                Err(_) => break,
            }
        }
        Ok(written)
    }
}
