//! An app's numbers as people and machines read them: whether it is claimed from, what to do when it is not, and the last
//! hour against the founding targets.

use serde_json::{Value, json};

use super::Tone;
use super::json::stamps;
use crate::outbox::inspect::{AppStats, Capped, Share};
use crate::words::mask::safe;
use crate::words::{Voice, say};

/// Success, the call and permission are to be better than these.
pub(crate) const SUCCESS_TARGET: f64 = 95.0;
pub(crate) const CALL_TARGET_MS: f64 = 2000.0;
pub(crate) const AUTHORISED_TARGET: f64 = 80.0;

/// Paused by whom, without a daemon, held by the breaker, or claimed from: said only of an app that is.
pub(crate) fn gate(app: &AppStats, voice: &Voice) -> (Tone, String) {
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
        return (Tone::Bad, text);
    }
    if let Some(since) = app.unserved_since {
        let span = voice.span(voice.now - since);
        return (Tone::Bad, say!(voice, "stats.unserved", span = span));
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
            (Tone::Bad, text)
        }
        _ if app.served => (Tone::Good, say!(voice, "stats.open")),
        _ => match app.claimable_since {
            Some(since) => {
                let span = voice.span(voice.now - since);
                (Tone::Waiting, say!(voice, "stats.soon", span = span))
            }
            None => (Tone::Quiet, say!(voice, "stats.idle")),
        },
    }
}

/// What to do about an app that stands still.
pub(crate) fn next(app: &AppStats, voice: &Voice) -> Option<String> {
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

/// A share with its target, for machines.
pub(crate) fn share(share: Share, target: f64) -> Value {
    json!({"good": share.good, "of": share.of, "percent": share.percent(), "target_percent": target})
}

/// A count that may have stopped counting.
pub(crate) fn capped(count: Capped) -> Value {
    json!({"count": count.n, "is_more": count.more})
}

/// The object of `outboxd stats --json`, and of the desk.
pub(crate) fn object(app: &AppStats, voice: &Voice) -> Value {
    json!({
        "app": app.app,
        "paused": app.paused_at.map(|at| json!({"since": stamps(Some(at), voice), "by": app.paused_by.as_deref().map(safe),
                                                "reason": app.pause_reason.as_deref().map(safe)})),
        "breaker": json!({"state": app.breaker, "until": stamps(app.breaker_until, voice),
                          "reason": app.breaker_reason}),
        "served": app.served,
        "unserved": app.unserved_since.map(|at| json!({"since": stamps(Some(at), voice),
                                                       "others_served": app.others_served,
                                                       "next": voice.unserved_remedy(&app.app, &app.others_served)})),
        "due": capped(app.due),
        "oldest_due_at": stamps(app.oldest_due_at, voice),
        "in_flight": app.in_flight,
        "retrying": app.retrying,
        "scheduled": app.scheduled,
        "awaiting_grant": capped(app.awaiting_grant),
        "held": app.held.map(capped),
        "last_hour": {
            "attempts": capped(app.attempts),
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
