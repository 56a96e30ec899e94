//! A line of the audit log for machines; every text in it fit for any eye.

use serde_json::{Value, json};

use super::json::stamp;
use crate::outbox::inspect::AuditLine;
use crate::words::Voice;
use crate::words::mask::safe;

pub(crate) fn object(line: &AuditLine, voice: &Voice) -> Value {
    json!({"line": line.id, "at": stamp(line.at, voice), "actor": safe(&line.actor), "action": line.action,
           "app": line.app, "notifications": line.notifications, "affected": line.affected,
           "reason": line.reason.as_deref().map(safe), "detail": detail(line)})
}

/// What was before, and after.
pub(crate) fn detail(line: &AuditLine) -> Value {
    serde_json::from_str(&line.detail).map_or(Value::Null, masked)
}

/// The same, every text in it fit for any eye.
pub(super) fn masked(detail: Value) -> Value {
    match detail {
        Value::String(text) => safe(&text).into(),
        Value::Array(values) => values.into_iter().map(masked).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, it)| (safe(&key), masked(it)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => detail,
    }
}
