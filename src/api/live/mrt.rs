//! The tables as an MRT dump, written slice by slice while the reader takes it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use super::Daemon;
use super::clock::Clock;
use super::walk::problem;
use crate::api::backend::Blocks;
use crate::api::types::Problem;
use crate::rib::{DumpCursor, PeerId};
use crate::speaker::RibState;
use crate::wire::{Family, MrtEntry, MrtPeer, mrt_peers, mrt_prefix};

/// Everything that import accepted, and what we originate. A neighbor that comes while the dump is made is not in it.
///
/// # Errors
/// The daemon stops.
pub(super) async fn dump(daemon: &Daemon) -> Result<Blocks, Problem> {
    let at = u32::try_from(Clock::now().wall.as_second()).unwrap_or_default();
    let router = daemon.speaker().running().plan.router;
    let ids: Vec<PeerId> = daemon.speaker().peers().await.iter().map(|peer| peer.id).collect();
    let look = move |state: &mut RibState| {
        let known = ids.into_iter().filter_map(|id| Some((id, state.rib.peer(id)?)));
        known.map(|(id, peer)| (id, MrtPeer { id: peer.router_id, address: peer.addr, asn: peer.asn })).collect::<Vec<_>>()
    };
    let known = daemon.speaker().inspect(look).await.map_err(|e| problem(&e))?;
    // Collectors write routes of their own with the unspecified address.
    let ours = MrtPeer { id: router.id, address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), asn: router.asn };
    let table: Vec<(PeerId, MrtPeer)> = [(PeerId::LOCAL, ours)].into_iter().chain(known).collect();
    let mut first = BytesMut::new();
    mrt_peers(&mut first, at, router.id, &table.iter().map(|(_, peer)| *peer).collect::<Vec<_>>());
    let places = table.iter().zip(0u16..).map(|((id, _), place)| (*id, place)).collect();
    let (sender, blocks) = mpsc::channel(AHEAD);
    let daemon = daemon.clone();
    tokio::spawn(async move {
        let dump = Dump { at, sequence: 0, places };
        if sender.send(Ok(first.freeze())).await.is_ok() {
            dump.tables(&daemon, &sender).await;
        }
    });
    Ok(blocks)
}

/// A dump under way.
struct Dump {
    at: u32,
    sequence: u32,
    places: BTreeMap<PeerId, u16>,
}

impl Dump {
    /// Ends early when the reader has gone.
    async fn tables(mut self, daemon: &Daemon, to: &mpsc::Sender<Result<Bytes, Problem>>) {
        for family in Family::ALL {
            let mut cursor = Some(DumpCursor::default());
            while cursor.is_some() {
                let look = move |state: &mut RibState| {
                    let block = self.slice(state, family, &mut cursor);
                    (self, cursor, block)
                };
                let block = match daemon.speaker().inspect(look).await {
                    Ok((dump, next, block)) => {
                        (self, cursor) = (dump, next);
                        block
                    }
                    Err(e) => return drop(to.send(Err(problem(&e))).await),
                };
                if !block.is_empty() && to.send(Ok(block)).await.is_err() {
                    return;
                }
            }
        }
    }

    fn slice(&mut self, state: &RibState, family: Family, cursor: &mut Option<DumpCursor>) -> Bytes {
        let mut out = BytesMut::new();
        for dest in state.rib.dump(family, cursor) {
            let known = dest.paths().filter_map(|path| Some(MrtEntry { peer: *self.places.get(&path.source)?, attrs: path.attrs }));
            let entries: Vec<MrtEntry<'_>> = known.collect();
            if !entries.is_empty() {
                mrt_prefix(&mut out, self.at, self.sequence, &dest.prefix(), &entries);
                self.sequence = self.sequence.wrapping_add(1);
            }
        }
        out.freeze()
    }
}

/// Slices that wait for the reader.
const AHEAD: usize = 2;
