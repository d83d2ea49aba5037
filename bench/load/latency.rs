//! How long a change of one prefix takes from the sender's write to each receiver's read.

use std::time::Instant;

use crate::verify::Flap;

/// Even sequence numbers are announcements, odd ones withdrawals.
pub struct Latency {
    sent: Vec<Instant>,
    /// Per client, the number of the next change it can see.
    next: Vec<u32>,
    announced: Vec<u32>,
    withdrawn: Vec<u32>,
}

/// Quantiles in milliseconds.
pub struct Quantiles {
    pub count: usize,
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

impl Latency {
    pub fn new(clients: usize) -> Self {
        Self { sent: Vec::new(), next: vec![0; clients], announced: Vec::new(), withdrawn: Vec::new() }
    }

    /// The next change is about to be written.
    pub fn sending(&mut self, now: Instant) {
        self.sent.push(now);
    }

    /// A withdrawal carries no number: it is taken for the first one that the client has not seen. Where changes were merged on
    /// the way that one is older than the true cause, so the figure errs against the daemon.
    pub fn received(&mut self, client: usize, flap: Flap, now: Instant) {
        let next = self.next[client];
        let (sequence, times) = match flap {
            Flap::Announced(sequence) => (sequence, &mut self.announced),
            Flap::Withdrawn => (next | 1, &mut self.withdrawn),
        };
        if let Some(sent) = self.sent.get(sequence as usize) {
            times.push((now - *sent).as_micros() as u32);
            self.next[client] = sequence + 1;
        }
    }

    /// Clients that have not seen the last change.
    pub fn behind(&self, except: usize) -> usize {
        self.next.iter().enumerate().filter(|&(client, &next)| client != except && (next as usize) < self.sent.len()).count()
    }

    pub fn quantiles(mut self) -> [Quantiles; 2] {
        [quantiles(&mut self.announced), quantiles(&mut self.withdrawn)]
    }
}

fn quantiles(times: &mut [u32]) -> Quantiles {
    times.sort_unstable();
    let at = |share: f64| {
        times.get(((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1))).map_or(0.0, |us| f64::from(*us) / 1000.0)
    };
    Quantiles { count: times.len(), p50: at(0.5), p99: at(0.99), max: at(1.0) }
}
