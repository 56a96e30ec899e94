//! What is to be sent again, as it stands in an address: `?status=dead&cause=template_wrong&since=7d`.
//!
//! Other pages link here with the filter they show, so their names for the same things are understood as well. What is not
//! understood is never passed over: more would be sent again than was asked for.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};

use super::ENDINGS;
use crate::desk::guard::FORM_TOKEN;
use crate::desk::visit::{LANG, THEME, shown};
use crate::notification::Status;
use crate::outbox::bulk::Asked;
use crate::words::{Voice, say};

/// The filter as it was typed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Filter {
    pub(super) statuses: Vec<Status>,
    pub(super) cause: String,
    pub(super) app: String,
    pub(super) event_type: String,
    pub(super) recipient: String,
    /// One of [`SPANS`], or a day.
    pub(super) since: String,
    pub(super) twice: bool,
    pub(super) late: bool,
    pub(super) per_second: String,
    pub(super) stop_above: String,
    /// What does not belong here, by its name, or as the value of a status.
    pub(super) odd: Option<(String, Option<String>)>,
}

/// What can be asked for.
pub(in crate::desk) const NAMES: [&str; 10] = [
    "status",
    "cause",
    "app",
    "event_type",
    "recipient",
    "since",
    "twice",
    "late",
    "per_second",
    "stop_above",
];
/// What other pages call it.
const ALIASES: [&str; 2] = ["reason", "period"];
/// What else a form or an address of ours carries.
const BESIDE: [&str; 5] = [FORM_TOKEN, "form", "why", LANG, THEME];

/// How far back, in words of the address.
pub(super) const SPANS: [&str; 5] = ["today", "24h", "7d", "30d", "all"];

impl Filter {
    /// From the pairs of an address or a form.
    pub(super) fn of(pairs: &[(String, String)]) -> Filter {
        let all = |names: &'static [&str]| {
            let ours = pairs
                .iter()
                .filter(move |(name, _)| names.contains(&name.as_str()));
            ours.map(|(_, value)| value.trim())
                .filter(|value| !value.is_empty())
        };
        let text = |names| all(names).next().unwrap_or_default().to_owned();
        let or = |names, otherwise: &str| all(names).next().unwrap_or(otherwise).to_owned();
        let words: Vec<&str> = all(&["status"])
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .collect();
        let unknown = pairs
            .iter()
            .map(|(name, _)| name.as_str())
            .find(|name| ![&NAMES[..], &ALIASES, &BESIDE].concat().contains(name));
        let no_ending = words
            .iter()
            .find(|word| ENDINGS.iter().all(|status| status.word() != **word));
        let mut statuses: Vec<Status> = ENDINGS
            .into_iter()
            .filter(|status| words.contains(&status.word()))
            .collect();
        if statuses.is_empty() {
            statuses.push(Status::Dead);
        }
        Filter {
            statuses,
            cause: text(&["cause", "reason"]),
            app: text(&["app"]),
            event_type: text(&["event_type"]),
            recipient: text(&["recipient"]),
            since: or(&["since", "period"], "24h"),
            twice: all(&["twice"]).next().is_some(),
            late: all(&["late"]).next().is_some(),
            per_second: or(&["per_second"], "20"),
            stop_above: or(&["stop_above"], "20"),
            odd: unknown
                .map(|name| (name.to_owned(), None))
                .or(no_ending.map(|word| ("status".to_owned(), Some((*word).to_owned())))),
        }
    }

    /// The same in the address of this page.
    pub(super) fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs: Vec<(&'static str, String)> = self
            .statuses
            .iter()
            .map(|status| ("status", status.word().to_owned()))
            .collect();
        for (name, value) in [
            ("cause", &self.cause),
            ("app", &self.app),
            ("event_type", &self.event_type),
            ("recipient", &self.recipient),
            ("since", &self.since),
            ("per_second", &self.per_second),
            ("stop_above", &self.stop_above),
        ] {
            if !value.is_empty() {
                pairs.push((name, value.clone()));
            }
        }
        for (name, is_set) in [("twice", self.twice), ("late", self.late)] {
            if is_set {
                pairs.push((name, "yes".to_owned()));
            }
        }
        pairs
    }

    /// What that means, or the sentence that says what cannot be meant.
    pub(super) fn asked(&self, voice: &Voice) -> Result<Asked, String> {
        let number = |text: &str, least, most| {
            text.parse::<i32>()
                .ok()
                .filter(|n| (least..=most).contains(n))
        };
        if let Some((name, value)) = &self.odd {
            let name = shown(name);
            return Err(match value {
                None => say!(voice, "desk.asked.no_filter", name = name),
                Some(value) => say!(voice, "desk.asked.odd", name = name, value = shown(value)),
            });
        }
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Ok(Asked {
            statuses: self.statuses.clone(),
            app: given(&self.app),
            reason: given(&self.cause),
            event_type: given(&self.event_type),
            recipient: given(&self.recipient),
            settled_since: since(&self.since, voice)
                .ok_or_else(|| say!(voice, "desk.bulk.wrong_since"))?,
            with_doubtful: self.twice,
            with_late: self.late,
            per_second: number(&self.per_second, 1, 500)
                .ok_or_else(|| say!(voice, "desk.bulk.wrong_pace"))?,
            stop_above: number(&self.stop_above, 0, 100)
                .ok_or_else(|| say!(voice, "desk.bulk.wrong_share"))?,
        })
    }
}

/// The instant; `Some(None)` means ever.
fn since(text: &str, voice: &Voice) -> Option<Option<DateTime<Utc>>> {
    let ago = |span| voice.now.checked_sub_signed(span).map(Some);
    match text {
        "all" => Some(None),
        "24h" => ago(TimeDelta::hours(24)),
        "7d" => ago(TimeDelta::days(7)),
        "30d" => ago(TimeDelta::days(30)),
        "today" => day(voice.now.with_timezone(&voice.zone).date_naive(), voice),
        other => day(other.parse().ok()?, voice),
    }
}

/// From the beginning of a day, where the reader lives.
fn day(day: NaiveDate, voice: &Voice) -> Option<Option<DateTime<Utc>>> {
    let midnight = day.and_time(NaiveTime::MIN);
    // A day may begin after midnight where the clocks change then.
    let local = midnight.and_local_timezone(voice.zone).earliest();
    Some(Some(
        local.map_or_else(|| midnight.and_utc(), |at| at.to_utc()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{Lang, Place};

    fn voice() -> Voice {
        Voice {
            lang: Lang::En,
            zone: chrono_tz::Asia::Shanghai,
            place: Place::Desk,
            now: "2026-11-22T20:00:00Z".parse().unwrap(),
        }
    }

    fn filter(query: &str) -> Filter {
        let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        Filter::of(&pairs)
    }

    #[test]
    fn an_address_goes_through_the_form_and_back() {
        let it = filter(
            "status=dead,expired&cause=template_wrong&app=a%26b&since=7d&twice=yes&stop_above=5",
        );
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        text.extend_pairs(it.pairs());
        assert_eq!(filter(&text.finish()), it);
        assert_eq!(it.statuses, [Status::Dead, Status::Expired]);
        assert_eq!((it.app.as_str(), it.late), ("a&b", false));
    }

    #[test]
    fn nothing_is_sent_again_by_a_filter_that_is_not_understood() {
        for (query, is_understood) in [
            ("reason=template_wrong&period=7d&lang=en", true),
            ("form_token=x&form=y&why=z&status=cancelled", true),
            ("from=2026-11-22", false),
            // Nothing that WeChat accepted has a way back.
            ("status=delivered", false),
            ("status=dead,queued", false),
        ] {
            let asked = filter(query).asked(&voice());
            assert_eq!(asked.is_ok(), is_understood, "{query}: {asked:?}");
        }
    }

    #[test]
    fn a_day_begins_where_the_reader_lives_and_nonsense_is_refused() {
        for (text, expected) in [
            ("today", "2026-11-22T16:00:00Z"),
            ("24h", "2026-11-21T20:00:00Z"),
            ("2026-11-20", "2026-11-19T16:00:00Z"),
        ] {
            let asked = filter(&format!("since={text}")).asked(&voice()).unwrap();
            assert_eq!(
                asked.settled_since,
                Some(expected.parse().unwrap()),
                "{text}"
            );
        }
        assert_eq!(
            filter("since=all").asked(&voice()).unwrap().settled_since,
            None
        );
        for wrong in [
            "since=soon",
            "per_second=0",
            "per_second=x",
            "stop_above=101",
        ] {
            assert!(filter(wrong).asked(&voice()).is_err(), "{wrong}");
        }
    }
}
