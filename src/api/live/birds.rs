//! The sockets at which we answer as BIRD does, one for each address family of sessions.

use super::clock::{Clock, timestamp};
use super::status::VERSION;
use super::{Daemon, calico};
use crate::api::bird::{Facts, Question, Route, greeting, refusal};
use crate::api::query::{PrefixMatch, RibQuery};
use crate::api::server::AdminSocket;
use crate::api::types::{Family, Neighbor};
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;

/// Names of the sockets, as calico-node and `calicoctl` look for them, and whether they are about IPv4.
pub(super) const NAMES: [(&str, bool); 2] = [("bird.ctl", true), ("bird6.ctl", false)];

/// Answers until `end` completes.
pub(super) async fn serve(socket: AdminSocket, daemon: Daemon, is_v4: bool, end: impl Future<Output = ()>) {
    let (listener, path) = socket.into_parts();
    let seats = Arc::new(Semaphore::new(READERS));
    let accept = async {
        loop {
            // The semaphore is never closed.
            let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
            let Ok((stream, _)) = listener.accept().await else { continue };
            let daemon = daemon.clone();
            tokio::spawn(async move {
                // Whoever goes away needs no answer.
                let _ = converse(stream, &daemon, is_v4).await;
                drop(seat);
            });
        }
    };
    tokio::select! {
        () = accept => {}
        () = end => {}
    }
    // A file that is already gone is as good as removed.
    let _ = std::fs::remove_file(path);
}

async fn converse(stream: UnixStream, daemon: &Daemon, is_v4: bool) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    write.write_all(greeting(VERSION).as_bytes()).await?;
    let mut line = String::new();
    while (&mut read).take(LONGEST).read_line(&mut line).await? > 0 && line.ends_with('\n') {
        let answer = match Question::read(&line) {
            Some(question) => {
                let routes = routes(daemon, is_v4, &question).await;
                question.answer(&facts(daemon).await, &neighbors(daemon, is_v4).await, &routes)
            }
            None => refusal().to_owned(),
        };
        write.write_all(answer.as_bytes()).await?;
        line.clear();
    }
    Ok(())
}

async fn neighbors(daemon: &Daemon, is_v4: bool) -> Vec<Neighbor> {
    let peers = daemon.peers(|row| row.address.is_some_and(|address| address.is_ipv4() == is_v4)).await;
    // Only a daemon that stops has no answer.
    peers.unwrap_or_default().into_iter().map(|(_, row)| row).collect()
}

/// Those that the question is about.
async fn routes(daemon: &Daemon, is_v4: bool, question: &Question) -> Vec<Route> {
    let Question::Routes(asked) = question else { return Vec::new() };
    let family = if is_v4 { Family::Ipv4Unicast } else { Family::Ipv6Unicast };
    let matching = asked.longest.then_some(PrefixMatch::Longest);
    let query = RibQuery { family: Some(family), prefix: asked.prefix, matching, ..RibQuery::default() };
    // As above.
    calico::routes(daemon, query).await.unwrap_or_default()
}

async fn facts(daemon: &Daemon) -> Facts {
    let running = daemon.speaker().running();
    Facts {
        version: VERSION,
        router_id: running.plan.router.id.to_string(),
        now: Clock::now().wall,
        booted: timestamp(daemon.speaker().started_at()),
        reconfigured: timestamp(running.loaded_at),
        is_recovering: daemon.speaker().inspect(|state| state.deferral.is_active()).await.unwrap_or(false),
    }
}

/// Connections at a time; others wait.
const READERS: usize = 8;
/// No command is longer.
const LONGEST: u64 = 1024;
