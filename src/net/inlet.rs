//! The way of what peers say into the RIB: bounded in messages, and in prefixes, since one message of a full table is as large as a
//! thousand of small peers.

use super::message::FromShard;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{Semaphore, TryAcquireError};

/// The shards' end.
#[derive(Clone, Debug)]
pub struct Inlet {
    sender: mpsc::Sender<FromShard>,
    room: Arc<Semaphore>,
}

/// The RIB's end.
#[derive(Debug)]
pub struct Outlet {
    receiver: mpsc::Receiver<FromShard>,
    room: Arc<Semaphore>,
}

/// Leave to send one message.
pub struct Admission<'a> {
    permit: mpsc::Permit<'a, FromShard>,
}

/// Both ends.
pub fn inlet() -> (Inlet, Outlet) {
    let (sender, receiver) = mpsc::channel(MESSAGES);
    let room = Arc::new(Semaphore::new(PREFIXES as usize));
    (Inlet { sender, room: Arc::clone(&room) }, Outlet { receiver, room })
}

impl Inlet {
    /// Waits until there is room for a message about `weight` prefixes. `None` when the RIB is gone.
    pub async fn admit(&self, weight: u32) -> Option<Admission<'_>> {
        let permit = self.sender.reserve().await.ok()?;
        // Forgotten: the RIB gives it back when it takes the message.
        match self.room.try_acquire_many(weight.min(PREFIXES)) {
            Ok(room) => room.forget(),
            Err(TryAcquireError::NoPermits) => self.room.acquire_many(weight.min(PREFIXES)).await.ok()?.forget(),
            Err(TryAcquireError::Closed) => return None,
        }
        Some(Admission { permit })
    }

    /// Sends a message that is about no prefixes. False when the RIB is gone.
    pub async fn send(&self, message: FromShard) -> bool {
        self.sender.send(message).await.is_ok()
    }
}

impl Admission<'_> {
    /// The message that was asked for: it must have the weight that was.
    pub fn send(self, message: FromShard) {
        self.permit.send(message);
    }
}

impl Outlet {
    /// Waits for messages and takes up to `most`; 0 when all shards are gone.
    pub async fn recv_many(&mut self, into: &mut Vec<FromShard>, most: usize) -> usize {
        let n = self.receiver.recv_many(into, most).await;
        self.release(into.iter().rev().take(n));
        n
    }

    /// One more message, if one is there.
    ///
    /// # Errors
    /// None is there, or none will ever be.
    pub fn try_recv(&mut self) -> Result<FromShard, TryRecvError> {
        let message = self.receiver.try_recv()?;
        self.release([&message]);
        Ok(message)
    }

    fn release<'a>(&self, taken: impl IntoIterator<Item = &'a FromShard>) {
        let weight: usize = taken.into_iter().map(|m| m.weight().min(PREFIXES) as usize).sum();
        self.room.add_permits(weight);
    }
}

/// Messages that may wait: many small peers come at once, and are decided at once.
const MESSAGES: usize = 1024;
/// Prefixes that may wait, about 2 MiB of them: more would not make the RIB faster, but the arrival of a full table larger.
const PREFIXES: u32 = 32 * 1024;
