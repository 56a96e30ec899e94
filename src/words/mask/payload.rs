//! A payload, masked string by string: what it says is looked at, not how it is written, for behind the `n` of an escaped
//! line's end a number stands alone. What needs no mask stays as it was written.

use serde_json::Value;

use super::{mask, mask_phone};

/// A payload as PostgreSQL lays it out, masked, and what stands at these places as what is known to be a phone number.
pub fn mask_payload(text: &str, phones: &[Vec<String>]) -> String {
    // The database holds larger numbers and deeper objects than can be read here: then whatever stands there may be one.
    let payload: Option<Value> = serde_json::from_str(text).ok();
    let at = |names: &Vec<String>| {
        let mut names = names.iter();
        names.try_fold(payload.as_ref()?, |value, name| value.get(name))
    };
    let phones: Vec<&Value> = phones.iter().filter_map(at).collect();
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let (token, after) = rest.split_at(token(rest));
        rest = after;
        let said: Option<Value> = serde_json::from_str(token).ok();
        let is_known = said.as_ref().is_some_and(|said| phones.contains(&said));
        let is_phone = is_known || payload.is_none();
        let mask = if is_phone { mask_phone } else { mask };
        match said {
            Some(Value::String(said)) => {
                let shown = mask(&said);
                if shown == said {
                    masked.push_str(token);
                } else {
                    masked.push_str(&Value::from(shown).to_string());
                }
            }
            Some(_) | None => masked.push_str(&mask(token)),
        }
    }
    masked
}

/// How long the string, the number or the run of something else is that JSON text begins with.
fn token(text: &str) -> usize {
    let is_number = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let mut escaped = false;
    let of_string = |(_, c): &(usize, char)| {
        let ends = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    };
    let end = match text.chars().next() {
        Some('"') => text
            .char_indices()
            .skip(1)
            .find(of_string)
            .map(|(at, _)| at + 1),
        Some(c) if is_number(c) => text.find(|c| !is_number(c)),
        Some(_) | None => text.find(|c| c == '"' || is_number(c)),
    };
    end.unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::mask_payload;

    #[test]
    fn in_a_payload_the_field_of_the_phone_is_masked_and_the_rest_is_as_it_was() {
        let text = r#"{"n": 62345678, "phone": "62345678", "to": {"tel": 62345679}}"#;
        let places = [vec!["phone".to_owned()], vec!["to".into(), "tel".into()]];
        assert_eq!(
            mask_payload(text, &places),
            r#"{"n": 62345678, "phone": "****5678", "to": {"tel": ****5679}}"#
        );
        let large = format!(r#"{{"n": 1{}, "phone": "62345678"}}"#, "0".repeat(400));
        let masked = mask_payload(&large, &places);
        assert!(masked.ends_with(r#""phone": "****5678"}"#), "{masked}");
        let deep = format!(r#"{}"62345678"{}"#, "[".repeat(200), "]".repeat(200));
        assert!(mask_payload(&deep, &[]).contains(r#"["****5678"]"#));
    }

    #[test]
    fn in_a_payload_a_string_is_masked_as_what_it_says() {
        let phone = [vec!["phone".to_owned()]];
        for (text, expected) in [
            (
                r#"{"note": "回访\n138 0013 8000"}"#,
                r#"{"note": "回访\n138 **** 8000"}"#,
            ),
            (
                r#"{"note": "138\t0013\t8000"}"#,
                r#"{"note": "138\t****\t8000"}"#,
            ),
            (
                "{\"note\": \"138\u{200b}0013\u{200b}8000\"}",
                "{\"note\": \"138\u{200b}****\u{200b}8000\"}",
            ),
            (
                r#"{"note": "\t010-62345678\u0001"}"#,
                r#"{"note": "\t010-****5678\u0001"}"#,
            ),
            (
                r#"{"phone": "\u202d138 0013 8000\u202c"}"#,
                "{\"phone\": \"\u{202d}138 **** 8000\u{202c}\"}",
            ),
            (
                "{\"note\": \"\u{2068}13800138000\u{2069}\"}",
                "{\"note\": \"\u{2068}138****8000\u{2069}\"}",
            ),
            (
                r#"{"note": "她说：\"\\13800138000\""}"#,
                r#"{"note": "她说：\"\\138****8000\""}"#,
            ),
            (
                r#"{"note": "\noABCD1234efgh5678IJKL9012_-x", "13800138000": 13800138000}"#,
                r#"{"note": "\noABC…", "138****8000": 138****8000}"#,
            ),
        ] {
            assert_eq!(mask_payload(text, &phone), expected);
        }
    }
}
