//! `show neighbor PEER`: everything that helps at night, the reason first.

use std::io::{self, Write};

use super::args::Output;
use super::detail::field;
use super::output::{Lines, Row, Style, Tabular, Text, Tone, one_line};
use super::tables::tone;
use super::text::{or_dash, seconds, uptime, why_down};
use crate::api::types::{Admin, Capability, Direction, ErrorInfo, FamilyStatus, Malformed, MessageCounters, Neighbor, NeighborType};

/// The part of the detail that was asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Section {
    All,
    Timers,
    Messages,
    Capabilities,
    Terse,
}

type Out<'a> = &'a mut dyn Write;

impl Text for Neighbor {
    fn write(&self, out: Out<'_>, style: &Style) -> io::Result<()> {
        section(self, Section::All, out, style)
    }

    fn name(&self) -> String {
        self.label()
    }
}

/// Writes one part, or all.
pub(super) fn section(neighbor: &Neighbor, section: Section, out: Out<'_>, style: &Style) -> io::Result<()> {
    match section {
        Section::All => {
            head(neighbor, out, style)?;
            timers(neighbor, out)?;
            families(neighbor, out, style)?;
            capabilities(neighbor, out)?;
            messages(neighbor, out, style)
        }
        Section::Timers => timers(neighbor, out),
        Section::Messages => messages(neighbor, out, style),
        Section::Capabilities => capabilities(neighbor, out),
        Section::Terse => terse(neighbor, out, style),
    }
}

/// Whether a format has parts at all: JSON and its kin always hold everything.
pub(super) const fn has_sections(output: Output) -> bool {
    matches!(output, Output::Table | Output::Wide)
}

fn terse(neighbor: &Neighbor, out: Out<'_>, style: &Style) -> io::Result<()> {
    let headless = Style { headers: false, ..style.clone() };
    Lines::of::<Neighbor>(&headless).write(out, neighbor.rows(&headless))
}

fn head(neighbor: &Neighbor, out: Out<'_>, style: &Style) -> io::Result<()> {
    let name = neighbor.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    let kind = match neighbor.kind {
        NeighborType::Ebgp => "eBGP",
        NeighborType::Ibgp => "iBGP",
        NeighborType::RrClient => "iBGP, route reflector client",
    };
    let dynamic = if neighbor.dynamic { ", dynamic" } else { "" };
    writeln!(out, "Neighbor {}{}, {kind}{dynamic}, AS {}", neighbor.label(), one_line(&name), or_dash(neighbor.remote_asn))?;
    if let Some(description) = &neighbor.description {
        field(out, "Description", description)?;
    }
    if let Some(group) = &neighbor.group {
        field(out, "Group", group)?;
    }
    state(neighbor, out, style)?;
    let local = neighbor.local_address.map(|address| format!("{address}, ")).unwrap_or_default();
    let interface = neighbor.interface.as_ref().map(|interface| format!(", interface {interface}")).unwrap_or_default();
    field(out, "Local", format!("{local}AS {}{interface}", neighbor.local_asn))?;
    field(out, "Remote", format!("port {}, router id {}", neighbor.port, or_dash(neighbor.router_id.as_ref())))?;
    field(out, "Sessions", format!("{} established, {} dropped", neighbor.established_count, neighbor.dropped_count))?;
    security(neighbor, out)?;
    if let Some(bfd) = &neighbor.bfd {
        field(out, "BFD", format!("{}, profile {}", bfd.state, bfd.profile))?;
    }
    if neighbor.drain {
        field(out, "Drain", "draining towards this neighbor")?;
    }
    Ok(())
}

fn state(neighbor: &Neighbor, out: Out<'_>, style: &Style) -> io::Result<()> {
    let duration = match (neighbor.up_for_seconds, neighbor.down_for_seconds) {
        (Some(up), _) => format!(", up for {}", uptime(up)),
        (None, Some(down)) => format!(", down for {}", uptime(down)),
        (None, None) => String::new(),
    };
    let admin = if neighbor.admin == Admin::Down { " (admin down)" } else { "" };
    let line = format!("  {:<15}{}{admin} since {}{duration}", "State", neighbor.state, style.time(neighbor.state_since));
    writeln!(out, "{}", style.paint(tone(neighbor), &line))?;
    if !neighbor.is_established() {
        let line = format!("  {:<15}{}", "Why down", one_line(&why_down(neighbor)));
        writeln!(out, "{}", style.paint(Tone::Red, &line))?;
    }
    if let Some(error) = &neighbor.last_error {
        field(out, "Last error", error_sentence(error, style))?;
    }
    if let Some(error) = &neighbor.last_tcp_error {
        field(out, "Last TCP error", format!("{}, {}", error.text, style.time(error.at)))?;
    }
    // What helps is the newest error's remedy, and only while the session is down.
    let error = neighbor.last_error.as_ref().map(|error| (error.at, error.remedy.as_ref()));
    let tcp = neighbor.last_tcp_error.as_ref().map(|error| (error.at, error.remedy.as_ref()));
    let remedy = error.into_iter().chain(tcp).max_by_key(|(at, _)| *at).and_then(|(_, remedy)| remedy);
    match remedy {
        _ if neighbor.admin == Admin::Down => field(out, "What to do", format!("`bgpctl neighbor {} up` starts it", neighbor.label())),
        Some(remedy) if !neighbor.is_established() => field(out, "What to do", remedy),
        _ => Ok(()),
    }
}

fn error_sentence(error: &ErrorInfo, style: &Style) -> String {
    let direction = match error.direction {
        Some(Direction::Sent) => "sent ",
        Some(Direction::Received) => "received ",
        None => "",
    };
    let code = match (error.code, error.subcode) {
        (Some(code), Some(subcode)) => format!(" ({code}/{subcode})"),
        _ => String::new(),
    };
    let message = error.message.as_ref().map(|message| format!(" \"{message}\"")).unwrap_or_default();
    format!("{direction}{}{code}{message}, {}", error.text, style.time(error.at))
}

fn security(neighbor: &Neighbor, out: Out<'_>) -> io::Result<()> {
    let mut parts = vec![format!("auth {}", neighbor.auth)];
    parts.extend(neighbor.ttl_security.map(|hops| format!("TTL security {hops} hop{}", if hops == 1 { "" } else { "s" })));
    parts.extend(neighbor.multihop.map(|ttl| format!("multihop TTL {ttl}")));
    field(out, "Security", parts.join(", "))?;
    let Some(tcp) = &neighbor.tcp else { return Ok(()) };
    let counters = [
        ("MD5 failures", tcp.md5_failures),
        ("MD5 missing", tcp.md5_missing),
        ("MD5 unexpected", tcp.md5_unexpected),
        ("TTL drops", tcp.min_ttl_drops),
    ];
    let mut parts: Vec<String> = counters.into_iter().filter_map(|(name, count)| Some(format!("{name} {}", count?))).collect();
    parts.extend(tcp.ttl.map(|ttl| format!("sent with TTL {ttl}")));
    parts.extend(tcp.rtt_seconds.map(|rtt| format!("RTT {:.1} ms", rtt * 1e3)));
    if parts.is_empty() { Ok(()) } else { field(out, "TCP", parts.join(", ")) }
}

fn timers(neighbor: &Neighbor, out: Out<'_>) -> io::Result<()> {
    writeln!(out, "Timers")?;
    let timers = &neighbor.timers;
    let left = |value: Option<f64>| value.map(|value| format!(", {value:.1}s left")).unwrap_or_default();
    let hold = timers.hold_seconds.map_or_else(|| "not negotiated".to_owned(), seconds);
    field(
        out,
        "Hold time",
        format!("{hold} (configured {}){}", seconds(timers.configured_hold_seconds), left(timers.hold_expires_in_seconds)),
    )?;
    if let Some(keepalive) = timers.keepalive_seconds {
        field(out, "Keepalive", format!("{}{}", seconds(keepalive), left(timers.keepalive_in_seconds)))?;
    }
    if let Some(retry) = timers.connect_retry_in_seconds {
        field(out, "Connect retry", format!("in {retry:.1}s"))?;
    }
    if let Some(hold) = timers.idle_hold_in_seconds {
        field(out, "Idle hold", format!("starts again in {hold:.1}s"))?;
    }
    Ok(())
}

fn families(neighbor: &Neighbor, out: Out<'_>, style: &Style) -> io::Result<()> {
    writeln!(out, "Families")?;
    for family in &neighbor.families {
        let agreed = if family.negotiated { "" } else { " (not negotiated)" };
        writeln!(out, "  {}{agreed}", family.family)?;
        let FamilyStatus { received, accepted, filtered, best, advertised, .. } = family;
        field(
            out,
            "  prefixes",
            format!("received {received}, accepted {accepted}, filtered {filtered}, best {best}, advertised {advertised}"),
        )?;
        if let Some(limit) = &family.limit {
            let line = format!("  {:<15}{}, then {}{}", "  limit", limit.max, limit.action.name(), if limit.hit { ": HIT" } else { "" });
            writeln!(out, "{}", style.paint(if limit.hit { Tone::Yellow } else { Tone::Plain }, &line))?;
        }
        let done = |done: bool| if done { "yes" } else { "no" };
        field(out, "  End-of-RIB", format!("received {}, sent {}", done(family.eor_received), done(family.eor_sent)))?;
        let stale = if family.stale > 0 { format!(", {} stale", family.stale) } else { String::new() };
        field(out, "  restart", format!("{}{stale}", family.gr.name()))?;
    }
    Ok(())
}

fn capabilities(neighbor: &Neighbor, out: Out<'_>) -> io::Result<()> {
    let sets = &neighbor.capabilities;
    for (title, set) in
        [("Our capabilities", &sets.local), ("Their capabilities", &sets.remote), ("Negotiated capabilities", &sets.negotiated)]
    {
        writeln!(out, "{title}")?;
        if set.is_empty() {
            writeln!(out, "  none yet")?;
        }
        set.iter().try_for_each(|capability| writeln!(out, "  {}", one_line(&capability_line(capability))))?;
    }
    Ok(())
}

fn capability_line(capability: &Capability) -> String {
    let value = capability.value.as_ref().map(|value| format!(": {value}")).unwrap_or_default();
    format!("{} ({}){value}", capability.name, capability.code)
}

fn messages(neighbor: &Neighbor, out: Out<'_>, style: &Style) -> io::Result<()> {
    use super::output::Column;
    const COLUMNS: &[Column] =
        &[Column { title: "  MESSAGES", right: false }, Column { title: "SENT", right: true }, Column { title: "RECEIVED", right: true }];
    type Counter = fn(&MessageCounters) -> u64;
    const KINDS: [(&str, Counter); 6] = [
        ("open", |m| m.open),
        ("update", |m| m.update),
        ("notification", |m| m.notification),
        ("keepalive", |m| m.keepalive),
        ("route refresh", |m| m.route_refresh),
        ("total", |m| m.total),
    ];
    writeln!(out, "Messages")?;
    let both = &neighbor.messages;
    let line = |(name, count): (&str, Counter)| Row {
        cells: vec![format!("  {name}"), count(&both.sent).to_string(), count(&both.received).to_string()],
        tone: Tone::Plain,
    };
    Lines::new(COLUMNS, style).write(out, KINDS.into_iter().map(line).collect())?;
    if let Some(malformed) = both.malformed {
        let Malformed { discarded, treated_as_withdraw } = malformed;
        field(
            out,
            "Malformed",
            format!("{treated_as_withdraw} UPDATEs treated as withdrawn, {discarded} attributes discarded (RFC 7606)"),
        )?;
    }
    let queues = &neighbor.queues;
    field(out, "Queues", format!("out {} ({} bytes), in {}", queues.out, queues.out_bytes, queues.input))?;
    let times = [("Last read", neighbor.last_read_at), ("Last written", neighbor.last_write_at)];
    times.into_iter().filter_map(|(label, at)| Some((label, at?))).try_for_each(|(label, at)| field(out, label, style.time(at)))
}
