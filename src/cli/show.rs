//! Commands that only look.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Context;
use super::args::{FibWord, Monitor, Output, Show, ShowNeighbors, Subject};
use super::detail;
use super::failure::Failure;
use super::neighbor::{self, Section};
use super::output::{Tabular, Text, one_line};
use super::words;
use crate::api::client::escape;
use crate::api::query::{
    ConfigQuery, EventQuery, ExplainQuery, FibQuery, Format, HistoryQuery, NeighborQuery, RibQuery, Selector, ServiceQuery,
};
use crate::api::types::{
    AdvertisementInfo, Allocation, BfdSession, BmpStation, Config, Document, Event, FibEntry, FibView, History, Interface, List, Listed,
    Memory, Neighbor, NextHop, PolicyInfo, PoolInfo, RibCount, RibEntry, RouteChange, RouteDetail, ServiceStatus, Summary, Trace, Version,
    WatchEvent,
};

/// For requests without parameters.
const NOTHING: () = ();

pub(super) async fn show(context: &mut Context<'_>, what: &Show) -> Result<(), Failure> {
    match what {
        Show::Summary => summary(context).await,
        Show::Calico => calico(context).await,
        Show::Neighbors(args) => neighbors(context, args).await,
        Show::Rib { words } => rib(context, words).await,
        Show::Route { prefix } => document::<RouteDetail>(context, &format!("/v1/routes/{prefix}"), &NOTHING).await,
        Show::Services { service, pool, reason } => {
            let (service, pool, reason) = (service.clone(), pool.clone(), reason.clone());
            list::<ServiceStatus>(context, "/v1/services", &ServiceQuery { service, pool, reason, family: context.global.family() }).await
        }
        Show::Pools => list::<PoolInfo>(context, "/v1/pools", &NOTHING).await,
        Show::Allocations => list::<Allocation>(context, "/v1/allocations", &NOTHING).await,
        Show::Advertisements => list::<AdvertisementInfo>(context, "/v1/advertisements", &NOTHING).await,
        Show::History { prefix, longer } => {
            list::<RouteChange>(context, "/v1/history", &HistoryQuery { prefix: *prefix, longer: longer.is_some() }).await
        }
        Show::Fib { view } => fib(context, *view).await,
        Show::Nexthops => list::<NextHop>(context, "/v1/nexthops", &NOTHING).await,
        Show::Interfaces => list::<Interface>(context, "/v1/interfaces", &NOTHING).await,
        Show::Bfd => list::<BfdSession>(context, "/v1/bfd", &NOTHING).await,
        Show::Policies => list::<PolicyInfo>(context, "/v1/policies", &NOTHING).await,
        Show::Config(args) => document::<Config>(context, "/v1/config", &ConfigQuery { view: args.view() }).await,
        Show::Reasons => unreachable!("this needs no daemon"),
        Show::Memory => document::<Memory>(context, "/v1/memory", &NOTHING).await,
        Show::Version => document::<Version>(context, "/v1/version", &NOTHING).await,
        Show::Events { follow } if *follow || context.global.watch => {
            follow_changes::<Event>(context, "/v1/events", &EventQuery { watch: true, ..EventQuery::default() }).await
        }
        Show::Events { .. } => list::<Event>(context, "/v1/events", &EventQuery::default()).await,
    }
}

pub(super) async fn explain(context: &mut Context<'_>, subject: &[String], to: Option<&String>) -> Result<(), Failure> {
    let nothing = ExplainQuery { prefix: None, service: None, neighbor: None, to: to.cloned() };
    let query = match Subject::parse(subject).map_err(Failure::Usage)? {
        Subject::Prefix(prefix) => ExplainQuery { prefix: Some(prefix), ..nothing },
        Subject::Service(name) => ExplainQuery { service: Some(name), ..nothing },
        Subject::Neighbor(_) if to.is_some() => return Err(Failure::usage("--to belongs to a prefix or a Service")),
        Subject::Neighbor(peer) => ExplainQuery { neighbor: Some(peer), ..nothing },
    };
    document::<Trace>(context, "/v1/explain", &query).await
}

pub(super) async fn monitor(context: &mut Context<'_>, what: &Monitor) -> Result<(), Failure> {
    let family = context.global.family();
    match what {
        Monitor::Neighbors { current } => {
            let query = NeighborQuery { family, watch: true, changes_only: !current, ..NeighborQuery::default() };
            follow_changes::<Neighbor>(context, "/v1/neighbors", &query).await
        }
        Monitor::Rib { words, current } => {
            let query = RibQuery { family, watch: true, changes_only: !current, ..words::rib(words)? };
            follow_changes::<RibEntry>(context, "/v1/rib", &query).await
        }
        Monitor::Events { current } => {
            let query = EventQuery { watch: true, changes_only: !current, ..EventQuery::default() };
            follow_changes::<Event>(context, "/v1/events", &query).await
        }
    }
}

pub(super) async fn bmp(context: &mut Context<'_>) -> Result<(), Failure> {
    list::<BmpStation>(context, "/v1/bmp", &NOTHING).await
}

/// Ready, and the required sessions established: a number of them, `all`, or these.
pub(super) async fn healthcheck(context: &mut Context<'_>, required: &[String]) -> Result<(), Failure> {
    let readiness = context.client.readiness().await?;
    context.printer.document(&readiness)?;
    if !readiness.body.ready {
        return Err(Failure::Condition("the daemon is not ready".to_owned()));
    }
    if required.is_empty() {
        return Ok(());
    }
    let neighbors: List<Neighbor> = context.client.get("/v1/neighbors", &NeighborQuery::default()).await?;
    let established = neighbors.items.iter().filter(|neighbor| neighbor.is_established()).count();
    if let [number] = required
        && let Ok(wanted) = number.parse::<usize>()
    {
        return condition(established >= wanted, || format!("{established} of {wanted} required sessions are established"));
    }
    for word in required {
        let selector = Selector::parse(word);
        let mut meant = neighbors.items.iter().filter(|neighbor| selector.matches(neighbor)).peekable();
        condition(meant.peek().is_some() || selector == Selector::All, || format!("there is no neighbor `{word}`"))?;
        let down: Vec<String> = meant.filter(|neighbor| !neighbor.is_established()).map(Neighbor::label).collect();
        condition(down.is_empty(), || format!("not established: {}", down.join(", ")))?;
    }
    Ok(())
}

fn condition(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::Condition(otherwise())) }
}

/// The head, and in tables the neighbors below it.
async fn summary(context: &mut Context<'_>) -> Result<(), Failure> {
    document::<Summary>(context, "/v1/summary", &NOTHING).await?;
    if neighbor::has_sections(context.printer.output) {
        writeln!(context.printer.out)?;
        let query = NeighborQuery { family: context.global.family(), ..NeighborQuery::default() };
        list::<Neighbor>(context, "/v1/neighbors", &query).await?;
    }
    Ok(())
}

async fn neighbors(context: &mut Context<'_>, args: &ShowNeighbors) -> Result<(), Failure> {
    let words: Vec<&str> = args.words.iter().map(String::as_str).collect();
    let group = match words.as_slice() {
        [] => args.group.clone(),
        ["group", group] => Some((*group).to_owned()),
        [peer] => match Selector::parse(peer) {
            Selector::All => None,
            Selector::Group(group) => Some(group),
            Selector::Peer(peer) => return one_neighbor(context, &peer, Section::All, args.exit_status).await,
        },
        [peer, "history"] => return document::<History>(context, &format!("/v1/neighbors/{}/history", escape(peer)), &NOTHING).await,
        [peer, section] => return one_neighbor(context, peer, parse_section(section)?, args.exit_status).await,
        _ => return Err(Failure::usage("give one neighbor and one section; quote a description of several words")),
    };
    let query = NeighborQuery {
        neighbor: None,
        state: args.state,
        group,
        kind: args.kind,
        family: context.global.family(),
        ..NeighborQuery::default()
    };
    if context.global.watch {
        return follow_changes::<Neighbor>(context, "/v1/neighbors", &NeighborQuery { watch: true, ..query }).await;
    }
    let list: List<Neighbor> = context.client.get("/v1/neighbors", &query).await?;
    context.printer.list(&list)?;
    let down = list.items.iter().filter(|neighbor| !neighbor.is_established()).count();
    condition(down == 0 || !args.exit_status, || format!("{down} of {} sessions are not established", list.items.len()))
}

fn parse_section(word: &str) -> Result<Section, Failure> {
    match word {
        "timers" => Ok(Section::Timers),
        "messages" => Ok(Section::Messages),
        "capabilities" => Ok(Section::Capabilities),
        "terse" => Ok(Section::Terse),
        other => Err(Failure::usage(format!("`{other}`: use timers, messages, capabilities, history or terse"))),
    }
}

async fn one_neighbor(context: &mut Context<'_>, peer: &str, section: Section, exit_status: bool) -> Result<(), Failure> {
    if context.global.watch {
        let query = NeighborQuery { neighbor: Some(peer.to_owned()), watch: true, ..NeighborQuery::default() };
        return follow_changes::<Neighbor>(context, "/v1/neighbors", &query).await;
    }
    let document: Document<Neighbor> = context.client.get(&format!("/v1/neighbors/{}", escape(peer)), &NOTHING).await?;
    let printer = &mut context.printer;
    if neighbor::has_sections(printer.output) {
        neighbor::section(&document.body, section, printer.out, &printer.style)?;
    } else {
        printer.document(&document)?;
    }
    let established = document.body.is_established();
    condition(established || !exit_status, || format!("{} is not established", document.body.label()))
}

async fn rib(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let mut query = words::rib(words)?;
    query.family = context.global.family();
    if query.count {
        return document::<RibCount>(context, "/v1/rib", &query).await;
    }
    if context.global.watch {
        return follow_changes::<RibEntry>(context, "/v1/rib", &RibQuery { watch: true, ..query }).await;
    }
    if query.detail && neighbor::has_sections(context.printer.output) {
        return rib_detail(context, query).await;
    }
    rows::<RibEntry, _>(context, "/v1/rib", |format| RibQuery { format, ..query }).await
}

async fn rib_detail(context: &mut Context<'_>, query: RibQuery) -> Result<(), Failure> {
    let mut lines = context.client.stream("/v1/rib", &RibQuery { format: Format::Ndjson, ..query }).await?;
    let printer = &mut context.printer;
    let mut prefix = None;
    while let Some(entry) = lines.next::<RibEntry>().await? {
        if prefix.replace(entry.prefix) != Some(entry.prefix) {
            writeln!(printer.out, "{}", entry.prefix)?;
        }
        let why = entry.reason.as_deref().map(one_line).unwrap_or_default();
        detail::entry(printer.out, &printer.style, &entry, &why, "")?;
    }
    Ok(())
}

async fn fib(context: &mut Context<'_>, word: FibWord) -> Result<(), Failure> {
    let view = match word {
        FibWord::Ours => FibView::Desired,
        FibWord::All => FibView::Kernel,
        FibWord::Diff => FibView::Diff,
    };
    let family = context.global.family();
    rows::<FibEntry, _>(context, "/v1/fib", |format| FibQuery { view, family, format }).await
}

/// A document in the words of another project, which has no table of ours.
async fn calico(context: &mut Context<'_>) -> Result<(), Failure> {
    let status: serde_json::Value = context.client.get("/v1/calico/nodestatus", &NOTHING).await?;
    let printer = &mut context.printer;
    match printer.output {
        Output::Yaml => printer.yaml(&status)?,
        Output::Ndjson => printer.line(&status)?,
        Output::Table | Output::Wide | Output::Json | Output::Name => printer.json(&status)?,
    }
    Ok(())
}

/// A single document.
async fn document<T: Text + Serialize + DeserializeOwned>(
    context: &mut Context<'_>,
    path: &str,
    query: &(impl Serialize + Sync),
) -> Result<(), Failure> {
    let document: Document<T> = context.client.get(path, query).await?;
    context.printer.document(&document)
}

/// A list that fits in memory.
async fn list<T: Tabular + Serialize + DeserializeOwned>(
    context: &mut Context<'_>,
    path: &str,
    query: &(impl Serialize + Sync),
) -> Result<(), Failure> {
    let list: List<T> = context.client.get(path, query).await?;
    context.printer.list(&list)
}

/// A list of any length, printed while it arrives.
async fn rows<T: Tabular + Listed + Serialize + DeserializeOwned, Q: Serialize>(
    context: &mut Context<'_>,
    path: &str,
    query: impl FnOnce(Format) -> Q,
) -> Result<(), Failure> {
    let output = context.printer.output;
    let format = if output == Output::Json { Format::Json } else { Format::Ndjson };
    let mut lines = context.client.stream(path, &query(format)).await?;
    let printer = &mut context.printer;
    if output == Output::Json {
        // The document as the daemon wrote it: a million rows need no second copy here.
        while let Some(piece) = lines.piece().await? {
            printer.out.write_all(&piece)?;
        }
        return Ok(());
    }
    let mut table = printer.lines::<T>();
    let mut pending = Vec::new();
    while let Some(item) = lines.next::<T>().await? {
        match output {
            Output::Ndjson => printer.line(&item)?,
            Output::Name => writeln!(printer.out, "{}", item.name())?,
            Output::Yaml => {
                printer.out.write_all(b"---\n")?;
                printer.yaml(&item)?;
            }
            _ => pending.extend(item.rows(&printer.style)),
        }
        if pending.len() >= ROWS_AT_ONCE {
            printer.rows(&mut table, std::mem::take(&mut pending))?;
        }
    }
    match output {
        Output::Table | Output::Wide => Ok(printer.rows(&mut table, pending)?),
        _ => Ok(()),
    }
}

/// Rows that are laid out together; later ones may widen the columns.
const ROWS_AT_ONCE: usize = 500;

/// Changes until the daemon or the user ends them.
async fn follow_changes<T: Tabular + Serialize + DeserializeOwned>(
    context: &mut Context<'_>,
    path: &str,
    query: &(impl Serialize + Sync),
) -> Result<(), Failure> {
    let mut changes = context.client.stream(path, query).await?;
    let mut lines = context.printer.change_lines::<T>();
    while let Some(event) = changes.next::<WatchEvent<T>>().await? {
        context.printer.change(&mut lines, &event)?;
    }
    Ok(())
}
