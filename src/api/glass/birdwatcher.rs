//! The same in the shape of birdwatcher, which Alice-LG reads: `api = "http://HOST:7179/lg/api"`, `type = "single_table"`,
//! `main_table = "master"`, `timezone = "UTC"`, `servertime = "2006-01-02T15:04:05Z07:00"`, and `"2006-01-02 15:04:05"` for
//! `servertime_short` and `servertime_ext`.

use std::collections::BTreeMap;

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::api::query::{PrefixMatch, RibQuery, RibView, parse_prefix};
use crate::api::routes::Params;
use crate::api::server::Shared;
use crate::api::stream;
use crate::api::types::{Admin, Community, FamilyStatus, LargeCommunity, Neighbor, Problem, RibEntry};

/// Short answers.
pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/lg/api/status", get(status))
        .route("/lg/api/protocols/bgp", get(protocols))
        .route("/lg/api/protocols/short", get(protocols_short))
}

/// Tables: each needs a seat.
pub(super) fn lists() -> Router<Shared> {
    Router::new()
        .route("/lg/api/routes/protocol/{id}", get(received))
        .route("/lg/api/routes/filtered/{id}", get(filtered))
        .route("/lg/api/routes/table/{table}", get(table))
        .route("/lg/api/routes/table/{table}/filtered", get(table_filtered))
        .route("/lg/api/routes/prefix", get(prefix))
}

/// What every answer begins with.
#[derive(Serialize)]
struct Envelope<T> {
    api: Api,
    /// The answer is of this moment.
    ttl: String,
    #[serde(flatten)]
    body: T,
}

impl<T> Envelope<T> {
    fn new(body: T) -> Self {
        let now = Timestamp::now();
        Self { api: Api::at(now), ttl: rfc3339(now), body }
    }
}

#[derive(Serialize)]
struct Api {
    #[serde(rename = "Version")]
    version: &'static str,
    result_from_cache: bool,
    cache_status: CacheStatus,
}

#[derive(Serialize)]
struct CacheStatus {
    cached_at: CachedAt,
}

#[derive(Serialize)]
struct CachedAt {
    date: String,
    timezone_type: &'static str,
    timezone: &'static str,
}

impl Api {
    fn at(now: Timestamp) -> Self {
        let cached_at = CachedAt { date: rfc3339(now), timezone_type: "UTC", timezone: "Etc/UTC" };
        Self { version: VERSION, result_from_cache: false, cache_status: CacheStatus { cached_at } }
    }
}

#[derive(Serialize)]
struct StatusBody {
    status: Status,
}

#[derive(Serialize)]
struct Status {
    router_id: String,
    current_server: String,
    last_reboot: String,
    last_reconfig: String,
    version: String,
    message: String,
}

async fn status(State(backend): State<Shared>) -> Result<Json<Envelope<StatusBody>>, Problem> {
    let summary = backend.summary().await?;
    let now = Timestamp::now();
    let status = Status {
        router_id: summary.router_id,
        current_server: time(now),
        last_reboot: time(before(now, summary.uptime_seconds)),
        last_reconfig: time(summary.config_loaded_at),
        version: format!("kubgp {}", summary.version),
        message: "Daemon is up and running".to_owned(),
    };
    Ok(Json(Envelope::new(StatusBody { status })))
}

#[derive(Serialize)]
struct Protocols<T> {
    protocols: BTreeMap<String, T>,
}

#[derive(Serialize)]
struct Protocol {
    protocol: String,
    bird_protocol: &'static str,
    table: &'static str,
    state: &'static str,
    state_changed: String,
    /// The state of the session, in the words of RFC 4271.
    connection: String,
    description: String,
    neighbor_address: String,
    neighbor_as: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    neighbor_id: Option<String>,
    last_error: String,
    routes: Counts,
}

#[derive(Serialize)]
struct Counts {
    imported: u64,
    filtered: u64,
    exported: u64,
    preferred: u64,
}

#[derive(Serialize)]
struct ShortProtocol {
    proto: &'static str,
    table: &'static str,
    state: &'static str,
    since: String,
    info: String,
}

async fn protocols(State(backend): State<Shared>) -> Result<Json<Envelope<Protocols<Protocol>>>, Problem> {
    let (now, neighbors) = (Timestamp::now(), backend.neighbors(Default::default()).await?);
    let protocols = neighbors.iter().map(|neighbor| (id(neighbor), Protocol::new(neighbor, now))).collect();
    Ok(Json(Envelope::new(Protocols { protocols })))
}

async fn protocols_short(State(backend): State<Shared>) -> Result<Json<Envelope<Protocols<ShortProtocol>>>, Problem> {
    let (now, neighbors) = (Timestamp::now(), backend.neighbors(Default::default()).await?);
    let short = |neighbor: &Neighbor| ShortProtocol {
        proto: "BGP",
        table: TABLE,
        state: state(neighbor),
        since: time(since(neighbor, now)),
        info: neighbor.state.to_string(),
    };
    let protocols = neighbors.iter().map(|neighbor| (id(neighbor), short(neighbor))).collect();
    Ok(Json(Envelope::new(Protocols { protocols })))
}

impl Protocol {
    fn new(neighbor: &Neighbor, now: Timestamp) -> Self {
        let total = |counter: fn(&FamilyStatus) -> u64| neighbor.total(counter);
        let words = [&neighbor.description, &neighbor.name].into_iter().flatten().next();
        Self {
            protocol: id(neighbor),
            bird_protocol: "BGP",
            table: TABLE,
            state: state(neighbor),
            state_changed: time(since(neighbor, now)),
            connection: neighbor.state.to_string(),
            description: words.cloned().unwrap_or_else(|| neighbor.label()),
            neighbor_address: neighbor.label(),
            neighbor_as: neighbor.remote_asn.unwrap_or_default(),
            neighbor_id: neighbor.router_id.clone(),
            last_error: neighbor.why_down().unwrap_or_default(),
            routes: Counts {
                imported: total(|f| f.accepted),
                filtered: total(|f| f.filtered),
                exported: total(|f| f.advertised),
                preferred: total(|f| f.best),
            },
        }
    }
}

/// A route; AS numbers, LOCAL_PREF and MED are texts in birdwatcher's JSON.
#[derive(Serialize)]
struct Route {
    network: String,
    /// The neighbor that sent it: readers tell by this whose filtered routes these are. Its next hop is in `bgp`.
    gateway: String,
    learnt_from: String,
    from_protocol: String,
    interface: String,
    metric: u32,
    primary: bool,
    age: String,
    #[serde(rename = "type")]
    kind: [&'static str; 3],
    bgp: Bgp,
}

#[derive(Serialize)]
struct Bgp {
    origin: &'static str,
    as_path: Vec<String>,
    next_hop: String,
    local_pref: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    med: Option<String>,
    communities: Vec<[u32; 2]>,
    large_communities: Vec<[u32; 3]>,
    ext_communities: Vec<Vec<String>>,
}

impl Route {
    fn new(entry: RibEntry, names: &BTreeMap<String, String>, now: Timestamp) -> Self {
        let from = entry.peer.map_or_else(|| LOCAL.to_owned(), |peer| peer.to_string());
        let protocol = names.get(&from).cloned().unwrap_or_else(|| from.clone());
        let halves = |Community(value): &Community| [value >> 16, value & 0xffff];
        let parts = |LargeCommunity(global, first, second): &LargeCommunity| [*global, *first, *second];
        Self {
            network: entry.prefix.to_string(),
            gateway: from.clone(),
            learnt_from: from,
            from_protocol: protocol,
            interface: String::new(),
            metric: entry.local_pref.unwrap_or(DEFAULT_LOCAL_PREF),
            primary: entry.best,
            age: time(before(now, entry.age_seconds.unwrap_or_default())),
            kind: ["BGP", "unicast", "univ"],
            bgp: Bgp {
                origin: entry.origin.name(),
                as_path: entry.as_path.iter().map(u32::to_string).collect(),
                next_hop: entry.next_hop.map(|address| address.to_string()).unwrap_or_default(),
                local_pref: entry.local_pref.unwrap_or(DEFAULT_LOCAL_PREF).to_string(),
                med: entry.med.map(|med| med.to_string()),
                communities: entry.communities.iter().map(halves).collect(),
                large_communities: entry.large_communities.iter().map(parts).collect(),
                ext_communities: entry.extended_communities.iter().map(|text| text.splitn(3, ':').map(str::to_owned).collect()).collect(),
            },
        }
    }
}

async fn received(State(backend): State<Shared>, Path(id): Path<String>) -> Result<Response, Problem> {
    of(&backend, &id, RibView::Loc).await
}

async fn filtered(State(backend): State<Shared>, Path(id): Path<String>) -> Result<Response, Problem> {
    of(&backend, &id, RibView::Filtered).await
}

async fn table(State(backend): State<Shared>, Path(name): Path<String>) -> Result<Response, Problem> {
    whole(&backend, &name, RibView::Loc).await
}

async fn table_filtered(State(backend): State<Shared>, Path(name): Path<String>) -> Result<Response, Problem> {
    whole(&backend, &name, RibView::Filtered).await
}

#[derive(Deserialize)]
struct PrefixText {
    prefix: String,
}

/// The prefix and everything inside it; of an address, the most specific prefix that holds it.
async fn prefix(State(backend): State<Shared>, Params(query): Params<PrefixText>) -> Result<Response, Problem> {
    let prefix = parse_prefix(&query.prefix).map_err(Problem::usage)?;
    let matching = if query.prefix.contains('/') { PrefixMatch::Longer } else { PrefixMatch::Longest };
    routes_of(&backend, RibQuery { prefix: Some(prefix), matching: Some(matching), detail: true, ..RibQuery::default() }).await
}

/// What one neighbor announced.
async fn of(backend: &Shared, wanted: &str, view: RibView) -> Result<Response, Problem> {
    let neighbors = backend.neighbors(Default::default()).await?;
    let found = neighbors.iter().find(|neighbor| id(neighbor) == wanted);
    let neighbor = found.ok_or_else(|| Problem::not_found(format!("no protocol `{wanted}`")))?.label();
    routes_of(backend, RibQuery { view, neighbor: Some(neighbor), detail: true, ..RibQuery::default() }).await
}

async fn whole(backend: &Shared, name: &str, view: RibView) -> Result<Response, Problem> {
    if name != TABLE {
        return Err(Problem::not_found(format!("no table `{name}`")).with_detail(format!("the only one is `{TABLE}`")));
    }
    routes_of(backend, RibQuery { view, detail: true, ..RibQuery::default() }).await
}

async fn routes_of(backend: &Shared, query: RibQuery) -> Result<Response, Problem> {
    let names: BTreeMap<_, _> = backend.neighbors(Default::default()).await?.iter().map(|n| (n.label(), id(n))).collect();
    let now = Timestamp::now();
    let api = serde_json::to_string(&Api::at(now)).map_err(|e| Problem::failed(e.to_string()))?;
    let head = format!(r#"{{"api":{api},"ttl":"{}","routes":["#, rfc3339(now));
    stream::list(backend.rib(query).await?, head, move |entry| Route::new(entry, &names, now)).await
}

/// Names are unique and stay while the configuration does; addresses stand for those without.
fn id(neighbor: &Neighbor) -> String {
    neighbor.name.clone().unwrap_or_else(|| neighbor.label())
}

fn state(neighbor: &Neighbor) -> &'static str {
    match (neighbor.admin, neighbor.is_established()) {
        (Admin::Down, _) => "down",
        (Admin::Up, true) => "up",
        (Admin::Up, false) => "start",
    }
}

fn since(neighbor: &Neighbor, now: Timestamp) -> Timestamp {
    before(now, neighbor.up_for_seconds.or(neighbor.down_for_seconds).unwrap_or_default())
}

fn before(now: Timestamp, seconds: f64) -> Timestamp {
    SignedDuration::try_from_secs_f64(seconds).ok().and_then(|ago| now.checked_sub(ago).ok()).unwrap_or(now)
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn rfc3339(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// birdwatcher's version whose answers these are like.
const VERSION: &str = "2.2.5";
/// The name of the only table.
const TABLE: &str = "master";
/// The protocol of our own routes.
const LOCAL: &str = "local";
/// What the decision process takes for a missing LOCAL_PREF.
const DEFAULT_LOCAL_PREF: u32 = 100;
