//! Why a session is down, or what it carries: the trace of one neighbor, made of what its row says.

use super::types::{Admin, BfdState, Direction, ErrorInfo, FamilyStatus, Neighbor, Step, Trace, Verdict};

/// What blocks a session. The codes are those of `kubgp_session_down_total`, in the spelling of the other reason codes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Block {
    /// An operator, or the configuration, switched it off.
    Admin,
    Bfd,
    /// The connection does not come up, or broke.
    Tcp,
    HoldTimer,
    Limit,
    Collision,
    /// The neighbor was configured away on one side.
    Config,
    NotificationSent,
    NotificationReceived,
    /// Nothing has happened yet that would tell.
    Connecting,
    FamilyNotNegotiated,
}

impl Block {
    pub const ALL: [Self; 11] = [
        Self::Admin,
        Self::Bfd,
        Self::Tcp,
        Self::HoldTimer,
        Self::Limit,
        Self::Collision,
        Self::Config,
        Self::NotificationSent,
        Self::NotificationReceived,
        Self::Connecting,
        Self::FamilyNotNegotiated,
    ];

    /// As it stands in JSON.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Bfd => "bfd",
            Self::Tcp => "tcp",
            Self::HoldTimer => "holdTimer",
            Self::Limit => "limitReached",
            Self::Collision => "collision",
            Self::Config => "config",
            Self::NotificationSent => "notificationSent",
            Self::NotificationReceived => "notificationReceived",
            Self::Connecting => "connecting",
            Self::FamilyNotNegotiated => "familyNotNegotiated",
        }
    }

    /// What to do where the error itself says nothing more precise.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Admin => "`bgpctl neighbor PEER up` starts it",
            Self::Bfd => "check the link; `bgpctl show bfd` shows what BFD sees",
            Self::Tcp => "check routing, firewalls, and that the other side knows our address",
            Self::HoldTimer => "check the link, its load, and the path MTU",
            Self::Limit => "raise `maxPrefixes.limit`, or find out who leaks; `bgpctl neighbor PEER up` starts it again",
            Self::Collision => "nothing to do: the other connection goes on",
            Self::Config => "compare the configurations of both sides",
            Self::NotificationSent | Self::NotificationReceived => {
                "`bgpctl show neighbor PEER history` shows what led to it; compare both sides"
            }
            Self::Connecting => "wait for the first attempt, then ask again",
            Self::FamilyNotNegotiated => "compare `families` of both sides: `bgpctl show neighbor PEER capabilities`",
        }
    }

    /// The class of a NOTIFICATION; which side sent it matters only where the code does not say enough.
    fn of(error: &ErrorInfo) -> Self {
        let sent = error.direction != Some(Direction::Received);
        match (error.code, error.subcode) {
            (Some(4), _) => Self::HoldTimer,
            (Some(6), Some(1)) => Self::Limit,
            (Some(6), Some(3 | 6)) => Self::Config,
            (Some(6), Some(7)) => Self::Collision,
            (Some(6), Some(10)) => Self::Bfd,
            (Some(6), Some(2 | 4 | 9)) if sent => Self::Admin,
            _ if sent => Self::NotificationSent,
            _ => Self::NotificationReceived,
        }
    }
}

/// The trace; its code is `established` where nothing blocks.
pub fn trace(row: &Neighbor) -> Trace {
    let mut trace = Trace {
        prefix: None,
        service: None,
        neighbor: Some(row.label()),
        to: None,
        steps: Vec::new(),
        ok: true,
        reason: "established".to_owned(),
        remedy: None,
    };
    let name = row.name.as_ref().map(|name| format!("{name}, ")).unwrap_or_default();
    let kind = if row.dynamic { "accepted from a range" } else { "configured" };
    let asn = row.remote_asn.map(|asn| format!("AS {asn}")).unwrap_or_else(|| "any AS".to_owned());
    trace.pass("configuration", format!("{name}{kind}, {asn}"));
    if row.admin == Admin::Down {
        let said = row.last_error.as_ref().and_then(|error| error.message.as_ref()).map(|text| format!(": \"{text}\"")).unwrap_or_default();
        trace.block("admin", format!("the session is switched off{said}"), Block::Admin, None);
        return trace;
    }
    trace.pass("admin", "the session is wanted".to_owned());
    if let Some(bfd) = row.bfd.as_ref().filter(|bfd| bfd.state == BfdState::Down && !row.is_established()) {
        trace.note("bfd", format!("BFD (profile {}) is down", bfd.profile));
    }
    match row.is_established() {
        true => established(&mut trace, row),
        false => down(&mut trace, row),
    }
    trace
}

/// The newest thing that went wrong is the reason.
fn down(trace: &mut Trace, row: &Neighbor) {
    let tcp = row.last_tcp_error.as_ref();
    let error = row.last_error.as_ref().filter(|error| tcp.is_none_or(|tcp| tcp.at <= error.at));
    match (error, tcp) {
        (Some(error), _) => {
            trace.pass("tcp", "connections come up".to_owned());
            let direction = if error.direction == Some(Direction::Received) { "the neighbor sent" } else { "we sent" };
            let text = error.message.as_ref().map(|text| format!(" \"{text}\"")).unwrap_or_default();
            trace.block("session", format!("{direction} {}{text}", error.text), Block::of(error), error.remedy.as_deref());
        }
        (None, Some(tcp)) => {
            if let Some(error) = &row.last_error {
                trace.note("session", format!("before that: {}", error.text));
            }
            trace.block("tcp", tcp.text.clone(), Block::Tcp, tcp.remedy.as_deref());
        }
        (None, None) => trace.block("tcp", format!("the state is {}, and nothing failed so far", row.state), Block::Connecting, None),
    }
}

fn established(trace: &mut Trace, row: &Neighbor) {
    trace.pass("session", format!("Established, {} times so far", row.established_count));
    for family in &row.families {
        let FamilyStatus { family: name, received, accepted, advertised, .. } = family;
        match (&family.limit, family.negotiated) {
            (_, false) => trace.note("family", format!("{name}: not negotiated")),
            (Some(limit), true) if limit.hit => {
                trace.block("family", format!("{name}: {received} received, more than the limit of {}", limit.max), Block::Limit, None);
            }
            (_, true) => trace.pass("family", format!("{name}: {received} received, {accepted} accepted, {advertised} advertised")),
        }
    }
    if !row.families.iter().any(|family| family.negotiated) {
        trace.block("family", "the session carries no family".to_owned(), Block::FamilyNotNegotiated, None);
    }
}

impl Trace {
    fn pass(&mut self, stage: &str, text: String) {
        self.steps.push(Step { stage: stage.to_owned(), verdict: Verdict::Pass, text, reason: None });
    }

    fn note(&mut self, stage: &str, text: String) {
        self.steps.push(Step { stage: stage.to_owned(), verdict: Verdict::Note, text, reason: None });
    }

    /// The first that blocks is the reason of the whole.
    fn block(&mut self, stage: &str, text: String, block: Block, remedy: Option<&str>) {
        self.steps.push(Step { stage: stage.to_owned(), verdict: Verdict::Block, text, reason: Some(block.code().to_owned()) });
        if std::mem::take(&mut self.ok) {
            block.code().clone_into(&mut self.reason);
            self.remedy = Some(remedy.unwrap_or(block.remedy()).to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::LimitStatus;

    fn neighbors() -> Vec<Neighbor> {
        serde_json::from_str(include_str!("../../proto-tests/cli/fixtures/neighbors.json")).unwrap()
    }

    /// A neighbor that is up, down by a NOTIFICATION, or switched off.
    fn row(address: &str) -> Neighbor {
        let mut row = neighbors().into_iter().find(|row| row.label() == address).unwrap();
        let is_up = row.is_established();
        row.families.iter_mut().for_each(|family| family.negotiated = is_up);
        row
    }

    fn notified(direction: Direction, code: u8, subcode: u8) -> Neighbor {
        let mut row = row("10.0.0.2");
        let error = row.last_error.as_mut().unwrap();
        (error.direction, error.code, error.subcode, error.remedy) = (Some(direction), Some(code), Some(subcode), None);
        row.last_tcp_error = None;
        row
    }

    #[test]
    fn every_reason_has_its_way() {
        use Direction::{Received, Sent};
        let code = |row: &Neighbor| trace(row).reason;
        assert_eq!(code(&row("10.0.0.1")), "established");
        assert_eq!(code(&row("10.0.9.9")), "admin");
        for (direction, (number, subcode), expected) in [
            (Received, (6, 2), "notificationReceived"),
            (Sent, (6, 4), "admin"),
            (Sent, (4, 0), "holdTimer"),
            (Received, (6, 1), "limitReached"),
            (Sent, (6, 3), "config"),
            (Sent, (6, 7), "collision"),
            (Sent, (6, 10), "bfd"),
            (Sent, (2, 2), "notificationSent"),
        ] {
            let trace = trace(&notified(direction, number, subcode));
            assert_eq!((trace.reason.as_str(), trace.ok), (expected, false), "{number}/{subcode}");
            assert!(trace.remedy.is_some_and(|remedy| !remedy.is_empty()), "{expected}");
        }
        let mut silent = notified(Sent, 4, 0);
        silent.last_error = None;
        assert_eq!(code(&silent), "connecting");
        silent.last_tcp_error = Some(crate::api::types::TcpErrorInfo {
            text: "connection refused".to_owned(),
            remedy: Some("nobody listens there".to_owned()),
            at: silent.state_since,
        });
        let refused = trace(&silent);
        assert_eq!((refused.reason.as_str(), refused.remedy.as_deref()), ("tcp", Some("nobody listens there")));
        let mut mute = row("10.0.0.1");
        mute.families.iter_mut().for_each(|family| family.negotiated = false);
        assert_eq!(code(&mute), "familyNotNegotiated");
        let mut leak = row("10.0.0.1");
        let action = crate::api::types::LimitAction::Warn;
        leak.families[0].limit = Some(LimitStatus { max: 1, action, hit: true });
        assert_eq!(code(&leak), "limitReached");
    }

    #[test]
    fn codes_are_one_each() {
        let codes: std::collections::BTreeSet<&str> = Block::ALL.iter().map(|block| block.code()).collect();
        assert_eq!(codes.len(), Block::ALL.len());
        assert!(Block::ALL.iter().all(|block| !block.remedy().is_empty()));
    }
}
