//! What is answered, and to whom.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use kubgp::config::file::GlassAccess;
use kubgp::config::plan::GlassPlan;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::backend::Memo;
use crate::setup::Net;

pub struct Answer {
    pub status: u16,
    /// In lower case.
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// Serves a backend in memory at an address of its own.
pub async fn serve(memo: Memo, access: GlassAccess, at: IpAddr) -> SocketAddr {
    let listener = TcpListener::bind((at, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let glass = GlassPlan { access, hosts: BTreeSet::from(["lg.example.net".to_owned()]) };
    tokio::spawn(kubgp::api::server::serve_public(listener, Arc::new(memo), glass, std::future::pending()));
    address
}

pub async fn local(memo: Memo) -> SocketAddr {
    serve(memo, GlassAccess::Local, Ipv4Addr::LOCALHOST.into()).await
}

pub async fn get(at: SocketAddr, path: &str) -> Answer {
    ask(at, &format!("GET {path}"), &format!("host: {at}\r\n")).await
}

/// A request line without version, and header lines.
async fn ask(at: SocketAddr, request: &str, headers: &str) -> Answer {
    let mut stream = TcpStream::connect(at).await.unwrap();
    // HTTP/1.0: the body comes in one piece and ends with the connection.
    stream.write_all(format!("{request} HTTP/1.0\r\n{headers}\r\n").as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}

/// Everything that the page loads and asks for.
const RESOURCES: [&str; 11] = [
    "/lg/",
    "/lg/app.js",
    "/lg/style.css",
    "/lg/icon.svg",
    "/lg/v1/board",
    "/lg/v1/events",
    "/lg/v1/rib",
    "/lg/v1/fib",
    "/lg/v1/services",
    "/lg/v1/pools",
    "/lg/v1/nexthops",
];

#[tokio::test]
async fn every_answer_tells_browsers_to_load_nothing_else() {
    let at = local(Memo::default()).await;
    for path in RESOURCES {
        let answer = get(at, path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert!(answer.head.contains("content-security-policy: default-src 'none'; script-src 'self';"), "{path}: {}", answer.head);
        for line in
            ["x-content-type-options: nosniff", "x-frame-options: deny", "cross-origin-resource-policy: same-origin", "cache-control: no-"]
        {
            assert!(answer.head.contains(line), "{path}: {line}: {}", answer.head);
        }
        assert!(!answer.head.contains("access-control-allow-origin"), "{path}");
    }
    let page = get(at, "/lg/").await.body;
    assert!(!page.contains("http:") && !page.contains("https:") && !page.contains("style=") && !page.contains("onclick"), "{page}");
    for (path, to) in [("/", "/lg/"), ("/lg", "/lg/")] {
        let answer = get(at, path).await;
        assert!(matches!(answer.status, 307 | 308) && answer.head.contains(&format!("location: {to}")), "{path}: {}", answer.head);
    }
}

#[tokio::test]
async fn a_page_that_is_known_is_not_sent_again() {
    let at = local(Memo::default()).await;
    let first = get(at, "/lg/style.css").await;
    let tag = first.head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    let again = ask(at, "GET /lg/style.css", &format!("host: {at}\r\nif-none-match: {tag}\r\n")).await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    let other = ask(at, "GET /lg/style.css", &format!("host: {at}\r\nif-none-match: \"0\"\r\n")).await;
    assert_eq!(other.status, 200);
}

#[tokio::test]
async fn only_reading_and_only_by_our_names() {
    let at = local(Memo::default()).await;
    for path in RESOURCES {
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            let answer = ask(at, &format!("{method} {path}"), &format!("host: {at}\r\ncontent-length: 0\r\n")).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert!(answer.head.contains("allow: get, head"), "{method} {path}: {}", answer.head);
        }
        for host in ["evil.example", "localhost.evil.example:7179"] {
            assert_eq!(ask(at, &format!("GET {path}"), &format!("host: {host}\r\n")).await.status, 421, "{host} {path}");
        }
        assert_eq!(ask(at, &format!("GET {path}"), "").await.status, 400, "{path}: no host at all");
        for host in ["localhost", "lg.example.net", "[::1]:7179", "10.0.0.1"] {
            assert_eq!(ask(at, &format!("GET {path}"), &format!("host: {host}\r\n")).await.status, 200, "{host} {path}");
        }
    }
    assert_eq!(ask(at, "GET /metrics", "host: evil.example\r\n").await.status, 200, "Prometheus comes by any name, as ever");
    let changes =
        ["/lg/v1/config", "/lg/v1/config/reload", "/lg/v1/drain", "/lg/v1/networks", "/lg/v1/log", "/lg/v1/policy/test", "/v1/board"];
    for path in changes {
        assert_eq!(get(at, path).await.status, 404, "{path}");
        assert_eq!(ask(at, &format!("POST {path}"), &format!("host: {at}\r\ncontent-length: 0\r\n")).await.status, 404, "{path}");
    }
}

/// Our own address as others would come to it; a host with loopback only has none.
fn other_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("198.51.100.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|address| !address.is_loopback() && !address.is_unspecified())
}

#[tokio::test]
async fn others_get_nothing_unless_it_is_opened() {
    let Some(address) = other_address() else {
        println!("SKIP others_get_nothing_unless_it_is_opened: this host has no address but its loopback");
        return;
    };
    let closed = serve(Memo::default(), GlassAccess::Local, address).await;
    for path in RESOURCES.into_iter().chain(["/lg/api/status", "/lg/api/routes/table/master", "/"]) {
        let answer = get(closed, path).await;
        assert_eq!(answer.status, 403, "{path}");
        assert!(answer.body.contains("api.lookingGlass.access"), "{path}: {}", answer.body);
    }
    assert_eq!(get(closed, "/metrics").await.status, 200, "metrics are what the listener is for");
    let open = serve(Memo::default(), GlassAccess::All, address).await;
    assert_eq!(get(open, "/lg/").await.status, 200);
    let off = serve(Memo::default(), GlassAccess::Off, Ipv4Addr::LOCALHOST.into()).await;
    assert_eq!(get(off, "/lg/").await.status, 404);
}

#[tokio::test]
async fn the_board_tells_what_changed() {
    let at = local(Memo::default()).await;
    let all = get(at, "/lg/v1/board").await.json();
    assert_eq!((all["full"].as_bool(), all["rows"].as_array().unwrap().len()), (Some(true), Memo::default().neighbors.len()));
    let row = all["rows"].as_array().unwrap().iter().find(|row| row["name"] == "tor-b").unwrap();
    assert_eq!((row["state"].as_str(), row["health"].as_str(), row["flaps"].as_u64()), (Some("active"), Some("bad"), Some(7)));
    assert!(row["error"].as_str().unwrap().starts_with("rcvd Cease/Admin Shutdown \"maint"), "{row}");
    assert_eq!(all["summary"]["asn"], 64600);
    let version = all["version"].as_str().unwrap();
    let next = get(at, &format!("/lg/v1/board?since={version}")).await.json();
    assert_eq!((next["full"].as_bool(), next["rows"].as_array().unwrap().len()), (Some(false), 0));
    let stranger = get(at, "/lg/v1/board?since=another-life.1").await.json();
    assert_eq!(stranger["full"], true, "versions of another daemon mean nothing");
    assert_eq!(get(at, "/lg/v1/board?sinse=1").await.status, 400, "unknown parameters are refused");
}

#[tokio::test]
async fn answers_have_bounds() {
    let at = local(Memo::default()).await;
    assert_eq!(get(at, "/lg/v1/rib?watch=true").await.status, 400);
    assert_eq!(get(at, "/lg/v1/rib?limit=2").await.json()["items"].as_array().unwrap().len(), 2);
    assert_eq!(get(at, "/lg/v1/rib?view=out").await.status, 400);
    let services = get(at, "/lg/v1/services").await.json();
    let web = &services[0];
    assert_eq!((web["name"].as_str(), web["wanted"].as_u64(), web["told"].as_u64()), (Some("web"), Some(2), Some(1)));
    assert_eq!(web["peers"][0]["advertised"], false, "who lacks it comes first");
    assert_eq!(get(at, "/lg/v1/services?service=no/such").await.status, 404);
    let events = get(at, "/lg/v1/events").await.json();
    assert_eq!(events["items"][0]["type"], "configReloaded", "the newest first");
    let trace = get(at, "/lg/v1/explain?prefix=10.1.0.0/24").await.json();
    assert_eq!(trace["steps"][2]["verdict"], "block");
    assert_eq!(get(at, "/lg/v1/history?prefix=100.64.0.0/10").await.json()["items"].as_array().map(Vec::len), Some(0));
    assert_eq!(get(at, "/lg/v1/routes/10.1.0.0/24").await.json()["paths"][0]["decision"], "best: eBGP over iBGP");
}

/// Keys are where they belong, and not here.
#[test]
fn no_secret_is_shown() {
    let net = Net::new(211);
    let key = net.directory.path().join("key");
    std::fs::write(&key, "hush-hush-key").unwrap();
    let neighbor = net.neighbor("locked", 1, 2, &format!("asn: internal, password: {{ file: {} }}", key.display()));
    let daemon = net.start(1, &net.config(1, 64512, &neighbor, ""));
    let ip = net.ip(2);
    for path in
        ["/lg/v1/board".to_owned(), format!("/lg/v1/neighbors/{ip}"), format!("/lg/v1/neighbors/{ip}/history"), "/lg/v1/events".to_owned()]
    {
        let body = fetch(&daemon.http, &path);
        assert!(!body.contains("hush") && !body.contains(key.to_str().unwrap()), "{path}: {body}");
    }
    assert!(fetch(&daemon.http, &format!("/lg/v1/neighbors/{ip}")).contains("\"auth\":\"md5\""));
}

/// The configuration moves and closes the glass without a restart.
#[test]
fn a_reload_closes_and_opens_it() {
    let net = Net::new(212);
    let config = net.config(1, 64512, "  []\n", "");
    let daemon = net.start(1, &config);
    let status = || fetch(&daemon.http, "/lg/v1/board").lines().next().unwrap_or_default().to_owned();
    crate::setup::eventually("it is open to this host", || status().contains("200").then_some(()));
    daemon.write(&config.replace("api: {", "api: { lookingGlass: { access: off },"));
    daemon.ok("reload");
    crate::setup::eventually("it is closed", || status().contains("404").then_some(()));
    assert!(daemon.get("/livez").unwrap().0.contains("200"));
    daemon.write(&config);
    daemon.ok("reload");
    crate::setup::eventually("it is open again", || status().contains("200").then_some(()));
}

/// Status line, head and body, or nothing while nobody listens.
pub fn fetch(at: &str, path: &str) -> String {
    use std::io::{Read, Write};
    let mut text = String::new();
    if let Ok(mut stream) = std::net::TcpStream::connect(at) {
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {at}\r\n\r\n").unwrap();
        // A server that closes meanwhile has answered nothing.
        let _ = stream.read_to_string(&mut text);
    }
    text
}
