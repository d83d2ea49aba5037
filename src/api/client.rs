//! The client end: one request per connection, over the admin socket or a command that leads to it.

mod way;

use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::types::{Document, Problem, Readiness};
use way::Way;

/// Why there is no answer.
#[derive(Debug)]
pub enum Error {
    /// Nobody answers at this place: the path of a socket, or what a command leads to.
    Unreachable { place: String, source: std::io::Error },
    /// The daemon says no.
    Problem(Box<Problem>),
    /// The connection broke, or the answer is not what this version expects.
    Broken(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { place, source } => write!(f, "kubgpd does not answer on {place}: {source}"),
            Self::Problem(problem) => problem.fmt(f),
            Self::Broken(text) => write!(f, "the answer broke off: {text}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<hyper::Error> for Error {
    fn from(error: hyper::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// Asks one daemon.
#[derive(Clone, Debug)]
pub struct Client {
    way: Way,
}

impl Client {
    pub fn new(socket: &Path) -> Self {
        Self { way: Way::Socket(socket.to_owned()) }
    }

    /// A client that starts a command for each request, whose standard streams lead to the socket. `place` names the daemon there.
    pub fn through(place: &str, words: Vec<OsString>) -> Self {
        Self { way: Way::Command { place: place.to_owned(), words: words.into() } }
    }

    /// The daemon that is asked, for messages.
    pub fn place(&self) -> String {
        self.way.place()
    }

    /// A text as it is, for example `/metrics`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn text(&self, path: &str) -> Result<String, Error> {
        let body = self.send("GET", path, Bytes::new()).await?.into_body().collect().await?.to_bytes();
        String::from_utf8(body.into()).map_err(|error| Error::Broken(error.to_string()))
    }

    /// A whole document.
    ///
    /// # Errors
    /// See [`Error`]; this holds for every request.
    pub async fn get<T: DeserializeOwned>(&self, path: &str, query: &impl Serialize) -> Result<T, Error> {
        let mut lines = self.stream(path, query).await?;
        let mut body = BytesMut::new();
        while let Some(piece) = lines.piece().await? {
            body.extend_from_slice(&piece);
        }
        Ok(serde_json::from_slice(&body)?)
    }

    /// An answer to be read while it arrives: NDJSON line by line, or raw pieces.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn stream(&self, path: &str, query: &impl Serialize) -> Result<Lines, Error> {
        let response = self.send("GET", &with_query(path, query)?, Bytes::new()).await?;
        Ok(Lines { body: response.into_body(), buffer: BytesMut::new(), searched: 0 })
    }

    /// A request with a JSON body.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn submit<T: DeserializeOwned>(&self, method: &str, path: &str, body: &impl Serialize) -> Result<T, Error> {
        let response = self.send(method, path, serde_json::to_vec(body)?.into()).await?;
        Ok(serde_json::from_slice(&response.into_body().collect().await?.to_bytes())?)
    }

    /// Whether the daemon is ready; the checks come with either answer.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn readiness(&self) -> Result<Document<Readiness>, Error> {
        let response = self.exchange("GET", "/readyz?verbose", Bytes::new()).await?;
        Ok(serde_json::from_slice(&response.into_body().collect().await?.to_bytes())?)
    }

    async fn send(&self, method: &str, path: &str, body: Bytes) -> Result<Response<Incoming>, Error> {
        let response = self.exchange(method, path, body).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.into_body().collect().await?.to_bytes();
        let problem = serde_json::from_slice(&body).map_err(|_| Error::Broken(format!("HTTP status {status} without a reason")))?;
        Err(Error::Problem(Box::new(problem)))
    }

    async fn exchange(&self, method: &str, path: &str, body: Bytes) -> Result<Response<Incoming>, Error> {
        let unreachable = |source| Error::Unreachable { place: self.place(), source };
        let opened = self.way.open().await.map_err(unreachable)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(opened.stream)).await?;
        // Ends with the last use of the response; its error also reaches the body.
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).header("host", "localhost").header("content-type", "application/json");
        let request = request.body(Full::new(body)).map_err(|error| Error::Broken(error.to_string()))?;
        let error = match sender.send_request(request).await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        let complaint = match opened.complaints {
            Some(stderr) => way::complaint(stderr).await,
            None => None,
        };
        Err(complaint.map_or_else(|| error.into(), |text| unreachable(std::io::Error::other(text))))
    }
}

/// A body that is read while it arrives.
#[derive(Debug)]
pub struct Lines {
    body: Incoming,
    buffer: BytesMut,
    /// Octets of `buffer` that hold no line end.
    searched: usize,
}

impl Lines {
    /// The next line as a value; `None` at the end.
    ///
    /// # Errors
    /// A broken connection, or a line that is not `T`.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Error> {
        loop {
            let unread = self.buffer.get(self.searched..).unwrap_or_default();
            if let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(self.searched + end + 1);
                self.searched = 0;
                return Ok(Some(serde_json::from_slice(&line)?));
            }
            self.searched = self.buffer.len();
            match self.piece().await? {
                Some(piece) => self.buffer.extend_from_slice(&piece),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(Error::Broken("the last line is incomplete".to_owned())),
            }
        }
    }

    /// The next octets as they come; `None` at the end.
    ///
    /// # Errors
    /// A broken connection.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let Some(frame) = self.body.frame().await.transpose()? else { return Ok(None) };
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
    }
}

/// Appends the fields of `query` that are set as parameters.
fn with_query(path: &str, query: &impl Serialize) -> Result<String, Error> {
    let fields = serde_json::to_value(query)?;
    let parameters: Vec<String> = fields
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name}={}", escape(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))))
        .collect();
    Ok(if parameters.is_empty() { path.to_owned() } else { format!("{path}?{}", parameters.join("&")) })
}

/// Percent-encodes what is not unreserved (RFC 3986 2.3), for a path segment or a parameter.
pub fn escape(text: &str) -> String {
    use fmt::Write;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a String does not fail");
        }
    }
    out
}
