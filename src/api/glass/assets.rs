//! The page, as it is in the binary.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::api::server::Shared;

/// A file of the page: its path, its type, its text.
struct Asset {
    path: &'static str,
    kind: &'static str,
    text: &'static str,
}

macro_rules! assets {
    ($($path:literal => $kind:ident $file:literal),* $(,)?) => {
        const ASSETS: &[Asset] = &[$(Asset { path: $path, kind: $kind, text: include_str!(concat!("page/", $file)) }),*];
    };
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

assets! {
    "/lg/" => HTML "index.html",
    "/lg/icon.svg" => SVG "icon.svg",
    "/lg/style.css" => CSS "style.css",
    "/lg/app.js" => JS "app.js",
    "/lg/dom.js" => JS "dom.js",
    "/lg/live.js" => JS "live.js",
    "/lg/table.js" => JS "table.js",
    "/lg/words.js" => JS "words.js",
    "/lg/overview.js" => JS "overview.js",
    "/lg/map.js" => JS "map.js",
    "/lg/neighbors.js" => JS "neighbors.js",
    "/lg/neighbor.js" => JS "neighbor.js",
    "/lg/routes.js" => JS "routes.js",
    "/lg/lookup.js" => JS "lookup.js",
    "/lg/services.js" => JS "services.js",
    "/lg/kernel.js" => JS "kernel.js",
}

pub(super) fn routes() -> Router<Shared> {
    ASSETS.iter().fold(Router::new(), |router, asset| router.route(asset.path, get(async move |headers: HeaderMap| asset.answer(&headers))))
}

impl Asset {
    /// The text, or that it is what the browser has: an upgraded daemon brings its own page.
    fn answer(&self, headers: &HeaderMap) -> Response {
        let mut hash = DefaultHasher::new();
        self.text.hash(&mut hash);
        let tag = format!("\"{:016x}\"", hash.finish());
        let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
        let fixed = [(header::ETAG, tag.clone()), (header::CACHE_CONTROL, "no-cache".to_owned())];
        if known.is_some_and(|known| known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag)) {
            return (StatusCode::NOT_MODIFIED, fixed).into_response();
        }
        (fixed, [(header::CONTENT_TYPE, self.kind)], self.text).into_response()
    }
}
