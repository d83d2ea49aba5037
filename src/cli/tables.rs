//! The lines of every table.

mod bfd;
mod vip;

use super::output::{Column, Row, Style, Tabular, Tone};
use super::text::{or_dash, seconds, uptime_or_dash, why_down};
use crate::api::types::{
    ActionOutcome, BmpStation, Event, EventKind, FamilyStatus, FibEntry, FibState, Health, Hop, Interface, Neighbor, NeighborType, Network,
    NextHop, Origin, PolicyInfo, ReasonCode, RibEntry, RouteChange, RouteChangeKind,
};

const fn left(title: &'static str) -> Column {
    Column { title, right: false }
}

const fn right(title: &'static str) -> Column {
    Column { title, right: true }
}

fn plain(cells: Vec<String>) -> Row {
    Row { cells, tone: Tone::Plain }
}

fn words(items: &[impl ToString]) -> String {
    let text = items.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    if text.is_empty() { "-".to_owned() } else { text }
}

const NEIGHBORS: &[Column] = &[
    left("NEIGHBOR"),
    left("NAME"),
    left("TYPE"),
    left("AS"),
    left("STATE"),
    left("UP/DOWN"),
    right("RCVD"),
    right("ACPT"),
    right("SENT"),
    right("FLAPS"),
    left("LAST ERROR"),
];

const NEIGHBORS_WIDE: &[Column] = &[
    left("NEIGHBOR"),
    left("NAME"),
    left("TYPE"),
    left("AS"),
    left("STATE"),
    left("UP/DOWN"),
    right("RCVD"),
    right("ACPT"),
    right("SENT"),
    right("FLAPS"),
    right("LOCAL-AS"),
    left("FAMILY"),
    right("FILTERED"),
    right("LIMIT"),
    right("HOLD"),
    left("BFD"),
    right("QUEUE"),
    right("RTT"),
    left("GR"),
    left("GROUP"),
    left("DESC"),
    left("LAST ERROR"),
];

impl Tabular for Neighbor {
    const MAX_WIDTH: Option<usize> = Some(100);

    fn columns(wide: bool) -> &'static [Column] {
        if wide { NEIGHBORS_WIDE } else { NEIGHBORS }
    }

    fn rows(&self, style: &Style) -> Vec<Row> {
        if style.wide && !self.families.is_empty() {
            return self.families.iter().map(|family| Row { cells: neighbor_wide(self, family), tone: tone(self) }).collect();
        }
        let mut cells = neighbor_head(self);
        cells.extend(
            [self.total(|f| f.received), self.total(|f| f.accepted), self.total(|f| f.advertised), self.dropped_count]
                .map(|n| n.to_string()),
        );
        if style.wide {
            cells.extend(std::iter::repeat_n("-".to_owned(), NEIGHBORS_WIDE.len() - NEIGHBORS.len()));
        }
        cells.push(why_down(self));
        vec![Row { cells, tone: tone(self) }]
    }

    fn name(&self) -> String {
        self.label()
    }
}

fn neighbor_head(neighbor: &Neighbor) -> Vec<String> {
    let kind = if neighbor.kind == NeighborType::RrClient { "rr" } else { neighbor.kind.name() };
    vec![
        neighbor.label(),
        or_dash(neighbor.name.as_ref()),
        kind.to_owned(),
        or_dash(neighbor.remote_asn),
        neighbor.state.to_string(),
        uptime_or_dash(neighbor.up_for_seconds.or(neighbor.down_for_seconds)),
    ]
}

fn neighbor_wide(neighbor: &Neighbor, family: &FamilyStatus) -> Vec<String> {
    let mut cells = neighbor_head(neighbor);
    cells.extend([family.received, family.accepted, family.advertised, neighbor.dropped_count].map(|n| n.to_string()));
    let rtt = neighbor.tcp.as_ref().and_then(|tcp| tcp.rtt_seconds);
    cells.extend([
        neighbor.local_asn.to_string(),
        family.family.to_string(),
        family.filtered.to_string(),
        or_dash(family.limit.as_ref().map(|limit| limit.max)),
        or_dash(neighbor.timers.hold_seconds.map(seconds)),
        or_dash(neighbor.bfd.as_ref().map(|bfd| bfd.state)),
        neighbor.queues.out.to_string(),
        or_dash(rtt.map(|rtt| format!("{:.1}ms", rtt * 1e3))),
        family.gr.name().to_owned(),
        or_dash(neighbor.group.as_ref()),
        or_dash(neighbor.description.as_ref()),
        why_down(neighbor),
    ]);
    cells
}

/// Red: down against intent. Yellow: degraded, or switched off.
pub(super) fn tone(neighbor: &Neighbor) -> Tone {
    match neighbor.health() {
        Health::Good => Tone::Plain,
        Health::Degraded | Health::Off => Tone::Yellow,
        Health::Bad => Tone::Red,
    }
}

impl Tabular for RibEntry {
    fn columns(wide: bool) -> &'static [Column] {
        const NARROW: &[Column] = &[
            left("FLAGS"),
            left("NETWORK"),
            left("NEXT HOP"),
            right("MED"),
            right("LPREF"),
            left("AS PATH"),
            left("ORIGIN"),
            left("FROM"),
            left("AGE"),
        ];
        const WIDE: &[Column] = &[
            left("FLAGS"),
            left("NETWORK"),
            left("NEXT HOP"),
            right("MED"),
            right("LPREF"),
            left("AS PATH"),
            left("ORIGIN"),
            left("FROM"),
            left("AGE"),
            left("COMMUNITIES"),
            left("LARGE"),
            left("ORIGINATOR"),
            left("CLUSTERS"),
            left("REASON"),
        ];
        if wide { WIDE } else { NARROW }
    }

    fn rows(&self, style: &Style) -> Vec<Row> {
        let origin = match self.origin {
            Origin::Igp => "i",
            Origin::Egp => "e",
            Origin::Incomplete => "?",
        };
        let from = if self.local { "local".to_owned() } else { or_dash(self.peer) };
        let mut cells = vec![
            flags(self),
            self.prefix.to_string(),
            or_dash(self.next_hop),
            or_dash(self.med),
            or_dash(self.local_pref),
            self.as_path_words(),
            origin.to_owned(),
            from,
            uptime_or_dash(self.age_seconds),
        ];
        if style.wide {
            cells.extend([
                words(&self.communities),
                words(&self.large_communities),
                or_dash(self.originator_id.as_ref()),
                words(&self.cluster_list),
                or_dash(self.reason.as_ref()),
            ]);
        }
        let tone = if self.stale { Tone::Yellow } else { Tone::Plain };
        vec![Row { cells, tone }]
    }

    fn name(&self) -> String {
        self.prefix.to_string()
    }
}

/// The flags of `show rib`, as FRR writes them.
pub(super) fn flags(entry: &RibEntry) -> String {
    let marks = [
        (entry.valid && !entry.filtered, '*'),
        (entry.best, '>'),
        (entry.multipath && !entry.best, '='),
        (entry.internal, 'i'),
        (entry.stale, 'S'),
        (entry.filtered, 'F'),
        (entry.advertised, 'A'),
        (entry.local, 'L'),
    ];
    marks.into_iter().filter(|(set, _)| *set).map(|(_, mark)| mark).collect()
}

impl Tabular for FibEntry {
    fn columns(_wide: bool) -> &'static [Column] {
        const { &[left("NETWORK"), left("NEXT HOPS"), right("METRIC"), right("PROTO"), left("STATE"), left("ERROR")] }
    }

    fn rows(&self, _style: &Style) -> Vec<Row> {
        let hops = if self.blackhole { "blackhole".to_owned() } else { self.hops.iter().map(hop).collect::<Vec<_>>().join(", ") };
        let cells = vec![
            self.prefix.to_string(),
            hops,
            self.metric.to_string(),
            self.protocol.to_string(),
            self.state.name().to_owned(),
            or_dash(self.error.as_ref()),
        ];
        let tone = match self.state {
            FibState::Failed => Tone::Red,
            FibState::Pending | FibState::Extra | FibState::Stale => Tone::Yellow,
            FibState::Installed | FibState::Foreign => Tone::Plain,
        };
        vec![Row { cells, tone }]
    }

    fn name(&self) -> String {
        self.prefix.to_string()
    }
}

/// A hop in the words of `ip route`.
pub(super) fn hop(hop: &Hop) -> String {
    let mut parts = Vec::new();
    parts.extend(hop.via.map(|via| format!("via {via}")));
    parts.extend(hop.device.as_ref().map(|device| format!("dev {device}")));
    parts.extend(hop.onlink.then(|| "onlink".to_owned()));
    parts.extend((hop.weight > 1).then(|| format!("weight {}", hop.weight)));
    parts.join(" ")
}

impl Tabular for NextHop {
    fn columns(_wide: bool) -> &'static [Column] {
        const { &[left("NEXT HOP"), left("STATE"), left("VIA"), left("DEVICE"), right("COST"), right("PATHS")] }
    }

    fn rows(&self, _style: &Style) -> Vec<Row> {
        let state = match (self.reachable, self.connected) {
            (true, true) => "connected",
            (true, false) => "reachable",
            (false, _) => "unreachable",
        };
        let tone = if self.reachable { Tone::Plain } else { Tone::Red };
        let via = or_dash(self.via);
        let cells = vec![
            self.address.to_string(),
            state.to_owned(),
            via,
            or_dash(self.device.as_ref()),
            or_dash(self.cost),
            self.paths.to_string(),
        ];
        vec![Row { cells, tone }]
    }

    fn name(&self) -> String {
        self.address.to_string()
    }
}

impl Tabular for Interface {
    fn columns(_wide: bool) -> &'static [Column] {
        const { &[left("INTERFACE"), right("INDEX"), left("STATE"), right("MTU"), left("ADDRESSES")] }
    }

    fn rows(&self, _style: &Style) -> Vec<Row> {
        let state = if self.up { "up" } else { "down" };
        let cells = vec![self.name.clone(), self.index.to_string(), state.to_owned(), self.mtu.to_string(), words(&self.addresses)];
        vec![Row { cells, tone: if self.up { Tone::Plain } else { Tone::Yellow } }]
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}

impl Tabular for PolicyInfo {
    fn columns(_wide: bool) -> &'static [Column] {
        const { &[left("POLICY"), right("RULE"), left("IMPORT OF"), left("EXPORT OF"), left("TEXT")] }
    }

    /// One line per rule; users are named in the first.
    fn rows(&self, _style: &Style) -> Vec<Row> {
        let none = [String::from("-")];
        let rules = if self.rules.is_empty() { &none[..] } else { &self.rules };
        let line = |(index, rule): (usize, &String)| match index {
            0 => plain(vec![self.name.clone(), "1".to_owned(), words(&self.import_of), words(&self.export_of), rule.clone()]),
            _ => plain(vec![String::new(), (index + 1).to_string(), String::new(), String::new(), rule.clone()]),
        };
        rules.iter().enumerate().map(line).collect()
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}

impl Tabular for Network {
    fn columns(_wide: bool) -> &'static [Column] {
        const { &[left("NETWORK"), left("SOURCE"), left("NEXT HOP"), right("LPREF"), right("MED"), left("COMMUNITIES")] }
    }

    fn rows(&self, _style: &Style) -> Vec<Row> {
        let communities: Vec<String> =
            self.communities.iter().map(ToString::to_string).chain(self.large_communities.iter().map(ToString::to_string)).collect();
        let next_hop = self.next_hop.map_or_else(|| "self".to_owned(), |address| address.to_string());
        vec![plain(vec![
            self.prefix.to_string(),
            self.source.clone(),
            next_hop,
            or_dash(self.local_pref),
            or_dash(self.med),
            words(&communities),
        ])]
    }

    fn name(&self) -> String {
        self.prefix.to_string()
    }
}

impl Tabular for Event {
    fn columns(_wide: bool) -> &'static [Column] {
        const { &[left("AT"), left("TYPE"), left("NEIGHBOR"), left("NAME"), left("MESSAGE")] }
    }

    fn rows(&self, style: &Style) -> Vec<Row> {
        let tone = match self.kind {
            EventKind::SessionDown | EventKind::FibError | EventKind::ConfigRejected => Tone::Red,
            EventKind::PrefixLimit => Tone::Yellow,
            EventKind::SessionUp | EventKind::ConfigReloaded | EventKind::Admin => Tone::Plain,
        };
        let cells =
            vec![style.time(self.at), self.kind.name().to_owned(), or_dash(self.peer), or_dash(self.name.as_ref()), self.message.clone()];
        vec![Row { cells, tone }]
    }

    fn name(&self) -> String {
        self.kind.name().to_owned()
    }
}

impl Tabular for RouteChange {
    fn columns(_wide: bool) -> &'static [Column] {
        const { &[left("AT"), left("NETWORK"), left("BEST"), left("FROM"), left("NEXT HOP"), right("LPREF"), right("PATH LENGTH")] }
    }

    fn rows(&self, style: &Style) -> Vec<Row> {
        let ours = (self.kind == RouteChangeKind::Best && self.peer.is_none()).then(|| "ourselves".to_owned());
        let from = self.peer_name.clone().or_else(|| self.peer.map(|peer| peer.to_string())).or(ours);
        let next_hop = or_dash(self.next_hop);
        let cells = vec![
            style.time(self.at),
            self.prefix.to_string(),
            self.kind.name().to_owned(),
            or_dash(from),
            next_hop,
            or_dash(self.local_pref),
            or_dash(self.as_path_length),
        ];
        vec![Row { cells, tone: if self.kind == RouteChangeKind::Gone { Tone::Red } else { Tone::Plain } }]
    }

    fn name(&self) -> String {
        self.prefix.to_string()
    }
}

impl Tabular for BmpStation {
    fn columns(_wide: bool) -> &'static [Column] {
        const { &[left("STATION"), left("STATE"), left("FOR"), right("MESSAGES"), right("OCTETS"), right("CONNECTIONS"), left("ERROR")] }
    }

    fn rows(&self, _style: &Style) -> Vec<Row> {
        let cells = vec![
            self.name(),
            if self.connected { "connected" } else { "away" }.to_owned(),
            uptime_or_dash(self.connected_for_seconds),
            self.messages.to_string(),
            self.octets.to_string(),
            self.connections.to_string(),
            or_dash(self.error.as_ref()),
        ];
        vec![Row { cells, tone: if self.connected { Tone::Plain } else { Tone::Red } }]
    }

    fn name(&self) -> String {
        std::net::SocketAddr::new(self.address, self.port).to_string()
    }
}

impl Tabular for ReasonCode {
    fn columns(_wide: bool) -> &'static [Column] {
        const { &[left("CODE"), left("ABOUT"), left("WHAT TO DO")] }
    }

    fn rows(&self, _style: &Style) -> Vec<Row> {
        vec![plain(vec![self.code.clone(), self.about.clone(), or_dash(self.remedy.as_ref())])]
    }

    fn name(&self) -> String {
        self.code.clone()
    }
}

impl Tabular for ActionOutcome {
    fn columns(_wide: bool) -> &'static [Column] {
        const { &[left("NEIGHBOR"), left("NAME"), left("RESULT"), left("MESSAGE")] }
    }

    fn rows(&self, _style: &Style) -> Vec<Row> {
        let (result, tone) = if self.ok { ("ok", Tone::Plain) } else { ("failed", Tone::Red) };
        vec![Row { cells: vec![self.neighbor.clone(), or_dash(self.name.as_ref()), result.to_owned(), self.message.clone()], tone }]
    }

    fn name(&self) -> String {
        self.neighbor.clone()
    }
}
