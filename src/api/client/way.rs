//! How a client reaches a daemon: its socket, or a command whose standard streams lead there.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

#[derive(Clone, Debug)]
pub(super) enum Way {
    Socket(PathBuf),
    /// A program and its arguments, and what it leads to.
    Command {
        place: String,
        words: Arc<[OsString]>,
    },
}

/// An open connection to a daemon.
pub(super) struct Opened {
    pub stream: Box<dyn Stream>,
    /// What the command complains about, where there is one.
    pub complaints: Option<ChildStderr>,
}

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl Stream for UnixStream {}
impl Stream for Pipes {}

impl Way {
    /// For messages: what does not answer.
    pub fn place(&self) -> String {
        match self {
            Self::Socket(path) => path.display().to_string(),
            Self::Command { place, .. } => place.clone(),
        }
    }

    pub async fn open(&self) -> io::Result<Opened> {
        let words = match self {
            Self::Socket(path) => return Ok(Opened { stream: Box::new(UnixStream::connect(path).await?), complaints: None }),
            Self::Command { words, .. } => words,
        };
        let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let started = command.spawn().map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", program.to_string_lossy())));
        let mut child = started?;
        let complaints = child.stderr.take();
        let (input, output) = child.stdin.take().zip(child.stdout.take()).ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Opened { stream: Box::new(Pipes { _child: child, input, output }), complaints })
    }
}

/// What a command that broke off said about it; its last line is the reason.
pub(super) async fn complaint(mut stderr: ChildStderr) -> Option<String> {
    let mut text = Vec::new();
    // Whoever has taken its output for itself may live on.
    let _ = tokio::time::timeout(PATIENCE, (&mut stderr).take(COMPLAINT).read_to_end(&mut text)).await;
    let text = String::from_utf8_lossy(&text);
    text.lines().rfind(|line| !line.trim().is_empty()).map(str::to_owned)
}

/// The standard streams of a child, which lives as long as they do.
struct Pipes {
    _child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl AsyncRead for Pipes {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_read(context, buffer)
    }
}

impl AsyncWrite for Pipes {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.input).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_shutdown(context)
    }
}

const PATIENCE: Duration = Duration::from_secs(2);
/// Octets of complaints that are read.
const COMPLAINT: u64 = 16 * 1024;
