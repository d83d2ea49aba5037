//! The table of routes, and the extractors that they share. The OpenAPI description is made from the same handlers; a test
//! compares it with the table.

mod extract;
mod read;
#[cfg(test)]
mod tests;
mod write;

use axum::Router;
use axum::routing::{delete, get, post, put};
use utoipa::OpenApi;

use super::server::Shared;
pub(super) use extract::Params;

macro_rules! routes {
    ($list:ident, $router:ident: $($method:ident $path:literal => $handler:path;)*) => {
        /// Methods and paths, for the comparison with the OpenAPI description.
        #[cfg(test)]
        pub(super) const $list: &[(&str, &str)] = &[$((stringify!($method), $path)),*];

        pub(super) fn $router() -> Router<Shared> {
            Router::new()$(.route($path, $method($handler)))*
        }
    };
}

routes! { PUBLIC, public:
    get "/livez" => read::livez;
    get "/readyz" => read::readyz;
    get "/metrics" => read::metrics;
}

routes! { ADMIN, admin:
    get "/openapi.json" => openapi;
    get "/v1/summary" => read::summary;
    get "/v1/version" => read::version;
    get "/v1/memory" => read::memory;
    get "/v1/config" => read::config;
    get "/v1/policies" => read::policies;
    get "/v1/neighbors" => read::neighbors;
    get "/v1/neighbors/{id}" => read::neighbor;
    get "/v1/neighbors/{id}/history" => read::history;
    get "/v1/histories" => read::histories;
    get "/v1/history" => read::route_history;
    post "/v1/neighbors/{id}/actions" => write::act;
    get "/v1/rib" => read::rib;
    get "/v1/routes/{*prefix}" => read::route;
    get "/v1/explain" => read::explain;
    get "/v1/services" => read::services;
    get "/v1/pools" => read::pools;
    get "/v1/allocations" => read::allocations;
    get "/v1/advertisements" => read::advertisements;
    get "/v1/mrt" => read::mrt;
    get "/v1/bmp" => read::bmp;
    get "/v1/fib" => read::fib;
    get "/v1/nexthops" => read::next_hops;
    get "/v1/interfaces" => read::interfaces;
    get "/v1/bfd" => read::bfd;
    get "/v1/events" => read::events;
    get "/v1/networks" => read::networks;
    post "/v1/networks" => write::add_network;
    delete "/v1/networks" => write::delete_network;
    post "/v1/policy/test" => write::test_policy;
    post "/v1/policy/table" => write::test_policy_on_table;
    post "/v1/config/check" => write::check;
    post "/v1/config/reload" => write::reload;
    post "/v1/config/confirm" => write::confirm;
    post "/v1/config/rollback" => write::rollback;
    get "/v1/calico/nodestatus" => read::node_status;
    get "/v1/drain" => read::drain;
    post "/v1/drain" => write::start_drain;
    delete "/v1/drain" => write::end_drain;
    get "/v1/log" => read::log;
    put "/v1/log" => write::set_log;
}

// What the looking glass shows of it, below `/lg`.
routes! { GLASS, glass:
    get "/lg/v1/neighbors/{id}" => read::neighbor;
    get "/lg/v1/neighbors/{id}/history" => read::history;
    get "/lg/v1/pools" => read::pools;
    get "/lg/v1/nexthops" => read::next_hops;
}

routes! { GLASS_LISTS, glass_lists:
    get "/lg/v1/routes/{*prefix}" => read::route;
    get "/lg/v1/explain" => read::explain;
}

/// The description of the API.
#[derive(OpenApi)]
#[openapi(
    info(title = "kubgp admin API", description = "Served over the Unix socket; /livez, /readyz and /metrics over TCP as well."),
    paths(
        openapi,
        read::livez,
        read::readyz,
        read::metrics,
        read::summary,
        read::version,
        read::memory,
        read::config,
        read::policies,
        read::neighbors,
        read::neighbor,
        read::history,
        read::histories,
        read::route_history,
        read::rib,
        read::route,
        read::explain,
        read::services,
        read::pools,
        read::allocations,
        read::advertisements,
        read::mrt,
        read::bmp,
        read::fib,
        read::next_hops,
        read::interfaces,
        read::bfd,
        read::events,
        read::networks,
        read::node_status,
        read::drain,
        read::log,
        write::act,
        write::add_network,
        write::delete_network,
        write::test_policy,
        write::test_policy_on_table,
        write::check,
        write::reload,
        write::confirm,
        write::rollback,
        write::start_drain,
        write::end_drain,
        write::set_log,
    )
)]
pub(super) struct ApiDoc;

/// This description.
#[utoipa::path(get, path = "/openapi.json", responses((status = 200, description = "OpenAPI document")))]
async fn openapi() -> axum::Json<utoipa::openapi::OpenApi> {
    axum::Json(description())
}

/// The OpenAPI document.
pub fn description() -> utoipa::openapi::OpenApi {
    ApiDoc::openapi()
}
