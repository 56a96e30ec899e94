//! Why, who must act, and what to do: the catalogue in the reader's language.

use super::{Lang, Voice, say};
use crate::catalogue::{self, Who};
use crate::delivery::clean;

/// The word for who acts in JSON and tab-separated output, the same in every language.
pub fn role(who: Who) -> &'static str {
    match who {
        Who::Nobody => "nobody",
        Who::Recipient => "recipient",
        Who::Support => "support",
        Who::CrmAdmin => "crm_admin",
        Who::Developer => "developer",
        Who::Operator => "operator",
    }
}

/// The cause behind a stored key, with WeChat's code when there is one. A key this version does not know (a
/// newer daemon wrote it) is printed as it is.
pub fn cause(lang: Lang, key: Option<&str>, errcode: Option<i32>) -> String {
    let sentence = match key {
        None => say!(lang, "cause.unknown"),
        Some(key) => match catalogue::by_key(key) {
            Some(entry) => bare(entry.text(lang).0).to_owned(),
            None => say!(lang, "cause.other", key = clean(key)),
        },
    };
    match errcode {
        Some(code) if code != 0 => say!(lang, "cause.with_code", cause = sentence, code = code),
        _ => sentence,
    }
}

/// Who must act for this cause, and what they should do; support, when the catalogue does not know.
pub fn remedy(lang: Lang, key: Option<&str>) -> (Who, String) {
    match key.and_then(catalogue::by_key) {
        Some(entry) => {
            let next = bare(entry.text(lang).1);
            (entry.who, say!(lang, "cause.next", next = next))
        }
        None => (Who::Support, say!(lang, "cause.other_next")),
    }
}

impl Voice {
    /// Whose turn it is, as a person reads it.
    pub fn who(&self, who: Who) -> &'static str {
        who.word(self.lang)
    }

    /// [`cause`] in this voice.
    pub fn cause(&self, key: Option<&str>, errcode: Option<i32>) -> String {
        cause(self.lang, key, errcode)
    }

    /// [`remedy`] in this voice.
    pub fn remedy(&self, key: Option<&str>) -> (Who, String) {
        remedy(self.lang, key)
    }
}

/// Without its full stop, so that it fits into another sentence.
fn bare(sentence: &str) -> &str {
    sentence.trim_end_matches(['.', '。'])
}
