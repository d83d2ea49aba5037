//! The writer and its readers on threads of their own: what members hold in the end is what the slots advertise.

use super::*;
use crate::export::cursor::{Cursor, Poll, Slices};
use crate::export::journal::View;
use crate::export::log::Log;
use crate::export::pack::Packer;
use crate::export::route::{NOBODY, Route};
use crate::rib::PeerId;
use crate::wire::nlri::Nlri;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

const KEYS: u32 = 64;
const SHARDS: u32 = 2;
const PEERS: u32 = 8;

type Holds = BTreeMap<Nlri, u32>;

fn nlri(key: u32) -> Nlri {
    IpNet::new(Ipv4Addr::from(0x0A00_0000 | key << 8).into(), 24).unwrap().into()
}

/// One pass of a member; false when there was nothing.
fn read(cursor: &mut Cursor, view: &mut View, bytes: &mut Vec<u8>, holds: &mut Holds) -> bool {
    match cursor.poll(view) {
        Poll::Idle => return false,
        Poll::Data => {
            let mut slices = Slices::new();
            cursor.slices(view, &mut slices, 1_000);
            let before = bytes.len();
            slices.iter().for_each(|s| bytes.extend_from_slice(s));
            drop(slices);
            let n = bytes.len() - before;
            cursor.advance(view, n);
        }
        _ => {}
    }
    for update in take_updates(bytes, &key()) {
        for nlri in update.withdrawn.iter().flat_map(|(_, nlri)| nlri) {
            holds.remove(nlri);
        }
        for reach in update.reach {
            holds.extend(reach.nlri.iter().map(|nlri| (*nlri, reach.attrs.med().unwrap())));
        }
    }
    true
}

/// Reads for the members that come until the writer is done and all is read.
fn shard(mut view: View, joins: &Receiver<Cursor>, done: &AtomicBool) -> BTreeMap<PeerId, Holds> {
    let mut members: Vec<(Cursor, Vec<u8>, Holds)> = Vec::new();
    loop {
        // Before the last look, so that nothing comes after it.
        let last = done.load(Ordering::Acquire);
        for cursor in joins.try_iter() {
            view.attach(&cursor);
            members.push((cursor, Vec::new(), Holds::new()));
        }
        let mut busy = false;
        for (cursor, bytes, holds) in &mut members {
            busy |= read(cursor, &mut view, bytes, holds);
        }
        view.publish(members.iter().map(|(cursor, ..)| cursor.need()));
        if last && !busy {
            return members.into_iter().map(|(cursor, _, holds)| (cursor.peer(), holds)).collect();
        }
        if !busy {
            thread::yield_now();
        }
    }
}

#[test]
fn readers_on_other_threads_end_with_what_slots_advertise() {
    let mut log = Log::new(SHARDS as usize);
    let mut packer = Packer::new(key());
    let done = AtomicBool::new(false);
    let mut truth: BTreeMap<u32, (u32, PeerId)> = BTreeMap::new();
    let mut random = 1u64;
    let mut below = |n: u32| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((random >> 33) % u64::from(n)) as u32
    };
    thread::scope(|scope| {
        let mut senders = Vec::new();
        let mut readers = Vec::new();
        for index in 0..SHARDS {
            let (sender, receiver) = sync_channel(PEERS as usize);
            let (view, done) = (View::new(log.journal().clone(), index as usize), &done);
            senders.push(sender);
            readers.push(scope.spawn(move || shard(view, &receiver, done)));
        }
        for turn in 0..3_000 {
            for _ in 0..1 + below(6) {
                let key = below(KEYS);
                let route = (below(3) > 0).then(|| (turn, PeerId(below(PEERS + 1))));
                let id = route.map(|(version, source)| {
                    let attrs = Some(attrs(|a| a.med = Some(version)));
                    let but = [source, NOBODY];
                    log.routes.intern(Route { attrs, but, reflected_from: None, own_next_hop: false, keep_med: false })
                });
                log.stage(key, id);
                id.into_iter().for_each(|id| log.routes.release(id));
                match route {
                    Some(route) => truth.insert(key, route),
                    None => truth.remove(&key),
                };
            }
            log.publish(&mut packer, &nlri);
            log.free_tombstones();
            log.compact(&mut packer, &nlri);
            if turn % 200 == 0 && turn / 200 < PEERS {
                let peer = PeerId(1 + turn / 200);
                log.clean(&mut packer, &nlri);
                let shard = peer.0 % SHARDS;
                let tail = log.journal().tail();
                let attached = log.members.join(peer, shard as usize, tail);
                senders[shard as usize].send(Cursor::new(peer, tail, attached)).unwrap();
            }
        }
        done.store(true, Ordering::Release);
        let mut read = 0;
        for (peer, holds) in readers.into_iter().flat_map(|reader| reader.join().unwrap()) {
            let gets = truth.iter().filter(|(_, (_, source))| *source != peer);
            let expected: Holds = gets.map(|(key, (version, _))| (nlri(*key), *version)).collect();
            assert_eq!(holds, expected, "{peer:?}");
            read += 1;
        }
        assert_eq!(read, PEERS);
    });
}
