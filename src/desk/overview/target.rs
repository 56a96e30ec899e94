//! The numbers of several apps together, and how each stands to its target.
//!
//! One number is a [`Tile`]: what it is, and a [`Sign`] whether that is good. The rows of the single apps are judged by the
//! same functions.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::answer::Tone;
use crate::answer::json::stamps;
use crate::answer::numbers::{AUTHORISED_TARGET, CALL_TARGET_MS, SUCCESS_TARGET, capped, share};
use crate::desk::visit::shown;
use crate::outbox::inspect::{AppStats, Capped, Share};
use crate::words::{Voice, say};

/// A row that is due for longer than that waits for something.
const PATIENCE: TimeDelta = TimeDelta::minutes(1);

/// One number, and how it stands to what it should be.
pub(super) struct Tile {
    pub(super) name: String,
    pub(super) value: String,
    /// The target, or what the number is made of.
    pub(super) note: String,
    pub(super) sign: Sign,
}

/// Mark, tone and word: the colour is never the only sign.
pub(in crate::desk) struct Sign {
    pub(in crate::desk) mark: &'static str,
    pub(in crate::desk) tone: &'static str,
    pub(in crate::desk) word: String,
}

/// The numbers of several apps together.
pub(super) struct Sum<'a> {
    due: Capped,
    oldest_due_at: Option<DateTime<Utc>>,
    in_flight: i64,
    retrying: i64,
    scheduled: i64,
    awaiting_grant: Capped,
    success: Share,
    authorised: Share,
    /// A percentile has no sum: it is the slowest app's.
    slowest: Option<(&'a str, f64)>,
    several: bool,
}

impl<'a> Sum<'a> {
    pub(super) fn of(apps: &[&'a AppStats]) -> Sum<'a> {
        let add = |get: fn(&AppStats) -> i64| apps.iter().map(|it| get(it)).sum();
        let counts = |get: fn(&AppStats) -> Capped| Capped {
            n: apps.iter().map(|it| get(it).n).sum(),
            more: apps.iter().any(|it| get(it).more),
        };
        let shares = |get: fn(&AppStats) -> Share| Share {
            good: apps.iter().map(|it| get(it).good).sum(),
            of: apps.iter().map(|it| get(it).of).sum(),
        };
        let slowest = apps
            .iter()
            .filter_map(|it| Some((it.app.as_str(), it.p95_ms?)));
        Sum {
            due: counts(|it| it.due),
            oldest_due_at: apps.iter().filter_map(|it| it.oldest_due_at).min(),
            in_flight: add(|it| it.in_flight),
            retrying: add(|it| it.retrying),
            scheduled: add(|it| it.scheduled),
            awaiting_grant: counts(|it| it.awaiting_grant),
            success: shares(|it| it.success),
            authorised: shares(|it| it.authorised),
            slowest: slowest.max_by(|a, b| a.1.total_cmp(&b.1)),
            several: apps.len() > 1,
        }
    }

    pub(super) fn tiles(&self, voice: &Voice) -> Vec<Tile> {
        let oldest = self.oldest_due_at.map(|at| voice.now - at);
        let late = oldest.is_some_and(|span| span >= PATIENCE);
        let p95 = self.slowest.map(|(_, ms)| ms);
        let mut call = say!(voice, "desk.overview.call_target");
        if let Some((app, _)) = self.slowest.filter(|_| self.several) {
            call = say!(
                voice,
                "desk.overview.slowest",
                target = call,
                app = shown(app)
            );
        }
        vec![
            Tile {
                name: say!(voice, "desk.overview.waiting"),
                value: self.due.to_string(),
                note: say!(
                    voice,
                    "desk.overview.waiting_note",
                    in_flight = self.in_flight,
                    retrying = self.retrying,
                    scheduled = self.scheduled,
                    awaiting = self.awaiting_grant
                ),
                sign: Sign::of(Tone::Quiet, String::new()),
            },
            Tile {
                name: say!(voice, "desk.overview.oldest"),
                value: oldest.map_or_else(|| "–".to_owned(), |span| voice.span(span)),
                note: say!(voice, "desk.overview.oldest_note"),
                sign: match (oldest, late) {
                    (None, _) => Sign::of(Tone::Quiet, String::new()),
                    (Some(_), false) => Sign::of(Tone::Good, say!(voice, "desk.overview.recent")),
                    (Some(_), true) => Sign::of(Tone::Waiting, say!(voice, "desk.overview.late")),
                },
            },
            Tile {
                name: say!(voice, "desk.overview.success"),
                value: percent(self.success),
                note: counted(say!(voice, "desk.overview.success_target"), self.success),
                sign: judged(self.success, SUCCESS_TARGET, voice),
            },
            Tile {
                name: say!(voice, "desk.overview.call"),
                value: took(p95, voice),
                note: call,
                sign: quick(p95, voice),
            },
            Tile {
                name: say!(voice, "desk.overview.authorised"),
                value: percent(self.authorised),
                note: counted(
                    say!(voice, "desk.overview.authorised_target"),
                    self.authorised,
                ),
                sign: judged(self.authorised, AUTHORISED_TARGET, voice),
            },
        ]
    }

    pub(super) fn object(&self, voice: &Voice) -> serde_json::Value {
        json!({
            "due": capped(self.due),
            "oldest_due_at": stamps(self.oldest_due_at, voice),
            "in_flight": self.in_flight,
            "retrying": self.retrying,
            "scheduled": self.scheduled,
            "awaiting_grant": capped(self.awaiting_grant),
            "last_hour": {
                "success": share(self.success, SUCCESS_TARGET),
                "slowest_p95_ms": self.slowest.map(|(_, ms)| ms),
                "p95_target_ms": CALL_TARGET_MS,
                "authorised": share(self.authorised, AUTHORISED_TARGET),
            },
        })
    }
}

impl Sign {
    pub(in crate::desk) fn of(tone: Tone, word: String) -> Sign {
        Sign {
            mark: match tone {
                Tone::Good => "✓",
                Tone::Waiting => "…",
                Tone::Bad => "✗",
                Tone::Quiet => "–",
            },
            tone: tone.word(),
            word,
        }
    }

    fn met(voice: &Voice) -> Sign {
        Sign::of(Tone::Good, say!(voice, "desk.overview.met"))
    }

    fn against(good: Option<bool>, voice: &Voice) -> Sign {
        match good {
            None => Sign::of(Tone::Quiet, say!(voice, "stats.none")),
            Some(true) => Sign::met(voice),
            Some(false) => Sign::of(Tone::Bad, say!(voice, "desk.overview.missed")),
        }
    }
}

pub(super) fn judged(share: Share, target: f64, voice: &Voice) -> Sign {
    Sign::against(share.percent().map(|percent| percent > target), voice)
}

pub(super) fn quick(p95_ms: Option<f64>, voice: &Voice) -> Sign {
    Sign::against(p95_ms.map(|ms| ms < CALL_TARGET_MS), voice)
}

pub(super) fn percent(share: Share) -> String {
    share
        .percent()
        .map_or_else(|| "–".to_owned(), |percent| format!("{percent:.1} %"))
}

fn counted(target: String, share: Share) -> String {
    if share.of == 0 {
        return target;
    }
    format!("{target} · {}/{}", share.good, share.of)
}

pub(super) fn took(ms: Option<f64>, voice: &Voice) -> String {
    match ms {
        None => "–".to_owned(),
        Some(ms) => say!(voice, "time.took", s = format!("{:.2}", ms / 1000.0)),
    }
}
