//! The fields of a payload, to correct one without seeing the others: a form shows them masked, and changes only those
//! into which something was typed. What is not changed is carried over letter by letter, so no number is rounded.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

/// One value of a payload that is no object.
#[derive(Debug, PartialEq)]
pub(super) struct Field {
    /// Names of the objects around it, its own last.
    pub(super) path: Vec<String>,
    /// A text as it is, anything else as JSON.
    pub(super) value: String,
}

impl Field {
    /// The name of its input: a JSON pointer.
    pub(super) fn pointer(&self) -> String {
        let escaped = |name: &String| format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        self.path.iter().map(escaped).collect()
    }
}

/// Why a payload cannot be changed so.
#[derive(Debug, PartialEq)]
pub(super) enum Wrong {
    /// There is no such field, or the payload is none of ours.
    Unknown,
    /// A number, a list or the like, and what was typed is not one.
    Kind(String),
    /// A character that cannot be seen, and that no database or phone takes.
    Control,
}

type Object = BTreeMap<String, Box<RawValue>>;

/// The fields of a payload's JSON text, in the order of their names.
pub(super) fn fields(payload: &str) -> Vec<Field> {
    fn walk(text: &str, path: &mut Vec<String>, into: &mut Vec<Field>) {
        if let Ok(object) = serde_json::from_str::<Object>(text) {
            for (name, value) in object {
                path.push(name);
                walk(value.get(), path, into);
                path.pop();
            }
            return;
        }
        let value = match serde_json::from_str::<Value>(text) {
            Ok(Value::String(text)) => text,
            Ok(_) | Err(_) => text.to_owned(),
        };
        into.push(Field {
            path: path.clone(),
            value,
        });
    }
    let mut found = Vec::new();
    if serde_json::from_str::<Object>(payload).is_ok() {
        walk(payload, &mut Vec::new(), &mut found);
    }
    found
}

/// The payload with another value in this field. A text stays a text, and anything else what it was.
pub(super) fn corrected(payload: &str, pointer: &str, typed: &str) -> Result<String, Wrong> {
    let path: Vec<String> = pointer
        .split('/')
        .skip(1)
        .map(|name| name.replace("~1", "/").replace("~0", "~"))
        .collect();
    set(payload, &path, typed)
}

fn set(text: &str, path: &[String], typed: &str) -> Result<String, Wrong> {
    let Some((name, inner)) = path.split_first() else {
        return value(text, typed);
    };
    let mut object: Object = serde_json::from_str(text).map_err(|_| Wrong::Unknown)?;
    let old = object.get(name).ok_or(Wrong::Unknown)?;
    let new = set(old.get(), inner, typed).map_err(|wrong| match wrong {
        Wrong::Kind(_) => Wrong::Kind(name.clone()),
        other => other,
    })?;
    object.insert(name.clone(), raw(new)?);
    serde_json::to_string(&object).map_err(|_| Wrong::Unknown)
}

/// The payload with a text more.
pub(super) fn added(payload: &str, name: &str, typed: &str) -> Result<String, Wrong> {
    seen(name)?;
    seen(typed)?;
    let mut object: Object = serde_json::from_str(payload).map_err(|_| Wrong::Unknown)?;
    object.insert(name.to_owned(), raw(Value::from(typed).to_string())?);
    serde_json::to_string(&object).map_err(|_| Wrong::Unknown)
}

/// Nothing but what people see, and the ends of lines.
fn seen(typed: &str) -> Result<(), Wrong> {
    let unseen = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    match typed.contains(unseen) {
        true => Err(Wrong::Control),
        false => Ok(()),
    }
}

fn raw(text: String) -> Result<Box<RawValue>, Wrong> {
    RawValue::from_string(text).map_err(|_| Wrong::Unknown)
}

/// What was typed as a value of the kind that stands there. In the place of nothing (`null`) comes a text.
fn value(old: &str, typed: &str) -> Result<String, Wrong> {
    seen(typed)?;
    let kind = |value: &Value| std::mem::discriminant(value);
    let old: Value = serde_json::from_str(old).map_err(|_| Wrong::Unknown)?;
    if matches!(old, Value::String(_) | Value::Null) {
        return Ok(Value::from(typed).to_string());
    }
    match serde_json::from_str::<Value>(typed) {
        Ok(new) if kind(&new) == kind(&old) => Ok(typed.trim().to_owned()),
        Ok(_) | Err(_) => Err(Wrong::Kind(String::new())),
    }
}

#[cfg(test)]
mod tests {
    use super::{Wrong, added, corrected, fields};

    const PAYLOAD: &str =
        r#"{"a/b": {"~": true}, "n": 12345678901234567890.10, "name": "李女士", "none": null}"#;

    #[test]
    fn every_value_has_its_field_and_comes_back_from_its_pointer() {
        let found: Vec<(String, String)> = fields(PAYLOAD)
            .into_iter()
            .map(|field| (field.pointer(), field.value))
            .collect();
        let expected = [
            ("/a~1b/~0", "true"),
            ("/n", "12345678901234567890.10"),
            ("/name", "李女士"),
            ("/none", "null"),
        ];
        assert_eq!(
            found,
            expected.map(|(pointer, value)| (pointer.to_owned(), value.to_owned()))
        );
        assert!(fields("[]").is_empty());
    }

    #[test]
    fn one_value_changes_and_the_others_stay_as_they_were_written() {
        let long = "12345678901234567890.10";
        for (pointer, typed, expected) in [
            ("/name", "王\"女士", r#""name":"王\"女士""#),
            ("/a~1b/~0", "false", r#""a/b":{"~":false}"#),
            ("/none", "7", r#""none":"7""#),
            ("/n", " 17.50 ", r#""n":17.50"#),
        ] {
            let text = corrected(PAYLOAD, pointer, typed).unwrap();
            assert!(text.contains(expected), "{text}");
        }
        assert!(corrected(PAYLOAD, "/name", "x").unwrap().contains(long));
        assert!(
            added(PAYLOAD, "city", "上海")
                .unwrap()
                .contains(r#""city":"上海""#)
        );
    }

    #[test]
    fn what_does_not_fit_is_said_and_not_written() {
        for (pointer, typed, expected) in [
            ("/a~1b/~0", "maybe", Wrong::Kind("a/b".to_owned())),
            ("/n", "many", Wrong::Kind("n".to_owned())),
            ("/nothing", "x", Wrong::Unknown),
            ("/name/deeper", "x", Wrong::Unknown),
            ("/name", "王\0女士", Wrong::Control),
        ] {
            assert_eq!(
                corrected(PAYLOAD, pointer, typed),
                Err(expected),
                "{pointer}"
            );
        }
        assert_eq!(corrected("[]", "/0", "x"), Err(Wrong::Unknown));
        assert_eq!(added("{}", "city", "上\u{7}海"), Err(Wrong::Control));
        assert!(added("{}", "note", "一\n二").is_ok());
    }
}
