//! From paths and methods to the cluster.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::answer::Form;
use super::cluster::{Cluster, Part, Refusal, id};
use super::faults::{Faults, Order};
use super::kinds::{self, ROWS, Row};
use super::patch;
use super::selector::Selector;
use super::watch;
use super::{Access, Shared};

pub fn router(shared: Arc<Shared>) -> Router {
    let api = Router::new().fallback(api).layer(from_fn_with_state(Arc::clone(&shared), misbehave));
    let control = Router::new().route("/_test/faults", post(order)).route("/_test/load", post(load)).route("/_test/state", get(state));
    control.fallback_service(api.with_state(Arc::clone(&shared))).with_state(shared)
}

async fn order(State(shared): State<Arc<Shared>>, Json(order): Json<Order>) -> Json<Faults> {
    shared.order(&order);
    Json(shared.lock().faults.clone())
}

async fn load(State(shared): State<Arc<Shared>>, yaml: String) -> Result<Json<Value>, Refusal> {
    shared.load(&yaml).map(|loaded| Json(json!({"loaded": loaded}))).map_err(Refusal::invalid)
}

async fn state(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let state = shared.lock();
    Json(json!({"faults": state.faults, "requests": state.requests, "version": state.cluster.version()}))
}

/// The faults that hit every request.
async fn misbehave(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let mut stalled = shared.stalled.subscribe();
    // The sender lives as long as `shared`, so this waits for the end of the stall and nothing else.
    let _ = stalled.wait_for(|stalled| !stalled).await;
    {
        let mut state = shared.lock();
        if Faults::take(&mut state.faults.errors) {
            return Refusal(500, "InternalError", "etcdserver: request timed out".into()).into_response();
        }
        if !matches!(*request.method(), Method::GET) {
            state.requests.writes += 1;
            if state.faults.reject_writes {
                return Refusal(403, "Forbidden", "writes are not allowed".into()).into_response();
            }
            if Faults::take(&mut state.faults.conflicts) {
                return Refusal::conflict("the object has been modified").into_response();
            }
        }
    }
    next.run(request).await
}

/// What a path names.
struct Target {
    row: &'static Row,
    version: String,
    namespace: Option<String>,
    name: Option<String>,
    part: Part,
}

struct Call {
    query: HashMap<String, String>,
    headers: HeaderMap,
    body: Bytes,
}

impl Call {
    fn get(&self, key: &str) -> &str {
        self.query.get(key).map_or("", String::as_str)
    }

    fn is(&self, key: &str) -> bool {
        matches!(self.get(key), "true" | "1")
    }

    fn json(&self) -> Result<Value, Refusal> {
        // Applied configurations may come as YAML, besides JSON.
        if let Ok(value) = serde_json::from_slice(&self.body) {
            return Ok(value);
        }
        let text = std::str::from_utf8(&self.body).map_err(|error| Refusal::invalid(error.to_string()))?;
        serde_saphyr::from_str(text).map_err(|error| Refusal(400, "BadRequest", error.to_string()))
    }

    fn content_type(&self) -> &str {
        self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn is_apply(&self) -> bool {
        self.content_type().starts_with("application/apply-patch")
    }

    fn manager(&self) -> String {
        let agent = self.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("unknown");
        if self.get("fieldManager").is_empty() { agent.to_owned() } else { self.get("fieldManager").to_owned() }
    }

    fn selector(&self) -> Result<Selector, Refusal> {
        Selector::parse(self.get("labelSelector"), self.get("fieldSelector")).map_err(|why| Refusal(400, "BadRequest", why))
    }
}

async fn api(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let path: Vec<&str> = parts.uri.path().split('/').filter(|part| !part.is_empty()).collect();
    // Not in the condition: the lock would be held in the block, too.
    let discovered = discover(&shared.lock().cluster, &path);
    if parts.method == Method::GET
        && let Some(answer) = discovered
    {
        shared.lock().requests.discoveries += 1;
        return answer.map(|value| Json(value).into_response());
    }
    let target = target(&shared.lock().cluster, &path).ok_or_else(|| Refusal(404, "NotFound", "404 page not found".into()))?;
    let body = to_bytes(body, LARGEST).await.map_err(|error| Refusal(413, "RequestEntityTooLarge", error.to_string()))?;
    let call = Call { query: query(&parts.uri), headers: parts.headers, body };
    note(&shared, access(&parts.method, &target, &call), &target, &call);
    if shared.lock().faults.forbidden.contains(target.row.plural) {
        return Err(Refusal(403, "Forbidden", format!("{} is forbidden", target.row.plural)));
    }
    let answer = match (parts.method, &target.name) {
        (Method::GET, None) if call.is("watch") => return follow(&shared, &target, &call),
        (Method::GET, None) => list(&shared, &target, &call),
        (Method::GET, Some(name)) => read(&shared, &target, name, &call),
        (method, _) => write(&shared, &target, &method, &call),
    };
    shared.announce();
    answer.map(|value| Json(value).into_response())
}

/// Bytes of a request body; the real limit is 3 MiB.
const LARGEST: usize = 3 << 20;

fn query(uri: &Uri) -> HashMap<String, String> {
    let decoded = axum::extract::Query::<HashMap<String, String>>::try_from_uri(uri);
    decoded.map(|query| query.0).unwrap_or_default()
}

/// The paths that tell what is served.
fn discover(cluster: &Cluster, path: &[&str]) -> Option<Result<Value, Refusal>> {
    let served = || ROWS.iter().filter(|row| cluster.is_served(row));
    Some(Ok(match path {
        ["version"] => json!({"major": "1", "minor": "34", "gitVersion": "v1.34.0", "gitCommit": "", "gitTreeState": "clean",
            "buildDate": "2025-01-01T00:00:00Z", "goVersion": "", "compiler": "", "platform": "linux/amd64"}),
        ["livez" | "readyz" | "healthz"] => json!("ok"),
        ["api"] => json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}),
        ["apis"] => {
            let mut groups: Vec<&str> = served().map(|row| row.group).filter(|group| !group.is_empty()).collect();
            groups.dedup();
            let groups: Vec<_> = groups.iter().map(|group| group_of(group, &mut served())).collect();
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        }
        ["apis", group] if served().any(|row| row.group == *group) => group_of(group, &mut served()),
        ["api", version] => resources("", version, &mut served())?,
        ["apis", group, version] => match resources(group, version, &mut served()) {
            Some(list) => list,
            None => return Some(Err(Refusal::not_found(&format!("{group}/{version}")))),
        },
        _ => return None,
    }))
}

fn group_of(group: &str, rows: &mut dyn Iterator<Item = &'static Row>) -> Value {
    let mut versions: Vec<&str> = rows.filter(|row| row.group == group).flat_map(|row| row.versions).copied().collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions.dedup();
    let versions: Vec<_> = versions.iter().map(|v| json!({"groupVersion": format!("{group}/{v}"), "version": v})).collect();
    json!({"kind": "APIGroup", "apiVersion": "v1", "name": group, "preferredVersion": versions[0], "versions": versions})
}

fn resources(group: &str, version: &str, rows: &mut dyn Iterator<Item = &'static Row>) -> Option<Value> {
    let mut found = Vec::new();
    for row in rows.filter(|row| row.group == group && row.versions.contains(&version)) {
        let verbs = json!(["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]);
        let singular = row.kind.to_lowercase();
        let entry = json!({"name": row.plural, "singularName": singular, "namespaced": row.namespaced, "kind": row.kind, "verbs": verbs});
        found.push(entry);
        if row.status {
            let name = format!("{}/status", row.plural);
            let verbs = json!(["get", "patch", "update"]);
            found.push(json!({"name": name, "singularName": "", "namespaced": row.namespaced, "kind": row.kind, "verbs": verbs}));
        }
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    (!found.is_empty()).then(|| json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": found}))
}

fn target(cluster: &Cluster, path: &[&str]) -> Option<Target> {
    let (group, version, rest) = match path {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return None,
    };
    let (namespace, rest) = match rest {
        // `namespaces/x` and its status are objects themselves.
        ["namespaces", namespace, rest @ ..] if rest.first().is_some_and(|plural| *plural != "status") => {
            (Some((*namespace).to_owned()), rest)
        }
        rest => (None, rest),
    };
    let (plural, name, part) = match rest {
        [plural] => (*plural, None, Part::Main),
        [plural, name] => (*plural, Some((*name).to_owned()), Part::Main),
        [plural, name, "status"] => (*plural, Some((*name).to_owned()), Part::Status),
        _ => return None,
    };
    let row = kinds::by_path(group, version, plural).filter(|row| cluster.is_served(row))?;
    Some(Target { row, version: version.to_owned(), namespace, name, part })
}

/// What a request needs the permission for.
fn access(method: &Method, target: &Target, call: &Call) -> Access {
    let verb = match (method.as_str(), &target.name) {
        ("GET", None) if call.is("watch") => "watch",
        ("GET", None) => "list",
        ("GET", Some(_)) => "get",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", None) => "deletecollection",
        _ => "delete",
    };
    let selected = call.get("fieldSelector").strip_prefix("metadata.name=").map(str::to_owned);
    let resource = match target.part {
        Part::Status => format!("{}/status", target.row.plural),
        _ => target.row.plural.to_owned(),
    };
    Access { verb, group: target.row.group, resource, namespace: target.namespace.clone(), name: target.name.clone().or(selected) }
}

/// Whoever applies what is not there needs the right to create it besides.
fn note(shared: &Shared, access: Access, target: &Target, call: &Call) {
    let mut state = shared.lock();
    let (namespace, name) = (target.namespace.as_deref().unwrap_or_default(), target.name.as_deref().unwrap_or_default());
    let is_there = state.cluster.get(&id(target.row, namespace, name)).is_some();
    if access.verb == "patch" && !is_there && call.is_apply() {
        state.accesses.insert(Access { verb: "create", name: None, ..access.clone() });
    }
    state.accesses.insert(access);
}

fn follow(shared: &Arc<Shared>, target: &Target, call: &Call) -> Result<Response, Refusal> {
    let from = call.get("resourceVersion");
    let send_initial_events = call.is("sendInitialEvents");
    let from = match from {
        _ if send_initial_events => None,
        "" | "0" => None,
        version => Some(version.parse().map_err(|_| Refusal(400, "BadRequest", format!("{version}: invalid resource version")))?),
    };
    let request = watch::Request {
        form: Form::new(target.row, &target.version, &call.headers),
        namespace: target.namespace.clone(),
        selector: call.selector()?,
        from,
        send_initial_events,
        bookmarks: call.is("allowWatchBookmarks"),
        timeout: Duration::from_secs(call.get("timeoutSeconds").parse().unwrap_or(1800)),
    };
    watch::start(shared, request)
}

fn list(shared: &Shared, target: &Target, call: &Call) -> Result<Value, Refusal> {
    let form = Form::new(target.row, &target.version, &call.headers);
    let selector = call.selector()?;
    let limit: usize = call.get("limit").parse().ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let mut state = shared.lock();
    state.requests.lists += 1;
    let not_older_than = call.get("resourceVersion");
    if not_older_than.is_empty() || call.query.contains_key("limit") {
        state.requests.stored_lists += 1;
    } else if not_older_than.parse::<u64>().is_ok_and(|asked| asked > state.cluster.version()) {
        return Err(Refusal::too_large());
    }
    let (version, after) = match call.get("continue").splitn(3, '|').collect::<Vec<_>>()[..] {
        [version, namespace, name] => (version.parse().unwrap_or(0), Some((namespace.to_owned(), name.to_owned()))),
        _ => (state.cluster.version(), None),
    };
    if state.cluster.since(version).is_none() {
        return Err(Refusal(410, "Expired", "the provided continue parameter is too old".into()));
    }
    let all = state.cluster.list(target.row, target.namespace.as_deref(), &selector, after);
    let found: Vec<&Value> = all.take(limit.saturating_add(1)).filter(|_| !state.faults.empty_lists).collect();
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if let (true, Some(last)) = (found.len() > limit, found.get(limit.wrapping_sub(1))) {
        let text = |field: &str| last["metadata"][field].as_str().unwrap_or_default();
        metadata["continue"] = json!(format!("{version}|{}|{}", text("namespace"), text("name")));
    }
    Ok(form.list(found.into_iter().take(limit).map(|object| form.object(object)).collect(), &metadata))
}

fn read(shared: &Shared, target: &Target, name: &str, call: &Call) -> Result<Value, Refusal> {
    let form = Form::new(target.row, &target.version, &call.headers);
    let id = id(target.row, target.namespace.as_deref().unwrap_or_default(), name);
    let state = shared.lock();
    let object = state.cluster.get(&id).ok_or_else(|| Refusal::not_found(&format!("{} {name:?}", target.row.plural)))?;
    Ok(form.object(object))
}

fn write(shared: &Shared, target: &Target, method: &Method, call: &Call) -> Result<Value, Refusal> {
    let form = Form::new(target.row, &target.version, &call.headers);
    let manager = call.manager();
    let namespace = target.namespace.as_deref().unwrap_or_default();
    let cluster = &mut shared.lock().cluster;
    let id = id(target.row, namespace, target.name.as_deref().unwrap_or_default());
    let object = match (method, &target.name) {
        (&Method::POST, None) => cluster.create(target.row, namespace, call.json()?, target.part, &manager)?,
        (&Method::PUT, Some(_)) => cluster.update(target.row, &id, call.json()?, target.part, &manager)?,
        (&Method::PATCH, Some(_)) => change(cluster, target, &id, call, &manager)?,
        (&Method::DELETE, Some(_)) => cluster.delete(&id)?,
        (&Method::DELETE, None) => {
            let selector = call.selector()?;
            let found = cluster.list(target.row, target.namespace.as_deref(), &selector, None);
            let text = |object: &Value, field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
            let ids: Vec<_> = found.map(|o| super::cluster::id(target.row, &text(o, "namespace"), &text(o, "name"))).collect();
            let deleted = ids.iter().map(|id| cluster.delete(id)).collect::<Result<Vec<_>, _>>()?;
            return Ok(form.list(deleted, &json!({"resourceVersion": cluster.version().to_string()})));
        }
        _ => return Err(Refusal(405, "MethodNotAllowed", format!("{method} is not allowed here"))),
    };
    Ok(form.object(&object))
}

fn change(cluster: &mut Cluster, target: &Target, id: &super::cluster::Id, call: &Call, manager: &str) -> Result<Value, Refusal> {
    let given = call.json()?;
    if call.is_apply() {
        if call.get("fieldManager").is_empty() {
            return Err(Refusal(400, "BadRequest", "PatchOptions.fieldManager: Required value".into()));
        }
        return cluster.apply(target.row, id, &given, target.part, (manager, call.is("force")));
    }
    let mut object = cluster.get(id).cloned().ok_or_else(|| Refusal::not_found(&format!("{} {:?}", target.row.plural, id.3)))?;
    if let Some(metadata) = object["metadata"].as_object_mut() {
        // A patch that names no version applies to whatever there is.
        metadata.remove("resourceVersion");
    }
    let kind = call.content_type();
    match kind.split(';').next() {
        Some("application/merge-patch+json" | "application/strategic-merge-patch+json") => patch::merge(&mut object, &given),
        Some("application/json-patch+json") => patch::json_patch(&mut object, &given).map_err(Refusal::invalid)?,
        _ => return Err(Refusal(415, "UnsupportedMediaType", format!("{kind}: unknown kind of patch"))),
    }
    cluster.update(target.row, id, object, target.part, manager)
}
