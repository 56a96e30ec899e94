//! The period of a list: today, so many hours or days back, or from one time to another, in the desk's zone.

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::asked::{Asked, Choice};
use super::page::Link;
use super::trouble::Trouble;
use super::visit::Visit;
use crate::words::{Voice, say};

/// The filters that name it.
pub(super) const PERIOD: &str = "period";
pub(super) const FROM: &str = "from";
pub(super) const TO: &str = "to";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span {
    Today,
    Day,
    Week,
    Month,
    /// From one time to another; either may be left out.
    Own,
}

impl Span {
    pub(super) const ALL: [Span; 5] = [Span::Today, Span::Day, Span::Week, Span::Month, Span::Own];

    /// The word in the address.
    pub(super) fn word(self) -> &'static str {
        match self {
            Span::Today => "today",
            Span::Day => "24h",
            Span::Week => "7d",
            Span::Month => "30d",
            Span::Own => "own",
        }
    }

    pub(super) fn name(self, voice: &Voice) -> String {
        match self {
            Span::Today => say!(voice, "desk.period.today"),
            Span::Day => say!(voice, "desk.period.day"),
            Span::Week => say!(voice, "desk.period.week"),
            Span::Month => say!(voice, "desk.period.month"),
            Span::Own => say!(voice, "desk.period.own"),
        }
    }
}

impl Span {
    /// For a form.
    pub(super) fn choices(chosen: Span, voice: &Voice) -> Vec<Choice> {
        let choice = |span: Span| Choice {
            word: span.word().to_owned(),
            name: span.name(voice),
            chosen: span == chosen,
        };
        Span::ALL.map(choice).into()
    }
}

/// The end does not belong to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Period {
    pub(super) span: Span,
    pub(super) since: Option<DateTime<Utc>>,
    pub(super) until: Option<DateTime<Utc>>,
}

impl Period {
    /// Times of one's own go before a span, which a form always sends along.
    pub(super) fn of(
        asked: &Asked,
        visit: &Visit,
        voice: &Voice,
        default: Span,
    ) -> Result<Period, Trouble> {
        let time = |name, whole_day| match asked.get(name) {
            None => Ok(None),
            Some(text) => match instant(text, whole_day, voice.zone) {
                Some(at) => Ok(Some(at)),
                None => Err(asked.odd(visit, name, text)),
            },
        };
        let (from, to) = (time(FROM, Days::new(0))?, time(TO, Days::new(1))?);
        let span = match asked.get(PERIOD) {
            _ if from.is_some() || to.is_some() => Span::Own,
            None => default,
            Some(word) => match Span::ALL.into_iter().find(|span| span.word() == word) {
                Some(span) => span,
                None => return Err(asked.odd(visit, PERIOD, word)),
            },
        };
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            return Err(Trouble::Asked(say!(voice, "desk.asked.backwards")));
        }
        let ago = |days| Some(voice.now - TimeDelta::days(days));
        let (since, until) = match span {
            Span::Today => {
                let today = voice.now.with_timezone(&voice.zone).date_naive();
                (
                    Some(local(today.and_time(NaiveTime::MIN), voice.zone)),
                    None,
                )
            }
            Span::Day => (ago(1), None),
            Span::Week => (ago(7), None),
            Span::Month => (ago(30), None),
            Span::Own => (from, to),
        };
        Ok(Period { span, since, until })
    }

    /// A span back from now, for what has no end.
    pub(super) fn back(
        asked: &Asked,
        visit: &Visit,
        voice: &Voice,
        default: Span,
    ) -> Result<Period, Trouble> {
        match Period::of(asked, visit, voice, default)? {
            Period {
                span: Span::Own, ..
            } => Err(asked.odd(visit, PERIOD, Span::Own.word())),
            period => Ok(period),
        }
    }

    /// What is unsettled belongs to now.
    pub(super) fn reaches_now(&self, voice: &Voice) -> bool {
        self.until.is_none_or(|until| until > voice.now)
    }
}

/// The spans that reach back from now, each with the address of the page that shows it.
pub(super) fn switch(
    asked: &Asked,
    chosen: Span,
    visit: &Visit,
    voice: &Voice,
    path: &str,
) -> Vec<Link> {
    [Span::Today, Span::Day, Span::Week, Span::Month]
        .map(|span| Link {
            href: asked.with(PERIOD, span.word()).href(visit, path),
            text: span.name(voice),
            current: span == chosen,
        })
        .into()
}

/// `2026-11-22T09:30`, as a browser sends it, or a day; the end of a period has the whole day in it.
fn instant(text: &str, whole_day: Days, zone: Tz) -> Option<DateTime<Utc>> {
    for form in ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"] {
        if let Ok(at) = NaiveDateTime::parse_from_str(text, form) {
            return within(at).then(|| local(at, zone));
        }
    }
    let day: NaiveDate = text.parse().ok()?;
    let at = day.checked_add_days(whole_day)?.and_time(NaiveTime::MIN);
    within(at).then(|| local(at, zone))
}

/// What both calendars hold, PostgreSQL's and ours.
fn within(at: NaiveDateTime) -> bool {
    use chrono::Datelike as _;
    (1..=9999).contains(&at.year())
}

/// A day may begin after midnight where the clocks change then.
fn local(at: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
    at.and_local_timezone(zone)
        .earliest()
        .map_or_else(|| at.and_utc(), |at| at.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_in_the_desks_zone_and_a_day_ends_with_the_next() {
        let zone = chrono_tz::Asia::Shanghai;
        for (text, whole_day, expected) in [
            ("2026-11-22T09:30", 0, Some("2026-11-22T01:30:00+00:00")),
            ("2026-11-22T09:30:15", 1, Some("2026-11-22T01:30:15+00:00")),
            ("2026-11-22", 0, Some("2026-11-21T16:00:00+00:00")),
            ("2026-11-22", 1, Some("2026-11-22T16:00:00+00:00")),
            ("9999-12-31", 1, None),
            ("yesterday", 0, None),
            ("2026-13-01", 0, None),
        ] {
            let read = instant(text, Days::new(whole_day), zone).map(|at| at.to_rfc3339());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }
}
