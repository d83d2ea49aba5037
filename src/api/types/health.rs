//! What a neighbor's row comes down to: how it stands, and why.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Admin, BfdState, Direction, ErrorInfo, FamilyStatus, GrState, Neighbor};

/// How a neighbor stands against what is wanted.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Health {
    Good,
    /// Up, but a limit is near, routes are stale, we drain, or BFD is down.
    Degraded,
    /// Switched off by an operator.
    Off,
    /// Down against intent.
    Bad,
}

impl Neighbor {
    pub fn health(&self) -> Health {
        match (self.is_established(), self.admin) {
            (false, Admin::Up) => Health::Bad,
            (false, Admin::Down) => Health::Off,
            (true, _) if self.concerns().is_empty() => Health::Good,
            (true, _) => Health::Degraded,
        }
    }

    /// What is not as it should be while the session is up.
    pub fn concerns(&self) -> Vec<&'static str> {
        let any = |what: fn(&FamilyStatus) -> bool| self.families.iter().any(what);
        let hit = |family: &FamilyStatus| family.limit.as_ref().is_some_and(|limit| limit.hit);
        let near = |family: &FamilyStatus| {
            family.limit.as_ref().is_some_and(|limit| !limit.hit && family.received.saturating_mul(10) >= limit.max.saturating_mul(9))
        };
        let restarting = |family: &FamilyStatus| family.stale > 0 || !matches!(family.gr, GrState::None | GrState::Ready);
        let concerns = [
            (any(hit), "the prefix limit is reached"),
            (any(near), "the prefix limit is near"),
            (any(restarting), "routes are stale"),
            (self.bfd.as_ref().is_some_and(|bfd| bfd.state != BfdState::Up), "BFD is down"),
            (self.drain, "we drain"),
        ];
        concerns.into_iter().filter(|(holds, _)| *holds).map(|(_, words)| words).collect()
    }

    /// The newest reason why the neighbor is not up; nothing while it is.
    pub fn why_down(&self) -> Option<String> {
        if self.is_established() {
            return None;
        }
        let error = self.last_error.as_ref().map(|error| (error.at, error.line()));
        let tcp = self.last_tcp_error.as_ref().map(|error| (error.at, error.text.clone()));
        match (error.into_iter().chain(tcp).max_by_key(|(at, _)| *at), self.admin) {
            (_, Admin::Down) => Some("admin down".to_owned()),
            (newest, Admin::Up) => newest.map(|(_, text)| text),
        }
    }
}

impl ErrorInfo {
    /// Short enough for a table.
    pub fn line(&self) -> String {
        let direction = match self.direction {
            Some(Direction::Received) => "rcvd ",
            Some(Direction::Sent) => "sent ",
            None => "",
        };
        let message = self.message.as_ref().map(|message| format!(" \"{message}\"")).unwrap_or_default();
        format!("{direction}{}{message}", self.text.replace("Administrative", "Admin"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut Neighbor);

    /// A neighbor with one family, and what a test says about it.
    fn neighbor(change: impl FnOnce(&mut Neighbor)) -> Neighbor {
        let counters = serde_json::json!({ "open": 1, "update": 0, "notification": 0, "keepalive": 0, "routeRefresh": 0, "total": 1 });
        let mut neighbor = serde_json::from_value(serde_json::json!({
            "address": "10.0.0.1", "port": 179, "type": "ebgp", "localAsn": 1, "remoteAsn": 2, "admin": "up", "state": "established",
            "stateSince": "2026-11-22T08:00:00Z", "establishedCount": 1, "droppedCount": 0, "timers": { "configuredHoldSeconds": 90.0 },
            "auth": "none", "messages": { "sent": counters, "received": counters }, "queues": { "out": 0, "outBytes": 0, "in": 0 },
            "drain": false, "families": [{ "family": "ipv4-unicast", "negotiated": true, "received": 89, "accepted": 89, "filtered": 0,
                "best": 1, "advertised": 0, "limit": { "max": 100, "action": "warn", "hit": false }, "eorReceived": true, "eorSent": true,
                "stale": 0, "gr": "ready" }],
        }))
        .unwrap();
        change(&mut neighbor);
        neighbor
    }

    #[test]
    fn each_concern_makes_a_session_degraded() {
        let good = neighbor(|_| {});
        assert_eq!((good.health(), good.concerns()), (Health::Good, vec![]));
        let cases: [(Change, &str); 5] = [
            (|n| n.families[0].received = 90, "the prefix limit is near"),
            (|n| n.families[0].limit.as_mut().unwrap().hit = true, "the prefix limit is reached"),
            (|n| n.families[0].stale = 1, "routes are stale"),
            (|n| n.families[0].gr = GrState::Resyncing, "routes are stale"),
            (|n| n.drain = true, "we drain"),
        ];
        for (change, words) in cases {
            let row = neighbor(change);
            assert_eq!((row.health(), row.concerns()), (Health::Degraded, vec![words]));
        }
    }

    #[test]
    fn down_is_bad_unless_it_is_wanted() {
        let down = |n: &mut Neighbor| n.state = crate::api::types::SessionState::Active;
        assert_eq!(neighbor(down).health(), Health::Bad);
        let off = neighbor(|n| {
            down(n);
            n.admin = Admin::Down;
        });
        assert_eq!((off.health(), off.why_down().as_deref()), (Health::Off, Some("admin down")));
    }
}
