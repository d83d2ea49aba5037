//! The end of the log: a thread writes the lines, so that a reader who stalls or a disk that is full stops no session.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use tracing_subscriber::fmt::MakeWriter;

/// Takes lines and never waits. Lines that find the queue full are lost, and counted.
#[derive(Clone)]
pub struct Sink {
    lines: SyncSender<Line>,
    lost: Arc<AtomicU64>,
    /// The last lines that were written.
    kept: Arc<Mutex<Kept>>,
}

/// The end of the log, at most [`KEPT`] octets of it.
#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<Vec<u8>>,
    octets: usize,
}

impl Kept {
    fn push(&mut self, line: Vec<u8>) {
        self.octets += line.len();
        self.lines.push_back(line);
        while self.octets > KEPT {
            let Some(oldest) = self.lines.pop_front() else { return };
            self.octets -= oldest.len();
        }
    }
}

enum Line {
    Text(Vec<u8>),
    /// Says when all before it is written.
    Flush(SyncSender<()>),
}

impl Sink {
    /// Starts the thread.
    ///
    /// # Errors
    /// The operating system refuses it.
    pub fn start(to: impl Write + Send + 'static) -> io::Result<Self> {
        let (lines, queue) = sync_channel(LINES);
        let lost = Arc::new(AtomicU64::new(0));
        let kept = Arc::<Mutex<Kept>>::default();
        let (count, keep) = (Arc::clone(&lost), Arc::clone(&kept));
        thread::Builder::new().name("log".to_owned()).spawn(move || drain(&queue, to, (&count, &keep)))?;
        Ok(Self { lines, lost, kept })
    }

    /// The last lines that were written, oldest first.
    pub fn tail(&self) -> String {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.lines.iter().map(|line| String::from_utf8_lossy(line)).collect()
    }

    /// Waits until what was logged is written, but not for ever.
    pub fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.lines.try_send(Line::Flush(done)).is_ok() {
            // Whoever does not read the log does not get its end.
            let _ = written.recv_timeout(FLUSH);
        }
    }
}

fn drain(queue: &Receiver<Line>, mut to: impl Write, (lost, kept): (&AtomicU64, &Mutex<Kept>)) {
    while let Ok(line) = queue.recv() {
        match line {
            Line::Text(text) => {
                // A log that cannot be written is no reason to end.
                let _ = to.write_all(&text);
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(text);
            }
            Line::Flush(done) => drop(done.try_send(())),
        }
        match lost.swap(0, Ordering::Relaxed) {
            0 => {}
            n => drop(writeln!(to, "{n} lines of the log are lost: they came faster than they could be written")),
        }
    }
}

impl Write for Sink {
    /// The subscriber writes a whole line at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.lines.try_send(Line::Text(line.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Lines that may wait: a second or so of a log in full detail.
const LINES: usize = 8192;
const FLUSH: Duration = Duration::from_secs(1);
/// Octets of the end of the log that are kept for whoever asks.
const KEPT: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Mutex, mpsc};

    struct Slow(mpsc::Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_end_of_the_log_is_kept_within_its_bound() {
        let mut sink = Sink::start(io::sink()).unwrap();
        for n in 0..6 {
            let line = [vec![b'a' + n; KEPT / 4 - 1], vec![b'\n']].concat();
            sink.write_all(&line).unwrap();
        }
        sink.flush();
        let tail = sink.tail();
        assert_eq!((tail.len(), tail.lines().count()), (KEPT, 4));
        assert!(tail.starts_with('c') && tail.ends_with("ff\n"));
    }

    #[test]
    fn a_reader_that_stalls_costs_lines_and_no_time() {
        let (go, gate) = sync_channel(0);
        let written = Arc::default();
        let mut sink = Sink::start(Slow(gate, Arc::clone(&written))).unwrap();
        for _ in 0..2 * LINES {
            sink.write_all(b"line\n").unwrap();
        }
        drop(go);
        loop {
            sink.flush();
            let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
            if text.lines().filter(|l| *l == "line").count() >= LINES && text.contains("lines of the log are lost") {
                break;
            }
        }
    }
}
