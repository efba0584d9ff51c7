//! Errors in Elasticsearch's own shape. Pure.

use serde_json::{Value, json};

/// An error of one item, or of a whole request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Error {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) reason: String,
    /// Type and reason of what lies beneath.
    pub(crate) cause: Option<(&'static str, String)>,
}

impl Error {
    pub(crate) fn new(status: u16, kind: &'static str, reason: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            reason: reason.into(),
            cause: None,
        }
    }

    pub(crate) fn because(mut self, kind: &'static str, reason: impl Into<String>) -> Self {
        self.cause = Some((kind, reason.into()));
        self
    }

    /// The `error` of an item.
    pub(crate) fn to_json(&self) -> Value {
        let mut error = json!({"type": self.kind, "reason": self.reason});
        if let Some((kind, reason)) = &self.cause {
            error["caused_by"] = json!({"type": kind, "reason": reason});
        }
        error
    }

    /// The body of a request that failed as a whole.
    pub(crate) fn to_body(&self) -> Value {
        let mut error = self.to_json();
        error["root_cause"] = json!([{"type": self.kind, "reason": self.reason}]);
        json!({"error": error, "status": self.status})
    }
}

pub(super) fn illegal_argument(reason: impl Into<String>) -> Error {
    Error::new(400, "illegal_argument_exception", reason)
}

/// What a broken piece of JSON is called depends on whether more of it might have cured it.
pub(super) fn json_kind(error: &serde_json::Error) -> &'static str {
    if error.is_eof() {
        "x_content_e_o_f_exception"
    } else {
        "x_content_parse_exception"
    }
}
