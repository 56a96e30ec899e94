//! One redrive: the plan to confirm, its progress, the orders that can be given, and the report at its end.

use askama::Template;
use axum::Form as Body;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::json;
use sqlx::postgres::PgConnection;

use super::filter::Filter;
use super::new::PreviewView;
use super::{ENDINGS, described, mark};
use crate::answer::bulk::{counted, not_done, object, state};
use crate::answer::json::VERSION;
use crate::desk::page::{Frame, When};
use crate::desk::trouble::Trouble;
use crate::desk::visit::{Visit, as_json, shown};
use crate::outbox::bulk::{self, Bulk, BulkId, CANARY, Changed, Order, State};
use crate::words::{Voice, say};

/// Longer than any reason anybody reads.
const REASON: usize = 500;

#[derive(Template)]
#[template(path = "bulk.html")]
struct OnePage {
    frame: Frame,
    it: View,
    /// Why what was just asked for was not done.
    problem: Option<String>,
}

/// The part that moves, for the page to fetch anew.
#[derive(Template)]
#[template(path = "bulk_progress.html")]
struct ProgressPage {
    frame: Frame,
    it: View,
}

struct View {
    id: BulkId,
    /// Where orders go.
    href: String,
    mark: &'static str,
    tone: &'static str,
    state: String,
    /// What it is doing, or how it ended.
    said: String,
    /// It moves by itself.
    live: bool,
    /// But not by this desk.
    undriven: bool,
    is_planned: bool,
    version: i32,
    filter: Vec<(String, String)>,
    preview: PreviewView,
    why: String,
    planned: (String, When),
    changed: (String, When),
    redriven: i64,
    /// The bar's end.
    of: i64,
    count: String,
    numbers: Vec<(String, String, &'static str)>,
    /// The way of a redrive, and how far this one has come.
    stages: Vec<(String, bool)>,
    pace: String,
    orders: Vec<(&'static str, String)>,
    /// What of the same filter is left now; none where the address would tell a telephone number.
    left: Option<String>,
}

pub(in crate::desk) async fn one(
    visit: Visit,
    Path(name): Path<String>,
) -> Result<Response, Trouble> {
    let (it, voice) = read(&visit, &name).await?;
    page(&visit, &it, &voice, None)
}

pub(in crate::desk) async fn progress(
    visit: Visit,
    Path(name): Path<String>,
) -> Result<Response, Trouble> {
    let (it, voice) = read(&visit, &name).await?;
    let page = ProgressPage {
        frame: Frame::new(&visit, "", ""),
        it: View::of(&it, &visit, &voice),
    };
    visit.answer(&page, || serde_json::Value::Null)
}

async fn read(visit: &Visit, name: &str) -> Result<(Bulk, Voice), Trouble> {
    let mut tx = visit.desk.lines.read().await?;
    let voice = visit.voice(&mut tx).await?;
    let it = find(&mut tx, name).await?;
    tx.commit().await?;
    Ok((it, voice))
}

async fn find(conn: &mut PgConnection, name: &str) -> Result<Bulk, Trouble> {
    let missing = || Trouble::NoBulk(shown(name));
    let id = BulkId(name.parse().map_err(|_| missing())?);
    bulk::bulk(conn, id).await?.ok_or_else(missing)
}

fn page(
    visit: &Visit,
    it: &Bulk,
    voice: &Voice,
    problem: Option<(StatusCode, String)>,
) -> Result<Response, Trouble> {
    let (status, problem) = match problem {
        Some((status, sentence)) => (status, Some(sentence)),
        None => (StatusCode::OK, None),
    };
    let document = json!({"version": VERSION, "problem": problem, "bulks": [object(it, voice)]});
    let page = OnePage {
        frame: Frame::new(
            visit,
            say!(visit.lang, "desk.bulk.one", id = it.id),
            "/bulk",
        ),
        it: View::of(it, visit, voice),
        problem,
    };
    visit.answer_as(status, &page, || document)
}

/// Starts, pauses, resumes or cancels what was seen.
pub(in crate::desk) async fn order(
    visit: Visit,
    Path(name): Path<String>,
    Body(typed): Body<Vec<(String, String)>>,
) -> Result<Response, Trouble> {
    visit.may_try()?;
    let get = |name: &str| {
        let found = typed.iter().find(|(it, _)| it == name);
        found.map_or("", |(_, value)| value.trim())
    };
    let order = match get("order") {
        "start" => Order::Start,
        "pause" => Order::Pause,
        "resume" => Order::Resume,
        "cancel" => Order::Cancel,
        _ => return Err(Trouble::Unasked),
    };
    let version: i32 = get("version").parse().map_err(|_| Trouble::Unasked)?;
    let reason: String = get("reason").chars().take(REASON).collect();
    let mut tx = visit.desk.lines.act().await?;
    let voice = visit.voice(&mut tx).await?;
    let it = find(&mut tx, &name).await?;
    // A start has the reason of its plan.
    let why = if order == Order::Start {
        &it.why
    } else {
        &reason
    };
    let by = visit.operator(why)?;
    let typed_wrong = |sentence| Some((StatusCode::UNPROCESSABLE_ENTITY, sentence));
    if by.reason.is_none() {
        let problem = typed_wrong(say!(voice, "desk.act.needs_reason"));
        return page(&visit, &it, &voice, problem);
    }
    if order == Order::Start && get("count") != it.preview.count.to_string() {
        let problem = typed_wrong(say!(voice, "desk.bulk.wrong_count", n = it.preview.count));
        return page(&visit, &it, &voice, problem);
    }
    let changed = bulk::change(&mut tx, it.id, version, order, &by).await?;
    tx.commit().await?;
    let now = match changed {
        Changed::Done(now) => now,
        // The second half of a double click: the first has done it.
        Changed::Not(now) if now.changed_by == by.actor && now.state == order.leads_to() => now,
        Changed::Not(now) => {
            let sentence = not_done(&now, &voice);
            let problem = Some((StatusCode::CONFLICT, sentence));
            return page(&visit, &now, &voice, problem);
        }
        Changed::Missing => return Err(Trouble::NoBulk(shown(&name))),
    };
    visit.desk.driver.nudge();
    if visit.json {
        let document = json!({"version": VERSION, "bulks": [object(&now, &voice)]});
        return Ok(as_json(&document));
    }
    Ok(Redirect::to(&visit.at(&format!("/bulk/{}", now.id))).into_response())
}

impl View {
    fn of(it: &Bulk, visit: &Visit, voice: &Voice) -> View {
        let (mark, tone) = mark(it);
        let running = it.state == State::Running;
        let ended = matches!(it.state, State::Paused | State::Stopped | State::Cancelled);
        let live = running || ended && it.underway > 0;
        View {
            id: it.id,
            href: visit.at(&format!("/bulk/{}", it.id)),
            mark,
            tone,
            state: state(it.state, voice),
            said: said(it, voice),
            live,
            undriven: live && visit.desk.read_only,
            is_planned: it.state == State::Planned,
            version: it.version,
            filter: described(it, voice),
            preview: PreviewView::of(&it.preview, it.with_doubtful, it.with_late, voice),
            why: shown(&it.why),
            planned: (shown(&it.planned_by), When::of(it.planned_at, voice)),
            changed: (shown(&it.changed_by), When::of(it.changed_at, voice)),
            redriven: it.redriven,
            of: it.preview.count.max(it.redriven),
            count: counted(&it.preview),
            numbers: numbers(it, voice),
            stages: stages(it, voice),
            pace: say!(
                voice,
                "desk.bulk.pace",
                n = it.per_second,
                share = it.stop_above
            ),
            orders: orders(it.state, voice),
            left: left(it, visit),
        }
    }
}

fn said(it: &Bulk, voice: &Voice) -> String {
    let (n, share) = (it.underway, it.stopped_because.as_deref().unwrap_or("–"));
    match it.state {
        State::Planned => say!(voice, "desk.bulk.said_planned", n = CANARY),
        State::Running if it.redriven == 0 => say!(voice, "desk.bulk.said_begins", n = CANARY),
        State::Running if it.rung <= CANARY => say!(voice, "desk.bulk.said_canary", n = it.rung),
        State::Running => say!(voice, "desk.bulk.said_running", n = it.rung),
        State::Paused => say!(voice, "desk.bulk.said_paused", n = n),
        State::Stopped => say!(voice, "desk.bulk.said_stopped", share = share),
        State::Cancelled => say!(voice, "desk.bulk.said_cancelled", n = n),
        State::Done => {
            let took = voice.span(it.changed_at - it.planned_at);
            let n = it.redriven - it.waiting;
            let done = say!(voice, "desk.bulk.said_done", n = n, took = took);
            match it.waiting {
                0 => done,
                n => done + &say!(voice, "desk.bulk.said_waiting", n = n),
            }
        }
    }
}

fn numbers(it: &Bulk, voice: &Voice) -> Vec<(String, String, &'static str)> {
    let bad = |n: i64| if n > 0 { "bad" } else { "quiet" };
    let mut numbers: Vec<_> = [
        (say!(voice, "desk.bulk.redriven"), it.redriven, "quiet"),
        (say!(voice, "status.delivered"), it.delivered, "good"),
        (say!(voice, "desk.bulk.failed"), it.failed, bad(it.failed)),
        (say!(voice, "desk.bulk.underway"), it.underway, "quiet"),
    ]
    .map(|(text, n, tone)| (text, n.to_string(), tone))
    .into();
    // Rare ones only where there are any.
    for (text, n) in [
        (say!(voice, "desk.bulk.retrying"), it.retrying.to_string()),
        (say!(voice, "desk.bulk.refused"), it.refused.to_string()),
        (say!(voice, "desk.bulk.withdrawn"), it.withdrawn.to_string()),
        (say!(voice, "status.awaiting_grant"), it.waiting.to_string()),
    ] {
        if n != "0" {
            numbers.push((text, n, "quiet"));
        }
    }
    numbers
}

fn stages(it: &Bulk, voice: &Voice) -> Vec<(String, bool)> {
    let began = it.redriven > 0 || it.state != State::Planned;
    vec![
        (say!(voice, "desk.bulk.stage_plan"), true),
        (say!(voice, "desk.bulk.stage_canary", n = CANARY), began),
        (
            say!(voice, "desk.bulk.stage_ramp"),
            it.redriven > i64::from(CANARY),
        ),
        (say!(voice, "desk.bulk.stage_end"), it.state == State::Done),
    ]
}

/// What makes sense now: the word of the order, and its button.
fn orders(state: State, voice: &Voice) -> Vec<(&'static str, String)> {
    let pause = || ("pause", say!(voice, "desk.bulk.pause"));
    let resume = || ("resume", say!(voice, "desk.bulk.resume"));
    let cancel = || ("cancel", say!(voice, "desk.bulk.cancel"));
    match state {
        State::Planned => vec![cancel()],
        State::Running => vec![pause(), cancel()],
        State::Paused | State::Stopped => vec![resume(), cancel()],
        State::Cancelled | State::Done => Vec::new(),
    }
}

/// The page of a new one with the same filter, if that can be shown.
fn left(it: &Bulk, visit: &Visit) -> Option<String> {
    let is_plain = |recipient: &str| shown(recipient) == recipient;
    if !it.recipient.as_deref().is_none_or(is_plain) {
        return None;
    }
    let filter = Filter {
        statuses: ENDINGS
            .into_iter()
            .filter(|status| it.statuses.iter().any(|word| word == status.word()))
            .collect(),
        cause: it.reason.clone().unwrap_or_default(),
        app: it.app.clone().unwrap_or_default(),
        event_type: it.event_type.clone().unwrap_or_default(),
        recipient: it.recipient.clone().unwrap_or_default(),
        since: it.settled_since.map_or_else(
            || "all".to_owned(),
            |at| at.with_timezone(&visit.desk.zone).date_naive().to_string(),
        ),
        twice: it.with_doubtful,
        late: it.with_late,
        per_second: it.per_second.to_string(),
        stop_above: it.stop_above.to_string(),
        odd: None,
    };
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(filter.pairs());
    Some(visit.at(&format!("/bulk/new?{}", query.finish())))
}
