//! Sessions as a station is told of them.

use crate::net::PeerSnapshot;
use crate::session::{Cause, State};
use crate::wire::{BmpDown, BmpPeer, Capability, FamilySet, Open, bmp_peer_down, bmp_peer_up};
use bytes::BytesMut;

/// A session that the station knows.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub peer: BmpPeer,
    /// Families in which the peer sends path identifiers.
    pub add_path: FamilySet,
    pub families: FamilySet,
    /// Which of the peer's sessions it is.
    pub number: u64,
}

impl Known {
    /// `None` where there is no session.
    pub fn of(peer: &PeerSnapshot) -> Option<Self> {
        let session = peer.status.negotiated.as_deref().filter(|_| peer.status.state == State::Established)?;
        let header = BmpPeer { address: Some(peer.remote.ip()), asn: session.remote_as, id: session.remote_id };
        Some(Self { peer: header, add_path: session.add_path_rx, families: session.families, number: peer.status.established })
    }
}

/// Peer Up, with the OPEN messages as both sides have sent them: ours of what we offer, the peer's of what it offered.
pub(super) fn up(out: &mut BytesMut, known: &Known, peer: &PeerSnapshot) {
    let Some(session) = peer.status.negotiated.as_deref() else { return };
    let hold = u16::try_from(session.hold_time.as_secs()).unwrap_or(u16::MAX);
    let ours = open(Open::new(session.local_as, peer.params.hold_time.seconds(), session.local_id, peer.params.capabilities()));
    let theirs = open(Open::new(session.remote_as, hold, session.remote_id, peer.status.remote_capabilities.clone()));
    bmp_peer_up(out, &known.peer, Some((session.local_addr, session.remote_addr)), (&ours, &theirs));
}

/// Peer Up of our Loc-RIB: both OPEN messages are made for it (RFC 9069 4.4).
pub(super) fn loc_rib_up(out: &mut BytesMut, router: &BmpPeer, families: FamilySet) {
    let mut capabilities: Vec<Capability> = families.iter().map(|family| Capability::MultiProtocol(family.afi_safi())).collect();
    capabilities.push(Capability::FourOctetAs(router.asn.get()));
    let made = open(Open::new(router.asn, 0, router.id, capabilities));
    bmp_peer_up(out, router, None, (&made, &made));
}

fn open(message: Open) -> BytesMut {
    let mut out = BytesMut::new();
    message.encode(&mut out);
    out
}

/// Peer Down, by what the peer's history says; without a snapshot it is configured away.
pub(super) fn down(out: &mut BytesMut, known: &Known, peer: Option<&PeerSnapshot>) {
    let Some(peer) = peer else { return bmp_peer_down(out, &known.peer, BmpDown::Deconfigured) };
    let status = &peer.status;
    let ended = status.history.iter().rev().find(|change| change.from == State::Established && change.to != State::Established);
    let mut message = BytesMut::new();
    let record = match ended.map(|change| change.cause) {
        Some(Cause::NotificationSent { .. }) => status.last_sent_error.as_ref(),
        Some(Cause::NotificationReceived { .. }) => status.last_received_error.as_ref(),
        _ => None,
    };
    if let Some(record) = record {
        record.notification.encode(&mut message);
    }
    let why = match ended.map(|change| change.cause) {
        Some(Cause::NotificationSent { .. }) => BmpDown::LocalNotification(&message),
        Some(Cause::NotificationReceived { .. }) => BmpDown::RemoteNotification(&message),
        Some(Cause::Stopped | Cause::Replaced) => BmpDown::Local(0),
        _ => BmpDown::Remote,
    };
    bmp_peer_down(out, &known.peer, why);
}
