//! Times as a person reads them: `2026年3月1日 20:00`, in the reader's local time. Pure.
//!
//! WeChat shows the value as it is, so an instant (RFC 3339, or a number of seconds or milliseconds since 1970) is
//! turned first; a time without a zone is taken as local already. The cloud function's `moment.js` reads the same.

use chrono::{DateTime, Datelike as _, NaiveDate, TimeZone, Timelike as _};
use serde_json::Value;

use super::text::{is_space, narrow, units};

/// A moment with what it has of date and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) date: Option<NaiveDate>,
    pub(super) time: Option<(u32, u32)>,
}

/// Reads a value as a moment in the reader's time.
pub(super) fn read(value: &Value, zone: &impl TimeZone) -> Option<Moment> {
    match value {
        Value::Number(number) => of_number(number.as_f64()?, zone),
        Value::String(text) if units(text) <= 64 => of_text(text, zone),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}

fn of_number(number: f64, zone: &impl TimeZone) -> Option<Moment> {
    if !number.is_finite() || number < 1e9 {
        return None;
    }
    let ms = if number < 1e11 {
        number * 1000.0
    } else {
        number
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "what does not fit is no instant, and saturates to one beyond the calendar"
    )]
    local(
        DateTime::from_timestamp_millis(ms as i64)?.naive_utc(),
        zone,
    )
}

fn of_text(text: &str, zone: &impl TimeZone) -> Option<Moment> {
    let text = narrow(text);
    let text = text.trim_matches(is_space);
    if let Some((time, "")) = time_of_day(text) {
        return Some(Moment {
            date: None,
            time: Some(time?),
        });
    }
    let (date, rest) = calendar_day(text)?;
    if rest.is_empty() {
        return Some(Moment {
            date: Some(date?),
            time: None,
        });
    }
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (time, rest) = time_of_day(rest)?;
    let (date, time) = (date?, time?);
    let zoned = rest.strip_prefix(' ').unwrap_or(rest);
    if zoned.is_empty() {
        return Some(Moment {
            date: Some(date),
            time: Some(time),
        });
    }
    let east = minutes_east(zoned)?;
    let there = date.and_hms_opt(time.0, time.1, 0)?;
    local(there - chrono::TimeDelta::minutes(east), zone)
}

/// The instant in the reader's time; none outside of the years with four digits.
fn local(utc: chrono::NaiveDateTime, zone: &impl TimeZone) -> Option<Moment> {
    let here = zone.from_utc_datetime(&utc).naive_local();
    (1000..=9999).contains(&here.year()).then(|| Moment {
        date: Some(here.date()),
        time: Some((here.hour(), here.minute())),
    })
}

/// `2026-3-1`, `2026/3/1`, `2026.3.1` or `2026年3月1日` in front; the inner none is a day that no calendar has.
fn calendar_day(text: &str) -> Option<(Option<NaiveDate>, &str)> {
    let (year, rest) = digits(text, 4, 4)?;
    let written = |first: &[char], second: &[char], last: &str| {
        let (month, rest) = digits(rest.strip_prefix(first)?, 1, 2)?;
        let (day, rest) = digits(rest.strip_prefix(second)?, 1, 2)?;
        Some((month, day, rest.strip_prefix(last)?))
    };
    let signs = ['-', '/', '.'];
    let (month, day, rest) =
        written(&signs, &signs, "").or_else(|| written(&['年'], &['月'], "日"))?;
    let year = i32::try_from(year).ok().filter(|year| *year >= 1000);
    let date = year.and_then(|year| NaiveDate::from_ymd_opt(year, month, day));
    Some((date, rest))
}

/// `20:00`, `20:00:30` or `20:00:30.5` in front; the inner none is a time that no clock shows.
fn time_of_day(text: &str) -> Option<(Option<(u32, u32)>, &str)> {
    let (hour, rest) = digits(text, 1, 2)?;
    let (minute, rest) = digits(rest.strip_prefix(':')?, 2, 2)?;
    let (second, rest) = match rest.strip_prefix(':').and_then(|rest| digits(rest, 2, 2)) {
        Some((second, rest)) => (second, fraction(rest)),
        None => (0, rest),
    };
    let shown = hour < 24 && minute < 60 && second < 60;
    Some((shown.then_some((hour, minute)), rest))
}

/// Without the `.5` in front, if there is one.
fn fraction(text: &str) -> &str {
    match text.strip_prefix('.') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => {
            rest.trim_start_matches(|c: char| c.is_ascii_digit())
        }
        Some(_) | None => text,
    }
}

/// `Z`, `+08`, `+08:00`, `-0530`.
fn minutes_east(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let rest = zone.strip_prefix(['+', '-'])?;
    let (hours, rest) = digits(rest, 2, 2)?;
    let minutes = match rest {
        "" => 0,
        rest => match digits(rest.strip_prefix(':').unwrap_or(rest), 2, 2)? {
            (minutes, "") => minutes,
            _ => return None,
        },
    };
    let east = i64::from(hours) * 60 + i64::from(minutes);
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    (hours < 24 && minutes < 60).then_some(sign * east)
}

/// As many digits as there are in front, `most` at most.
fn digits(text: &str, least: usize, most: usize) -> Option<(u32, &str)> {
    let count = text
        .bytes()
        .take(most)
        .take_while(u8::is_ascii_digit)
        .count();
    let (number, rest) = text.split_at_checked(count).filter(|_| count >= least)?;
    Some((number.parse().ok()?, rest))
}

pub(super) fn date_text(date: NaiveDate) -> String {
    format!("{}年{}月{}日", date.year(), date.month(), date.day())
}

pub(super) fn time_text((hour, minute): (u32, u32)) -> String {
    format!("{hour:02}:{minute:02}")
}
