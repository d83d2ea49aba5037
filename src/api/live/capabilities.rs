//! Capabilities in words.

use crate::api::types::{Capabilities, Capability as Shown};
use crate::session::{Negotiated, PeerParams, PeerStatus};
use crate::wire::{AddPathMode, AfiSafi, Capability, Family, FamilySet, Role};

/// What each side offers, and what came of it.
pub(super) fn capabilities(params: &PeerParams, status: &PeerStatus) -> Capabilities {
    Capabilities {
        local: params.capabilities().iter().map(shown).collect(),
        remote: status.remote_capabilities.iter().map(shown).collect(),
        negotiated: status.negotiated.as_ref().map(|n| negotiated(n)).unwrap_or_default(),
    }
}

fn shown(capability: &Capability) -> Shown {
    Shown { code: capability.code(), name: name(capability.code()).to_owned(), value: value(capability) }
}

const fn name(code: u8) -> &'static str {
    match code {
        1 => "multiprotocol",
        2 => "routeRefresh",
        5 => "extendedNextHop",
        6 => "extendedMessage",
        9 => "role",
        64 => "gracefulRestart",
        65 => "fourOctetAsn",
        69 => "addPath",
        70 => "enhancedRouteRefresh",
        71 => "longLivedGracefulRestart",
        73 => "fqdn",
        _ => "unknown",
    }
}

fn value(capability: &Capability) -> Option<String> {
    Some(match capability {
        Capability::MultiProtocol(pair) => family(*pair),
        Capability::RouteRefresh | Capability::ExtendedMessage | Capability::EnhancedRouteRefresh => return None,
        Capability::ExtendedNextHop(list) => list_of(list, |(pair, afi)| format!("{} over {}", family(*pair), afi_name(*afi))),
        Capability::Role(role) => role_name(*role).to_owned(),
        Capability::GracefulRestart(gr) => {
            let families = list_of(&gr.families, |(pair, kept)| family(*pair) + if *kept { " (forwarding)" } else { "" });
            let restarting = if gr.restarting { ", restarting" } else { "" };
            let separator = if families.is_empty() { "" } else { ", " };
            format!("restart time {} s{restarting}{separator}{families}", gr.restart_time)
        }
        Capability::FourOctetAs(asn) => asn.to_string(),
        Capability::AddPath(list) => list_of(list, |(pair, mode)| format!("{} {}", family(*pair), mode_name(*mode))),
        Capability::LongLivedGracefulRestart(list) => list_of(list, |f| format!("{} {} s", family(f.family), f.stale_time)),
        Capability::Fqdn { host, domain } if domain.is_empty() => host.clone(),
        Capability::Fqdn { host, domain } => format!("{host}.{domain}"),
        Capability::Unknown { value, .. } if value.is_empty() => return None,
        Capability::Unknown { value, .. } => value.iter().map(|octet| format!("{octet:02x}")).collect(),
    })
}

/// What holds for the session.
fn negotiated(session: &Negotiated) -> Vec<Shown> {
    let shown = |code, value: Option<String>| Shown { code, name: name(code).to_owned(), value };
    let mut list: Vec<Shown> = session.families.iter().map(|f| shown(1, Some(f.to_string()))).collect();
    let mut flag = |set: bool, code: u8| list.extend(set.then(|| shown(code, None)));
    flag(session.route_refresh, 2);
    flag(session.max_send > crate::wire::MAX_MESSAGE || session.max_receive > crate::wire::MAX_MESSAGE, 6);
    flag(session.enhanced_refresh, 70);
    let mut families = |code: u8, set: FamilySet, word: &str| {
        list.extend((!set.is_empty()).then(|| shown(code, Some(names(set) + word))));
    };
    families(5, session.extended_next_hop, "");
    families(69, session.add_path_tx, " send");
    families(69, session.add_path_rx, " receive");
    if let Some(gr) = session.gr {
        families(64, gr.families, &format!(", restart time {} s", gr.restart_time.as_secs()));
    }
    list.extend(session.four_octet_as.then(|| shown(65, None)));
    list.extend(session.local_role.zip(session.remote_role).map(|(_, remote)| shown(9, Some(role_name(remote).to_owned()))));
    list.sort_by_key(|c| c.code);
    list
}

fn names(families: FamilySet) -> String {
    families.iter().map(|f| f.to_string()).collect::<Vec<_>>().join(", ")
}

fn list_of<T>(list: &[T], text: impl Fn(&T) -> String) -> String {
    list.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn family(pair: AfiSafi) -> String {
    Family::from_afi_safi(pair).map_or_else(|| format!("AFI {} SAFI {}", pair.afi, pair.safi), |f| f.to_string())
}

fn afi_name(afi: u16) -> String {
    match afi {
        1 => "IPv4".to_owned(),
        2 => "IPv6".to_owned(),
        other => format!("AFI {other}"),
    }
}

const fn mode_name(mode: AddPathMode) -> &'static str {
    match mode {
        AddPathMode::Receive => "receive",
        AddPathMode::Send => "send",
        AddPathMode::Both => "both",
    }
}

const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Provider => "provider",
        Role::RouteServer => "routeServer",
        Role::RouteServerClient => "routeServerClient",
        Role::Customer => "customer",
        Role::Peer => "peer",
    }
}
