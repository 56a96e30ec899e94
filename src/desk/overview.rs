//! How the service does: what waits, the last hour against the founding targets, what was given up, and the last day.
//!
//! The numbers are asked for once in five seconds, the day once in a minute, however many people look. With several apps
//! there is a sum before them, and `?app=` shows one alone.

mod day;

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::Query;
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::json;

use super::kept::Kept;
use super::page::Frame;
use super::trouble::Trouble;
use super::visit::{Visit, shown};
use crate::answer::Tone;
use crate::answer::json::{VERSION, stamps};
use crate::answer::numbers::{
    self, AUTHORISED_TARGET, CALL_TARGET_MS, SUCCESS_TARGET, capped, share,
};
use crate::outbox::inspect::{self, AppStats, Capped, Hour, Share};
use crate::words::mask::safe;
use crate::words::{Place, Voice, say};
use day::Day;

/// A row that is due for longer than that waits for something.
const PATIENCE: TimeDelta = TimeDelta::minutes(1);

/// The numbers of last time.
pub(super) struct Known {
    stats: Kept<(), (Arc<Vec<AppStats>>, DateTime<Utc>)>,
    hours: Kept<Option<String>, Arc<Vec<Hour>>>,
}

impl Default for Known {
    fn default() -> Known {
        Known {
            stats: Kept::new(Duration::from_secs(5)),
            hours: Kept::new(Duration::from_secs(60)),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    app: String,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    /// The addresses of this page, and of its JSON, with the app that is shown.
    here: String,
    api: String,
    /// All of them, and each; none where there is but one.
    choices: Vec<Choice>,
    tiles: Vec<Tile>,
    apps: Vec<AppRow>,
    given_up: Vec<GivenUp>,
    day: Day,
}

struct Choice {
    href: String,
    name: String,
    current: bool,
}

/// One number, and how it stands to what it should be.
struct Tile {
    name: String,
    value: String,
    /// The target, or what the number is made of.
    note: String,
    sign: Sign,
}

/// Mark, tone and word: the colour is never the only sign.
pub(super) struct Sign {
    pub(super) mark: &'static str,
    pub(super) tone: &'static str,
    pub(super) word: String,
}

struct AppRow {
    name: String,
    href: String,
    sign: Sign,
    next: Option<String>,
    due: String,
    oldest: String,
    in_flight: i64,
    success: (String, Sign),
    call: (String, Sign),
    authorised: (String, Sign),
}

/// What was given up for one reason, by one app.
struct GivenUp {
    app: String,
    status: String,
    count: i64,
    cause: String,
    /// Where the help explains it.
    help: String,
    who: String,
    next: String,
}

/// The numbers of every app, and a voice for their moment.
pub(super) async fn stats(visit: &Visit) -> Result<(Arc<Vec<AppStats>>, Voice), Trouble> {
    let (apps, now) = visit
        .desk
        .overview
        .stats
        .get((), || async {
            let mut tx = visit.desk.lines.read().await?;
            let now = inspect::now(&mut tx).await?;
            let apps = inspect::stats(&mut tx).await?;
            tx.commit().await?;
            Ok((Arc::new(apps), now))
        })
        .await?;
    let voice = Voice {
        lang: visit.lang,
        place: Place::Desk,
        zone: visit.desk.zone,
        now,
    };
    Ok((apps, voice))
}

async fn hours(visit: &Visit, app: Option<&str>) -> Result<Arc<Vec<Hour>>, Trouble> {
    let ask = || async {
        let mut tx = visit.desk.lines.read().await?;
        let hours = inspect::hours(&mut tx, app).await?;
        tx.commit().await?;
        Ok(Arc::new(hours))
    };
    let known = &visit.desk.overview.hours;
    known.get(app.map(str::to_owned), ask).await
}

pub(super) async fn overview(
    visit: Visit,
    Query(asked): Query<Asked>,
) -> Result<Response, Trouble> {
    let (all, voice) = stats(&visit).await?;
    let one = Some(asked.app.as_str()).filter(|app| !app.is_empty());
    let apps: Vec<&AppStats> = all
        .iter()
        .filter(|it| one.is_none_or(|app| it.app == app))
        .collect();
    if apps.is_empty()
        && let Some(app) = one
    {
        return Err(Trouble::NoApp(shown(app)));
    }
    let hours = hours(&visit, one).await?;
    let sum = Sum::of(&apps);
    let page = OverviewPage {
        frame: Frame::new(&visit, say!(voice, "desk.overview.title"), "/overview"),
        here: address(&visit, "/overview", one),
        api: address(&visit, "/api/overview", one),
        choices: choices(&visit, &all, one, &voice),
        tiles: sum.tiles(&voice),
        apps: apps
            .iter()
            .map(|it| AppRow::of(it, &visit, &voice))
            .collect(),
        given_up: given_up(&apps, &visit, &voice),
        day: Day::of(&hours, &voice),
    };
    // Each app is the object of `outboxd stats --json`.
    visit.answer(&page, || {
        let objects: Vec<_> = apps.iter().map(|it| numbers::object(it, &voice)).collect();
        json!({
            "version": VERSION, "app": one, "sum": sum.object(&voice), "apps": objects,
            "hours": day::objects(&hours, &voice), "causes": day::causes(&hours, &voice),
        })
    })
}

/// A path for one app, or for all.
pub(super) fn address(visit: &Visit, path: &str, app: Option<&str>) -> String {
    let Some(app) = app else {
        return visit.at(path);
    };
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("app", app);
    visit.at(&format!("{path}?{}", query.finish()))
}

fn choices(visit: &Visit, all: &[AppStats], one: Option<&str>, voice: &Voice) -> Vec<Choice> {
    if all.len() < 2 {
        return Vec::new();
    }
    let every = Choice {
        href: address(visit, "/overview", None),
        name: say!(voice, "desk.overview.all_apps"),
        current: one.is_none(),
    };
    let each = all.iter().map(|it| Choice {
        href: address(visit, "/overview", Some(&it.app)),
        name: shown(&it.app),
        current: one == Some(&it.app),
    });
    std::iter::once(every).chain(each).collect()
}

/// The numbers of several apps together.
struct Sum<'a> {
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
    fn of(apps: &[&'a AppStats]) -> Sum<'a> {
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

    fn tiles(&self, voice: &Voice) -> Vec<Tile> {
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

    fn object(&self, voice: &Voice) -> serde_json::Value {
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
    pub(super) fn of(tone: Tone, word: String) -> Sign {
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

fn judged(share: Share, target: f64, voice: &Voice) -> Sign {
    Sign::against(share.percent().map(|percent| percent > target), voice)
}

fn quick(p95_ms: Option<f64>, voice: &Voice) -> Sign {
    Sign::against(p95_ms.map(|ms| ms < CALL_TARGET_MS), voice)
}

fn percent(share: Share) -> String {
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

fn took(ms: Option<f64>, voice: &Voice) -> String {
    match ms {
        None => "–".to_owned(),
        Some(ms) => say!(voice, "time.took", s = format!("{:.2}", ms / 1000.0)),
    }
}

impl AppRow {
    fn of(it: &AppStats, visit: &Visit, voice: &Voice) -> AppRow {
        let (tone, gate) = numbers::gate(it, voice);
        AppRow {
            name: shown(&it.app),
            href: address(visit, "/overview", Some(&it.app)),
            sign: Sign::of(tone, safe(&gate)),
            next: numbers::next(it, voice).map(|next| safe(&next)),
            due: it.due.to_string(),
            oldest: it
                .oldest_due_at
                .map_or_else(|| "–".to_owned(), |at| voice.span(voice.now - at)),
            in_flight: it.in_flight,
            success: (
                percent(it.success),
                judged(it.success, SUCCESS_TARGET, voice),
            ),
            call: (took(it.p95_ms, voice), quick(it.p95_ms, voice)),
            authorised: (
                percent(it.authorised),
                judged(it.authorised, AUTHORISED_TARGET, voice),
            ),
        }
    }
}

/// Most frequent first.
fn given_up(apps: &[&AppStats], visit: &Visit, voice: &Voice) -> Vec<GivenUp> {
    let mut all: Vec<GivenUp> = apps
        .iter()
        .flat_map(|it| it.trouble.iter().map(|trouble| (&it.app, trouble)))
        .map(|(app, trouble)| {
            let (who, next) = voice.settled_remedy(&trouble.status, Some(&trouble.reason));
            GivenUp {
                app: shown(app),
                status: voice.status(&trouble.status),
                count: trouble.count,
                cause: safe(&voice.cause(Some(&trouble.reason), None)),
                help: visit.at(&format!("/help#{}", shown(&trouble.reason))),
                who: voice.who(who).to_owned(),
                next: safe(&next),
            }
        })
        .collect();
    all.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.cause.cmp(&b.cause)));
    all
}
