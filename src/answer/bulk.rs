//! A redrive of many, told: a sentence for people, an object for machines.

use serde_json::{Value, json};

use super::json::{stamp, stamps};
use crate::outbox::bulk::{Bulk, Preview, State};
use crate::words::mask::safe;
use crate::words::{Voice, say};

pub(crate) fn sentence(it: &Bulk, voice: &Voice) -> String {
    let mut sentence = say!(
        voice,
        "bulk.progress",
        id = it.id,
        state = state(it.state, voice),
        redriven = it.redriven,
        count = counted(&it.preview),
        delivered = it.delivered,
        failed = it.failed,
        underway = it.underway
    );
    if it.refused + it.withdrawn > 0 {
        sentence.push_str(&say!(
            voice,
            "bulk.left_alone",
            refused = it.refused,
            withdrawn = it.withdrawn
        ));
    }
    if it.waiting > 0 {
        sentence.push_str(&say!(voice, "bulk.waiting", n = it.waiting));
    }
    if let Some(share) = &it.stopped_because {
        sentence.push_str(&say!(voice, "bulk.stopped", share = share, id = it.id));
    }
    sentence
}

/// An order came to nothing: somebody was faster, or it is past that.
pub(crate) fn not_done(now: &Bulk, voice: &Voice) -> String {
    say!(
        voice,
        "bulk.not",
        id = now.id,
        state = state(now.state, voice),
        by = safe(&now.changed_by),
        at = voice.when(now.changed_at)
    )
}

pub(crate) fn state(state: State, voice: &Voice) -> String {
    match state {
        State::Planned => say!(voice, "bulk_state.planned"),
        State::Running => say!(voice, "bulk_state.running"),
        State::Paused => say!(voice, "bulk_state.paused"),
        State::Stopped => say!(voice, "bulk_state.stopped"),
        State::Cancelled => say!(voice, "bulk_state.cancelled"),
        State::Done => say!(voice, "bulk_state.done"),
    }
}

pub(crate) fn object(it: &Bulk, voice: &Voice) -> Value {
    json!({
        "id": it.id.0,
        "version": it.version,
        "state": it.state.word(),
        "filter": {"statuses": it.statuses, "app": it.app, "reason": it.reason, "event_type": it.event_type,
                   "recipient": it.recipient.as_deref().map(safe), "settled_since": stamps(it.settled_since, voice),
                   "settled_until": stamp(it.settled_until, voice), "with_doubtful": it.with_doubtful,
                   "with_late": it.with_late},
        "preview": preview(&it.preview, voice),
        "why": safe(&it.why),
        "planned": {"at": stamp(it.planned_at, voice), "by": safe(&it.planned_by)},
        "changed": {"at": stamp(it.changed_at, voice), "by": safe(&it.changed_by)},
        "stopped_because": it.stopped_because,
        "per_second": it.per_second,
        "stop_above": it.stop_above,
        "rung": it.rung,
        "redriven": it.redriven,
        "refused": it.refused,
        "delivered": it.delivered,
        "failed": it.failed,
        "withdrawn": it.withdrawn,
        "underway": it.underway,
        "retrying": it.retrying.n,
        "retrying_is_more": it.retrying.more,
        "waiting": it.waiting,
    })
}

pub(crate) fn preview(preview: &Preview, voice: &Voice) -> Value {
    let causes: Vec<Value> = preview
        .causes
        .iter()
        .map(|it| {
            let sentence = voice.cause(Some(&it.reason), None);
            json!({"reason": it.reason, "count": it.count, "sentence": sentence})
        })
        .collect();
    json!({
        "count": preview.count,
        "is_more": preview.is_more,
        "oldest": stamps(preview.oldest, voice),
        "stale": preview.stale,
        "late": preview.late,
        "doubtful": preview.doubtful,
        "replaced": preview.replaced,
        "handled": preview.handled,
        "ordered": preview.ordered,
        "causes": causes,
    })
}

pub(crate) fn counted(preview: &Preview) -> String {
    format!(
        "{}{}",
        preview.count,
        if preview.is_more { "+" } else { "" }
    )
}
