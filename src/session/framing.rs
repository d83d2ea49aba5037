//! The byte stream of one connection cut into messages. Messages that are whole in the caller's slice are not copied; only the
//! beginning of a message that is not complete yet is kept, so an idle connection holds no buffer.

use std::borrow::Cow;

use crate::wire::{HEADER_LEN, MessageType, Notification, decode_header};

/// One whole message.
#[derive(Debug)]
pub(super) struct Message<'a> {
    pub kind: MessageType,
    bytes: Cow<'a, [u8]>,
}

impl Message<'_> {
    /// What follows the header.
    pub fn body(&self) -> &[u8] {
        self.bytes.get(HEADER_LEN..).unwrap_or_default()
    }
}

/// The beginning of an incomplete message, if any.
#[derive(Debug, Default)]
pub(super) struct Framer {
    pending: Vec<u8>,
}

impl Framer {
    /// Takes the next whole message off `input`; `Ok(None)` when more octets are needed, with `input` used up.
    ///
    /// # Errors
    /// The NOTIFICATION to send; the stream cannot be read any further.
    pub fn next<'a>(&mut self, input: &mut &'a [u8], max: usize) -> Result<Option<Message<'a>>, Notification> {
        if self.pending.is_empty() {
            return self.next_in_place(input, max);
        }
        self.top_up(input, HEADER_LEN);
        let Some(header) = decode_header(&self.pending, max)? else {
            return Ok(None);
        };
        let len = usize::from(header.len);
        self.top_up(input, len);
        if self.pending.len() < len {
            return Ok(None);
        }
        Ok(Some(Message { kind: header.kind, bytes: Cow::Owned(std::mem::take(&mut self.pending)) }))
    }

    fn next_in_place<'a>(&mut self, input: &mut &'a [u8], max: usize) -> Result<Option<Message<'a>>, Notification> {
        if input.is_empty() {
            return Ok(None);
        }
        if let Some(header) = decode_header(input, max)?
            && let Some((bytes, rest)) = input.split_at_checked(usize::from(header.len))
        {
            *input = rest;
            return Ok(Some(Message { kind: header.kind, bytes: Cow::Borrowed(bytes) }));
        }
        self.pending = input.to_vec();
        *input = &[];
        Ok(None)
    }

    /// Moves octets from `input` until `pending` has `len`. Grows with what arrives, not with what the header promises.
    fn top_up(&mut self, input: &mut &[u8], len: usize) {
        let missing = len.saturating_sub(self.pending.len());
        let (taken, rest) = input.split_at(missing.min(input.len()));
        self.pending.extend_from_slice(taken);
        *input = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{MAX_MESSAGE, keepalive};

    fn all(chunks: &[&[u8]]) -> (usize, Option<Notification>, usize) {
        let (mut framer, mut count) = (Framer::default(), 0);
        for chunk in chunks {
            let mut input = *chunk;
            loop {
                match framer.next(&mut input, MAX_MESSAGE) {
                    Ok(Some(_)) => count += 1,
                    Ok(None) => break,
                    Err(n) => return (count, Some(n), framer.pending.len()),
                }
            }
        }
        (count, None, framer.pending.len())
    }

    #[test]
    fn any_split_gives_the_same_messages() {
        let stream = [keepalive(), keepalive(), keepalive()].concat();
        for first in 0..stream.len() {
            for second in first..stream.len() {
                let chunks = [&stream[..first], &stream[first..second], &stream[second..]];
                assert_eq!(all(&chunks), (3, None, 0), "split at {first} and {second}");
            }
        }
    }

    #[test]
    fn nothing_is_kept_for_whole_messages_and_only_the_rest_otherwise() {
        let stream = [&keepalive()[..], &keepalive()[..7]].concat();
        assert_eq!(all(&[&stream]), (1, None, 7));
        let mut framer = Framer::default();
        let mut input = &keepalive()[..];
        assert!(matches!(framer.next(&mut input, MAX_MESSAGE), Ok(Some(Message { bytes: Cow::Borrowed(_), .. }))));
        assert_eq!(framer.pending.capacity(), 0);
    }

    #[test]
    fn a_header_that_promises_much_costs_only_what_arrived() {
        let mut header = keepalive().to_vec();
        (header[16], header[17], header[18]) = (0x10, 0x00, 2);
        let mut framer = Framer::default();
        let mut input = &header[..];
        assert!(matches!(framer.next(&mut input, MAX_MESSAGE), Ok(None)));
        assert!(framer.pending.capacity() <= 64);
    }

    #[test]
    fn garbage_after_a_message_is_found_after_the_message() {
        let stream = [&keepalive()[..], b"GET / HTTP/1.1"].concat();
        assert_eq!(all(&[&stream]), (1, Some(Notification::not_synchronized()), 0));
        assert_eq!(all(&[&stream[..25], &stream[25..]]).1, Some(Notification::not_synchronized()));
    }
}
