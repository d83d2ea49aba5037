//! Who is answered, and what a browser may do with the answer.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderValue, Method, uri::Authority};
use axum::response::Response;

use crate::api::types::Problem;
use crate::config::file::GlassAccess;
use crate::config::plan::GlassPlan;

/// What the configuration says.
#[derive(Debug)]
pub(super) struct Guard {
    /// Others than this host are answered too.
    is_open: bool,
    hosts: BTreeSet<String>,
}

impl Guard {
    pub fn new(plan: &GlassPlan) -> Self {
        Self { is_open: plan.access == GlassAccess::All, hosts: plan.hosts.clone() }
    }

    /// # Errors
    /// Why the request is not answered.
    pub fn admits(&self, request: &Request) -> Result<(), Problem> {
        let caller = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
        if !self.is_open && !caller.is_some_and(|address| address.is_loopback()) {
            let problem = Problem { status: 403, ..Problem::failed("the looking glass is open to its own host only") };
            return Err(problem.with_detail("`api.lookingGlass.access: all` opens it"));
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(not_read_only());
        }
        self.names_us(request)
    }

    /// A page of others can make a browser ask us under its own name (DNS rebinding), never under an address or a name of ours.
    fn names_us(&self, request: &Request) -> Result<(), Problem> {
        let header = request.headers().get(header::HOST).and_then(|value| value.to_str().ok()?.parse::<Authority>().ok());
        let named = [header.as_ref(), request.uri().authority()];
        let mut named = named.into_iter().flatten().peekable();
        if named.peek().is_none() {
            return Err(Problem::usage("a Host header is needed"));
        }
        match named.find(|authority| !self.is_ours(authority.host())) {
            None => Ok(()),
            Some(other) => {
                let problem = Problem { status: 421, ..Problem::failed(format!("`{}` is no name of the looking glass", other.host())) };
                Err(problem.with_detail("add it to `api.lookingGlass.hosts`, or use an address"))
            }
        }
    }

    fn is_ours(&self, host: &str) -> bool {
        let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        address.parse::<IpAddr>().is_ok() || host.eq_ignore_ascii_case("localhost") || self.hosts.contains(&host.to_ascii_lowercase())
    }
}

/// The answer to any other method than GET.
pub(super) fn not_read_only() -> Problem {
    Problem { status: 405, ..Problem::usage("the looking glass only reads") }
}

/// The answer with what keeps a browser from doing anything else with it.
pub(super) fn sealed(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in SEAL {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if response.status() == axum::http::StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

/// Everything is ours, nothing is markup that somebody sent: the page builds its elements one by one.
const SEAL: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];
