//! `stats`: per app what waits, what was given up, and the last hour against the founding targets.

use anyhow::Result;
use serde_json::{Value, json};

use super::out::{Form, Out, Tone, safe};
use super::{Desk, Exit};
use crate::answer::json::{VERSION, stamps};
use crate::outbox::inspect::{self, AppStats, Share};
use crate::outbox::session;
use crate::words::{Voice, say};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  outboxd stats
  outboxd stats --json | jq '.apps[] | {app, due, oldest_due_at}'

Targets: success above 95 %, the 95th percentile of the call below 2 s, authorised users
above 80 %. Success counts notifications settled in the last hour, without those whose user
gave no permission; they count in authorised. A + means that counting stopped there.
Columns in a pipe: app, name of the number, number.")]
pub(super) struct StatsArgs {
    /// Only this app.
    #[arg(long)]
    app: Option<String>,
}

const SUCCESS_TARGET: f64 = 95.0;
const CALL_TARGET_MS: f64 = 2000.0;
const AUTHORISED_TARGET: f64 = 80.0;

pub(super) async fn stats(desk: &Desk, args: &StatsArgs) -> Result<Exit> {
    let mut conn = desk.connect().await?;
    let mut tx = session::reading(&mut conn).await?;
    let voice = desk.voice(&mut tx).await?;
    let mut apps = inspect::stats(&mut tx).await?;
    tx.commit().await?;
    if let Some(only) = &args.app {
        apps.retain(|app| app.app == *only);
    }
    match desk.out.form {
        Form::Json => {
            let objects: Vec<_> = apps.iter().map(|app| object(app, &voice)).collect();
            desk.out
                .json(&json!({"version": VERSION, "apps": objects}))?;
        }
        Form::Lines => {
            for app in &apps {
                for (name, value) in numbers(app, &voice) {
                    desk.out.row(&[app.app.clone(), name, value])?;
                }
            }
        }
        Form::Terminal => {
            if apps.is_empty() {
                desk.out.note(&say!(voice, "none.stats"));
            }
            for (n, app) in apps.iter().enumerate() {
                if n > 0 {
                    desk.out.line("")?;
                }
                print(&desk.out, app, &voice)?;
            }
        }
    }
    Ok(Exit::Ok)
}

fn print(out: &Out, app: &AppStats, voice: &Voice) -> Result<()> {
    out.line(&format!("{}  {}", safe(&app.app), gate(out, app, voice)))?;
    if let Some(next) = next(app, voice) {
        out.line(&say!(voice, "stats.next", next = safe(&next)))?;
    }
    let oldest = app.oldest_due_at.map_or_else(String::new, |at| {
        say!(voice, "stats.oldest", span = voice.span(voice.now - at))
    });
    let awaiting = match app.awaiting_grant.n {
        0 => String::new(),
        _ => say!(voice, "stats.awaiting", n = app.awaiting_grant),
    };
    out.line(&say!(
        voice,
        "stats.waiting",
        due = app.due,
        oldest = oldest,
        in_flight = app.in_flight,
        retrying = app.retrying,
        scheduled = app.scheduled,
        awaiting = awaiting
    ))?;
    let success = share(out, app.success, SUCCESS_TARGET, voice);
    let authorised = share(out, app.authorised, AUTHORISED_TARGET, voice);
    let p95 = match app.p95_ms {
        None => say!(voice, "stats.none"),
        Some(ms) => {
            let tone = if ms < CALL_TARGET_MS {
                Tone::Good
            } else {
                Tone::Bad
            };
            let text = say!(voice, "time.took", s = format!("{:.2}", ms / 1000.0));
            out.paint(tone, &text)
        }
    };
    out.line(&say!(voice, "stats.hour", attempts = app.attempts))?;
    out.line(&say!(voice, "stats.success", share = success))?;
    out.line(&say!(voice, "stats.call", p95 = p95))?;
    out.line(&say!(voice, "stats.authorised", share = authorised))?;
    if app.trouble.is_empty() {
        out.line(&say!(voice, "stats.no_trouble"))?;
        return Ok(());
    }
    let header = [
        say!(voice, "column.status"),
        say!(voice, "column.count"),
        say!(voice, "column.cause"),
        say!(voice, "column.who"),
        say!(voice, "column.next"),
    ];
    let rows: Vec<_> = app
        .trouble
        .iter()
        .map(|t| {
            let (who, next) = voice.settled_remedy(&t.status, Some(&t.reason));
            vec![
                voice.status(&t.status),
                t.count.to_string(),
                voice.cause(Some(&t.reason), None),
                voice.who(who).to_owned(),
                next,
            ]
        })
        .collect();
    out.line(&say!(voice, "stats.trouble"))?;
    out.table(&header, &rows)?;
    Ok(())
}

/// Paused by whom, without a daemon, held by the breaker, or claimed from: said only of an app that is.
fn gate(out: &Out, app: &AppStats, voice: &Voice) -> String {
    let held = app.held.unwrap_or_default();
    if let (Some(since), Some(by)) = (app.paused_at, &app.paused_by) {
        let text = say!(
            voice,
            "stats.paused",
            by = safe(by),
            since = voice.when(since),
            reason = safe(&voice.given(app.pause_reason.as_deref())),
            held = held
        );
        return out.paint(Tone::Bad, &text);
    }
    if let Some(since) = app.unserved_since {
        let span = voice.span(voice.now - since);
        return out.paint(Tone::Bad, &say!(voice, "stats.unserved", span = span));
    }
    match (app.breaker.as_deref(), app.breaker_until) {
        (Some("open" | "half_open"), Some(until)) => {
            let text = say!(
                voice,
                "stats.breaker",
                cause = voice.cause(app.breaker_reason.as_deref(), None),
                until = voice.when(until),
                held = held
            );
            out.paint(Tone::Bad, &text)
        }
        _ if app.served => out.paint(Tone::Good, &say!(voice, "stats.open")),
        _ => match app.claimable_since {
            Some(since) => {
                let span = voice.span(voice.now - since);
                out.paint(Tone::Waiting, &say!(voice, "stats.soon", span = span))
            }
            None => out.paint(Tone::Quiet, &say!(voice, "stats.idle")),
        },
    }
}

/// What to do about an app that stands still.
fn next(app: &AppStats, voice: &Voice) -> Option<String> {
    if app.paused_at.is_some() {
        return Some(say!(voice, "next.paused", app = app.app));
    }
    if app.unserved_since.is_some() {
        return Some(voice.unserved_remedy(&app.app, &app.others_served));
    }
    match app.breaker.as_deref() {
        Some("open" | "half_open") => Some(
            voice
                .breaker_remedy(app.breaker_reason.as_deref(), &app.app)
                .1,
        ),
        _ => None,
    }
}

fn share(out: &Out, share: Share, target: f64, voice: &Voice) -> String {
    match share.percent() {
        None => say!(voice, "stats.none"),
        Some(percent) => {
            let tone = if percent > target {
                Tone::Good
            } else {
                Tone::Bad
            };
            let text = format!("{percent:.1} % ({}/{})", share.good, share.of);
            out.paint(tone, &text)
        }
    }
}

/// Name and number, in a stable order; empty where there is nothing to say.
fn numbers(app: &AppStats, voice: &Voice) -> Vec<(String, String)> {
    let percent = |share: Share| {
        share
            .percent()
            .map_or_else(String::new, |p| format!("{p:.1}"))
    };
    let mut numbers: Vec<(String, String)> = [
        ("paused_by", app.paused_by.clone().unwrap_or_default()),
        ("breaker", app.breaker.clone().unwrap_or_default()),
        (
            "unserved_since",
            stamps(app.unserved_since, voice).unwrap_or_default(),
        ),
        ("due", app.due.to_string()),
        (
            "oldest_due_at",
            stamps(app.oldest_due_at, voice).unwrap_or_default(),
        ),
        ("in_flight", app.in_flight.to_string()),
        ("retrying", app.retrying.to_string()),
        ("scheduled", app.scheduled.to_string()),
        ("awaiting_grant", app.awaiting_grant.to_string()),
        (
            "held",
            app.held
                .map_or_else(|| "0".to_owned(), |held| held.to_string()),
        ),
        ("attempts_1h", app.attempts.to_string()),
        ("success_percent_1h", percent(app.success)),
        (
            "p95_ms_1h",
            app.p95_ms.map_or_else(String::new, |ms| format!("{ms:.0}")),
        ),
        ("authorised_percent_1h", percent(app.authorised)),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    numbers.extend(app.trouble.iter().map(|t| {
        (
            format!("{}_24h.{}", t.status, t.reason),
            t.count.to_string(),
        )
    }));
    numbers
}

fn object(app: &AppStats, voice: &Voice) -> Value {
    let share = |share: Share, target: f64| json!({"good": share.good, "of": share.of, "percent": share.percent(), "target_percent": target});
    json!({
        "app": app.app,
        "paused": app.paused_at.map(|at| json!({"since": stamps(Some(at), voice), "by": app.paused_by,
                                                "reason": app.pause_reason.as_deref().map(safe)})),
        "breaker": json!({"state": app.breaker, "until": stamps(app.breaker_until, voice),
                          "reason": app.breaker_reason}),
        "served": app.served,
        "unserved": app.unserved_since.map(|at| json!({"since": stamps(Some(at), voice),
                                                       "others_served": app.others_served,
                                                       "next": voice.unserved_remedy(&app.app, &app.others_served)})),
        "due": json!({"count": app.due.n, "is_more": app.due.more}),
        "oldest_due_at": stamps(app.oldest_due_at, voice),
        "in_flight": app.in_flight,
        "retrying": app.retrying,
        "scheduled": app.scheduled,
        "awaiting_grant": json!({"count": app.awaiting_grant.n, "is_more": app.awaiting_grant.more}),
        "held": app.held.map(|held| json!({"count": held.n, "is_more": held.more})),
        "last_hour": {
            "attempts": json!({"count": app.attempts.n, "is_more": app.attempts.more}),
            "success": share(app.success, SUCCESS_TARGET),
            "p95_ms": app.p95_ms,
            "p95_target_ms": CALL_TARGET_MS,
            "authorised": share(app.authorised, AUTHORISED_TARGET),
        },
        "given_up_24h": app.trouble.iter()
            .map(|t| json!({"status": t.status, "reason": t.reason, "count": t.count}))
            .collect::<Vec<_>>(),
    })
}
