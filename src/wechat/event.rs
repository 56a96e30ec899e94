//! The event the cloud function gets: the whole body of the request.
//!
//! The payload is spliced in as the text the database printed, so no number is rounded on the way. Only
//! the signature reads it: HMAC-SHA-256 over the canonical form (RFC 8785) of the event without
//! `signature`, in which numbers are doubles, as they are for the function.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Serialize;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use sha2::Sha256;

use crate::notification::Claim;
use crate::secret::Secret;

/// What the function is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Notify,
    Inquire,
    Seal,
}

impl Verb {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Verb::Notify => "notify",
            Verb::Inquire => "inquire",
            Verb::Seal => "seal",
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    #[serde(rename = "type")]
    verb: &'a str,
    key: String,
    attempt: i32,
    epoch: i64,
    sent_at: String,
    event_type: &'a str,
    recipient: &'a str,
    aggregate: Aggregate<'a>,
    payload: &'a RawValue,
    traceparent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
}

#[derive(Serialize)]
struct Aggregate<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    id: &'a str,
}

/// The bytes to send. Fails for a payload that not every JSON reader on the way takes: a number beyond a
/// double, or nested deeper than 128. Were it sent, the refusal would look like a fault of the whole app.
pub(crate) fn build(
    verb: Verb,
    claim: &Claim,
    sent_at: DateTime<Utc>,
    signing_secret: Option<&Secret>,
) -> serde_json::Result<Vec<u8>> {
    serde_json::from_str::<Carried>(&claim.payload)?;
    let payload: &RawValue = serde_json::from_str(&claim.payload)?;
    let mut event = Event {
        verb: verb.word(),
        key: claim.key.to_string(),
        attempt: claim.attempt.0,
        epoch: claim.epoch,
        sent_at: sent_at.to_rfc3339_opts(SecondsFormat::Millis, true),
        event_type: &claim.event_type,
        recipient: &claim.recipient,
        aggregate: Aggregate {
            kind: &claim.aggregate_type,
            id: &claim.aggregate_id,
        },
        payload,
        traceparent: claim.traceparent.as_deref(),
        signature: None,
    };
    if let Some(secret) = signing_secret {
        event.signature = Some(sign(secret, &serde_json::to_string(&event)?)?);
    }
    serde_json::to_vec(&event)
}

/// Reads a payload as any JSON reader would, with the limits of one, and keeps nothing of it.
struct Carried;

impl<'de> Deserialize<'de> for Carried {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(Carried)
    }
}

impl<'de> Visitor<'de> for Carried {
    type Value = Carried;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Carried, E> {
        Ok(Carried)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Carried, E> {
        Ok(Carried)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Carried, E> {
        Ok(Carried)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Carried, E> {
        Ok(Carried)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Carried, E> {
        Ok(Carried)
    }

    fn visit_str<E>(self, _: &str) -> Result<Carried, E> {
        Ok(Carried)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Carried, A::Error> {
        while items.next_element::<Carried>()?.is_some() {}
        Ok(Carried)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Carried, A::Error> {
        while fields.next_entry::<Carried, Carried>()?.is_some() {}
        Ok(Carried)
    }
}

pub(super) fn sign(secret: &Secret, event: &str) -> serde_json::Result<String> {
    let canonical = serde_json_canonicalizer::pipe(event)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
        .expect("HMAC takes a key of any length");
    mac.update(canonical.as_bytes());
    Ok(mac
        .finalize()
        .into_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

#[cfg(test)]
pub(crate) mod tests;
