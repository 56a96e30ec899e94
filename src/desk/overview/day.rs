//! The last 24 hours, an hour a line: for the charts, and as a table for everybody else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{percent, took};
use crate::answer::json::stamp;
use crate::answer::numbers::{AUTHORISED_TARGET, CALL_TARGET_MS, SUCCESS_TARGET, capped, share};
use crate::outbox::inspect::Hour;
use crate::words::mask::safe;
use crate::words::{Voice, say};

pub(super) struct Day {
    /// The charts: what a script draws, its name, its series parted by `|`, and its target's name.
    pub(super) charts: Vec<Chart>,
    /// The newest hour first.
    pub(super) hours: Vec<HourRow>,
    /// An hour stopped counting.
    pub(super) is_sample: bool,
}

pub(super) struct Chart {
    pub(super) what: &'static str,
    pub(super) name: String,
    pub(super) series: String,
    /// The number to be better than, and what it is called.
    pub(super) target: Option<(f64, String)>,
}

pub(super) struct HourRow {
    pub(super) at: String,
    pub(super) settled: String,
    pub(super) accepted: i64,
    pub(super) success: String,
    pub(super) call: String,
    pub(super) authorised: String,
    /// Causes and how often, most frequent first.
    pub(super) failed: Vec<(String, i64)>,
}

impl Day {
    pub(super) fn of(hours: &[Hour], voice: &Voice) -> Day {
        Day {
            charts: charts(voice),
            hours: hours.iter().rev().map(|hour| row(hour, voice)).collect(),
            is_sample: hours
                .iter()
                .any(|hour| hour.settled.more || hour.attempts.more),
        }
    }
}

fn charts(voice: &Voice) -> Vec<Chart> {
    let chart = |what, name, series, target| Chart {
        what,
        name,
        series,
        target,
    };
    let target = |number, name| Some((number, name));
    vec![
        chart(
            "settled",
            say!(voice, "desk.overview.chart_settled"),
            say!(voice, "desk.overview.series_settled"),
            None,
        ),
        chart(
            "success",
            say!(voice, "desk.overview.success"),
            say!(voice, "desk.overview.success"),
            target(SUCCESS_TARGET, say!(voice, "desk.overview.target")),
        ),
        chart(
            "call",
            say!(voice, "desk.overview.call"),
            say!(voice, "desk.overview.call"),
            target(CALL_TARGET_MS / 1000.0, say!(voice, "desk.overview.target")),
        ),
        chart(
            "authorised",
            say!(voice, "desk.overview.authorised"),
            say!(voice, "desk.overview.authorised"),
            target(AUTHORISED_TARGET, say!(voice, "desk.overview.target")),
        ),
        chart(
            "failed",
            say!(voice, "desk.overview.chart_failed"),
            say!(voice, "desk.overview.series_other"),
            None,
        ),
    ]
}

fn row(hour: &Hour, voice: &Voice) -> HourRow {
    let mut failed: Vec<(String, i64)> = hour
        .failed
        .iter()
        .map(|(key, n)| (safe(&voice.cause(Some(key), None)), *n))
        .collect();
    failed.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    HourRow {
        at: hour
            .at
            .with_timezone(&voice.zone)
            .format("%m-%d %H:%M")
            .to_string(),
        settled: hour.settled.to_string(),
        accepted: hour.success.good,
        success: percent(hour.success),
        call: took(hour.p95_ms, voice),
        authorised: percent(hour.authorised),
        failed,
    }
}

pub(super) fn objects(hours: &[Hour], voice: &Voice) -> Vec<Value> {
    let object = |hour: &Hour| {
        let failed: BTreeMap<String, i64> =
            hour.failed.iter().map(|(key, n)| (safe(key), *n)).collect();
        json!({
            "at": stamp(hour.at, voice),
            "settled": capped(hour.settled),
            "success": share(hour.success, SUCCESS_TARGET),
            "authorised": share(hour.authorised, AUTHORISED_TARGET),
            "attempts": capped(hour.attempts),
            "p95_ms": hour.p95_ms,
            "p95_target_ms": CALL_TARGET_MS,
            "failed": failed,
        })
    };
    hours.iter().map(object).collect()
}

/// The causes of the hours in the reader's words.
pub(super) fn causes(hours: &[Hour], voice: &Voice) -> BTreeMap<String, String> {
    let keys: BTreeSet<&String> = hours.iter().flat_map(|hour| hour.failed.keys()).collect();
    keys.into_iter()
        .map(|key| (safe(key), safe(&voice.cause(Some(key), None))))
        .collect()
}
