//! Redrives of many: the list, and the pages around one of them.
//!
//! ```text
//! /bulk/new?status=dead&cause=…  what would be sent again     [`new`]
//!      │ plan, with a reason
//!      ▼
//! /bulk/{id}  type the count ──▶ five ──▶ more ──▶ the report    [`one`]
//! ```
//!
//! Pages only give orders. What is running is driven by every desk that may act ([`drive`]), and by `outboxd bulk drive`.

pub(super) mod drive;
pub(super) mod filter;
mod new;
mod one;

pub(super) use new::{new, plan};
pub(super) use one::{one, order, progress};

use askama::Template;
use axum::response::Response;
use serde_json::{Value, json};

use super::asked::Asked;
use super::page::{Frame, When};
use super::trouble::Trouble;
use super::visit::{Visit, shown};
use crate::answer::bulk::{counted, object, state};
use crate::answer::json::VERSION;
use crate::notification::Status;
use crate::outbox::bulk::{self, Bulk, BulkId, State};
use crate::outbox::inspect::Standing;
use crate::words::{Voice, say};

/// On one page.
const LIMIT: usize = 30;

const BEFORE: &str = "before";
pub(super) const FILTERS: [&str; 1] = [BEFORE];

#[derive(Template)]
#[template(path = "bulks.html")]
struct BulksPage {
    frame: Frame,
    rows: Vec<Row>,
    /// The page after this one.
    older: Option<String>,
    newest: Option<String>,
}

struct Row {
    id: BulkId,
    href: String,
    tone: &'static str,
    mark: &'static str,
    state: String,
    filter: Vec<(String, String)>,
    redriven: i64,
    count: String,
    delivered: i64,
    failed: i64,
    why: String,
    by: String,
    at: When,
}

pub(super) async fn list(visit: Visit) -> Result<Response, Trouble> {
    let before = Asked::of(&visit, &FILTERS)?.number(&visit, BEFORE)?;
    let mut tx = visit.desk.lines.read().await?;
    let voice = visit.voice(&mut tx).await?;
    // One more tells whether there is another page.
    let limit = i64::try_from(LIMIT + 1).unwrap_or(i64::MAX);
    let mut bulks = bulk::bulks(&mut tx, before.map(BulkId), limit).await?;
    tx.commit().await?;
    let more = bulks.len() > LIMIT;
    bulks.truncate(LIMIT);
    let at = |id: BulkId| visit.at(&format!("/bulk?before={id}"));
    let page = BulksPage {
        frame: Frame::new(&visit, say!(visit.lang, "desk.bulk.title"), "/bulk"),
        rows: bulks.iter().map(|it| row(it, &visit, &voice)).collect(),
        older: bulks.last().filter(|_| more).map(|last| at(last.id)),
        newest: before.map(|_| visit.at("/bulk")),
    };
    // The same objects as `outboxd bulk status --json`.
    visit.answer(&page, || {
        let objects: Vec<Value> = bulks.iter().map(|it| object(it, &voice)).collect();
        json!({"version": VERSION, "bulks": objects})
    })
}

fn row(it: &Bulk, visit: &Visit, voice: &Voice) -> Row {
    let (mark, tone) = mark(it);
    Row {
        id: it.id,
        href: visit.at(&format!("/bulk/{}", it.id)),
        tone,
        mark,
        state: state(it.state, voice),
        filter: described(it, voice),
        redriven: it.redriven,
        count: counted(&it.preview),
        delivered: it.delivered,
        failed: it.failed,
        why: shown(&it.why),
        by: shown(&it.planned_by),
        at: When::of(it.planned_at, voice),
    }
}

/// Mark and tone of where it stands.
fn mark(it: &Bulk) -> (&'static str, &'static str) {
    match it.state {
        State::Planned => ("…", "quiet"),
        State::Running => ("▸", "waiting"),
        State::Paused => ("‖", "waiting"),
        State::Stopped => ("✗", "bad"),
        State::Cancelled => ("–", "quiet"),
        State::Done => ("✓", "good"),
    }
}

/// The filter in words: name and value.
fn described(it: &Bulk, voice: &Voice) -> Vec<(String, String)> {
    let statuses: Vec<String> = it
        .statuses
        .iter()
        .map(|status| voice.status(status))
        .collect();
    let mut words = vec![(say!(voice, "fact.status"), statuses.join(" · "))];
    let mut add = |name, value: Option<String>| words.extend(value.map(|value| (name, value)));
    let cause = it.reason.as_deref();
    add(
        say!(voice, "column.cause"),
        cause.map(|key| shown(&voice.cause(Some(key), None))),
    );
    add(say!(voice, "fact.app"), it.app.as_deref().map(shown));
    add(
        say!(voice, "column.event_type"),
        it.event_type.as_deref().map(shown),
    );
    add(
        say!(voice, "column.recipient"),
        it.recipient.as_deref().map(shown),
    );
    add(
        say!(voice, "desk.bulk.since"),
        it.settled_since.map(|at| voice.when(at)),
    );
    add(
        say!(voice, "desk.bulk.also"),
        match (it.with_doubtful, it.with_late) {
            (true, true) => Some(say!(voice, "desk.bulk.also_both")),
            (true, false) => Some(say!(voice, "desk.bulk.also_doubtful")),
            (false, true) => Some(say!(voice, "desk.bulk.also_late")),
            (false, false) => None,
        },
    );
    words
}

/// The endings that have a way back.
const ENDINGS: [Status; 3] = [Status::Dead, Status::Expired, Status::Cancelled];

/// What an ending is called.
fn ending(status: Status, voice: &Voice) -> String {
    voice.standing(Standing::Settled(status))
}
