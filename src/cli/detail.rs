//! Documents as text: one neighbor, one route, the summary, and what else does not fit a table.

use std::io::{self, Write};

use super::output::{Lines, Style, Tabular, Text, Tone, one_line};
use super::tables::flags;
use super::text::{bytes, or_dash, uptime, uptime_or_dash};
use crate::api::types::{
    ChangeKind, Config, Drain, DrainStage, History, LogStatus, MatchAction, Memory, Network, PolicyTableResult, PolicyTestResult,
    Readiness, ReloadResult, RibCount, RibEntry, RouteDetail, RouteDirection, RouteImpact, SentTo, Summary, Trace, Verdict, Version,
};

type Out<'a> = &'a mut dyn Write;

/// `  Label         value`, the label in a column of its own.
pub(super) fn field(out: Out<'_>, label: &str, value: impl AsRef<str>) -> io::Result<()> {
    writeln!(out, "  {label:<15}{}", one_line(value.as_ref()))
}

fn paragraph(out: Out<'_>, style: &Style, tone: Tone, text: &str) -> io::Result<()> {
    writeln!(out, "{}", style.paint(tone, &one_line(text)))
}

impl Text for Summary {
    fn write(&self, out: Out<'_>, style: &Style) -> io::Result<()> {
        let cluster = self.cluster_id.as_ref().map(|id| format!(", cluster id {id}")).unwrap_or_default();
        writeln!(out, "BGP router id {}, AS {}{cluster}", self.router_id, self.asn)?;
        let roles = if self.roles.is_empty() { "-".to_owned() } else { self.roles.join(", ") };
        field(out, "Daemon", format!("kubgpd {}, up {}, roles {roles}", self.version, uptime(self.uptime_seconds)))?;
        let counts = &self.neighbors;
        let admin = if counts.admin_down > 0 { format!(", {} admin down", counts.admin_down) } else { String::new() };
        field(out, "Neighbors", format!("{} of {} established, {} down{admin}", counts.established, counts.total, counts.down))?;
        for size in &self.rib {
            field(out, "RIB", format!("{}: {} prefixes, {} paths", size.family, size.prefixes, size.paths))?;
        }
        field(out, "Memory", format!("{} resident", bytes(self.resident_bytes)))?;
        field(out, "Configuration", format!("generation {}, loaded {}", self.config_generation, style.time(self.config_loaded_at)))?;
        if let Some(error) = &self.config_error {
            paragraph(out, style, Tone::Red, &format!("  The newest reload failed, the former configuration runs: {error}"))?;
        }
        if let Some(seconds) = self.confirm_within_seconds {
            paragraph(out, style, Tone::Yellow, &format!("  Undone in {} unless `bgpctl confirm` is given", uptime(seconds)))?;
        }
        match &self.drain_state {
            Some(drain) => paragraph(out, style, Tone::Yellow, &format!("  Drain: {}", drain_words(drain))),
            None => Ok(()),
        }
    }

    fn name(&self) -> String {
        self.router_id.clone()
    }
}

impl Text for RouteDetail {
    fn write(&self, out: Out<'_>, style: &Style) -> io::Result<()> {
        writeln!(out, "{}: {} path{}", self.prefix, self.paths.len(), if self.paths.len() == 1 { "" } else { "s" })?;
        for path in &self.paths {
            let cost = path.next_hop_cost.map(|cost| format!(", cost {cost}")).unwrap_or_default();
            entry(out, style, &path.entry, &path.decision, &cost)?;
        }
        if let Some(fib) = &self.fib {
            let error = fib.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
            writeln!(out, "Kernel: {}{error}", fib.state.name())?;
        }
        sent_to(out, &self.sent_to)
    }

    fn name(&self) -> String {
        self.prefix.to_string()
    }
}

/// One path in a paragraph; `why` says how the decision or the import went.
pub(super) fn entry(out: Out<'_>, style: &Style, entry: &RibEntry, why: &str, cost: &str) -> io::Result<()> {
    let from = match (&entry.peer, &entry.peer_name) {
        (Some(peer), Some(name)) => format!("from {peer} ({name})"),
        (Some(peer), None) => format!("from {peer}"),
        (None, _) => "local".to_owned(),
    };
    let tone = if entry.stale || !entry.valid { Tone::Yellow } else { Tone::Plain };
    let why = if why.is_empty() { String::new() } else { format!(", {why}") };
    paragraph(out, style, tone, &format!("{:<5}{from}{why}", flags(entry)))?;
    field(out, "  next hop", format!("{}{cost}", or_dash(entry.next_hop)))?;
    field(out, "  AS path", format!("{} {}", entry.as_path_words(), entry.origin.name()).trim())?;
    field(out, "  preference", format!("LOCAL_PREF {}, MED {}", or_dash(entry.local_pref), or_dash(entry.med)))?;
    let communities: Vec<String> = entry.communities.iter().map(ToString::to_string).collect();
    let large: Vec<String> = entry.large_communities.iter().map(ToString::to_string).collect();
    let lists = [("  communities", communities), ("  large", large), ("  extended", entry.extended_communities.clone())];
    for (label, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        field(out, label, list.join(" "))?;
    }
    if let Some(originator) = &entry.originator_id {
        field(out, "  reflected", format!("originator {originator}, clusters {}", entry.cluster_list.join(" ")))?;
    }
    field(out, "  age", uptime_or_dash(entry.age_seconds))
}

fn sent_to(out: Out<'_>, peers: &[SentTo]) -> io::Result<()> {
    let (sent, not): (Vec<_>, Vec<_>) = peers.iter().partition(|peer| peer.advertised);
    let label = |peer: &SentTo| peer.name.clone().unwrap_or_else(|| peer.peer.to_string());
    let names = if sent.is_empty() { "nobody".to_owned() } else { sent.iter().map(|peer| label(peer)).collect::<Vec<_>>().join(", ") };
    writeln!(out, "Sent to: {}", one_line(&names))?;
    not.iter().try_for_each(|peer| writeln!(out, "Not sent to {}: {}", one_line(&label(peer)), peer.reason))
}

impl Text for Trace {
    fn write(&self, out: Out<'_>, style: &Style) -> io::Result<()> {
        let to = self.to.map(|to| format!(" to {to}")).unwrap_or_default();
        let named = || self.service.clone().or_else(|| self.neighbor.clone()).unwrap_or_default();
        let about = self.prefix.map_or_else(named, |prefix| prefix.to_string());
        writeln!(out, "{}{to}", one_line(&about))?;
        // Names of stages are short, `advertisement` being the longest.
        let width = self.steps.iter().map(|step| step.stage.len() + 1).fold(10, usize::max);
        for step in &self.steps {
            let (mark, tone) = match step.verdict {
                Verdict::Pass => ("ok", Tone::Plain),
                Verdict::Block => ("NO", Tone::Red),
                Verdict::Note => ("-", Tone::Plain),
            };
            paragraph(out, style, tone, &format!("  {mark:<4}{:<width$}{}", step.stage, step.text))?;
        }
        let tone = if self.ok { Tone::Plain } else { Tone::Red };
        paragraph(out, style, tone, &format!("=> {}", self.reason))?;
        self.remedy.as_ref().map_or(Ok(()), |remedy| writeln!(out, "   {}", one_line(remedy)))
    }

    fn name(&self) -> String {
        self.reason.clone()
    }
}

impl Text for History {
    fn write(&self, out: Out<'_>, style: &Style) -> io::Result<()> {
        for entry in &self.entries {
            writeln!(out, "{}  {} -> {}  {}", style.time(entry.at), entry.from, entry.to, one_line(&entry.reason))?;
            if let Some(error) = &entry.error {
                writeln!(out, "    {}", one_line(&error.line()))?;
            }
            if let Some(error) = &entry.tcp_error {
                writeln!(out, "    {}", one_line(error))?;
            }
        }
        Ok(())
    }

    fn name(&self) -> String {
        self.address.map_or_else(|| self.name.clone().unwrap_or_default(), |address| address.to_string())
    }
}

impl Text for RibCount {
    fn write(&self, out: Out<'_>, _style: &Style) -> io::Result<()> {
        writeln!(out, "{} prefixes, {} paths", self.prefixes, self.paths)
    }

    fn name(&self) -> String {
        self.paths.to_string()
    }
}

impl Text for Memory {
    fn write(&self, out: Out<'_>, _style: &Style) -> io::Result<()> {
        let allocated = self.allocated_bytes.map(|count| format!(", {} allocated", bytes(count))).unwrap_or_default();
        field(out, "Process", format!("{} resident{allocated}", bytes(self.resident_bytes)))?;
        field(out, "Attributes", format!("{} sets, {}", self.attribute_sets, bytes(self.attribute_bytes)))?;
        for family in &self.families {
            let size = bytes(family.bytes);
            field(out, family.family.name(), format!("{} prefixes, {} paths, {size}", family.prefixes, family.paths))?;
        }
        field(out, "Export", format!("{} update groups, {} slots, {} journal", self.update_groups, self.slots, bytes(self.journal_bytes)))?;
        field(out, "History", format!("{} of best paths, {} at most", bytes(self.history_bytes), bytes(self.history_max_bytes)))
    }

    fn name(&self) -> String {
        self.resident_bytes.to_string()
    }
}

impl Text for Version {
    fn write(&self, out: Out<'_>, _style: &Style) -> io::Result<()> {
        let commit = self.commit.as_ref().map(|commit| format!(" ({commit})")).unwrap_or_default();
        writeln!(out, "kubgpd {}{commit}", self.version)?;
        writeln!(out, "bgpctl {}", env!("CARGO_PKG_VERSION"))
    }

    fn name(&self) -> String {
        self.version.clone()
    }
}

impl Text for Config {
    /// The YAML alone, so that it can be saved and checked.
    fn write(&self, out: Out<'_>, _style: &Style) -> io::Result<()> {
        out.write_all(self.text.as_bytes())?;
        if self.text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") }
    }

    fn name(&self) -> String {
        self.source.clone()
    }
}

impl Text for PolicyTestResult {
    fn write(&self, out: Out<'_>, style: &Style) -> io::Result<()> {
        self.trace.iter().try_for_each(|line| writeln!(out, "  {}", one_line(line)))?;
        let by = self.rule.map_or_else(|| "the default".to_owned(), |rule| format!("rule {rule}"));
        match self.action {
            MatchAction::Accept => writeln!(out, "{}: accepted by {by}", self.policy)?,
            MatchAction::Reject => {
                let reason = self.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
                paragraph(out, style, Tone::Red, &format!("{}: rejected by {by}{reason}", self.policy))?;
            }
        }
        self.result.as_ref().map_or(Ok(()), |route| {
            let style = Style { wide: true, ..style.clone() };
            Lines::of::<RibEntry>(&style).write(out, route.rows(&style))
        })
    }

    fn name(&self) -> String {
        match self.action {
            MatchAction::Accept => "accept".to_owned(),
            MatchAction::Reject => "reject".to_owned(),
        }
    }
}

impl Text for ReloadResult {
    fn write(&self, out: Out<'_>, style: &Style) -> io::Result<()> {
        for change in &self.changes {
            let mark = mark(change.kind);
            let detail = change.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
            let (reset, tone) = if change.resets_session { (" (resets the session)", Tone::Yellow) } else { ("", Tone::Plain) };
            paragraph(out, style, tone, &format!("{mark} {}{detail}{reset}", change.subject))?;
        }
        self.routes.iter().try_for_each(|impact| route_impact(out, style, impact))?;
        match (self.applied, self.changes.is_empty()) {
            (_, true) => writeln!(out, "nothing changes; generation {} runs", self.generation)?,
            (true, false) => writeln!(out, "applied as generation {}", self.generation)?,
            (false, false) => writeln!(out, "not applied; generation {} runs", self.generation)?,
        }
        let Some(seconds) = self.confirm_within_seconds else { return Ok(()) };
        paragraph(out, style, Tone::Yellow, &format!("undone in {} unless `bgpctl confirm` is given", uptime(seconds)))
    }

    fn name(&self) -> String {
        self.generation.to_string()
    }
}

const fn mark(kind: ChangeKind) -> char {
    match kind {
        ChangeKind::Added => '+',
        ChangeKind::Changed => '~',
        ChangeKind::Removed => '-',
    }
}

/// How the routes of one direction of a session would change: in numbers, and the first of them by name.
fn route_impact(out: Out<'_>, style: &Style, impact: &RouteImpact) -> io::Result<()> {
    let RouteImpact { neighbor, added, removed, changed, routes, .. } = impact;
    let way = match impact.direction {
        RouteDirection::Import => "routes from",
        RouteDirection::Export => "routes to",
    };
    paragraph(out, style, Tone::Plain, &format!("{way} {neighbor}: +{added} -{removed} ~{changed}"))?;
    for route in routes {
        let reason = route.reason.as_ref().map(|reason| format!("  {reason}")).unwrap_or_default();
        let tone = if route.kind == ChangeKind::Removed { Tone::Yellow } else { Tone::Plain };
        paragraph(out, style, tone, &format!("  {} {}{reason}", mark(route.kind), route.prefix))?;
    }
    match (added + removed + changed).saturating_sub(routes.len() as u64) {
        0 => Ok(()),
        more => writeln!(out, "  … and {more} more"),
    }
}

impl Text for PolicyTableResult {
    fn write(&self, out: Out<'_>, _style: &Style) -> io::Result<()> {
        writeln!(
            out,
            "{}: {} accepted, {} of them with other attributes, {} rejected",
            self.policy, self.accepted, self.changed, self.rejected
        )?;
        let rule = |rule: Option<u16>| rule.map_or_else(|| "default".to_owned(), |number| format!("rule {number}"));
        for hits in &self.rules {
            writeln!(out, "  {:<10}{:<8}{} routes", rule(hits.rule), hits.action.name(), hits.routes)?;
        }
        for route in &self.routes {
            let from = route.peer.map_or_else(|| "ourselves".to_owned(), |peer| peer.to_string());
            let changed = if route.changed { ", changed" } else { "" };
            writeln!(out, "{} from {from}: {} by {}{changed}", route.prefix, route.action.name(), rule(route.rule))?;
        }
        Ok(())
    }

    fn name(&self) -> String {
        self.policy.clone()
    }
}

impl Text for Drain {
    fn write(&self, out: Out<'_>, style: &Style) -> io::Result<()> {
        let tone = if self.is_active() { Tone::Yellow } else { Tone::Plain };
        paragraph(out, style, tone, &drain_words(self))
    }

    fn name(&self) -> String {
        match self.stage {
            DrainStage::Serving => "serving",
            DrainStage::Leaving => "leaving",
            DrainStage::Left => "left",
        }
        .to_owned()
    }
}

fn drain_words(drain: &Drain) -> String {
    let causes: Vec<&str> = drain.causes.iter().map(|cause| cause.words()).collect();
    let why = causes.join(", ");
    match (drain.stage, drain.remaining_seconds) {
        (DrainStage::Serving, _) => "no drain: our prefixes are announced".to_owned(),
        (DrainStage::Leaving, Some(seconds)) => {
            format!("our prefixes carry GRACEFUL_SHUTDOWN and are withdrawn in {} ({why})", uptime(seconds))
        }
        (DrainStage::Leaving, None) => format!("our prefixes carry GRACEFUL_SHUTDOWN ({why})"),
        (DrainStage::Left, _) => format!("our prefixes are withdrawn ({why})"),
    }
}

impl Text for LogStatus {
    fn write(&self, out: Out<'_>, _style: &Style) -> io::Result<()> {
        let until = self.reverts_in_seconds.map(|seconds| format!(" for {}", uptime(seconds))).unwrap_or_default();
        writeln!(out, "logging {}{until}", one_line(&self.directives))
    }

    fn name(&self) -> String {
        self.directives.clone()
    }
}

impl Text for Readiness {
    fn write(&self, out: Out<'_>, style: &Style) -> io::Result<()> {
        for check in &self.checks {
            let (word, tone) = if check.ok { ("ok", Tone::Plain) } else { ("NO", Tone::Red) };
            let message = check.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
            paragraph(out, style, tone, &format!("  {word:<4}{}{message}", check.name))?;
        }
        writeln!(out, "{}", if self.ready { "ready" } else { "not ready" })
    }

    fn name(&self) -> String {
        if self.ready { "ready".to_owned() } else { "notReady".to_owned() }
    }
}

impl Text for Network {
    fn write(&self, out: Out<'_>, style: &Style) -> io::Result<()> {
        Lines::of::<Self>(style).write(out, self.rows(style))
    }

    fn name(&self) -> String {
        self.prefix.to_string()
    }
}
