//! How the service does: what waits, the last hour against the founding targets, what was given up, and the last day.
//!
//! The numbers are asked for once in five seconds, the last two hours once in a minute, and the day before them once in ten,
//! however many people look. With several apps there is a sum before them, and `?app=` shows one alone.

mod day;
mod target;

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde_json::json;

use super::asked::Asked;
use super::kept::Kept;
use super::messages::APP;
use super::page::Frame;
use super::trouble::Trouble;
use super::visit::{Visit, shown};
use crate::answer::json::VERSION;
use crate::answer::numbers::{self, AUTHORISED_TARGET, SUCCESS_TARGET};
use crate::outbox::inspect::{self, AppStats, Hour, Hours};
use crate::words::mask::safe;
use crate::words::{Place, Voice, say};
use day::Day;
pub(super) use target::Sign;
use target::{Sum, Tile, judged, percent, quick, took};

/// The numbers of last time.
pub(super) struct Known {
    stats: Kept<(), (Arc<Vec<AppStats>>, DateTime<Utc>)>,
    last_hours: Kept<Option<String>, Told>,
    /// Before a time, which is another one each hour.
    hours_before: Kept<(Option<String>, DateTime<Utc>), Told>,
}

type Told = Arc<Vec<Hour>>;

impl Default for Known {
    fn default() -> Known {
        Known {
            stats: Kept::new(Duration::from_secs(5)),
            last_hours: Kept::new(Duration::from_secs(60)),
            hours_before: Kept::new(Duration::from_secs(600)),
        }
    }
}

impl Known {
    /// For whoever has opened or shut a gate, and looks for what that did.
    pub(super) async fn forget_now(&self) {
        self.stats.forget().await;
    }
}

pub(super) const FILTERS: [&str; 1] = [APP];

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

/// The day, oldest hour first.
async fn hours(visit: &Visit, app: Option<&str>) -> Result<Vec<Hour>, Trouble> {
    let ask = |which| async move {
        let mut tx = visit.desk.lines.read().await?;
        let hours = inspect::hours(&mut tx, app, which).await?;
        tx.commit().await?;
        Ok(Arc::new(hours))
    };
    let known = &visit.desk.overview;
    let app = app.map(str::to_owned);
    let last = known
        .last_hours
        .get(app.clone(), || ask(Hours::Last))
        .await?;
    let mut day = Vec::new();
    if let Some(first) = last.first() {
        let begin = first.at;
        let before = known
            .hours_before
            .get((app, begin), || ask(Hours::Before(begin)));
        day.extend_from_slice(&before.await?);
    }
    day.extend_from_slice(&last);
    Ok(day)
}

pub(super) async fn overview(visit: Visit) -> Result<Response, Trouble> {
    let asked = Asked::of(&visit, &FILTERS)?;
    let one = asked.get(APP);
    let (all, voice) = stats(&visit).await?;
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
