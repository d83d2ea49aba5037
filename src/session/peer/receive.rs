//! What messages mean: each one is parsed only where the state allows it, then becomes an event of the FSM.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::{Peer, Trigger};
use crate::session::collision::{self, Verdict};
use crate::session::connection::Connection;
use crate::session::framing::Message;
use crate::session::fsm::Input;
use crate::session::{Cause, ConnId, ErrorRecord, Event, State, negotiate};
use crate::wire::{Family, MessageType, Notification, Open, RefreshKind, RouteRefresh, decode_update, keepalive};

impl Peer {
    pub(super) fn handle_message(&mut self, id: ConnId, message: &Message<'_>, now: Instant) {
        self.status.received.add(message.kind);
        let Some(state) = self.connection(id).map(|c| c.state) else { return };
        let body = message.body();
        // A body is parsed only where the state allows the message: 5/x comes before any error in it.
        match (state, message.kind) {
            (State::OpenSent, MessageType::Open) => self.handle_open(id, body, now),
            (State::Established, MessageType::Update) => self.handle_update(id, body, now),
            (State::Established, MessageType::RouteRefresh) => self.handle_refresh(id, body, now),
            (_, MessageType::Notification) => self.handle_notification(id, body, now),
            (_, MessageType::Open) => self.handle_connection(id, Input::Open, Trigger::Plain, now),
            (_, MessageType::Update) => self.handle_connection(id, Input::Update, Trigger::Plain, now),
            (_, MessageType::RouteRefresh) => self.handle_connection(id, Input::Refresh, Trigger::Plain, now),
            (_, MessageType::Keepalive) => self.handle_connection(id, Input::Keepalive, Trigger::Plain, now),
        }
    }

    fn handle_open(&mut self, id: ConnId, body: &[u8], now: Instant) {
        let Some((link, offered)) = self.connection(id).map(|c| (c.link, Arc::clone(&c.offered))) else { return };
        let open = match Open::decode(body) {
            Ok(open) => open,
            Err(error) => return self.handle_connection(id, Input::OpenError, Trigger::Error(error), now),
        };
        let agreed = match negotiate::negotiate(&offered, &open, &link) {
            Ok(agreed) => Arc::new(agreed),
            Err(error) => {
                self.status.remote_capabilities = open.capabilities;
                return self.handle_connection(id, Input::OpenError, Trigger::Error(error), now);
            }
        };
        if !self.survives_collision(id, collision::we_dominate(&agreed), now) {
            return;
        }
        self.status.remote_capabilities = open.capabilities;
        self.status.negotiated = Some(Arc::clone(&agreed));
        if let Some(connection) = self.connections.iter_mut().find(|c| c.link.id == id) {
            connection.confirm(agreed, &mut self.jitter, now);
        }
        self.park();
        self.retry.reset();
        self.send(id, MessageType::Keepalive, keepalive());
        self.note_state(Cause::OpenReceived, now);
    }

    /// Collision detection for a connection whose OPEN has been accepted; false when it is the one that had to go.
    fn survives_collision(&mut self, id: ConnId, we_dominate: bool, now: Instant) -> bool {
        for other in self.ids().into_iter().filter(|other| *other != id) {
            let contender = |peer: &mut Self, id| peer.connection(id).map(|c| c.contender());
            let (Some(new), Some(old)) = (contender(self, id), contender(self, other)) else { continue };
            match collision::resolve(new, old, we_dominate) {
                Verdict::KeepBoth => {}
                Verdict::KeepNew => self.handle_connection(other, Input::CollisionDump, Trigger::Plain, now),
                Verdict::ReplaceOther => self.handle_connection(other, Input::TcpFails, Trigger::Replaced, now),
                Verdict::KeepOther => {
                    self.handle_connection(id, Input::CollisionDump, Trigger::Plain, now);
                    return false;
                }
            }
        }
        true
    }

    fn handle_update(&mut self, id: ConnId, body: &[u8], now: Instant) {
        let context = |c: &mut Connection| Some(c.agreed.as_ref()?.update_context(&c.offered));
        let Some(context) = self.connection(id).and_then(context) else { return };
        match decode_update(body, &context) {
            Ok(update) => {
                self.handle_connection(id, Input::Update, Trigger::Plain, now);
                self.event(Event::Update(update));
            }
            Err(error) => self.handle_connection(id, Input::UpdateError, Trigger::Error(error), now),
        }
    }

    /// Every peer may ask; what we do not know or have not negotiated is ignored (RFC 7313 5).
    fn handle_refresh(&mut self, id: ConnId, body: &[u8], now: Instant) {
        let Some(agreed) = self.connection(id).and_then(|c| c.agreed.clone()) else { return };
        match RouteRefresh::decode(body, agreed.enhanced_refresh) {
            Ok(refresh) => {
                self.handle_connection(id, Input::Refresh, Trigger::Plain, now);
                let known = Family::from_afi_safi(refresh.family).is_some_and(|f| agreed.families.contains(f));
                if known && !matches!(refresh.kind, RefreshKind::Other(_)) {
                    self.event(Event::Refresh(refresh));
                }
            }
            Err(error) => self.handle_connection(id, Input::UpdateError, Trigger::Error(error), now),
        }
    }

    fn handle_notification(&mut self, id: ConnId, body: &[u8], now: Instant) {
        // One that is too short says no more than that the peer gave up (RFC 4271 6.4).
        let received = Notification::decode(body).unwrap_or(Notification { code: 0, subcode: 0, data: Bytes::new() });
        self.count_notification(false, &received);
        self.status.last_received_error = Some(ErrorRecord { at: now, notification: received.clone() });
        let version = (received.code, received.subcode) == UNSUPPORTED_VERSION;
        let input = if version { Input::VersionNotification } else { Input::Notification };
        self.handle_connection(id, input, Trigger::Received(received), now);
    }
}

const UNSUPPORTED_VERSION: (u8, u8) = (2, 1);
