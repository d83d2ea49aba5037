//! What every table must hold when the network is at rest, written down a second time and as plainly as possible: what a node
//! has from a peer is exactly what the rules let that peer advertise; its best path is the one that the decision process takes;
//! and every route leads back to a node that originates it. Where several outcomes are stable, any of them is right.

use crate::network::{LinkEnd, Network, address_v4, address_v6};
use ipnet::IpNet;
use kubgp::export::{AddPath, NextHopMode};
use kubgp::rib::{DestRef, DumpCursor, PeerId};
use kubgp::wire::Family;
use kubgp::wire::attr::{AttrSet, Origin, PathAttributes};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What a route says.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Route {
    pub as_path: Vec<u32>,
    pub origin: Origin,
    pub next_hop: IpAddr,
    pub med: Option<u32>,
    pub local_pref: Option<u32>,
    pub communities: Vec<u32>,
    pub originator: Option<u32>,
    pub clusters: Vec<u32>,
}

impl From<&AttrSet> for Route {
    fn from(attrs: &AttrSet) -> Self {
        let all = PathAttributes::from(attrs);
        Self {
            as_path: all.as_path.0.iter().flat_map(|s| s.asns.clone()).collect(),
            origin: all.origin,
            next_hop: all.next_hop.address(),
            med: all.med,
            local_pref: all.local_pref,
            communities: all.communities,
            originator: all.originator_id.map(|id| id.get()),
            clusters: all.cluster_list.iter().map(|c| c.0).collect(),
        }
    }
}

/// A path of a table.
#[derive(Clone, Debug)]
pub struct Path {
    /// The port that it came in by; `None` for a route of our own.
    pub port: Option<usize>,
    pub route: Route,
    /// Import took it.
    pub accepted: bool,
    pub best: bool,
    /// As received (RFC 7911).
    pub path_id: u32,
    pub stale: bool,
}

pub type Table = BTreeMap<IpNet, Vec<Path>>;

#[derive(Clone, Copy, Eq, PartialEq)]
enum Kind {
    Local,
    Ebgp,
    Client,
    NonClient,
}

/// A view of the network in which nothing changes any more.
pub struct Model<'a> {
    net: &'a Network,
    tables: Vec<Table>,
}

/// The table of a node, both families.
pub fn table(net: &Network, node: usize) -> Table {
    let rib = &net.nodes[node].state.rib;
    let mut table = Table::new();
    for family in Family::ALL {
        let mut cursor = Some(DumpCursor::default());
        while cursor.is_some() {
            for dest in rib.dump(family, &mut cursor) {
                table.insert(dest.prefix(), paths(&dest));
            }
        }
    }
    table
}

fn paths(dest: &DestRef<'_>) -> Vec<Path> {
    let best = dest.best().map(|b| b.path_id_tx);
    let path = |p: kubgp::rib::PathRef<'_>| Path {
        port: (p.source != PeerId::LOCAL).then(|| p.source.0 as usize - 1),
        route: Route::from(p.attrs),
        accepted: p.path_id_tx != 0,
        best: p.path_id_tx != 0 && Some(p.path_id_tx) == best,
        path_id: p.path_id_rx,
        stale: p.stale,
    };
    dest.all_paths().map(path).collect()
}

/// Compares every table with what it must hold.
///
/// # Errors
/// The first difference, in words.
pub fn check(net: &Network) -> Result<(), String> {
    let tables = (0..net.nodes.len()).map(|n| table(net, n)).collect();
    let model = Model { net, tables };
    for node in 0..net.nodes.len() {
        model.check_own(node)?;
        for port in 0..net.nodes[node].ports.len() {
            model.check_port(node, port)?;
        }
        for (prefix, paths) in &model.tables[node] {
            model.check_best(node, prefix, paths)?;
            for path in paths {
                model.check_source(node, prefix, path)?;
            }
        }
    }
    Ok(())
}

impl Model<'_> {
    fn name(&self, node: usize) -> &str {
        &self.net.nodes[node].setup.name
    }

    fn link_ends(&self, node: usize, port: usize) -> (&LinkEnd, &LinkEnd, usize, usize) {
        let port = &self.net.nodes[node].ports[port];
        let ends = &self.net.links[port.link].ends;
        (&ends[port.side], &ends[1 - port.side], port.link, port.side)
    }

    /// The node at the other end, and the port by which it reaches us.
    fn peer(&self, node: usize, port: usize) -> (usize, usize) {
        let (_, other, link, _) = self.link_ends(node, port);
        (other.node, self.net.port_of(other.node, link))
    }

    fn kind(&self, node: usize, port: Option<usize>) -> Kind {
        let Some(port) = port else { return Kind::Local };
        let (own, other, ..) = self.link_ends(node, port);
        if self.net.nodes[node].setup.asn != self.net.nodes[other.node].setup.asn {
            Kind::Ebgp
        } else if own.client {
            Kind::Client
        } else {
            Kind::NonClient
        }
    }

    /// Own routes are exactly those that the node originates.
    fn check_own(&self, node: usize) -> Result<(), String> {
        let own = |(p, paths): (&IpNet, &Vec<Path>)| paths.iter().any(|path| path.port.is_none()).then_some(*p);
        let have: Vec<_> = self.tables[node].iter().filter_map(own).collect();
        let want: Vec<_> = self.net.nodes[node].origins.keys().copied().collect();
        if have == want { Ok(()) } else { Err(format!("{} originates {have:?}, not {want:?}", self.name(node))) }
    }

    /// What came in by a port is what the peer must advertise.
    fn check_port(&self, node: usize, port: usize) -> Result<(), String> {
        let mut have: BTreeMap<IpNet, Vec<Route>> = BTreeMap::new();
        for (prefix, paths) in &self.tables[node] {
            for path in paths.iter().filter(|p| p.port == Some(port)) {
                have.entry(*prefix).or_default().push(path.route.clone());
                let takes = self.takes(node, &path.route);
                if path.accepted != takes {
                    return Err(format!("{}: {prefix} accepted {}, must be {takes}: {path:?}", self.name(node), path.accepted));
                }
            }
        }
        let (peer, theirs) = self.peer(node, port);
        let mut want: BTreeMap<IpNet, Vec<Route>> = BTreeMap::new();
        for prefix in self.tables[peer].keys().filter(|p| self.is_negotiated(node, port, p)) {
            let routes: Vec<_> = self.advertised(peer, theirs, prefix).into_iter().map(|(_, route)| route).collect();
            if !routes.is_empty() {
                want.insert(*prefix, routes);
            }
        }
        have.values_mut().chain(want.values_mut()).for_each(|routes| routes.sort());
        for prefix in have.keys().chain(want.keys()) {
            let (has, must) = (have.get(prefix), want.get(prefix));
            if has != must {
                let says = self.group_view(peer, theirs, prefix);
                let names = (self.name(node), self.name(peer));
                return Err(format!("{} has from {} for {prefix}: {has:?}, must have {must:?}; its group says {says:?}", names.0, names.1));
            }
        }
        Ok(())
    }

    /// What the update group believes that the peer has.
    fn group_view(&self, node: usize, port: usize, prefix: &IpNet) -> Vec<Route> {
        let state = &self.net.nodes[node].state;
        let peer = self.net.nodes[node].ports[port].peer;
        let group = state.groups.of(peer, Family::of(prefix));
        let view = group.map(|g| g.view_prefix(&state.rib, peer, prefix)).unwrap_or_default();
        view.iter().map(|a| Route::from(&a.attrs)).collect()
    }

    fn is_negotiated(&self, node: usize, port: usize, prefix: &IpNet) -> bool {
        let (own, other, ..) = self.link_ends(node, port);
        own.families.intersection(other.families).contains(Family::of(prefix))
    }

    /// Loops (RFC 4271 9.1.2, RFC 4456 8).
    fn takes(&self, node: usize, route: &Route) -> bool {
        let own = &self.net.nodes[node].setup;
        !route.as_path.contains(&own.asn) && route.originator != Some(own.id) && !route.clusters.contains(&own.cluster)
    }

    /// Whether the decision process may look at the path (RFC 4271 5.1.3: not with ourselves as next hop).
    fn is_eligible(&self, node: usize, path: &Path) -> bool {
        let is_own = |port: usize| {
            let (.., link, side) = self.link_ends(node, port);
            [address_v4(link, side), address_v6(link, side)].contains(&path.route.next_hop)
        };
        path.port.is_none() || path.accepted && !(0..self.net.nodes[node].ports.len()).any(is_own)
    }

    /// What `node` says of a prefix on a port, each with the path that it comes from.
    fn advertised(&self, node: usize, port: usize, prefix: &IpNet) -> Vec<(&Path, Route)> {
        let Some(paths) = self.tables[node].get(prefix) else { return Vec::new() };
        let (own, ..) = self.link_ends(node, port);
        let eligible: Vec<&Path> = paths.iter().filter(|p| self.is_eligible(node, p)).collect();
        let chosen = match own.add_path {
            AddPath::Off => paths.iter().filter(|p| p.best).collect(),
            AddPath::All => eligible,
            AddPath::Best(n) => self.ranked(node, eligible, usize::from(n)),
        };
        chosen.into_iter().filter_map(|path| Some((path, self.export(node, port, prefix, path)?))).collect()
    }

    fn export(&self, node: usize, port: usize, prefix: &IpNet, path: &Path) -> Option<Route> {
        let (own, other, link, side) = self.link_ends(node, port);
        let (me, them) = (&self.net.nodes[node].setup, &self.net.nodes[other.node].setup);
        let (from, to) = (self.kind(node, path.port), self.kind(node, Some(port)));
        let internal = to != Kind::Ebgp;
        let denied = own.deny.is_some_and(|c| path.route.communities.contains(&c));
        let unreflected = from == Kind::NonClient && to == Kind::NonClient;
        let injected = internal && path.route.originator == Some(them.id);
        if path.port == Some(port) || denied || unreflected || injected {
            return None;
        }
        let mut route = path.route.clone();
        if own.next_hop == NextHopMode::SelfAddress || !internal || from == Kind::Local {
            let v4 = Family::of(prefix) == Family::Ipv4Unicast;
            route.next_hop = if v4 { address_v4(link, side) } else { address_v6(link, side) };
        }
        if !internal {
            route.as_path.insert(0, me.asn);
            (route.local_pref, route.originator) = (None, None);
            route.clusters.clear();
            route.med = route.med.filter(|_| from == Kind::Local);
            return Some(route);
        }
        route.local_pref = route.local_pref.or(Some(100));
        if let Some(source) = path.port.filter(|_| from != Kind::Ebgp) {
            let (peer, _) = self.peer(node, source);
            route.originator = route.originator.or(Some(self.net.nodes[peer].setup.id));
            route.clusters.insert(0, me.cluster);
        }
        Some(route)
    }

    /// There is a best path exactly when one is eligible, and the decision process keeps it.
    fn check_best(&self, node: usize, prefix: &IpNet, paths: &[Path]) -> Result<(), String> {
        let eligible: Vec<&Path> = paths.iter().filter(|p| self.is_eligible(node, p)).collect();
        let best = paths.iter().find(|p| p.best);
        let must = self.best_of(node, &eligible, best);
        let same = match (best, must) {
            (Some(a), Some(b)) => std::ptr::eq(a, b),
            (a, b) => a.is_none() && b.is_none(),
        };
        if same { Ok(()) } else { Err(format!("{}: best of {prefix} is {best:?}, must be {must:?}", self.name(node))) }
    }

    /// RFC 4271 9.1.2.2: the winner of each neighbor AS, then the winner among those. The present best counts as the older one.
    fn best_of<'p>(&self, node: usize, paths: &[&'p Path], present: Option<&Path>) -> Option<&'p Path> {
        let older = present.filter(|p| self.kind(node, p.port) == Kind::Ebgp).and_then(|p| p.port);
        let neighbor = |p: &Path| p.route.as_path.first().copied();
        let mut neighbors: Vec<_> = paths.iter().map(|p| neighbor(p)).collect();
        neighbors.sort_unstable();
        neighbors.dedup();
        let winner = |of: Option<u32>| {
            let same = paths.iter().filter(|p| neighbor(p) == of);
            same.min_by_key(|p| self.preference(node, p, older, true)).copied()
        };
        neighbors.into_iter().filter_map(winner).min_by_key(|p| self.preference(node, p, older, false))
    }

    /// The smaller, the better.
    #[expect(clippy::type_complexity, reason = "the steps of the decision, in their order")]
    fn preference(
        &self,
        node: usize,
        path: &Path,
        older: Option<usize>,
        with_med: bool,
    ) -> ((u32, bool, usize, Origin, u32), (bool, bool, u32, usize, Option<IpAddr>, u32)) {
        let (kind, route) = (self.kind(node, path.port), &path.route);
        let id = path.port.map_or(self.net.nodes[node].setup.id, |p| self.net.nodes[self.peer(node, p).0].setup.id);
        let address = path.port.map(|p| self.net.nodes[node].ports[p].remote.ip());
        let med = if with_med { route.med.unwrap_or(0) } else { 0 };
        let first = (u32::MAX - route.local_pref.unwrap_or(100), kind != Kind::Local, route.as_path.len(), route.origin, med);
        let internal = matches!(kind, Kind::Client | Kind::NonClient);
        let is_older = kind == Kind::Ebgp && older.is_some() && path.port == older;
        (first, (internal, !is_older, route.originator.unwrap_or(id), route.clusters.len(), address, path.path_id))
    }

    fn ranked<'p>(&self, node: usize, mut left: Vec<&'p Path>, most: usize) -> Vec<&'p Path> {
        let present = left.iter().find(|p| p.best).copied();
        let mut ranked = Vec::new();
        while ranked.len() < most
            && let Some(next) = self.best_of(node, &left, present)
        {
            ranked.push(next);
            left.retain(|p| !std::ptr::eq(*p, next));
        }
        ranked
    }

    /// The route leads back, hop by hop, to a node that originates it: nothing keeps itself alive.
    fn check_source(&self, node: usize, prefix: &IpNet, path: &Path) -> Result<(), String> {
        let (mut at, mut here) = (node, path);
        for _ in 0..=self.net.nodes.len() {
            let Some(port) = here.port else { return Ok(()) };
            let (peer, theirs) = self.peer(at, port);
            let advertised = self.advertised(peer, theirs, prefix);
            let Some((source, _)) = advertised.into_iter().find(|(_, route)| *route == here.route) else {
                return Err(format!("{}: nobody advertises {prefix} {here:?}", self.name(at)));
            };
            (at, here) = (peer, source);
        }
        Err(format!("{}: {prefix} goes round in circles: {path:?}", self.name(node)))
    }
}
