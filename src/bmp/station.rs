//! One station: connection after connection.

use super::View;
use super::feed::{self, Feed};
use super::sessions::{self, Known};
use crate::net::PeerSnapshot;
use crate::rib::{DumpCursor, PeerId};
use crate::speaker::{Handle, HandleError, RibState, hostname};
use crate::wire::{BmpPeer, Family, FamilySet, bmp_end_of_rib, bmp_initiation, bmp_statistics, bmp_termination};
use bytes::BytesMut;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

/// Connects until the task is ended.
pub(super) async fn run(speaker: Handle, at: SocketAddr, view: View) {
    loop {
        let ended = match timeout(CONNECT, TcpStream::connect(at)).await {
            Ok(Ok(stream)) => {
                info!(station = %at, "BMP station connected");
                view.change(at, |station| {
                    station.since = Some(now());
                    station.connections += 1;
                    station.error = None;
                });
                serve(&speaker, stream, (at, &view)).await
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        let why = match ended {
            // The speaker ends.
            Ok(()) => return,
            Err(error) => error.to_string(),
        };
        view.change(at, |station| {
            if station.since.take().is_some() || station.error.is_none() {
                warn!(station = %at, error = why, "BMP station is away");
            }
            station.error = Some(why);
        });
        sleep(RETRY).await;
    }
}

/// One connection; ends well only with the speaker.
async fn serve(speaker: &Handle, stream: TcpStream, place: (SocketAddr, &View)) -> io::Result<()> {
    let router = speaker.running().plan.router;
    let (mut reader, writer) = stream.into_split();
    // Changes are heard before the tables are read: what happens between is sent twice rather than not at all.
    let mut events = speaker.events();
    let Ok(mut changes) = speaker.inspect(|state| state.changes.subscribe()).await else { return Ok(()) };
    let feed = Feed::new(BmpPeer { address: None, asn: router.asn, id: router.id });
    let mut session = Session { speaker, feed, out: BytesMut::new(), messages: 0, writer, place };
    if session.begin().await?.is_none() {
        return Ok(());
    }
    let mut statistics = tokio::time::interval(STATISTICS);
    loop {
        let going = tokio::select! {
            changed = changes.recv() => match changed {
                Ok(prefixes) => session.changed(&prefixes).await?,
                Err(RecvError::Lagged(_)) => return Err(io::Error::other("it is too slow: everything is sent anew")),
                Err(RecvError::Closed) => None,
            },
            event = events.recv() => session.sessions(&mut events, event).await?,
            _ = statistics.tick() => session.statistics().await?,
            closed = silence(&mut reader) => return Err(closed),
        };
        session.flush().await?;
        if going.is_none() {
            bmp_termination(&mut session.out);
            session.messages += 1;
            return session.flush().await;
        }
    }
}

/// A station says nothing; it can only go.
async fn silence(reader: &mut OwnedReadHalf) -> io::Error {
    let mut octets = [0; 256];
    loop {
        match reader.read(&mut octets).await {
            Ok(0) => return io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection"),
            Ok(_) => {}
            Err(error) => return error,
        }
    }
}

/// `None` when the speaker ends.
type Going = io::Result<Option<()>>;

struct Session<'a> {
    speaker: &'a Handle,
    feed: Feed,
    out: BytesMut,
    messages: u64,
    writer: OwnedWriteHalf,
    place: (SocketAddr, &'a View),
}

impl Session<'_> {
    /// Who we are, which sessions there are, and the tables.
    async fn begin(&mut self) -> Going {
        let version = concat!("kubgpd ", env!("CARGO_PKG_VERSION"));
        bmp_initiation(&mut self.out, &hostname(), version);
        sessions::loc_rib_up(&mut self.out, &self.feed.router, FamilySet::from_iter(Family::ALL));
        self.messages += 2;
        for peer in self.speaker.peers().await {
            if let Some(known) = Known::of(&peer) {
                self.up(known, &peer);
            }
        }
        let Some(()) = self.tables().await? else { return Ok(None) };
        let ends: Vec<_> = self.feed.known.values().map(|known| (known.peer, known.families)).collect();
        for (peer, families) in ends.into_iter().chain([(self.feed.router, FamilySet::from_iter(Family::ALL))]) {
            for family in families.iter() {
                bmp_end_of_rib(&mut self.out, &peer, family);
                self.messages += 1;
            }
        }
        self.flush().await.map(Some)
    }

    fn up(&mut self, known: Known, peer: &PeerSnapshot) {
        sessions::up(&mut self.out, &known, peer);
        self.messages += 1;
        self.feed.known.insert(peer.id, known);
    }

    /// All that differs from what was sent.
    async fn tables(&mut self) -> Going {
        for family in Family::ALL {
            let mut cursor = Some(DumpCursor::default());
            while cursor.is_some() {
                let look = move |state: &mut RibState| {
                    let mut cursor = cursor;
                    let found = feed::slice(state, family, &mut cursor);
                    (found, cursor)
                };
                let Ok((found, next)) = self.inspect(look).await else { return Ok(None) };
                cursor = next;
                for (prefix, paths) in found {
                    self.messages += self.feed.tell(&mut self.out, prefix, paths);
                }
                self.flush().await?;
            }
        }
        Ok(Some(()))
    }

    async fn changed(&mut self, prefixes: &Arc<[IpNet]>) -> Going {
        for some in prefixes.chunks(SLICE) {
            let some = some.to_vec();
            let Ok(found) = self.inspect(move |state: &mut RibState| feed::prefixes(state, &some)).await else { return Ok(None) };
            for (prefix, paths) in found {
                self.messages += self.feed.tell(&mut self.out, prefix, paths);
            }
            self.flush().await?;
        }
        Ok(Some(()))
    }

    /// Sessions came or went: the station is told, and gets the routes of those that came.
    async fn sessions<E: Clone>(&mut self, events: &mut broadcast::Receiver<E>, first: Result<E, RecvError>) -> Going {
        if matches!(first, Err(RecvError::Closed)) {
            return Ok(None);
        }
        // One look answers all that has happened so far.
        while !matches!(events.try_recv(), Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed)) {}
        let peers: BTreeMap<PeerId, PeerSnapshot> = self.speaker.peers().await.into_iter().map(|peer| (peer.id, peer)).collect();
        let now = |id: &PeerId| peers.get(id).and_then(Known::of);
        let gone: Vec<PeerId> =
            self.feed.known.iter().filter(|(id, known)| now(id).is_none_or(|now| now.number != known.number)).map(|(id, _)| *id).collect();
        for id in gone {
            if let Some(known) = self.feed.known.get(&id) {
                sessions::down(&mut self.out, known, peers.get(&id));
                self.messages += 1;
            }
            self.feed.forget(id);
        }
        let mut came = false;
        for (id, peer) in &peers {
            match Known::of(peer) {
                Some(known) if !self.feed.known.contains_key(id) => {
                    came = true;
                    self.up(known, peer);
                }
                _ => {}
            }
        }
        if came { self.tables().await } else { Ok(Some(())) }
    }

    async fn statistics(&mut self) -> Going {
        let ids: Vec<PeerId> = self.feed.known.keys().copied().collect();
        let look = move |state: &mut RibState| {
            let accepted =
                |id: PeerId| Family::ALL.into_iter().map(|family| u64::from(state.rib.counters(id, family).accepted)).sum::<u64>();
            let peers: Vec<(PeerId, u64)> = ids.into_iter().map(|id| (id, accepted(id))).collect();
            let prefixes: usize = Family::ALL.into_iter().map(|family| state.rib.size(family).0).sum();
            (peers, prefixes as u64)
        };
        let Ok((peers, prefixes)) = self.inspect(look).await else { return Ok(None) };
        for (id, routes) in peers {
            if let Some(known) = self.feed.known.get(&id) {
                bmp_statistics(&mut self.out, &known.peer, routes);
                self.messages += 1;
            }
        }
        bmp_statistics(&mut self.out, &self.feed.router, prefixes);
        self.messages += 1;
        Ok(Some(()))
    }

    async fn inspect<T: Send + 'static>(&self, look: impl FnOnce(&mut RibState) -> T + Send + 'static) -> Result<T, HandleError> {
        self.speaker.inspect(look).await
    }

    /// Writes what is ready; a station that takes nothing for a minute is given up.
    async fn flush(&mut self) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let written = timeout(PATIENCE, self.writer.write_all(&self.out)).await;
        written.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "it takes nothing")))?;
        let (messages, octets) = (std::mem::take(&mut self.messages), self.out.len() as u64);
        self.out.clear();
        let (at, view) = self.place;
        view.change(at, |station| {
            station.messages += messages;
            station.octets += octets;
        });
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a station is connected is told in answers")]
fn now() -> Instant {
    Instant::now()
}

const CONNECT: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(60);
const STATISTICS: Duration = Duration::from_secs(60);
/// Prefixes that one look at the tables is about.
const SLICE: usize = 1024;
