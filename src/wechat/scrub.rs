//! The last filter for foreign text: what the other side says is stored and shown to people, and an error page may
//! well quote the URL it was asked for.

use serde_json::Value;

use crate::delivery::clean;
use crate::secret::Secret;

/// Foreign text made fit to keep: cleaned and cut, without our secrets, without anything that looks like
/// an openid or a mobile number. `None` if nothing is left.
pub(crate) fn scrub(text: &str, secrets: &[&Secret]) -> Option<String> {
    // Before the cleaning cuts: half a token at the end would no longer be recognised.
    let mut hidden = String::from(text);
    for secret in secrets.iter().filter(|secret| !secret.expose().is_empty()) {
        hidden = hidden.replace(secret.expose(), "***");
    }
    let cleaned = clean(&mask_persons(&hidden));
    let trimmed = cleaned.trim();
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}

/// The texts of a payload that may name a person, the longest first: whatever is more than one plain ASCII word,
/// for those are the names of fields and kinds, which an error message needs.
pub(crate) fn private(payload: &str) -> Vec<Secret> {
    fn collect(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::String(text) if text.contains(|c: char| !c.is_ascii() || c == ' ') => {
                into.push(text.clone());
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
            Value::Object(fields) => fields.values().for_each(|field| collect(field, into)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut texts = Vec::new();
    if let Ok(value) = serde_json::from_str(payload) {
        collect(&value, &mut texts);
    }
    texts.retain(|text| text.trim().chars().nth(1).is_some());
    texts.sort_unstable_by_key(|text| std::cmp::Reverse(text.len()));
    texts.into_iter().map(Secret::new).collect()
}

/// Masks runs that look like an openid (28 word characters starting with `o`) or a mobile number (11
/// digits starting with 1). A request id (`rid`) has another shape and stays readable.
fn mask_persons(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_word) {
        masked.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        if run.len() == 28 && run.starts_with('o') {
            masked.push_str("o***");
        } else {
            mask_phones(run, &mut masked);
        }
        rest = after;
    }
    masked.push_str(rest);
    masked
}

fn mask_phones(run: &str, masked: &mut String) {
    let mut rest = run;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        masked.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (digits, after) = rest.split_at(end);
        if digits.len() == 11 && digits.starts_with('1') {
            masked.push_str(&digits[..3]);
            masked.push_str("****");
            masked.push_str(&digits[7..]);
        } else {
            masked.push_str(digits);
        }
        rest = after;
    }
    masked.push_str(rest);
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

#[cfg(test)]
mod tests {
    use super::{private, scrub};
    use crate::secret::Secret;

    #[test]
    fn a_secret_does_not_print() {
        let secret = Secret::new("hunter2");
        assert_eq!(
            format!("{secret} {secret:?} {:?}", Some(&secret)),
            "*** *** Some(***)"
        );
    }

    #[test]
    fn a_quoted_payload_loses_its_persons_and_keeps_its_words() {
        let payload = r#"{"name":"王女士","to":["Ann Lee"],"kind":"thing1","n":7,"x":"中"}"#;
        let private = private(payload);
        let hidden: Vec<&Secret> = private.iter().collect();
        assert_eq!(
            scrub("王女士 and Ann Lee: data.thing1.value 中 7", &hidden).as_deref(),
            Some("*** and ***: data.thing1.value 中 7")
        );
    }

    #[test]
    fn foreign_text_loses_what_must_not_be_kept() {
        let token = Secret::new("80_canary");
        let cases = [
            (
                "GET /tcb?access_token=80_canary&env=a",
                "GET /tcb?access_token=***&env=a",
            ),
            (
                "openid oABCD-1234567890_abcdefghijk gone",
                "openid o*** gone",
            ),
            (
                "phone 13812345678, again +8613812345678",
                "phone 138****5678, again +8613812345678",
            ),
            (
                "invalid openid rid: 65f2a1b3-0c1d2e3f-4a5b6c7d",
                "invalid openid rid: 65f2a1b3-0c1d2e3f-4a5b6c7d",
            ),
            ("msgid 1988810812324364291", "msgid 1988810812324364291"),
            ("微信\u{0}系统\n繁忙", "微信系统 繁忙"),
        ];
        for (text, expected) in cases {
            assert_eq!(scrub(text, &[&token]).as_deref(), Some(expected));
        }
        assert_eq!(scrub(" \n", &[&token]), None);
        let long = format!("{}80_canary", "x".repeat(1020));
        assert!(!scrub(&long, &[&token]).unwrap().contains("80_"));
    }
}
