//! Who is answered, and what a reader of the board is told.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use jiff::{SignedDuration, Timestamp};

use super::board::{Ledger, Row};
use super::guard::Guard;
use crate::api::types::Neighbor;
use crate::config::file::GlassAccess;
use crate::config::plan::GlassPlan;

fn guard(access: GlassAccess, hosts: &[&str]) -> Guard {
    Guard::new(&GlassPlan { access, hosts: hosts.iter().map(|host| (*host).to_owned()).collect() })
}

/// The status of a request from `caller` that names the host `host`.
fn asked(guard: &Guard, caller: &str, method: &str, host: &str) -> u16 {
    let request = Request::builder().method(method).uri("/lg/").header("host", host).body(Body::empty()).unwrap();
    status(guard, request, caller)
}

fn status(guard: &Guard, mut request: Request, caller: &str) -> u16 {
    let caller: SocketAddr = caller.parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(caller));
    guard.admits(&request).map_or_else(|problem| problem.status, |()| 200)
}

#[test]
fn others_than_this_host_need_the_configuration() {
    let local = guard(GlassAccess::Local, &[]);
    assert_eq!(asked(&local, "127.0.0.1:5", "GET", "127.0.0.1:7179"), 200);
    assert_eq!(asked(&local, "[::1]:5", "GET", "[::1]:7179"), 200);
    assert_eq!(asked(&local, "[::ffff:127.0.0.1]:5", "GET", "localhost"), 200, "a listener on :: sees IPv4 so");
    for caller in ["10.0.0.7:5", "[fe80::1]:5", "[::ffff:10.0.0.7]:5", "0.0.0.0:5"] {
        assert_eq!(asked(&local, caller, "GET", "127.0.0.1:7179"), 403, "{caller}");
    }
    let request = Request::builder().uri("/lg/").header("host", "localhost").body(Body::empty()).unwrap();
    assert_eq!(local.admits(&request).unwrap_err().status, 403, "nobody is known");
    assert_eq!(asked(&guard(GlassAccess::All, &[]), "10.0.0.7:5", "GET", "10.0.0.1:7179"), 200);
}

#[test]
fn a_name_that_is_not_ours_is_not_answered() {
    let glass = guard(GlassAccess::Local, &["lg.example.net"]);
    for host in ["localhost", "LOCALHOST:7179", "127.0.0.1", "10.9.9.9:80", "[2001:db8::1]:7179", "lg.example.net", "LG.example.NET:443"] {
        assert_eq!(asked(&glass, "127.0.0.1:5", "GET", host), 200, "{host}");
    }
    for host in ["evil.example", "localhost.evil.example", "lg.example.net.evil.example", "127.0.0.1.evil.example", "7179"] {
        assert_eq!(asked(&glass, "127.0.0.1:5", "GET", host), 421, "{host}");
    }
    let bare = Request::builder().uri("/lg/").body(Body::empty()).unwrap();
    assert_eq!(status(&glass, bare, "127.0.0.1:5"), 400);
    let absolute = Request::builder().uri("http://evil.example/lg/").header("host", "localhost").body(Body::empty()).unwrap();
    assert_eq!(status(&glass, absolute, "127.0.0.1:5"), 421, "the request line names a host too");
}

#[test]
fn nothing_but_reading() {
    let glass = guard(GlassAccess::All, &[]);
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"] {
        assert_eq!(asked(&glass, "127.0.0.1:5", method, "localhost"), 405, "{method}");
    }
    assert_eq!(asked(&glass, "127.0.0.1:5", "HEAD", "localhost"), 200);
}

fn row(address: &str, flaps: u64, now: Timestamp, up_for: f64) -> Row {
    let neighbor = serde_json::json!({
        "address": address, "port": 179, "type": "ebgp", "localAsn": 1, "remoteAsn": 2, "admin": "up", "state": "established",
        "stateSince": "2026-11-22T08:00:00Z", "upForSeconds": up_for, "establishedCount": 1, "droppedCount": flaps,
        "timers": { "configuredHoldSeconds": 90.0 }, "auth": "none", "families": [], "queues": { "out": 0, "outBytes": 0, "in": 0 },
        "messages": { "sent": {}, "received": {} }, "drain": false,
    });
    let mut neighbor = neighbor;
    for side in ["sent", "received"] {
        neighbor["messages"][side] =
            serde_json::json!({ "open": 1, "update": 0, "notification": 0, "keepalive": 0, "routeRefresh": 0, "total": 1 });
    }
    Row::new(&serde_json::from_value::<Neighbor>(neighbor).unwrap(), now)
}

fn told(ledger: &Ledger, version: u64) -> Option<(Vec<String>, Vec<String>)> {
    let (rows, gone) = ledger.since(version)?;
    Some((rows.iter().map(|row| row.id.clone()).collect(), gone.iter().map(|id| (*id).to_owned()).collect()))
}

fn some(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[test]
fn a_reader_is_told_what_changed_since_its_version() {
    let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
    let mut ledger = Ledger::default();
    ledger.update([row("10.0.0.1", 0, now, 60.0), row("10.0.0.2", 0, now, 60.0)]);
    assert_eq!(told(&ledger, 0), Some((some(&["10.0.0.1", "10.0.0.2"]), vec![])));
    ledger.update([row("10.0.0.1", 0, now, 60.0), row("10.0.0.2", 0, now, 60.0)]);
    assert_eq!(told(&ledger, 1), Some((vec![], vec![])), "nothing changed and the version stays");
    assert_eq!(told(&ledger, 2), None, "a version of the future is of another life");
    ledger.update([row("10.0.0.1", 1, now, 60.0), row("10.0.0.2", 0, now, 60.0)]);
    assert_eq!(told(&ledger, 1), Some((some(&["10.0.0.1"]), vec![])));
    ledger.update([row("10.0.0.1", 1, now, 60.0)]);
    assert_eq!(told(&ledger, 1), Some((some(&["10.0.0.1"]), some(&["10.0.0.2"]))));
    assert_eq!(told(&ledger, 2), Some((vec![], some(&["10.0.0.2"]))));
    ledger.update([row("10.0.0.1", 1, now, 60.0), row("10.0.0.2", 0, now, 1.0)]);
    assert_eq!(told(&ledger, 2), Some((some(&["10.0.0.2"]), vec![])), "what came back is not gone");
}

/// The moment since when a session is up is made of two clocks.
#[test]
fn the_passing_of_time_is_no_change() {
    let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
    let mut ledger = Ledger::default();
    ledger.update([row("10.0.0.1", 0, now, 60.4)]);
    let later = now.checked_add(SignedDuration::from_millis(1_250)).unwrap();
    ledger.update([row("10.0.0.1", 0, later, 61.7)]);
    assert_eq!(told(&ledger, 1), Some((vec![], vec![])));
    ledger.update([row("10.0.0.1", 0, later, 3.0)]);
    assert_eq!(told(&ledger, 1), Some((some(&["10.0.0.1"]), vec![])), "a session that began later is another one");
}

/// What went is remembered up to a bound; who is further behind gets everything.
#[test]
fn who_is_far_behind_starts_again() {
    let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
    let mut ledger = Ledger::default();
    for round in 0..1200 {
        ledger.update([row(&format!("10.{}.{}.1", round / 256, round % 256), 0, now, 60.0)]);
    }
    assert_eq!(told(&ledger, 1), None);
    assert_eq!(told(&ledger, 1199).map(|(rows, gone)| (rows.len(), gone.len())), Some((1, 1)));
}

/// Long answers under way are counted until their last octet, or until their reader has gone.
#[tokio::test]
async fn a_long_answer_keeps_its_seat() {
    use axum::Router;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    let endless = || async {
        let begun = futures_util::stream::once(async { Ok::<_, std::io::Error>("begun") });
        Body::from_stream(futures_util::StreamExt::chain(begun, futures_util::stream::pending()))
    };
    let seats = Arc::new(tokio::sync::Semaphore::new(1));
    let router = Router::new().route("/", get(endless)).route_layer(from_fn_with_state(Arc::clone(&seats), super::data::seated));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let ask = || async {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.unwrap();
        (stream, String::from_utf8(head.to_vec()).unwrap())
    };
    let (first, status) = ask().await;
    assert_eq!(status, "HTTP/1.1 200");
    let (mut second, status) = ask().await;
    assert_eq!(status, "HTTP/1.1 503");
    let mut rest = [0; 512];
    let read = second.read(&mut rest).await.unwrap();
    assert!(String::from_utf8_lossy(&rest[..read]).contains("retry-after: 1"));
    drop(first);
    // Waits for the seat of the reader that went.
    drop(seats.acquire().await.unwrap());
    assert_eq!(ask().await.1, "HTTP/1.1 200");
}
