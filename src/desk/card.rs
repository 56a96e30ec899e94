//! A verdict as a page shows it: names beside ids, and the answer to copy.
//!
//! The words are those of [`crate::answer`]. Names come from the fields of the payload that the settings name; a phone
//! number is always masked.

use std::collections::HashMap;

use serde_json::Value;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::page::When;
use super::trouble::Trouble;
use super::visit::{Visit, shown};
use crate::answer::{Card, Tone};
use crate::catalogue::Who;
use crate::config::setting::DEFAULT_APP;
use crate::delivery::clean;
use crate::outbox::inspect::{self, Match, Notification};
use crate::words::mask::{mask_phone, safe};
use crate::words::{Lang, Voice};

/// Longer than any number with what people write beside it.
const LONGEST_PHONE: usize = 60;

/// What people call those concerned.
#[derive(Default)]
pub(super) struct Labels {
    pub(super) customer: Option<String>,
    pub(super) recipient: Option<String>,
    pub(super) phone: Option<String>,
}

/// The labels of these notifications; none where the database's role may not read payloads.
pub(super) async fn labels(
    conn: &mut PgConnection,
    visit: &Visit,
    notifications: &[Notification],
) -> Result<HashMap<Uuid, Labels>, Trouble> {
    let ids: Vec<i64> = notifications.iter().map(|it| it.id.0).collect();
    let payloads = inspect::payloads(conn, &ids).await?.unwrap_or_default();
    let paths = &visit.desk.labels;
    let labels = |text: &str| {
        let payload: Value = serde_json::from_str(text).unwrap_or_default();
        Labels {
            customer: field(&payload, &paths.customer),
            recipient: field(&payload, &paths.recipient),
            phone: phone(&payload, &paths.phone),
        }
    };
    Ok(payloads
        .iter()
        .map(|(key, text)| (*key, labels(text)))
        .collect())
}

fn field(payload: &Value, fields: &[Vec<String>]) -> Option<String> {
    let text = text_of(payload, fields)?;
    Some(shown(text.trim())).filter(|text| !text.is_empty())
}

/// Masked as what it is, for no pattern knows every way to write a number.
fn phone(payload: &Value, fields: &[Vec<String>]) -> Option<String> {
    let text = text_of(payload, fields)?;
    Some(shown(&mask_phone(text.trim()))).filter(|text| !text.is_empty())
}

fn text_of(payload: &Value, fields: &[Vec<String>]) -> Option<String> {
    let found = fields.iter().find_map(|names| {
        let mut names = names.iter();
        names.try_fold(payload, |value, name| value.get(name))
    })?;
    match found {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The phone number in full, for an operator whose look is in the audit log.
pub(super) fn phone_in_full(payload: &str, visit: &Visit) -> Option<String> {
    let payload: Value = serde_json::from_str(payload).ok()?;
    let text = text_of(&payload, &visit.desk.labels.phone)?;
    let text: String = clean(text.trim()).chars().take(LONGEST_PHONE).collect();
    Some(text).filter(|text| !text.is_empty())
}

/// One card on a page.
pub(super) struct CardView {
    pub(super) id: i64,
    /// The address of its page.
    pub(super) href: String,
    pub(super) mark: &'static str,
    pub(super) tone: &'static str,
    pub(super) standing: String,
    pub(super) happened: String,
    pub(super) doubt: Option<String>,
    /// Whose turn it is, unless it is nobody's.
    pub(super) who: Option<&'static str>,
    pub(super) next: String,
    /// The way to the other message that these words speak of.
    pub(super) other: Option<(String, i64)>,
    pub(super) since: When,
    pub(super) eta: Option<When>,
    pub(super) written: When,
    pub(super) event_type: String,
    /// Its app, where that is not the only one most have.
    pub(super) app: Option<String>,
    pub(super) customer: Named,
    pub(super) recipient: Named,
    pub(super) phone: Option<String>,
    /// Where the search found its text, and a glimpse of it.
    pub(super) found: Option<(String, String)>,
    /// What to tell whoever asked.
    pub(super) copy: String,
    /// The earlier ones of the same.
    pub(super) earlier: Vec<Earlier>,
}

/// An id, and the name people know.
pub(super) struct Named {
    pub(super) id: String,
    pub(super) name: Option<String>,
}

impl Named {
    pub(super) fn customer(it: &Notification, labels: Option<&Labels>) -> Named {
        Named {
            id: shown(&it.aggregate_id),
            name: labels.and_then(|labels| labels.customer.clone()),
        }
    }

    pub(super) fn recipient(it: &Notification, labels: Option<&Labels>) -> Named {
        Named {
            id: shown(&it.recipient),
            name: labels.and_then(|labels| labels.recipient.clone()),
        }
    }

    /// The name, or the id where there is none.
    pub(super) fn short(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.id)
    }

    /// `李女士 (10086)`, or the id alone.
    pub(super) fn full(&self, lang: Lang) -> String {
        match (&self.name, lang) {
            (Some(name), Lang::En) => format!("{name} ({})", self.id),
            (Some(name), Lang::Zh) => format!("{name}（{}）", self.id),
            (None, _) => self.id.clone(),
        }
    }
}

pub(super) struct Earlier {
    pub(super) id: i64,
    pub(super) href: String,
    pub(super) mark: &'static str,
    pub(super) tone: &'static str,
    pub(super) standing: String,
    pub(super) written: When,
}

impl CardView {
    pub(super) fn of(
        card: &Card,
        labels: Option<&Labels>,
        visit: &Visit,
        voice: &Voice,
    ) -> CardView {
        let (it, verdict) = (&card.it, &card.verdict);
        let (mark, tone) = card.mark(voice);
        let (customer, recipient) = (Named::customer(it, labels), Named::recipient(it, labels));
        let names = [&customer, &recipient].map(|named| named.full(visit.lang));
        let copy = card.passed_on(&names[0], &names[1], voice);
        CardView {
            id: it.id.0,
            href: visit.at(&format!("/messages/{}", it.key)),
            mark,
            tone: tone.word(),
            standing: card.standing(voice),
            happened: safe(&verdict.happened),
            doubt: verdict.doubt.clone(),
            who: match verdict.who {
                Who::Nobody => None,
                who => Some(voice.who(who)),
            },
            next: safe(&verdict.next),
            other: card
                .other()
                .map(|id| (visit.at(&format!("/messages/{id}")), id.0)),
            since: When::of(verdict.since, voice),
            eta: verdict.eta.map(|eta| When::of(eta, voice)),
            written: When::of(it.created_at, voice),
            event_type: shown(&it.event_type),
            app: (it.app != DEFAULT_APP).then(|| shown(&it.app)),
            customer,
            recipient,
            phone: labels.and_then(|labels| labels.phone.clone()),
            found: card
                .found
                .as_ref()
                // The others stand on the card in any case.
                .filter(|(found, _)| matches!(found, Match::Payload { .. } | Match::DedupeKey))
                .map(|(found, glimpse)| (shown(&voice.field(found)), shown(glimpse))),
            copy,
            earlier: Vec::new(),
        }
    }

    /// One of the earlier ones was not sent: that is not folded away.
    pub(super) fn failed_earlier(&self) -> bool {
        self.earlier.iter().any(|one| one.tone == Tone::Bad.word())
    }

    /// What is left of a card under a newer one of the same.
    fn earlier(self) -> Earlier {
        Earlier {
            id: self.id,
            href: self.href,
            mark: self.mark,
            tone: self.tone,
            standing: self.standing,
            written: self.written,
        }
    }
}

/// One card for each customer, recipient and event: the newest, the earlier ones under it. Who is the same person goes by what
/// stands in the row, for masked two may look alike; and what one event came to says nothing of another.
pub(super) fn grouped(cards: &[Card], view: impl Fn(&Card) -> CardView) -> Vec<CardView> {
    let mut groups: Vec<([&str; 5], CardView)> = Vec::new();
    for card in cards {
        let it = &card.it;
        let about: [&str; 5] = [
            &it.aggregate_type,
            &it.aggregate_id,
            &it.recipient,
            &it.app,
            &it.event_type,
        ];
        match groups.iter_mut().find(|(known, _)| *known == about) {
            Some((_, newest)) => newest.earlier.push(view(card).earlier()),
            None => groups.push((about, view(card))),
        }
    }
    groups.into_iter().map(|(_, card)| card).collect()
}

impl Tone {
    /// The class on a page.
    pub(super) fn word(self) -> &'static str {
        match self {
            Tone::Good => "good",
            Tone::Waiting => "waiting",
            Tone::Bad => "bad",
            Tone::Quiet => "quiet",
        }
    }
}
