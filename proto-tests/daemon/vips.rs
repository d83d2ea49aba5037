//! VIPs of the file: announced while their service works, whatever checks it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::json;

use crate::setup::{Daemon, Net, eventually};
use crate::{A, RR};

/// Answers every request with the status of the moment, as long as the test runs.
struct Web {
    address: SocketAddr,
    status: Arc<AtomicU16>,
}

impl Web {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let web = Self { address: listener.local_addr().expect("it is bound"), status: Arc::new(AtomicU16::new(200)) };
        let status = Arc::clone(&web.status);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut head = [0; 4096];
                // Who goes away without an answer gets none.
                let _ = stream.read(&mut head);
                let _ = write!(stream, "HTTP/1.1 {} -\r\ncontent-length: 0\r\n\r\n", status.load(Ordering::Relaxed));
            }
        });
        web
    }

    fn answer(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }
}

fn config(net: &Net, web: &Web, services: &str) -> String {
    let vips = format!(
        "policies:\n  vips: [{{ match: {{ tags: {{ any: [vip] }} }}, set: {{ nextHop: 10.8.8.8 }}, action: accept }}, {{ action: reject }}]\n\
         vips:\n  pools: [{{ name: front, addresses: [198.51.100.16-198.51.100.31] }}]\n\
         \x20 advertise: [{{ pools: [front], communities: [\"64512:6443\"], tags: [vip] }}]\n\
         \x20 services:\n    - name: api\n      addresses: [198.51.100.20]\n      bind: false\n\
         \x20     check: {{ type: http, target: \"{}\", path: /livez, interval: 100ms, timeout: 100ms, rise: 2, fall: 2 }}\n{services}\
         drain: {{ gracePeriod: 1h }}\n",
        web.address
    );
    net.config(A, 64512, &net.neighbor("rr", A, RR, "asn: internal, export: vips"), &vips)
}

fn service(daemon: &Daemon, name: &str) -> serde_json::Value {
    daemon.items("show services").into_iter().find(|row| row["name"] == name).unwrap_or_default()
}

#[test]
fn a_vip_is_announced_while_its_service_works() {
    const HEARD: &str = "show rib in";
    let (net, web) = (Net::new(16), Web::start());
    let rr = net.start(RR, &net.config(RR, 64512, &net.neighbor("a", RR, A, "asn: internal"), ""));
    let marker = net.directory.path().join("works");
    let exec = format!(
        "    - {{ name: program, addresses: [198.51.100.21], bind: false, check: {{ type: exec, command: [/usr/bin/test, -e, {}], interval: 100ms, \
         rise: 1, fall: 1 }} }}\n    - {{ name: always, addresses: [198.51.100.22], bind: false }}\n",
        marker.display()
    );
    let a = net.start(A, &config(&net, &web, &exec));
    a.established("rr");
    rr.has(HEARD, "198.51.100.20/32");
    rr.has(HEARD, "198.51.100.22/32");
    let row = rr.items(HEARD).into_iter().find(|row| row["prefix"] == "198.51.100.20/32").unwrap();
    assert_eq!((&row["communities"], &row["nextHop"]), (&json!(["64512:6443"]), &json!("10.8.8.8")), "{row}");
    eventually("the row says so", || (service(&a, "api")["reason"] == "advertised").then_some(()));
    let row = service(&a, "api");
    assert_eq!((&row["source"], &row["pool"], &row["peers"][0]["name"]), (&json!("file"), &json!("front"), &json!("rr")), "{row}");
    assert_eq!(service(&a, "program")["reason"], "healthCheckFailed");
    assert!(a.metric("kubgp_vip_healthy{vip=\"program\"} 0") && a.metric("kubgp_vip_announced{vip=\"api\"} 1"));

    web.answer(500);
    std::fs::write(&marker, "").unwrap();
    rr.lacks(HEARD, "198.51.100.20/32");
    rr.has(HEARD, "198.51.100.21/32");
    let trace = a.json("explain svc/api");
    assert_eq!((&trace["ok"], &trace["reason"]), (&json!(false), &json!("healthCheckFailed")), "{trace}");
    assert!(trace.to_string().contains("/livez: 500"), "{trace}");
    assert_eq!(a.run("explain svc/nothing").code, 4);
    assert_eq!(a.run("network add 198.51.100.20/32 nexthop 10.8.8.8").code, 1, "it belongs to the configuration");

    web.answer(200);
    rr.has(HEARD, "198.51.100.20/32");
    let trace = a.json("explain svc/api --to rr");
    assert_eq!(trace["ok"], true, "{trace}");
    let marks = |prefix: &str| rr.items(HEARD).into_iter().find(|row| row["prefix"] == prefix).map(|row| row["communities"].clone());
    a.ok("drain");
    let marked = || (marks("198.51.100.20/32") == Some(json!(["64512:6443", "65535:0"]))).then_some(());
    eventually("a drain marks it", marked);
    a.ok("undrain");

    // What is configured no more goes at once, and what stays is left alone.
    let since = a.neighbor("rr")["stateSince"].clone();
    a.write(&config(&net, &web, ""));
    let changes = a.json("reload --dry-run");
    assert!(changes.to_string().contains("vips"), "{changes}");
    a.ok("reload");
    rr.lacks(HEARD, "198.51.100.21/32");
    rr.lacks(HEARD, "198.51.100.22/32");
    rr.has(HEARD, "198.51.100.20/32");
    assert_eq!(a.neighbor("rr")["stateSince"], since);
}
