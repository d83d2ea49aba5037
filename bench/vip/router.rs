//! Routers that take the session and note when they read what.

use bytes::BytesMut;
use kubgp::wire::message;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Heard {
    Announced,
    Withdrawn,
}

/// Router, number of the Service, what, when.
type Note = (usize, u32, Heard, Instant);

pub struct Routers {
    pub addresses: Vec<SocketAddr>,
    notes: mpsc::Receiver<Note>,
    /// Changes that came while nobody waited for them.
    pub strays: usize,
}

impl Routers {
    pub async fn listen(count: u8) -> Self {
        let (sender, notes) = mpsc::channel(1 << 16);
        let mut addresses = Vec::new();
        for i in 0..count {
            let listener = TcpListener::bind((Ipv4Addr::new(127, 73, 0, i + 1), 0)).await.unwrap();
            addresses.push(listener.local_addr().unwrap());
            let sender = sender.clone();
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    // A session that ends is made again by the daemon, and the run notices by what is missing.
                    let _ = speak(stream, i.into(), sender.clone()).await;
                }
            });
        }
        Self { addresses, notes, strays: 0 }
    }

    async fn next(&mut self) -> Note {
        let note = tokio::time::timeout(Duration::from_secs(60), self.notes.recv()).await;
        note.expect("an UPDATE within a minute").expect("routers live as long as the run")
    }

    /// Waits until every router was told all of these.
    pub async fn hold(&mut self, all: &BTreeSet<u32>) {
        let mut missing: Vec<BTreeSet<u32>> = vec![all.clone(); self.addresses.len()];
        while missing.iter().any(|set| !set.is_empty()) {
            let (router, number, what, _) = self.next().await;
            assert_eq!(what, Heard::Announced);
            missing[router].remove(&number);
        }
    }

    /// When each router heard it.
    pub async fn all_hear(&mut self, number: u32, what: Heard) -> Vec<Instant> {
        let mut arrivals = vec![None; self.addresses.len()];
        while arrivals.iter().any(Option::is_none) {
            let (router, of, heard, at) = self.next().await;
            if (of, heard) == (number, what) && arrivals[router].is_none() {
                arrivals[router] = Some(at);
            } else {
                self.strays += 1;
            }
        }
        arrivals.into_iter().flatten().collect()
    }
}

async fn speak(mut stream: TcpStream, router: usize, notes: mpsc::Sender<Note>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(&open(router as u8)).await?;
    stream.write_all(&message::keepalive()).await?;
    let mut buffer = BytesMut::with_capacity(1 << 16);
    loop {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        let at = Instant::now();
        while let Some(length) = buffer.get(16..18).map(|l| usize::from(u16::from_be_bytes([l[0], l[1]]))).filter(|l| *l <= buffer.len()) {
            let message = buffer.split_to(length);
            match message[18] {
                UPDATE => {
                    for (number, what) in changes(&message[19..]) {
                        let _ = notes.send((router, number, what, at)).await;
                    }
                }
                KEEPALIVE => stream.write_all(&message::keepalive()).await?,
                _ => {}
            }
        }
    }
}

/// An OPEN of AS 64512 with hold time 90 s and IPv4 unicast.
fn open(router: u8) -> Vec<u8> {
    let capabilities = [2, 6, 1, 4, 0, 1, 0, 1];
    let mut open = vec![0xff; 16];
    open.extend([0, 29 + capabilities.len() as u8, 1, 4, 0xfc, 0x00, 0, 90, 10, 73, 0, router + 1, capabilities.len() as u8]);
    open.extend(capabilities);
    open
}

/// The Services of an UPDATE's IPv4 prefixes: all are /32, without path ids.
fn changes(body: &[u8]) -> Vec<(u32, Heard)> {
    let length = |at: usize| usize::from(u16::from_be_bytes([body[at], body[at + 1]]));
    let withdrawn = length(0);
    let reach = 4 + withdrawn + length(2 + withdrawn);
    let numbers = |bytes: &[u8]| -> Vec<u32> { bytes.chunks(5).map(|nlri| u32::from_be_bytes([0, 0, nlri[3], nlri[4]])).collect() };
    let gone = numbers(&body[2..2 + withdrawn]).into_iter().map(|number| (number, Heard::Withdrawn));
    gone.chain(numbers(&body[reach..]).into_iter().map(|number| (number, Heard::Announced))).collect()
}

const UPDATE: u8 = 2;
const KEEPALIVE: u8 = 4;
