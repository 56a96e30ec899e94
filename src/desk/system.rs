//! The machinery: which apps are claimed from, who is at work, and how this desk is set up. Operators pause an app here,
//! and resume it ([`order`]).

mod order;

pub(super) use order::{pause, resume};

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::overview::{self, Sign};
use super::page::{Frame, When};
use super::trouble::Trouble;
use super::visit::{Visit, shown};
use crate::answer::json::{VERSION, stamp, stamps};
use crate::answer::numbers::capped;
use crate::answer::{Tone, numbers};
use crate::config::{Config, Row};
use crate::lang::Lang;
use crate::outbox::inspect::{self, AppStats, DaemonSeen, GateFacts, System};
use crate::words::mask::safe;
use crate::words::{Voice, say};

/// A daemon at work leaves a sign at least this often.
const QUIET: TimeDelta = TimeDelta::minutes(1);
/// What a day of UTC+8 allows (src/outbox/state.rs).
const FORCED_REFRESHES: i32 = 20;

/// The settings of this process, with secrets hidden, in each language.
pub(super) struct Settings {
    zh: Vec<Row>,
    en: Vec<Row>,
}

impl Settings {
    pub(super) fn of(config: &Config) -> Settings {
        Settings {
            zh: config.describe(Lang::Zh),
            en: config.describe(Lang::En),
        }
    }

    fn rows(&self, lang: Lang) -> &[Row] {
        match lang {
            Lang::Zh => &self.zh,
            Lang::En => &self.en,
        }
    }
}

#[derive(Template)]
#[template(path = "system.html")]
struct SystemPage {
    frame: Frame,
    /// Why an order was not carried out.
    told: Option<String>,
    apps: Vec<AppView>,
    daemons: Vec<DaemonView>,
    /// About the database and the fleet, and how good each is.
    facts: Vec<(String, Sign)>,
    settings: Vec<Row>,
}

/// One app's gate.
struct AppView {
    name: String,
    /// Its overview.
    href: String,
    /// As it goes back in a form.
    app: String,
    /// When the pause began that is seen here; empty without one.
    paused_at: String,
    sign: Sign,
    next: Option<String>,
    facts: Vec<(String, String)>,
    is_paused: bool,
    is_broken: bool,
}

struct DaemonView {
    name: String,
    app: String,
    sign: Sign,
    last: Option<When>,
    leases: i64,
    lapsed: i64,
}

pub(super) async fn system(visit: Visit) -> Result<Response, Trouble> {
    page(&visit, StatusCode::OK, None).await
}

/// The page, with a sentence about an order that was not carried out.
async fn page(
    visit: &Visit,
    status: StatusCode,
    told: Option<String>,
) -> Result<Response, Trouble> {
    let (stats, voice) = overview::stats(visit).await?;
    let mut tx = visit.desk.lines.read().await?;
    let now = visit.voice(&mut tx).await?.now;
    let seen = inspect::system(&mut tx).await?;
    tx.commit().await?;
    let voice = Voice { now, ..voice };
    // The gates are read anew: whoever has just pressed a button looks for what it did.
    let apps: Vec<AppStats> = stats.iter().map(|it| with_gate(it, &seen)).collect();
    let settings = visit.desk.settings.rows(visit.lang);
    let page = SystemPage {
        frame: Frame::new(visit, say!(voice, "desk.system.title"), "/system"),
        told,
        apps: apps
            .iter()
            .map(|it| AppView::of(it, &seen, visit, &voice))
            .collect(),
        daemons: seen
            .daemons
            .iter()
            .map(|it| DaemonView::of(it, &voice))
            .collect(),
        facts: facts(&seen, &voice),
        settings: settings.to_vec(),
    };
    visit.answer_as(status, &page, || object(&apps, &seen, settings, &voice))
}

/// The app's numbers of a moment ago, with its gate as it stands.
fn with_gate(it: &AppStats, seen: &System) -> AppStats {
    let gate = seen.gates.iter().find(|gate| gate.app == it.app);
    AppStats {
        paused_at: gate.and_then(|gate| gate.paused_at),
        paused_by: gate.and_then(|gate| gate.paused_by.clone()),
        pause_reason: gate.and_then(|gate| gate.pause_reason.clone()),
        breaker: gate.map(|gate| gate.breaker.clone()),
        breaker_until: gate.and_then(|gate| gate.breaker_until),
        breaker_reason: gate.and_then(|gate| gate.breaker_reason.clone()),
        ..it.clone()
    }
}

impl AppView {
    fn of(it: &AppStats, seen: &System, visit: &Visit, voice: &Voice) -> AppView {
        let (tone, state) = numbers::gate(it, voice);
        let gate = seen.gates.iter().find(|gate| gate.app == it.app);
        AppView {
            name: shown(&it.app),
            href: overview::address(visit, "/overview", Some(&it.app)),
            app: it.app.clone(),
            paused_at: stamps(it.paused_at, voice).unwrap_or_default(),
            sign: Sign::of(tone, safe(&state)),
            next: numbers::next(it, voice).map(|next| safe(&next)),
            facts: gate.map_or_else(Vec::new, |gate| gate_facts(gate, seen, voice)),
            is_paused: it.paused_at.is_some(),
            is_broken: it.breaker.as_deref().is_some_and(|word| word != "closed"),
        }
    }
}

fn gate_facts(gate: &GateFacts, seen: &System, voice: &Voice) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    if gate.breaker != "closed" {
        let cause = voice.cause(gate.breaker_reason.as_deref(), gate.breaker_errcode);
        facts.push((say!(voice, "desk.system.breaker_cause"), safe(&cause)));
        if let Some(since) = gate.breaker_since {
            facts.push((say!(voice, "desk.card.since"), voice.when(since)));
        }
        facts.push((
            say!(voice, "desk.system.strikes"),
            gate.breaker_strikes.to_string(),
        ));
    }
    if let (Some(fetched), Some(end)) = (gate.token_fetched_at, gate.token_expires_at) {
        let (at, until) = (voice.when(fetched), voice.when(end));
        let text = if voice.now < end {
            let age = voice.span(voice.now - fetched);
            say!(
                voice,
                "desk.system.token_good",
                age = age,
                at = at,
                end = until
            )
        } else {
            say!(voice, "desk.system.token_over", at = at, end = until)
        };
        facts.push((say!(voice, "desk.system.token"), text));
    }
    if let Some(at) = gate.forced_refresh_at {
        let today = gate.forced_refresh_day == Some(day_at_wechat(seen));
        let count = if today { gate.forced_refresh_count } else { 0 };
        let text = say!(
            voice,
            "desk.system.forced",
            at = voice.when(at),
            n = count,
            most = FORCED_REFRESHES
        );
        facts.push((say!(voice, "desk.system.forced_refresh"), text));
    }
    facts
}

fn day_at_wechat(seen: &System) -> chrono::NaiveDate {
    seen.now
        .with_timezone(&chrono_tz::Asia::Shanghai)
        .date_naive()
}

impl DaemonView {
    fn of(it: &DaemonSeen, voice: &Voice) -> DaemonView {
        let recent = it.last_attempt_at.is_some_and(|at| voice.now - at < QUIET);
        let (tone, word) = match (it.lapsed, recent || it.leases > 0) {
            (1.., _) => (Tone::Bad, say!(voice, "desk.system.lost")),
            (_, true) => (Tone::Good, say!(voice, "desk.system.at_work")),
            (_, false) => (Tone::Quiet, say!(voice, "desk.system.quiet")),
        };
        DaemonView {
            name: shown(&it.daemon),
            app: shown(&it.app),
            sign: Sign::of(tone, word),
            last: it.last_attempt_at.map(|at| When::of(at, voice)),
            leases: it.leases,
            lapsed: it.lapsed,
        }
    }
}

fn facts(seen: &System, voice: &Voice) -> Vec<(String, Sign)> {
    let schema = &seen.schema;
    let version = schema.applied.last().copied().unwrap_or_default();
    let schema = match (schema.missing.len(), schema.newer.len()) {
        (0, 0) => Sign::of(
            Tone::Good,
            say!(voice, "desk.system.schema_current", n = version),
        ),
        (0, newer) => Sign::of(
            Tone::Good,
            say!(voice, "desk.system.schema_newer", n = version, more = newer),
        ),
        (missing, _) => Sign::of(
            Tone::Bad,
            say!(
                voice,
                "desk.system.schema_missing",
                n = version,
                more = missing
            ),
        ),
    };
    let asleep: Vec<String> = seen.wake_up.asleep.iter().map(|app| shown(app)).collect();
    let wake_up = match (seen.wake_up.is_on, asleep.is_empty()) {
        (false, _) => Sign::of(Tone::Waiting, say!(voice, "desk.system.wake_off")),
        (true, true) => Sign::of(Tone::Good, say!(voice, "desk.system.wake_on")),
        (true, false) => Sign::of(
            Tone::Good,
            say!(voice, "desk.system.wake_asleep", apps = asleep.join(", ")),
        ),
    };
    let receipts = say!(
        voice,
        "desk.system.receipts_text",
        attempts = seen.receipts.attempts,
        unknown = seen.receipts.unknown,
        found = seen.receipts.found
    );
    vec![
        (
            say!(voice, "desk.system.database"),
            Sign::of(
                Tone::Quiet,
                format!("PostgreSQL {}", shown(&seen.server_version)),
            ),
        ),
        (say!(voice, "desk.system.schema"), schema),
        (say!(voice, "desk.system.wake_up"), wake_up),
        (
            say!(voice, "desk.system.receipts"),
            Sign::of(Tone::Quiet, receipts),
        ),
    ]
}

fn object(apps: &[AppStats], seen: &System, settings: &[Row], voice: &Voice) -> Value {
    let gate = |app: &str| {
        let gate = seen.gates.iter().find(|gate| gate.app == app)?;
        Some(json!({
            "breaker_since": stamps(gate.breaker_since, voice),
            "breaker_errcode": gate.breaker_errcode,
            "breaker_strikes": gate.breaker_strikes,
            "token_fetched_at": stamps(gate.token_fetched_at, voice),
            "token_expires_at": stamps(gate.token_expires_at, voice),
            "forced_refresh_at": stamps(gate.forced_refresh_at, voice),
            "forced_refresh_day": gate.forced_refresh_day,
            "forced_refresh_count": gate.forced_refresh_count,
        }))
    };
    let apps: Vec<Value> = apps
        .iter()
        .map(|it| {
            let mut object = numbers::object(it, voice);
            object["gate"] = json!(gate(&it.app));
            object
        })
        .collect();
    let daemons: Vec<Value> = seen
        .daemons
        .iter()
        .map(|it| {
            json!({
                "daemon": safe(&it.daemon), "app": safe(&it.app), "last_attempt_at": stamps(it.last_attempt_at, voice),
                "leases": it.leases, "leased_until": stamps(it.leased_until, voice), "lapsed": it.lapsed,
            })
        })
        .collect();
    let settings: Vec<Value> = settings
        .iter()
        .map(|row| json!({"name": row.setting, "value": row.value, "origin": row.origin}))
        .collect();
    let missing: Vec<i64> = seen.schema.missing.iter().map(|(n, _)| *n).collect();
    json!({
        "version": VERSION,
        "now": stamp(seen.now, voice),
        "server_version": seen.server_version,
        "schema": {"applied": seen.schema.applied, "missing": missing, "newer": seen.schema.newer},
        "wake_up": {"is_on": seen.wake_up.is_on, "asleep": seen.wake_up.asleep},
        "receipts_24h": {"attempts": capped(seen.receipts.attempts), "unknown": seen.receipts.unknown,
                         "found": seen.receipts.found},
        "daemons": daemons,
        "apps": apps,
        "settings": settings,
    })
}
