//! `--since`: how far back, as a time span, a day or an instant.

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};

use crate::words::{Lang, Voice, say};

/// How far back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Since {
    Ago(Duration),
    /// From the beginning of this day where the reader lives.
    Day(NaiveDate),
    At(DateTime<Utc>),
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Since, String> {
        let text = text.trim();
        if let Ok(span) = humantime::parse_duration(text) {
            return Ok(Since::Ago(span));
        }
        if let Ok(day) = text.parse() {
            return Ok(Since::Day(day));
        }
        DateTime::parse_from_rfc3339(text)
            .map(|at| Since::At(at.to_utc()))
            .map_err(|_| {
                let lang = Lang::pick(None, |name| std::env::var(name).ok());
                say!(lang, "error.since")
            })
    }
}

impl Since {
    /// The instant; `None` when it lies before the calendar.
    pub(super) fn instant(self, voice: &Voice) -> Option<DateTime<Utc>> {
        match self {
            Since::Ago(span) => voice
                .now
                .checked_sub_signed(TimeDelta::from_std(span).ok()?),
            // A day may begin after midnight where the clocks change then.
            Since::Day(day) => day
                .and_time(NaiveTime::MIN)
                .and_local_timezone(voice.zone)
                .earliest()
                .map_or_else(
                    || Some(day.and_time(NaiveTime::MIN).and_utc()),
                    |at| Some(at.to_utc()),
                ),
            Since::At(at) => Some(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Place;
    use chrono::TimeZone;

    #[test]
    fn a_span_a_day_and_an_instant_are_understood() {
        let voice = Voice {
            lang: Lang::En,
            place: Place::Terminal,
            zone: chrono_tz::Asia::Shanghai,
            now: Utc.with_ymd_and_hms(2026, 11, 22, 2, 5, 0).unwrap(),
        };
        for (typed, expected) in [
            ("24h", "2026-11-21T02:05:00Z"),
            ("7d", "2026-11-15T02:05:00Z"),
            ("2026-11-22", "2026-11-21T16:00:00Z"),
            ("2026-11-22T09:30:00+08:00", "2026-11-22T01:30:00Z"),
        ] {
            let since = typed.parse::<Since>().unwrap().instant(&voice).unwrap();
            assert_eq!(
                since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
                expected
            );
        }
        let error = "yesterday".parse::<Since>().unwrap_err();
        assert!(error.contains("2026-11-22"), "{error}");
    }
}
