//! Texts: configuration files and the filters of the admin API.

use std::path::Path;

use axum::extract::Query;
use axum::http::Uri;
use kubgp::api::query::{EventQuery, ExplainQuery, FibQuery, NeighborQuery, RibQuery, ServiceQuery, parse_prefix};
use kubgp::config::{LocalHost, load_text};
use serde::de::DeserializeOwned;

use crate::run;

#[test]
fn a_configuration_is_good_or_complained_about() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples");
    let files = std::fs::read_dir(folder).expect("examples").map(|f| f.expect("a file").path());
    let mut files: Vec<_> = files.filter(|f| f.extension().is_some_and(|e| e == "yaml")).collect();
    files.sort();
    let corpus: Vec<Vec<u8>> = files.iter().map(|f| std::fs::read(f).expect("an example")).collect();
    let host = LocalHost { first_ipv4: Some([10, 0, 0, 9].into()) };
    run("configuration", &corpus, 300, |octets| {
        let text = String::from_utf8_lossy(octets);
        if let Err(diagnostics) = load_text("fuzz.yaml", &text, &[], &host) {
            assert!(!diagnostics.complaints.is_empty());
            assert!(!diagnostics.render(false).is_empty());
        }
    });
}

const QUERIES: [&str; 8] = [
    "view=out&neighbor=10.0.0.1&prefix=10.0.0.0/8&longer=true&limit=10",
    "community=65000:1&largeCommunity=1:2:3&asPath=_65001_&origin=igp",
    "family=ipv6-unicast&prefix=2001:db8::/32&stale=true&filtered=true",
    "neighbor=a&state=up&group=nodes&type=rr-client&watch=true&changesOnly=true",
    "view=diff&limit=5&table=254",
    "prefix=10.0.0.1&to=10.0.0.2",
    "since=5m&kind=session&limit=3",
    "namespace=default&name=web&advertised=false",
];

#[test]
fn a_filter_is_taken_or_refused() {
    let corpus: Vec<Vec<u8>> = QUERIES.iter().map(|q| q.as_bytes().to_vec()).collect();
    run("filters", &corpus, 10_000, |octets| {
        let text = String::from_utf8_lossy(octets);
        let _ = parse_prefix(&text);
        let Ok(uri) = format!("/v1/x?{text}").parse::<Uri>() else { return };
        read::<RibQuery>(&uri);
        read::<NeighborQuery>(&uri);
        read::<FibQuery>(&uri);
        read::<ExplainQuery>(&uri);
        read::<EventQuery>(&uri);
        read::<ServiceQuery>(&uri);
    });
}

/// A refusal says why.
fn read<T: DeserializeOwned>(uri: &Uri) {
    if let Err(rejection) = Query::<T>::try_from_uri(uri) {
        assert!(!rejection.body_text().is_empty());
    }
}
