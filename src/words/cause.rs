//! Why, who must act, and what to do: the catalogue in the reader's language.

use super::{Lang, Voice, say};
use crate::catalogue::{self, Kind, Who};
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

    /// The same for the cause of an open breaker. Where a person has to put something right, they need not
    /// wait for the breaker's time afterwards.
    pub fn breaker_remedy(&self, key: Option<&str>, app: &str) -> (Who, String) {
        let (who, next) = self.remedy(key);
        match (key.and_then(catalogue::by_key).map(|entry| entry.kind), who) {
            (Some(Kind::Outage(_)), Who::Operator | Who::Developer | Who::CrmAdmin) => {
                let app = clean(app);
                (who, say!(self, "next.resume_now", next = next, app = app))
            }
            _ => (who, next),
        }
    }

    /// The same for many settled rows of one status: of what came too late nobody but support can say
    /// whether it still matters.
    pub fn settled_remedy(&self, status: &str, key: Option<&str>) -> (Who, String) {
        match status {
            "expired" => (Who::Support, say!(self, "next.expired_many")),
            _ => self.remedy(key),
        }
    }
}

/// Without its full stop, so that it fits into another sentence.
fn bare(sentence: &str) -> &str {
    sentence.trim_end_matches(['.', '。'])
}
