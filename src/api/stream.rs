//! Response bodies that are written while their rows arrive: memory stays one batch, however big the table.

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;

use super::backend::{Batch, Blocks, Changes, Rows};
use super::query::Format;
use super::types::{API_VERSION, ListMeta, Listed, Problem};

/// Why a body ends early: the connection is cut, so that the client cannot take the part for the whole.
type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A list document, or one row a line. An error in the first batch still becomes a [`Problem`] with its status.
pub(super) async fn rows<T: Listed + Serialize + Send + 'static>(mut rows: Rows<T>, format: Format) -> Result<Response, Problem> {
    let first = rows.recv().await.transpose()?;
    let writer = Writer { rows, format, first, stage: Stage::Head, metadata: ListMeta::default(), separator: false };
    let body = Body::from_stream(stream::unfold(writer, Writer::next));
    Ok(match format {
        Format::Json => ([(CONTENT_TYPE, "application/json")], body).into_response(),
        Format::Ndjson => ([(CONTENT_TYPE, "application/x-ndjson")], body).into_response(),
    })
}

/// Changes, one a line, until the backend or the client ends them.
pub(super) fn changes<T: Serialize + Send + 'static>(changes: Changes<T>) -> Response {
    let lines = stream::unfold(changes, |mut changes| async move {
        let event = changes.recv().await?;
        let mut out = Vec::with_capacity(512);
        Some((write_line(&mut out, &event).map(|()| Bytes::from(out)), changes))
    });
    ([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

/// Octets as they come; a problem cuts the connection.
pub(super) fn blocks(blocks: Blocks) -> Response {
    let octets = stream::unfold(blocks, |mut blocks| async move {
        let block = blocks.recv().await?;
        Some((block.map_err(BodyError::from), blocks))
    });
    ([(CONTENT_TYPE, "application/octet-stream")], Body::from_stream(octets)).into_response()
}

/// A JSON array under way as the last member of an object: `head` up to its bracket, then each row as `convert` makes it.
pub(super) async fn list<T: Send + 'static, U: Serialize>(
    mut rows: Rows<T>,
    head: String,
    convert: impl Fn(T) -> U + Send + 'static,
) -> Result<Response, Problem> {
    let first = rows.recv().await.transpose()?;
    // `None` after the end; until then what is written before the next row.
    let start = Some((rows, first, head, ""));
    let pieces = stream::unfold((start, convert), |(state, convert)| async move {
        let (mut rows, first, head, mut separator) = state?;
        let batch = match first {
            Some(batch) => Ok(Some(batch)),
            None if head.is_empty() => rows.recv().await.transpose(),
            None => Ok(None),
        };
        let mut out = head.into_bytes();
        let piece = batch.map_err(BodyError::from).and_then(|batch| {
            let Some(batch) = batch else {
                out.extend_from_slice(b"]}\n");
                return Ok(false);
            };
            for item in batch.items {
                out.extend_from_slice(separator.as_bytes());
                serde_json::to_writer(&mut out, &convert(item))?;
                separator = ",";
            }
            Ok(true)
        });
        match piece {
            Ok(more) => Some((Ok(Bytes::from(out)), (more.then(|| (rows, None, String::new(), separator)), convert))),
            Err(error) => {
                tracing::warn!(%error, "a list was cut short");
                Some((Err(error), (None, convert)))
            }
        }
    });
    Ok(([(CONTENT_TYPE, "application/json")], Body::from_stream(pieces)).into_response())
}

struct Writer<T> {
    rows: Rows<T>,
    format: Format,
    first: Option<Batch<T>>,
    stage: Stage,
    metadata: ListMeta,
    /// A row has been written: the next one needs a comma before it.
    separator: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Head,
    Rows,
    End,
}

impl<T: Listed + Serialize> Writer<T> {
    async fn next(mut self) -> Option<(Result<Bytes, BodyError>, Self)> {
        if self.stage == Stage::End {
            return None;
        }
        let piece = self.piece().await.inspect_err(|error| tracing::warn!(%error, "a list was cut short"));
        if piece.is_err() {
            self.stage = Stage::End;
        }
        Some((piece.map(Bytes::from), self))
    }

    async fn piece(&mut self) -> Result<Vec<u8>, BodyError> {
        let mut out = Vec::new();
        let batch = if self.stage == Stage::Head {
            self.stage = Stage::Rows;
            self.head(&mut out);
            self.first.take()
        } else {
            self.rows.recv().await.transpose()?
        };
        match batch {
            Some(batch) => self.batch(&mut out, batch)?,
            None => self.tail(&mut out)?,
        }
        Ok(out)
    }

    fn head(&self, out: &mut Vec<u8>) {
        if self.format == Format::Json {
            out.extend_from_slice(format!(r#"{{"apiVersion":"{API_VERSION}","kind":"{}","items":["#, T::LIST_KIND).as_bytes());
        }
    }

    fn batch(&mut self, out: &mut Vec<u8>, batch: Batch<T>) -> Result<(), BodyError> {
        for item in &batch.items {
            if self.format == Format::Ndjson {
                write_line(out, item)?;
                continue;
            }
            if std::mem::replace(&mut self.separator, true) {
                out.push(b',');
            }
            serde_json::to_writer(&mut *out, item)?;
        }
        self.metadata = batch.metadata.unwrap_or(std::mem::take(&mut self.metadata));
        Ok(())
    }

    fn tail(&mut self, out: &mut Vec<u8>) -> Result<(), BodyError> {
        self.stage = Stage::End;
        if self.format == Format::Json {
            out.extend_from_slice(br#"],"metadata":"#);
            serde_json::to_writer(&mut *out, &self.metadata)?;
            out.extend_from_slice(b"}\n");
        }
        Ok(())
    }
}

fn write_line<T: Serialize>(out: &mut Vec<u8>, item: &T) -> Result<(), BodyError> {
    serde_json::to_writer(&mut *out, item)?;
    out.push(b'\n');
    Ok(())
}
