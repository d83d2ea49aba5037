//! One try: a connection, a request, a program.

use super::tls;
use crate::config::plan::{HttpPlan, ProbePlan};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use std::process::Stdio;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::process::Command;

/// What came of it, in words; the caller bounds the time.
pub async fn run(plan: &ProbePlan) -> Result<String, String> {
    match plan {
        ProbePlan::Tcp(target) => {
            connect(*target).await?;
            Ok(format!("{target} accepts connections"))
        }
        ProbePlan::Http(http) => {
            let stream = connect(http.target).await?;
            let status = match &http.tls {
                Some(plan) => get(tls::connect(plan, stream).await?, http).await?,
                None => get(stream, http).await?,
            };
            judge(status, http)
        }
        ProbePlan::Exec(command) => exec(command).await,
    }
}

async fn connect(target: std::net::SocketAddr) -> Result<TcpStream, String> {
    TcpStream::connect(target).await.map_err(|e| format!("{target}: {e}"))
}

async fn get(stream: impl AsyncRead + AsyncWrite + Unpin + Send, http: &HttpPlan) -> Result<StatusCode, String> {
    let broken = |e: hyper::Error| format!("{}: no answer: {e}", http.target);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let request = Request::get(&http.path)
        .header(header::HOST, &http.host)
        .header(header::USER_AGENT, AGENT)
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|e| e.to_string())?;
    tokio::select! {
        biased;
        answer = sender.send_request(request) => answer.map(|answer| answer.status()).map_err(broken),
        Err(e) = connection => Err(broken(e)),
    }
}

fn judge(status: StatusCode, http: &HttpPlan) -> Result<String, String> {
    let good = if http.status.is_empty() { status.is_success() } else { http.status.contains(&status.as_u16()) };
    let text = format!("{}{}: {status}", http.target, http.path);
    if good { Ok(text) } else { Err(text) }
}

/// The program is killed where it takes longer than the caller waits.
async fn exec(command: &[String]) -> Result<String, String> {
    let Some((program, arguments)) = command.split_first() else { return Err("there is no command".to_owned()) };
    let mut child = Command::new(program);
    child.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let status = child.status().await.map_err(|e| format!("{program}: {e}"))?;
    if status.success() { Ok(format!("{program}: {status}")) } else { Err(format!("{program}: {status}")) }
}

const AGENT: &str = concat!("kubgpd/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests;
