//! From an event to the message: which template, which page, and what stands in each field. Pure.
//!
//! The mapping is the cloud function's `templates.json`, the same file in the same form (its README tells it), so a
//! team can move from the one way to the other. Here it is judged when the daemon starts: what the function would
//! say of every event is said once, before there is any. Every value goes through the rule of its type ([`rules`]).

mod moment;
mod rules;
mod text;

use std::collections::BTreeMap;

use chrono::TimeZone;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use rules::Kind;

/// Type of event → template; `*` stands for every type without one of its own.
#[derive(Clone, Debug)]
pub struct Templates(BTreeMap<String, Template>);

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Template {
    #[serde(default)]
    template_id: String,
    #[serde(default)]
    page: String,
    #[serde(default)]
    miniprogram_state: String,
    #[serde(default)]
    lang: String,
    fields: BTreeMap<String, Field>,
}

/// Where the value of one key of the template comes from.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Field {
    #[serde(default)]
    from: Paths,
    #[serde(default)]
    fallback: Value,
    #[serde(rename = "type")]
    kind: Option<String>,
    show: Option<Value>,
    values: Option<Vec<Value>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Paths {
    One(String),
    Several(Vec<String>),
}

impl Default for Paths {
    fn default() -> Paths {
        Paths::Several(Vec::new())
    }
}

const STATES: [&str; 4] = ["", "formal", "trial", "developer"];
const LANGS: [&str; 5] = ["", "zh_CN", "en_US", "zh_HK", "zh_TW"];

impl Templates {
    /// Reads the mapping; what is wrong with it, and where, in one sentence without a full stop.
    pub fn read(text: &str) -> Result<Templates, String> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let templates: BTreeMap<String, Template> =
            serde_json::from_str(text).map_err(|error| error.to_string())?;
        if templates.is_empty() {
            return Err("it has no template".to_owned());
        }
        for (event_type, template) in &templates {
            if let Some(fault) = template.fault() {
                return Err(format!("{event_type}: {fault}"));
            }
        }
        Ok(Templates(templates))
    }

    /// The message for an event, without its receiver; none when there is no template for its type.
    pub(crate) fn fill(&self, event: &Value, zone: &impl TimeZone) -> Option<Map<String, Value>> {
        let event_type = event["eventType"].as_str().unwrap_or_default();
        let template = self.0.get(event_type).or_else(|| self.0.get("*"))?;
        let fields = template.fields.iter();
        let data: Map<String, Value> = fields
            .map(|(key, field)| (key.clone(), json!({"value": field.value(key, event, zone)})))
            .collect();
        let or = |text: &str, usual: &str| if text.is_empty() { usual } else { text }.to_owned();
        let mut message = Map::new();
        message.insert("template_id".into(), template.template_id.clone().into());
        message.insert(
            "miniprogram_state".into(),
            or(&template.miniprogram_state, "formal").into(),
        );
        message.insert("lang".into(), or(&template.lang, "zh_CN").into());
        message.insert("data".into(), data.into());
        if !template.page.is_empty() {
            message.insert("page".into(), page(&template.page, event).into());
        }
        Some(message)
    }
}

impl Template {
    fn fault(&self) -> Option<String> {
        if self.template_id.is_empty() {
            return Some("templateId is missing: copy it from 我的模板".to_owned());
        }
        if !STATES.contains(&&*self.miniprogram_state) {
            return Some("miniprogramState must be formal, trial or developer".to_owned());
        }
        if !LANGS.contains(&&*self.lang) {
            return Some("lang must be zh_CN, en_US, zh_HK or zh_TW".to_owned());
        }
        let wrong = self.fields.iter().find(|(key, field)| !field.is_whole(key));
        wrong.map(|(key, _)| format!("the field {key} is not described well (type? values?)"))
    }
}

impl Field {
    fn is_whole(&self, key: &str) -> bool {
        match self.kind(key) {
            None => false,
            Some(kind) if kind.is_listed() => {
                let first = self.values.as_ref().and_then(|values| values.first());
                first.is_some_and(Value::is_string)
            }
            Some(_) => true,
        }
    }

    /// What it says, or what the key's name tells: `thing1` is a `thing`.
    fn kind(&self, key: &str) -> Option<Kind> {
        match self.kind.as_deref().filter(|kind| !kind.is_empty()) {
            Some(word) => Kind::named(word),
            None => {
                let word = key.trim_end_matches(|c: char| c.is_ascii_digit());
                Kind::named(word).filter(|_| word.len() < key.len())
            }
        }
    }

    fn show(&self) -> Option<&str> {
        self.show.as_ref()?.as_str()
    }

    fn lists(&self, text: &str) -> bool {
        let mut values = self.values.iter().flatten();
        values.any(|value| value.as_str() == Some(text))
    }

    /// The first path that has something to offer, else the fallback, else what stands in for the type.
    fn value(&self, key: &str, event: &Value, zone: &impl TimeZone) -> String {
        let Some(kind) = self.kind(key) else {
            return "-".to_owned(); // Such a mapping was refused when it was read.
        };
        let paths = match &self.from {
            Paths::One(path) => std::slice::from_ref(path),
            Paths::Several(paths) => paths,
        };
        let offered = paths.iter().filter_map(|path| at(event, path));
        let offered = offered.chain([self.fallback.clone()]);
        let mut texts = offered.filter_map(|value| kind.text(&value, self, zone));
        let listed = || self.values.as_ref()?.first()?.as_str().map(str::to_owned);
        texts
            .next()
            .or_else(listed)
            .or_else(|| kind.last().map(str::to_owned))
            .or_else(|| kind.text(&event["sentAt"], self, zone))
            .or_else(|| kind.text(&chrono::Utc::now().timestamp_millis().into(), self, zone))
            .unwrap_or_else(|| "-".to_owned())
    }
}

/// The value at a path such as `payload.customer.name` or `payload.tags.0`.
pub(crate) fn at(event: &Value, path: &str) -> Option<Value> {
    let mut place = event.clone();
    for name in path.split('.') {
        place = match place {
            Value::Object(mut object) => object.remove(name)?,
            Value::Array(items) if name == "length" => items.len().into(),
            Value::Array(mut items) => {
                let index: usize = name.parse().ok()?;
                // `00` and `+1` are no names of items.
                let is_there = index < items.len() && index.to_string() == name;
                is_there.then(|| items.swap_remove(index))?
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
        };
    }
    Some(place)
}

/// The page behind the card. A leading slash is refused by WeChat; `{path}` stands for a value of the event.
fn page(pattern: &str, event: &Value) -> String {
    let mut page = String::new();
    let mut rest = pattern.trim_start_matches('/');
    while let Some(open) = rest.find('{') {
        let inside = &rest[open + 1..];
        let end = inside.find(['{', '}']).unwrap_or(inside.len());
        if end == 0 || !inside[end..].starts_with('}') {
            page.push_str(&rest[..=open]);
            rest = inside;
            continue;
        }
        page.push_str(&rest[..open]);
        let value = at(event, &inside[..end]).and_then(|value| text::clean(&value));
        page.push_str(&percent(&value.unwrap_or_default()));
        rest = &inside[end + 1..];
    }
    page + rest
}

/// As JavaScript's `encodeURIComponent`.
fn percent(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
