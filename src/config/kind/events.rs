//! A list of event types, as the CRM writes them.

use super::{Kind, Read, Wrong, wrong};
use crate::config::words::{Words, words};
use crate::policy::AwaitGrant;

/// Event types, parted by spaces or commas; `*` alone is every one.
pub struct EventTypes;

impl Kind for EventTypes {
    fn takes(&self) -> Words {
        Words::new(
            "an event type, or several of them; `*` for every one",
            "事件类型，可以写多个；`*` 表示所有类型",
        )
    }

    fn list(&self) -> bool {
        true
    }
}

impl Read for EventTypes {
    type Value = AwaitGrant;

    fn read(&self, text: &str) -> Result<AwaitGrant, Wrong> {
        let types: Vec<&str> = text
            .split(|c: char| c.is_whitespace() || matches!(c, ',' | '，'))
            .filter(|name| !name.is_empty())
            .collect();
        // Half of a pattern would match nothing, and nobody would see it.
        let odd = types
            .iter()
            .find(|name| name.contains('*') && **name != "*");
        match (&types[..], odd) {
            ([], _) => Ok(AwaitGrant::Never),
            (["*"], _) => Ok(AwaitGrant::Always),
            (_, Some(name)) => wrong(
                words!(
                    "has \"{name}\" in it, and there are no patterns",
                    "其中有“{name}”，这里不支持通配"
                ),
                Words::new(
                    "write each event type in full, or `*` alone for every one",
                    "请写出完整的事件类型，或只写 `*` 表示所有类型",
                ),
            ),
            (names, None) if names.contains(&"*") => wrong(
                Words::new("has `*` beside other types", "`*` 与其他类型写在一起"),
                Words::new("keep the one or the others", "请只保留其中一种写法"),
            ),
            (names, None) => Ok(AwaitGrant::For(
                names.iter().map(|name| (*name).to_owned()).collect(),
            )),
        }
    }
}
