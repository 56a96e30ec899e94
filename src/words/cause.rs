//! Why, who must act, and what to do: the catalogue in the reader's language.

use super::{Voice, say};
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

impl Voice {
    /// Whose turn it is, as a person reads it.
    pub fn who(&self, who: Who) -> &'static str {
        who.word(self.lang)
    }

    /// The cause behind a stored key, with WeChat's code when there is one. A key this version does not know
    /// (a newer daemon wrote it) is printed as it is.
    pub fn cause(&self, key: Option<&str>, errcode: Option<i32>) -> String {
        let sentence = match key {
            None => say!(self, "cause.unknown"),
            Some(key) => match catalogue::by_key(key) {
                Some(entry) => bare(entry.text(self.lang).0).to_owned(),
                None => say!(self, "cause.other", key = clean(key)),
            },
        };
        match errcode {
            Some(code) if code != 0 => say!(self, "cause.with_code", cause = sentence, code = code),
            _ => sentence,
        }
    }

    /// Who must act for this cause, and what they should do; support, when the catalogue does not know.
    pub fn remedy(&self, key: Option<&str>) -> (Who, String) {
        match key.and_then(catalogue::by_key) {
            Some(entry) => {
                let next = bare(entry.text(self.lang).1);
                (entry.who, say!(self, "cause.next", next = next))
            }
            None => (Who::Support, say!(self, "cause.other_next")),
        }
    }
}

/// Without its full stop, so that it fits into another sentence.
fn bare(sentence: &str) -> &str {
    sentence.trim_end_matches(['.', '。'])
}
