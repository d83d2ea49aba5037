//! Listeners and routers.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::response::{IntoResponse, Response};
use axum::serve::IncomingStream;
use tokio::net::{TcpListener, UnixListener, UnixStream};

use super::backend::Backend;
use super::glass;
use super::routes;
use super::types::Problem;
use crate::config::plan::GlassPlan;

/// The backend as handlers see it.
pub type Shared = Arc<dyn Backend>;

/// The admin socket; its file is removed when serving ends.
#[derive(Debug)]
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl AdminSocket {
    /// Binds with the given file mode (0660 lets a group administrate). A socket file that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// `AddrInUse` when another daemon answers there; otherwise what the system says.
    pub async fn bind(path: &Path, mode: u32) -> io::Result<Self> {
        if UnixStream::connect(path).await.is_ok() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, format!("another daemon listens on {}", path.display())));
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// The listener, for another protocol than ours, and the file that the caller has to remove at the end.
    pub(super) fn into_parts(self) -> (UnixListener, PathBuf) {
        (self.listener, self.path)
    }

    /// Serves everything until `shutdown` completes and open requests have been answered. Watches end with the backend's channels.
    ///
    /// # Errors
    /// None today: accept errors are retried.
    pub async fn serve(self, backend: Shared, shutdown: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        let Self { listener, path } = self;
        let service = admin_router(backend).into_make_service_with_connect_info::<Caller>();
        let served = axum::serve(listener, service).with_graceful_shutdown(shutdown).await;
        // A file that is already gone is as good as removed.
        let _ = std::fs::remove_file(&path);
        served
    }
}

/// Serves what needs no credentials and changes nothing: `/metrics`, `/livez`, `/readyz`, and the looking glass to those that may see it.
///
/// # Errors
/// None today: accept errors are retried.
pub async fn serve_public(
    listener: TcpListener,
    backend: Shared,
    glass: GlassPlan,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let service = public_router(backend, &glass).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(shutdown).await
}

/// Every route.
pub fn admin_router(backend: Shared) -> Router {
    with_fallbacks(routes::public().merge(routes::admin())).with_state(backend)
}

/// The routes for TCP.
pub fn public_router(backend: Shared, glass: &GlassPlan) -> Router {
    let glass = glass::router(&backend, glass);
    with_fallbacks(routes::public().with_state(backend).merge(glass))
}

fn with_fallbacks<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router
        .fallback(|uri: axum::http::Uri| async move { Problem::not_found(format!("no such resource: {}", uri.path())) })
        .method_not_allowed_fallback(|| async { Problem { status: 405, ..Problem::usage("this resource does not take that method") } })
}

/// Who sent a request, as the kernel knows it (SO_PEERCRED).
#[derive(Clone, Copy, Debug, Default)]
pub struct Caller {
    pub uid: Option<u32>,
    pub pid: Option<i32>,
}

impl Connected<IncomingStream<'_, UnixListener>> for Caller {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        let credentials = stream.io().peer_cred().ok();
        Self { uid: credentials.map(|c| c.uid()), pid: credentials.and_then(|c| c.pid()) }
    }
}

impl Caller {
    /// Runs a change and writes its audit line, whatever the outcome.
    ///
    /// # Errors
    /// Those of the change.
    pub(super) async fn audited<T>(
        self,
        operation: &'static str,
        subject: &str,
        detail: &str,
        change: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        let outcome = change.await;
        let Self { uid, pid } = self;
        match &outcome {
            Ok(_) => tracing::info!(target: "kubgp::audit", uid, pid, operation, subject, detail, "done"),
            Err(problem) => tracing::warn!(target: "kubgp::audit", uid, pid, operation, subject, detail, %problem, "refused"),
        }
        outcome
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = axum::http::StatusCode::from_u16(self.status).unwrap_or(axum::http::StatusCode::INTERNAL_SERVER_ERROR);
        let headers = [(axum::http::header::CONTENT_TYPE, "application/problem+json")];
        (status, headers, axum::Json(self)).into_response()
    }
}
