//! Our OPEN, the check of the peer's, and the facts on which both agree.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::timers::LEAST_SEND_HOLD;
use super::{ConnId, Direction, DownReason, GrMode, PeerParams};
use crate::wire::{
    AddPathMode, AfiSafi, Asn, Capability, CeaseCode, Family, FamilySet, GracefulRestart, LlgrFamily, MAX_EXTENDED, MAX_MESSAGE,
    Notification, Open, Role, RouterId, UpdateContext,
};

/// What both sides of a session have agreed on; never changes while the session lasts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Negotiated {
    pub ebgp: bool,
    pub local_as: Asn,
    pub remote_as: Asn,
    pub local_id: RouterId,
    pub remote_id: RouterId,
    pub local_addr: SocketAddr,
    pub remote_addr: SocketAddr,
    pub direction: Direction,
    /// Zero: no hold timer, no keepalives, no send hold timer.
    pub hold_time: Duration,
    pub keepalive: Duration,
    pub send_hold: Duration,
    pub families: FamilySet,
    /// Families in which the peer sends path ids.
    pub add_path_rx: FamilySet,
    /// Families in which we send path ids.
    pub add_path_tx: FamilySet,
    pub four_octet_as: bool,
    /// Longest message that the peer takes, in octets.
    pub max_send: usize,
    /// Longest message that we take.
    pub max_receive: usize,
    /// Families that may have IPv6 next hops though they are IPv4.
    pub extended_next_hop: FamilySet,
    /// The peer answers ROUTE-REFRESH.
    pub route_refresh: bool,
    pub enhanced_refresh: bool,
    /// The peer's graceful restart capability, where ours is on.
    pub gr: Option<PeerGr>,
    /// Long-lived stale time that we grant, by [`Family::index`]; zero is none.
    pub llgr: [Duration; 2],
    /// Families in which the peer kept its forwarding state, for its long-lived stale routes (RFC 9494 4.2).
    pub llgr_kept: FamilySet,
    /// The peer has the long-lived graceful restart capability: it may be sent long-lived stale routes (RFC 9494 4.3).
    pub llgr_aware: bool,
    pub local_role: Option<Role>,
    pub remote_role: Option<Role>,
}

/// The peer's side of graceful restart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeerGr {
    /// R bit. Only a hint (RFC 4724 4.2).
    pub restarting: bool,
    /// N bit, which we always show too: retention also after a NOTIFICATION (RFC 8538).
    pub notification: bool,
    /// Bounded by our `max_peer_time`.
    pub restart_time: Duration,
    /// Families that the peer can restart, among the negotiated.
    pub families: FamilySet,
    /// Those of `families` whose forwarding state it kept: all other stale routes go as soon as it is back.
    pub forwarding: FamilySet,
}

impl Negotiated {
    /// Families whose stale routes stay until End-of-RIB now that the peer is back (RFC 4724 4.2).
    pub fn stale_kept(&self) -> FamilySet {
        self.gr.map_or(FamilySet::NONE, |gr| gr.forwarding)
    }

    /// Families that stay as stale routes when the session ends for `reason` (RFC 4724 4.2, RFC 8538 4).
    pub(super) fn retained(&self, reason: &DownReason) -> FamilySet {
        let Some(gr) = self.gr else { return FamilySet::NONE };
        let kept = match reason {
            DownReason::ConnectionLost(_) | DownReason::Replaced => true,
            DownReason::NotificationReceived(n) => gr.notification && !is_cease(n, CeaseCode::HardReset),
            // Short of memory we keep nothing that we need not.
            DownReason::NotificationSent(n) => {
                gr.notification && !is_cease(n, CeaseCode::HardReset) && !is_cease(n, CeaseCode::OutOfResources)
            }
            DownReason::GracefulClose => false,
        };
        if kept { gr.families } else { FamilySet::NONE }
    }

    pub(super) fn update_context(&self, params: &PeerParams) -> UpdateContext {
        UpdateContext {
            four_octet_as: self.four_octet_as,
            ebgp: self.ebgp,
            families: self.families,
            add_path_rx: self.add_path_rx,
            extended_next_hop: self.extended_next_hop,
            enforce_first_as: Some(self.remote_as).filter(|_| self.ebgp && params.enforce_first_as),
            allow_as_set: params.allow_as_set,
            default_local_pref: params.default_local_pref,
        }
    }
}

/// The OPEN that we send.
pub(super) fn local_open(params: &PeerParams) -> Open {
    Open::new(params.local_as, params.hold_time.seconds(), params.router_id, capabilities(params))
}

/// The capabilities that we advertise.
pub(super) fn capabilities(params: &PeerParams) -> Vec<Capability> {
    let mut list: Vec<_> = params.families.iter().map(|f| Capability::MultiProtocol(f.afi_safi())).collect();
    list.extend([Capability::RouteRefresh, Capability::EnhancedRouteRefresh, Capability::FourOctetAs(params.local_as.get())]);
    if offers_extended_next_hop(params) {
        list.push(Capability::ExtendedNextHop(vec![(Family::Ipv4Unicast.afi_safi(), AFI_IPV6)]));
    }
    if params.extended_messages {
        list.push(Capability::ExtendedMessage);
    }
    if let Some(role) = params.role.filter(|_| !params.remote_as.accepts(params.local_as, params.local_as)) {
        list.push(Capability::Role(role.role));
    }
    let add_path: Vec<_> = params.families.iter().filter_map(|f| Some((f.afi_safi(), add_path_mode(params, f)?))).collect();
    if !add_path.is_empty() {
        list.push(Capability::AddPath(add_path));
    }
    push_graceful_restart(params, &mut list);
    if !params.hostname.is_empty() {
        list.push(Capability::Fqdn { host: params.hostname.clone(), domain: String::new() });
    }
    list
}

fn push_graceful_restart(params: &PeerParams, list: &mut Vec<Capability>) {
    let gr = &params.graceful_restart;
    if gr.mode == GrMode::Off {
        return;
    }
    let forwarding = |family| gr.restarting && gr.forwarding.contains(family);
    // A helper names no family and thereby asks for nothing (RFC 4724 3).
    let full = gr.mode == GrMode::Full;
    list.push(Capability::GracefulRestart(GracefulRestart {
        restarting: gr.restarting,
        notification: true,
        restart_time: if full { gr.time.as_secs().min(4095) as u16 } else { 0 },
        families: params.families.iter().filter(|_| full).map(|f| (f.afi_safi(), forwarding(f))).collect(),
    }));
    if !params.llgr_time.is_zero() {
        let stale_time = params.llgr_time.as_secs().min(0xFF_FFFF) as u32;
        let family = |f: Family| LlgrFamily { family: f.afi_safi(), forwarding: forwarding(f), stale_time };
        list.push(Capability::LongLivedGracefulRestart(params.families.iter().filter(|_| full).map(family).collect()));
    }
}

fn add_path_mode(params: &PeerParams, family: Family) -> Option<AddPathMode> {
    match (params.add_path_rx.contains(family), params.add_path_tx.contains(family)) {
        (true, true) => Some(AddPathMode::Both),
        (true, false) => Some(AddPathMode::Receive),
        (false, true) => Some(AddPathMode::Send),
        (false, false) => None,
    }
}

fn offers_extended_next_hop(params: &PeerParams) -> bool {
    params.extended_next_hop && params.families.contains(Family::Ipv4Unicast)
}

/// The connection on which an OPEN arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub id: ConnId,
    pub direction: Direction,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub connected: Instant,
}

/// Checks the peer's OPEN and settles the facts of the session.
///
/// # Errors
/// The NOTIFICATION to send: 2/2, 2/3, 2/6, 2/7 or 2/11.
pub(super) fn negotiate(params: &PeerParams, open: &Open, link: &Link) -> Result<Negotiated, Notification> {
    let offer = Offer::new(&open.capabilities);
    let remote_as = accepted_as(params, open, &offer)?;
    let ebgp = remote_as != params.local_as;
    // RFC 6286 2.1: the identifier is unique within an AS only.
    if !ebgp && open.id == params.router_id {
        return Err(Notification::bad_identifier());
    }
    let hold_time = hold_time(params, open)?;
    let families = families(params, &offer)?;
    let remote_role = check_role(params, ebgp, &offer)?;
    let gr = (params.graceful_restart.mode != GrMode::Off).then(|| peer_gr(params, families, &offer)).flatten();
    let llgr = if gr.is_some() { offer.llgr(params.llgr_time, families) } else { Default::default() };
    let third = hold_time / 3;
    Ok(Negotiated {
        ebgp,
        local_as: params.local_as,
        remote_as,
        local_id: params.router_id,
        remote_id: open.id,
        local_addr: link.local,
        remote_addr: link.remote,
        direction: link.direction,
        hold_time,
        keepalive: if hold_time.is_zero() { hold_time } else { params.keepalive.unwrap_or(third).min(third).max(LEAST_KEEPALIVE) },
        send_hold: send_hold(params, hold_time),
        families,
        add_path_rx: families.intersection(params.add_path_rx).intersection(offer.add_path_tx),
        add_path_tx: families.intersection(params.add_path_tx).intersection(offer.add_path_rx),
        four_octet_as: offer.four_octet_as,
        max_send: if params.extended_messages && offer.extended_message { MAX_EXTENDED } else { MAX_MESSAGE },
        max_receive: max_receive(params),
        extended_next_hop: extended_next_hop(params, families, &offer),
        route_refresh: offer.route_refresh,
        enhanced_refresh: offer.enhanced_refresh,
        gr,
        llgr,
        llgr_kept: if gr.is_some() { offer.llgr_kept().intersection(families) } else { FamilySet::NONE },
        llgr_aware: gr.is_some() && offer.llgr.is_some() && !params.llgr_time.is_zero(),
        local_role: params.role.map(|r| r.role).filter(|_| ebgp),
        remote_role,
    })
}

/// RFC 8654 4: what we take depends on what we advertised, not on the peer.
pub(super) fn max_receive(params: &PeerParams) -> usize {
    if params.extended_messages { MAX_EXTENDED } else { MAX_MESSAGE }
}

fn accepted_as(params: &PeerParams, open: &Open, offer: &Offer<'_>) -> Result<Asn, Notification> {
    // AS_TRANS stands for the AS of the capability and is nobody's own (RFC 6793 9).
    let stand_in = open.asn == AS_TRANS && !offer.four_octet_as;
    let asn = Asn::new(open.asn).filter(|_| !stand_in).ok_or_else(Notification::bad_peer_as)?;
    if params.remote_as.accepts(asn, params.local_as) { Ok(asn) } else { Err(Notification::bad_peer_as()) }
}

fn hold_time(params: &PeerParams, open: &Open) -> Result<Duration, Notification> {
    let theirs = Duration::from_secs(u64::from(open.hold_time));
    let refused = matches!(open.hold_time, 1 | 2) || (!theirs.is_zero() && theirs < params.min_hold_time);
    if refused {
        return Err(Notification::unacceptable_hold_time());
    }
    Ok(params.hold_time.duration().unwrap_or_default().min(theirs))
}

fn send_hold(params: &PeerParams, hold_time: Duration) -> Duration {
    if hold_time.is_zero() {
        return hold_time;
    }
    params.send_hold.unwrap_or((2 * hold_time).max(LEAST_SEND_HOLD)).max(hold_time)
}

fn families(params: &PeerParams, offer: &Offer<'_>) -> Result<FamilySet, Notification> {
    let common = params.families.intersection(offer.families());
    let missing: Vec<_> = match common.is_empty() {
        true => params.families.iter().collect(),
        false => params.required_families.iter().filter(|f| !common.contains(*f)).collect(),
    };
    if missing.is_empty() {
        return Ok(common);
    }
    let required: Vec<_> = missing.into_iter().map(|f| Capability::MultiProtocol(f.afi_safi())).collect();
    Err(Notification::unsupported_capability(&required))
}

fn extended_next_hop(params: &PeerParams, families: FamilySet, offer: &Offer<'_>) -> FamilySet {
    if offers_extended_next_hop(params) { families.intersection(offer.extended_next_hop) } else { FamilySet::NONE }
}

/// RFC 9234 4.2.
fn check_role(params: &PeerParams, ebgp: bool, offer: &Offer<'_>) -> Result<Option<Role>, Notification> {
    let (Some(ours), true) = (params.role, ebgp) else { return Ok(offer.roles.first().copied()) };
    let Some(theirs) = offer.roles.first().copied() else {
        return if ours.strict { Err(Notification::role_mismatch()) } else { Ok(None) };
    };
    let one = offer.roles.iter().all(|r| *r == theirs);
    let fit = matches!(
        (ours.role, theirs),
        (Role::Provider, Role::Customer)
            | (Role::Customer, Role::Provider)
            | (Role::RouteServer, Role::RouteServerClient)
            | (Role::RouteServerClient, Role::RouteServer)
            | (Role::Peer, Role::Peer)
    );
    if one && fit { Ok(Some(theirs)) } else { Err(Notification::role_mismatch()) }
}

fn peer_gr(params: &PeerParams, families: FamilySet, offer: &Offer<'_>) -> Option<PeerGr> {
    let theirs = offer.gr?;
    let known = |list: &mut dyn Iterator<Item = AfiSafi>| known_families(list).intersection(families);
    Some(PeerGr {
        restarting: theirs.restarting,
        notification: theirs.notification,
        restart_time: Duration::from_secs(u64::from(theirs.restart_time)).min(params.graceful_restart.max_peer_time),
        families: known(&mut theirs.families.iter().map(|(f, _)| *f)),
        forwarding: known(&mut theirs.families.iter().filter(|(_, kept)| *kept).map(|(f, _)| *f)),
    })
}

fn is_cease(notification: &Notification, code: CeaseCode) -> bool {
    (notification.code, notification.subcode) == (CEASE, code as u8)
}

fn known_families(pairs: impl Iterator<Item = AfiSafi>) -> FamilySet {
    pairs.filter_map(Family::from_afi_safi).collect()
}

/// The peer's capabilities, sorted by what we ask of them. Where one may come once only, the last counts (RFC 4724 3).
#[derive(Default)]
struct Offer<'a> {
    multi_protocol: bool,
    named_families: FamilySet,
    route_refresh: bool,
    enhanced_refresh: bool,
    extended_message: bool,
    four_octet_as: bool,
    extended_next_hop: FamilySet,
    add_path_rx: FamilySet,
    add_path_tx: FamilySet,
    gr: Option<&'a GracefulRestart>,
    llgr: Option<&'a [LlgrFamily]>,
    roles: Vec<Role>,
}

impl<'a> Offer<'a> {
    fn new(capabilities: &'a [Capability]) -> Self {
        let mut offer = Self::default();
        capabilities.iter().for_each(|c| offer.take(c));
        offer
    }

    fn take(&mut self, capability: &'a Capability) {
        match capability {
            Capability::MultiProtocol(pair) => {
                self.multi_protocol = true;
                Family::from_afi_safi(*pair).into_iter().for_each(|f| self.named_families.insert(f));
            }
            Capability::RouteRefresh => self.route_refresh = true,
            Capability::EnhancedRouteRefresh => self.enhanced_refresh = true,
            Capability::ExtendedMessage => self.extended_message = true,
            Capability::FourOctetAs(_) => self.four_octet_as = true,
            Capability::ExtendedNextHop(list) => {
                self.extended_next_hop = known_families(list.iter().filter(|(_, afi)| *afi == AFI_IPV6).map(|(f, _)| *f));
            }
            Capability::AddPath(list) => {
                self.add_path_rx = known_families(list.iter().filter(|(_, m)| *m != AddPathMode::Send).map(|(f, _)| *f));
                self.add_path_tx = known_families(list.iter().filter(|(_, m)| *m != AddPathMode::Receive).map(|(f, _)| *f));
            }
            Capability::GracefulRestart(gr) => self.gr = Some(gr),
            Capability::LongLivedGracefulRestart(list) => self.llgr = Some(list),
            Capability::Role(role) => self.roles.push(*role),
            Capability::Fqdn { .. } | Capability::Unknown { .. } => {}
        }
    }

    /// A peer without any multiprotocol capability speaks IPv4 unicast (RFC 4760 8).
    fn families(&self) -> FamilySet {
        if self.multi_protocol { self.named_families } else { FamilySet::from_iter([Family::Ipv4Unicast]) }
    }

    fn llgr_kept(&self) -> FamilySet {
        known_families(self.llgr.unwrap_or_default().iter().filter(|entry| entry.forwarding).map(|entry| entry.family))
    }

    fn llgr(&self, limit: Duration, families: FamilySet) -> [Duration; 2] {
        let mut times = [Duration::ZERO; 2];
        for entry in self.llgr.unwrap_or_default() {
            if let Some(family) = Family::from_afi_safi(entry.family).filter(|f| families.contains(*f)) {
                times[family.index()] = Duration::from_secs(u64::from(entry.stale_time)).min(limit);
            }
        }
        times
    }
}

const CEASE: u8 = 6;
const AS_TRANS: u32 = 23456;
const AFI_IPV6: u16 = 2;
const LEAST_KEEPALIVE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
