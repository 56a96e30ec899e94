//! How a redrive is shown: a sentence, a line, or an object.

use anyhow::Result;
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::find;
use crate::answer::json::{VERSION, stamp, stamps};
use crate::cli::out::{Form, safe};
use crate::cli::{Desk, Exit};
use crate::outbox::bulk::{self, Bulk, BulkId, Preview, State};
use crate::words::{Voice, say};

pub(super) async fn status(
    desk: &Desk,
    conn: &mut PgConnection,
    id: Option<BulkId>,
) -> Result<Exit> {
    let found = match id {
        Some(id) => vec![find(desk, conn, id).await?],
        None => bulk::bulks(conn, None, 50).await?,
    };
    let voice = desk.voice(conn).await?;
    match desk.out.form {
        Form::Json => {
            let bulks: Vec<Value> = found.iter().map(|it| object(it, &voice)).collect();
            desk.out
                .json(&json!({"version": VERSION, "bulks": bulks}))?;
        }
        Form::Lines => {
            for it in &found {
                desk.out.row(&[
                    it.id.to_string(),
                    it.state.word().to_owned(),
                    counted(&it.preview),
                    it.redriven.to_string(),
                    it.delivered.to_string(),
                    it.failed.to_string(),
                    it.underway.to_string(),
                    it.refused.to_string(),
                ])?;
            }
        }
        Form::Terminal => {
            if found.is_empty() {
                desk.out.note(&say!(voice, "none.listed"));
            }
            for it in &found {
                desk.out.line(&sentence(it, &voice))?;
            }
        }
    }
    Ok(Exit::Ok)
}

pub(super) fn sentence(it: &Bulk, voice: &Voice) -> String {
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
    if let Some(share) = &it.stopped_because {
        sentence.push_str(&say!(voice, "bulk.stopped", share = share, id = it.id));
    }
    sentence
}

pub(super) fn state(state: State, voice: &Voice) -> String {
    match state {
        State::Planned => say!(voice, "bulk_state.planned"),
        State::Running => say!(voice, "bulk_state.running"),
        State::Paused => say!(voice, "bulk_state.paused"),
        State::Stopped => say!(voice, "bulk_state.stopped"),
        State::Cancelled => say!(voice, "bulk_state.cancelled"),
        State::Done => say!(voice, "bulk_state.done"),
    }
}

fn object(it: &Bulk, voice: &Voice) -> Value {
    json!({
        "id": it.id.0,
        "state": it.state.word(),
        "filter": {"statuses": it.statuses, "app": it.app, "reason": it.reason, "event_type": it.event_type,
                   "recipient": it.recipient, "settled_since": stamps(it.settled_since, voice),
                   "settled_until": stamp(it.settled_until, voice), "with_doubtful": it.with_doubtful,
                   "with_late": it.with_late},
        "preview": {"count": it.preview.count, "is_more": it.preview.is_more, "oldest": stamps(it.preview.oldest, voice),
                    "stale": it.preview.stale, "late": it.preview.late, "doubtful": it.preview.doubtful,
                    "ordered": it.preview.ordered},
        "why": safe(&it.why),
        "planned": {"at": stamp(it.planned_at, voice), "by": it.planned_by},
        "changed": {"at": stamp(it.changed_at, voice), "by": it.changed_by},
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
        "retrying": it.retrying,
    })
}

pub(super) fn counted(preview: &Preview) -> String {
    format!(
        "{}{}",
        preview.count,
        if preview.is_more { "+" } else { "" }
    )
}
