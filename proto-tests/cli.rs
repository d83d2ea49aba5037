//! `bgpctl` and the admin API against a daemon in memory, over a real socket: what is printed, what is asked, exit codes.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test may stop at what must not happen, and bounds its waiting by the clock"
)]

#[path = "cli/backend.rs"]
mod backend;
#[path = "cli/cluster.rs"]
mod cluster;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use backend::Memo;
use kubgp::api::client::{Client, Error};
use kubgp::api::server::AdminSocket;
use kubgp::api::types::{Preview, Problem};
use kubgp::cli::Offline;
use kubgp::config::file::GlassAccess;
use kubgp::config::plan::GlassPlan;
use serde_json::{Value, json};
use tempfile::TempDir;

struct Daemon {
    memo: Arc<Memo>,
    socket: PathBuf,
    _directory: TempDir,
}

async fn daemon() -> Daemon {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("kubgp.sock");
    let memo = Arc::new(Memo::default());
    let listener = AdminSocket::bind(&socket, 0o600).await.unwrap();
    tokio::spawn(listener.serve(memo.clone(), std::future::pending()));
    Daemon { memo, socket, _directory: directory }
}

#[derive(Debug)]
struct Outcome {
    code: u8,
    out: String,
    err: String,
}

fn check_config(file: &Path, _color: bool) -> Result<String, String> {
    if file.ends_with("good") { Ok("good: ok".into()) } else { Err("bad:1:1: wrong".into()) }
}

const OFFLINE: Offline = Offline {
    check: check_config,
    import: |_, _, _| Err("nothing to import".to_owned()),
    preview: |file, with_kernel| Box::pin(preview(file, with_kernel)),
};

/// A configuration with one neighbor, on a node where another daemon has installed routes.
async fn preview(file: &Path, with_kernel: bool) -> Result<Preview, Problem> {
    if file.ends_with("bad.yaml") {
        return Err(Problem::config_invalid(vec!["router.asn: missing".to_owned()]));
    }
    let session = json!({"name": "Mesh_10_0_0_3", "address": "10.0.0.3", "port": 179, "remoteAsn": 64512, "passive": true});
    let form = |protocol: u8| {
        let hop = json!({"via": "10.0.0.3", "device": "eth0", "onlink": false, "weight": 1});
        json!({"shape": "unicast", "hops": [hop], "metric": 1024, "protocol": protocol})
    };
    let routes = json!([
        {"prefix": "10.244.2.0/26", "fate": "keep", "now": form(179), "then": form(179)},
        {"prefix": "10.244.3.0/26", "fate": "adopt", "now": form(12), "then": form(179)},
        {"prefix": "10.245.3.0/26", "fate": "leave", "now": form(12), "reason": "Felix programs routes of this pool"},
    ]);
    let routes = if with_kernel { routes } else { Value::Null };
    let remarks = json!(["warning: BGPPeer tor: spec.filters: there is no BGPFilter `x`; left out"]);
    Ok(serde_json::from_value(json!({"sessions": [session], "routes": routes, "remarks": remarks})).unwrap())
}

impl Daemon {
    async fn run(&self, line: &[&str]) -> Outcome {
        let fixed = ["bgpctl", "--utc", "--color", "never", "--socket", self.socket.to_str().unwrap()];
        let args = fixed.iter().chain(line).map(OsString::from).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = kubgp::cli::run(args, OFFLINE, &mut out, &mut err).await;
        Outcome { code, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
    }

    /// What a successful command prints.
    async fn ok(&self, line: &str) -> String {
        let outcome = self.run(&line.split(' ').collect::<Vec<_>>()).await;
        assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{line}");
        outcome.out
    }

    async fn code(&self, line: &str) -> (u8, String) {
        let outcome = self.run(&line.split(' ').collect::<Vec<_>>()).await;
        (outcome.code, outcome.err)
    }

    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.memo.calls.lock().unwrap())
    }
}

/// Every command that looks, in the form that people read.
#[tokio::test]
async fn tables() {
    let daemon = daemon().await;
    for (name, line) in [
        ("summary", "show"),
        ("neighbors", "show neighbors"),
        ("neighbors_wide", "show neighbors -o wide"),
        ("neighbors_name", "show neighbors -o name"),
        ("diff", "diff --with-kernel"),
        ("diff_sessions", "diff"),
        ("neighbors_no_headers", "show neighbors --no-headers --state down"),
        ("neighbor_up", "show neighbor tor-a"),
        ("neighbor_down", "show neighbor 10.0.0.2"),
        ("neighbor_admin_down", "show neighbor 10.0.9.9"),
        ("neighbor_timers", "show neighbor tor-a timers"),
        ("neighbor_history", "show neighbor tor-b history"),
        ("neighbor_terse", "show neighbor tor-b terse"),
        ("rib", "show rib"),
        ("rib_wide", "show rib -o wide"),
        ("rib_filtered", "show rib filtered"),
        ("rib_detail", "show rib detail 10.1.0.0/24"),
        ("rib_count", "show rib count"),
        ("route", "show route 10.1.0.0/24"),
        ("explain", "explain 10.1.0.0/24 --to tor-a"),
        ("explain_neighbor", "explain neighbor tor-b"),
        ("route_history", "show history 10.1.0.0/16 longer"),
        ("services", "show services"),
        ("services_wide", "show services -o wide"),
        ("services_blocked", "show services --reason noEndpoints --no-headers"),
        ("service_name", "show service shop/web -o name"),
        ("pools", "show pools"),
        ("pools_wide", "show pools -o wide"),
        ("allocations", "show allocations"),
        ("advertisements", "show advertisements"),
        ("advertisements_wide", "show advertisements -o wide"),
        ("explain_service", "explain svc/shop/web --to tor-b"),
        ("fib", "show fib"),
        ("nexthops", "show nexthops"),
        ("interfaces", "show interfaces"),
        ("bfd", "show bfd"),
        ("bfd_wide", "-o wide show bfd"),
        ("policies", "show policies"),
        ("config", "show config"),
        ("memory", "show memory"),
        ("events", "show events"),
        ("networks", "network list"),
        ("policy_test", "policy test from-tor --prefix 10.1.0.0/24"),
        ("policy_table", "policy test from-tor --rib in --neighbor tor-a"),
        ("reasons", "show reasons"),
        ("bmp", "bmp status"),
        ("reload", "reload --confirm 1m"),
        ("monitor_neighbors", "monitor neighbors --current"),
        ("monitor_rib", "monitor rib best"),
    ] {
        insta::assert_snapshot!(name, daemon.ok(line).await);
    }
}

#[tokio::test]
async fn json_and_its_kin() {
    let daemon = daemon().await;
    for (name, line) in [
        ("neighbors_json", "show neighbors -j"),
        ("services_json", "show services -j"),
        ("pools_yaml", "show pools -o yaml"),
        ("allocations_ndjson", "show allocations -o ndjson"),
        ("advertisements_json", "show advertisements -j"),
        ("neighbor_json", "show neighbor tor-b -o json"),
        ("neighbor_yaml", "show neighbor rr-1 -o yaml"),
        ("rib_json", "show rib -o json"),
        ("rib_ndjson", "show rib -o ndjson"),
        ("explain_neighbor_json", "explain neighbor tor-b -j"),
        ("route_history_json", "show history 203.0.113.7 -j"),
        ("route_json", "show route 10.1.0.0/24 -o json"),
        ("summary_json", "show summary -o json"),
        ("monitor_ndjson", "monitor events -o ndjson"),
    ] {
        insta::assert_snapshot!(name, daemon.ok(line).await);
    }
}

/// CONTRACT: no line of the default table is wider than 100 columns.
#[tokio::test]
async fn the_neighbor_table_fits_a_terminal() {
    let daemon = daemon().await;
    for line in daemon.ok("show neighbors").await.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[tokio::test]
async fn colours_only_when_asked_for_or_on_a_terminal() {
    let daemon = daemon().await;
    assert!(!daemon.ok("show neighbors").await.contains('\x1b'));
    let socket = daemon.socket.to_str().unwrap();
    let args = ["bgpctl", "--color", "always", "--socket", socket, "show", "neighbors"].map(OsString::from).to_vec();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    assert_eq!(kubgp::cli::run(args, OFFLINE, &mut out, &mut err).await, 0);
    let text = String::from_utf8(out).unwrap();
    let painted = |color: &str| text.lines().filter(|line| line.starts_with(color)).map(|line| line.to_owned()).collect::<Vec<_>>();
    assert_eq!(painted("\x1b[31m").len(), 1, "down against intent: {text}");
    assert_eq!(painted("\x1b[33m").len(), 2, "stale routes, and admin down: {text}");
}

#[tokio::test]
async fn filters_run_in_the_daemon() {
    let daemon = daemon().await;
    assert_eq!(daemon.ok("show neighbors --type rr-client -o name").await, "fd00::11\n");
    assert_eq!(daemon.ok("show neighbors --group tors -o name").await, "10.0.0.1\n10.0.0.2\n");
    assert_eq!(daemon.ok("show neighbor group tors -o name").await, "10.0.0.1\n10.0.0.2\n");
    assert_eq!(daemon.ok("show neighbors --state active -o name").await, "10.0.0.2\n");
    assert_eq!(daemon.ok("show neighbors -6 -o name").await, "10.0.0.1\nfd00::11\n");
    assert_eq!(daemon.ok("show rib -6 -o name").await, "2001:db8:1::/48\n");
    assert_eq!(daemon.ok("show rib limit 1 best -o name").await, "10.1.0.0/24\n");
    assert_eq!(daemon.ok("show rib community graceful-shutdown -o name").await, "10.1.0.0/24\n");
    assert_eq!(daemon.ok("show rib 10.0.0.0/8 longer best -o name").await, "10.1.0.0/24\n");
    assert_eq!(daemon.ok("show rib 10.1.0.77 best -o name").await, "10.1.0.0/24\n", "an address means the longest match");
    assert_eq!(daemon.ok("show rib stale count").await, "1 prefixes, 1 paths\n");
}

#[tokio::test]
async fn changes_reach_the_daemon() {
    let daemon = daemon().await;
    let text = daemon.ok("clear tor-a").await;
    assert!(text.contains("10.0.0.1"), "{text}");
    daemon.ok("clear tor-a soft in").await;
    daemon.ok("clear tor-a hard --reason test").await;
    assert_eq!(daemon.run(&["neighbor", "tor-a", "down", "two words"]).await.code, 0);
    daemon.ok("neighbor tor-a up").await;
    daemon.ok("neighbor 10.0.0.1 refresh").await;
    daemon.ok("neighbor tor-a clear").await;
    assert_eq!(
        daemon.calls(),
        [
            "refresh Peer(\"tor-a\") ",
            "softIn Peer(\"tor-a\") ",
            "reset Peer(\"tor-a\") test",
            "disable Peer(\"tor-a\") two words",
            "enable Peer(\"tor-a\") ",
            "softIn Peer(\"10.0.0.1\") ",
            "reset Peer(\"tor-a\") ",
        ]
    );
    daemon.ok("network add 10.99.0.0/24 med 5 community 64500:1 community no-export").await;
    daemon.ok("network delete 10.99.0.0/24").await;
    daemon.ok("reload --dry-run").await;
    assert!(daemon.ok("drain").await.starts_with("our prefixes carry GRACEFUL_SHUTDOWN"));
    assert_eq!(daemon.run(&["drain", "--wait", "--timeout", "2s"]).await.code, 6, "it is not over");
    daemon.ok("undrain").await;
    assert_eq!(
        daemon.calls(),
        [
            "add 10.99.0.0/24 med Some(5) communities [Community(4227072001), Community(4294967041)]",
            "delete 10.99.0.0/24",
            "reload ReloadRequest { dry_run: true, confirm_seconds: None }",
            "drain DrainRequest { wait_seconds: None }",
            "drain DrainRequest { wait_seconds: Some(2.0) }",
            "undrain",
        ]
    );
    assert_eq!(daemon.ok("log level debug --for 10m").await, "logging debug for 00:10:00\n");
    assert_eq!(daemon.ok("neighbor tor-a up -q").await, "");
}

#[tokio::test]
async fn exit_codes() {
    let daemon = daemon().await;
    for (line, code, says) in [
        ("show route 10.1.0.0/24", 0, ""),
        ("check-config good", 0, ""),
        ("healthcheck", 0, ""),
        ("healthcheck --require-established 2", 0, ""),
        ("healthcheck --require-established tor-a rr-1", 0, ""),
        ("confirm", 1, "nothing waits for confirmation"),
        ("clear tor-b", 1, "1 of 1 neighbors refused"),
        ("show rib breaks", 2, "`breaks` is neither a filter word nor a prefix"),
        ("show rib neighbor breaks", 1, "broke off"),
        ("show rib longer", 2, "need a prefix"),
        ("show rib med", 2, "neither a filter word"),
        ("show rib out", 2, "add `neighbor PEER`"),
        ("show neighbors --state sleepy", 2, "use one of down"),
        ("show neighbors -4 -6", 2, "cannot be used with"),
        ("show memory -w", 2, "--watch works with"),
        ("nonsense", 2, "unrecognized subcommand"),
        ("policy test x", 2, "--prefix"),
        ("policy test x --rib out", 2, "use one of in, loc"),
        ("check-config", 2, "required"),
        ("show neighbor nobody", 4, "no neighbor `nobody`"),
        ("show neighbor nobody history", 4, "no neighbor `nobody`"),
        ("show route 10.7.0.0/16", 4, "no route to 10.7.0.0/16"),
        ("show service shop/none", 4, "no Service `shop/none`"),
        ("explain tor-b", 2, "a neighbor `neighbor tor-b`"),
        ("explain prefix neighbor", 2, "`neighbor PEER`"),
        ("show history 10.7.0.0/16", 4, "no change of 10.7.0.0/16 is known"),
        ("explain svc/a/b/c", 2, "write a Service as svc/NAMESPACE/NAME"),
        ("clear nobody", 4, "no such neighbor"),
        ("clear all", 5, "2 of 4 neighbors refused"),
        ("healthcheck --require-established 3", 6, "2 of 3 required sessions"),
        ("healthcheck --require-established all", 6, "not established: 10.0.0.2, 10.0.9.9"),
        ("healthcheck --require-established nobody", 6, "no neighbor `nobody`"),
        ("show neighbors --exit-status", 6, "2 of 4 sessions are not established"),
        ("show neighbor tor-b --exit-status", 6, "10.0.0.2 is not established"),
        ("policy test other --prefix 10.0.0.0/8", 6, "rejected"),
        ("check-config bad", 7, "bad:1:1: wrong"),
        ("diff --config bad.yaml", 7, "router.asn: missing"),
        ("rollback", 7, "router.asn is required"),
    ] {
        let (found, err) = daemon.code(line).await;
        assert_eq!(found, code, "{line}: {err}");
        assert!(err.contains(says), "{line}: {err}");
    }
    daemon.memo.ready.store(false, Ordering::Relaxed);
    assert_eq!(daemon.code("healthcheck").await.0, 6);
}

/// The binary itself: exit codes leave the process, and nobody at the socket is said so with what to do.
#[tokio::test]
async fn the_binary() {
    let daemon = daemon().await;
    let run = |socket: PathBuf, args: &'static [&'static str]| async move {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_bgpctl"));
        command.env("BGPCTL_SOCKET", socket).args(args).output().await.unwrap()
    };
    let output = run(daemon.socket.clone(), &["show", "neighbors", "-o", "name"]).await;
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "10.0.0.1\n10.0.0.2\nfd00::11\n10.0.9.9\n");
    let output = run(daemon.socket.clone(), &["show", "neighbor", "nobody"]).await;
    assert_eq!(output.status.code(), Some(4));
    let output = run(daemon.socket.with_extension("gone"), &["show"]).await;
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{err}");
    assert!(err.contains("kubgp.gone") && err.contains("systemctl start kubgpd") && err.contains("BGPCTL_SOCKET"), "{err}");
    let output = run(daemon.socket.clone(), &["completion", "bash"]).await;
    assert!(String::from_utf8(output.stdout).unwrap().contains("_bgpctl"));
    let file = daemon.socket.with_extension("yaml");
    std::fs::write(&file, "apiVersion: kubgp.io/v1\nrouter: { asn: 64512, id: 10.0.0.1 }\n").unwrap();
    let check = |file: PathBuf| tokio::process::Command::new(env!("CARGO_BIN_EXE_bgpctl")).arg("check-config").arg(file).output();
    assert_eq!(check(file.clone()).await.unwrap().status.code(), Some(0));
    std::fs::write(&file, "apiVersion: kubgp.io/v1\nrouter: { asn: 0 }\n").unwrap();
    assert_eq!(check(file).await.unwrap().status.code(), Some(7));
}

#[tokio::test]
async fn a_misspelt_filter_is_refused() {
    let daemon = daemon().await;
    let client = Client::new(&daemon.socket);
    for path in [
        "/v1/rib?comunity=1:1",
        "/v1/neighbors?stat=down",
        "/v1/rib?prefix=nonsense",
        "/v1/rib?match=longer",
        "/v1/services?node=n1",
        "/v1/explain",
    ] {
        match client.get::<serde_json::Value>(path, &()).await {
            Err(Error::Problem(problem)) => assert_eq!((problem.status, problem.code), (400, 2), "{path}: {problem}"),
            other => panic!("{path}: {other:?}"),
        }
    }
    match client.get::<serde_json::Value>("/v1/nonsense", &()).await {
        Err(Error::Problem(problem)) => assert_eq!((problem.status, problem.code), (404, 4)),
        other => panic!("{other:?}"),
    }
    match client.submit::<serde_json::Value>("DELETE", "/v1/summary", &()).await {
        Err(Error::Problem(problem)) => assert_eq!(problem.status, 405),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_second_daemon_does_not_take_the_socket_but_a_dead_one_leaves_it() {
    let daemon = daemon().await;
    let taken = AdminSocket::bind(&daemon.socket, 0o600).await.unwrap_err();
    assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
    let stale = daemon.socket.with_extension("stale");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    assert!(stale.exists());
    AdminSocket::bind(&stale, 0o640).await.unwrap();
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&stale).unwrap().permissions().mode() & 0o777, 0o640);
}

/// What TCP serves, and that it serves nothing else.
#[tokio::test]
async fn the_public_listener_changes_nothing() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let memo = Arc::new(Memo::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let closed = GlassPlan { access: GlassAccess::Off, hosts: Default::default() };
    tokio::spawn(kubgp::api::server::serve_public(listener, memo.clone(), closed, std::future::pending()));
    let ask = |request: &'static str| async move {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    assert!(ask("GET /metrics").await.contains("text/plain; version=0.0.4"));
    assert!(ask("GET /livez").await.starts_with("HTTP/1.1 200"));
    assert!(ask("GET /readyz").await.starts_with("HTTP/1.1 200"));
    for path in ["GET /v1/summary", "POST /v1/config/reload", "GET /openapi.json", "GET /lg/", "GET /lg/v1/board", "GET /"] {
        assert!(ask(path).await.starts_with("HTTP/1.1 404"), "{path}");
    }
    memo.ready.store(false, Ordering::Relaxed);
    assert!(ask("GET /readyz").await.starts_with("HTTP/1.1 503"));
    assert!(ask("GET /readyz?verbose").await.contains("first synchronisation done"));
}

/// Who changed what, whether it worked or not; looking leaves no line.
#[tokio::test]
async fn every_change_leaves_an_audit_line() {
    use std::io::Write;
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(octets)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).without_time().finish();
    // Of the whole process: the interest of a log line is decided for all threads at once. Other tests' lines are left out below.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let daemon = daemon().await;
    daemon.ok("show neighbor rr-1").await;
    assert_eq!(daemon.run(&["neighbor", "rr-1", "down", "for the audit"]).await.code, 0);
    assert_eq!(daemon.code("network delete 203.0.113.7/32").await.0, 1);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("rr-1") || line.contains("203.0.113.7/32")).collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(
        lines[0].contains("kubgp::audit") && lines[0].contains(&format!("pid={}", std::process::id())) && lines[0].contains("uid="),
        "{text}"
    );
    assert!(lines[0].contains("operation=\"disable\" subject=\"rr-1\" detail=\"for the audit\""), "{text}");
    assert!(lines[1].contains("WARN") && lines[1].contains("comes from the configuration"), "{text}");
}
