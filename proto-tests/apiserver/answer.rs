//! What goes back to the client.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::cluster::Refusal;
use super::kinds::Row;

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let code = StatusCode::from_u16(self.0).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (code, axum::Json(self.status())).into_response()
    }
}

impl Refusal {
    /// As an object of kind Status, which errors in a watch are, too.
    pub fn status(&self) -> Value {
        let Self(code, reason, message) = self;
        let causes =
            if *self == Self::too_large() { json!([{"reason": "ResourceVersionTooLarge", "message": message}]) } else { json!([]) };
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code,
            "details": {"causes": causes}})
    }
}

/// How objects are written for one request.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    pub row: &'static Row,
    pub version: &'static str,
    pub metadata_only: bool,
}

impl Form {
    pub fn new(row: &'static Row, version: &str, headers: &HeaderMap) -> Self {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let version = row.versions.iter().find(|known| **known == version).unwrap_or(&row.versions[0]);
        Self { row, version, metadata_only: accept.contains("as=PartialObjectMetadata") }
    }

    pub fn object(&self, object: &Value) -> Value {
        if self.metadata_only {
            return json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object["metadata"]});
        }
        let mut object = object.clone();
        object["apiVersion"] = json!(self.row.api_version(self.version));
        object["kind"] = json!(self.row.kind);
        object
    }

    pub fn list(&self, items: Vec<Value>, metadata: &Value) -> Value {
        if self.metadata_only {
            return json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "metadata": metadata, "items": items});
        }
        let kind = format!("{}List", self.row.kind);
        json!({"apiVersion": self.row.api_version(self.version), "kind": kind, "metadata": metadata, "items": items})
    }

    pub fn event(&self, kind: &str, object: &Value) -> String {
        format!("{}\n", json!({"type": kind, "object": self.object(object)}))
    }

    pub fn bookmark(&self, version: u64, ends_list: bool) -> String {
        let annotations = if ends_list { json!({"k8s.io/initial-events-end": "true"}) } else { json!({}) };
        let metadata = json!({"resourceVersion": version.to_string(), "annotations": annotations});
        let object = json!({"apiVersion": self.row.api_version(self.version), "kind": self.row.kind, "metadata": metadata});
        format!("{}\n", json!({"type": "BOOKMARK", "object": object}))
    }
}
