//! The JSON of `--json`, and of the desk. Names and status words are English in every language; sentences are not. Times are
//! RFC 3339 in the configured zone. Fields are only ever added; `"version"` would change otherwise.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::delivery::acts_unseen;
use crate::outbox::inspect::{Link, Mark, Match, Notification, WhyNotYet};
use crate::words::Voice;
use crate::words::cause::role;
use crate::words::mask::mask;
use crate::words::verdict::Verdict;

/// Where a search found its text, by the column's name or the payload's field, and the text masked.
pub(crate) fn matched(found: &Match, glimpse: &str) -> Value {
    let (column, field) = match found {
        Match::Id => ("id", None),
        Match::Key => ("key", None),
        Match::Customer => ("aggregate_id", None),
        Match::Recipient => ("recipient", None),
        Match::DedupeKey => ("dedupe_key", None),
        Match::Payload { field, .. } => ("payload", Some(mask(field))),
    };
    json!({"column": column, "field": field, "text": mask(glimpse)})
}

/// The version of every object printed.
pub(crate) const VERSION: i32 = 1;

/// An instant, exact and in the reader's zone.
pub(crate) fn stamp(at: DateTime<Utc>, voice: &Voice) -> String {
    at.with_timezone(&voice.zone)
        .to_rfc3339_opts(SecondsFormat::Millis, false)
}

pub(crate) fn stamps(at: Option<DateTime<Utc>>, voice: &Voice) -> Option<String> {
    at.map(|at| stamp(at, voice))
}

/// JSON text with what [`acts_unseen`] escaped, which leaves the values exact: it can only stand in strings.
pub(crate) fn harmless(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || !acts_unseen(c) {
            text.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            text.push_str(&format!("\\u{unit:04x}"));
        }
    }
    text
}

fn masked(text: Option<&str>) -> Option<String> {
    text.map(mask)
}

pub(crate) fn notification(it: &Notification, voice: &Voice) -> Value {
    json!({
        "id": it.id.0,
        "key": it.key.0,
        "app": it.app,
        "event_type": it.event_type,
        "aggregate_type": it.aggregate_type,
        "aggregate_id": mask(&it.aggregate_id),
        "recipient": mask(&it.recipient),
        "status": it.standing.word(),
        "reason": it.reason,
        "errcode": it.errcode,
        "attempts": it.attempts,
        "may_have_arrived": it.may_have_arrived,
        "msgid": it.msgid,
        "dedupe_key": masked(it.dedupe_key.as_deref()),
        "created_at": stamp(it.created_at, voice),
        "created_by": mask(&it.created_by),
        "next_attempt_at": stamps(it.next_attempt_at, voice),
        "expires_at": stamps(it.expires_at, voice),
        "last_attempt_at": stamps(it.last_attempt_at, voice),
        "settled_at": stamps(it.settled_at, voice),
        "settled_by": masked(it.settled_by.as_deref()),
    })
}

pub(crate) fn verdict(verdict: &Verdict, voice: &Voice) -> Value {
    json!({
        "happened": mask(&verdict.happened),
        "doubt": verdict.doubt,
        "since": stamp(verdict.since, voice),
        "who": role(verdict.who),
        "next": mask(&verdict.next),
        "eta": stamps(verdict.eta, voice),
    })
}

/// What somebody noted of its ending.
pub(crate) fn mark(mark: Option<&Mark>, voice: &Voice) -> Value {
    mark.map_or(
        Value::Null,
        |mark| json!({"outcome": mark.outcome, "at": stamp(mark.at, voice), "by": mask(&mark.by)}),
    )
}

/// The notification in its place, or the one in whose place it is.
pub(crate) fn link(link: Option<&Link>, voice: &Voice) -> Value {
    link.map_or(Value::Null, |link| {
        json!({"id": link.id.0, "key": link.key.0, "at": stamp(link.at, voice), "by": mask(&link.by)})
    })
}

pub(crate) fn why_not_yet(why: Option<&WhyNotYet>, voice: &Voice) -> Value {
    let Some(why) = why else { return Value::Null };
    let mut object = match why {
        WhyNotYet::InFlight {
            daemon,
            attempt,
            since,
            until,
            cancel_requested_by,
        } => json!({"daemon": daemon, "attempt": attempt, "since": stamp(*since, voice),
                    "until": stamp(*until, voice), "cancel_requested_by": masked(cancel_requested_by.as_deref())}),
        WhyNotYet::NewerFormat { version } => json!({"format_version": version}),
        WhyNotYet::CancelRequested { by } => json!({"by": mask(by)}),
        WhyNotYet::Superseded { by } => json!({"by": by.0}),
        WhyNotYet::Expired { at, held } => json!({"at": stamp(*at, voice), "held": held}),
        WhyNotYet::Scheduled { at, behind } => {
            json!({"at": stamp(*at, voice), "behind": behind.map(|id| id.0)})
        }
        WhyNotYet::Paused { by, since, reason } => {
            json!({"by": mask(by), "since": stamp(*since, voice), "reason": masked(reason.as_deref())})
        }
        WhyNotYet::BreakerOpen {
            until,
            since,
            reason,
            errcode,
            probing,
        } => {
            json!({"until": stamp(*until, voice), "since": stamps(*since, voice), "reason": reason,
                    "errcode": errcode, "probing": probing})
        }
        WhyNotYet::RetryAt {
            at,
            attempt,
            reason,
            errcode,
            unknown,
            behind,
        } => {
            json!({"at": stamp(*at, voice), "attempt": attempt, "reason": reason, "errcode": errcode,
                    "unknown": unknown, "behind": behind.map(|id| id.0)})
        }
        WhyNotYet::AwaitingGrant {
            since,
            until,
            trouble,
        } => {
            json!({"since": stamp(*since, voice), "until": stamps(*until, voice), "trouble": trouble})
        }
        WhyNotYet::OnHold => json!({}),
        WhyNotYet::Behind {
            id,
            awaits_grant,
            gives_way,
        } => json!({"id": id.0, "awaits_grant": awaits_grant, "gives_way": gives_way}),
        WhyNotYet::TakeOver {
            daemon,
            attempt,
            since,
        } => json!({"daemon": daemon, "attempt": attempt, "since": stamps(*since, voice)}),
        WhyNotYet::Unserved { since, others } => {
            json!({"since": stamp(*since, voice), "others_served": others})
        }
        WhyNotYet::Queued { since, ahead, eta } => {
            json!({"since": stamp(*since, voice), "ahead": ahead.n, "ahead_is_more": ahead.more,
                   "eta": stamps(*eta, voice)})
        }
    };
    object["kind"] = json!(why.word());
    object
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn what_acts_unseen_is_escaped_and_the_value_is_the_same() {
        let value = serde_json::json!({"a": "x\u{9b}31m\u{202e}y\u{200b}"});
        let text = harmless(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!text.contains(['\u{9b}', '\u{202e}', '\u{200b}']));
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            value
        );
    }
}
