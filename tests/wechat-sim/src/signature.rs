//! The event's signature, as the receiver checks it.

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

/// How far `sentAt` may lie from now, either way.
const MOST_AGE_S: i64 = 300;

/// HMAC-SHA-256, in hex, over the canonical JSON (RFC 8785) of the event without `signature` and without
/// the `userInfo` that the platform adds.
pub(crate) fn check(event: &Value, secret: &str, now: DateTime<Utc>) -> Result<(), &'static str> {
    let mut signed = event.clone();
    let fields = signed.as_object_mut().ok_or("the event is no object")?;
    fields.remove("userInfo");
    let signature = fields
        .remove("signature")
        .ok_or("the event is not signed")?;
    let signature = signature
        .as_str()
        .and_then(unhex)
        .ok_or("the signature is not hex")?;
    let canonical =
        serde_json_canonicalizer::to_vec(&signed).map_err(|_| "the event has no canonical form")?;
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(&canonical);
    mac.verify_slice(&signature)
        .map_err(|_| "the signature is wrong")?;
    let sent_at = event["sentAt"]
        .as_str()
        .and_then(|text| DateTime::parse_from_rfc3339(text).ok());
    let age = now.signed_duration_since(sent_at.ok_or("sentAt is no time")?);
    if age.num_seconds().abs() > MOST_AGE_S {
        return Err("sentAt is more than five minutes away");
    }
    Ok(())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks_exact(2);
    if !digits.remainder().is_empty() {
        return None;
    }
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}
