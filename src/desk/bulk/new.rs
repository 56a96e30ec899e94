//! A new redrive: the filter, what it would send again, and the plan.

use askama::Template;
use axum::Form as Body;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::TimeDelta;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::filter::{Filter, SPANS};
use super::{ENDINGS, ending};
use crate::answer::bulk::{counted, object, preview as preview_object};
use crate::answer::json::VERSION;
use crate::desk::page::{Frame, When};
use crate::desk::trouble::Trouble;
use crate::desk::visit::{Visit, as_json, shown};
use crate::outbox::bulk::{self, Planned, Preview};
use crate::outbox::inspect;
use crate::words::{Voice, say};

/// Longer than any reason anybody reads.
const REASON: usize = 500;

#[derive(Template)]
#[template(path = "bulk_new.html")]
struct NewPage {
    frame: Frame,
    filter: Filter,
    statuses: Vec<Choice>,
    causes: Vec<Choice>,
    spans: Vec<Choice>,
    problem: Option<String>,
    /// `None` while the filter cannot be understood.
    preview: Option<PreviewView>,
    why: String,
    /// This copy of the form.
    form: Uuid,
}

struct Choice {
    word: String,
    text: String,
    chosen: bool,
}

/// What would be sent again, or is planned to be.
pub(super) struct PreviewView {
    pub(super) nothing: bool,
    pub(super) count: String,
    pub(super) oldest: Option<When>,
    /// Notes about parts of the set: so many, and what that means.
    pub(super) notes: Vec<(String, String)>,
    pub(super) causes: Vec<CauseView>,
}

/// One cause in the set, and what has to be put right before sending again is of use.
pub(super) struct CauseView {
    pub(super) count: i64,
    pub(super) cause: String,
    pub(super) who: &'static str,
    pub(super) next: String,
}

type Pairs = Vec<(String, String)>;

pub(in crate::desk) async fn new(
    visit: Visit,
    Query(pairs): Query<Pairs>,
) -> Result<Response, Trouble> {
    let filter = Filter::of(&pairs);
    let mut tx = visit.desk.lines.read().await?;
    let voice = visit.voice(&mut tx).await?;
    let response = page(&mut tx, &visit, &voice, filter, None, String::new()).await?;
    tx.commit().await?;
    Ok(response)
}

async fn page(
    conn: &mut PgConnection,
    visit: &Visit,
    voice: &Voice,
    filter: Filter,
    problem: Option<String>,
    why: String,
) -> Result<Response, Trouble> {
    let (asked, problem) = match (filter.asked(voice), problem) {
        (Ok(asked), problem) => (Some(asked), problem),
        (Err(wrong), _) => (None, Some(wrong)),
    };
    let preview = match &asked {
        Some(asked) => Some(bulk::preview(&mut *conn, asked).await?),
        None => None,
    };
    let view = match (&asked, &preview) {
        (Some(asked), Some(preview)) => Some(PreviewView::of(
            preview,
            asked.with_doubtful,
            asked.with_late,
            voice,
        )),
        _ => None,
    };
    let page = NewPage {
        frame: Frame::new(visit, say!(visit.lang, "desk.bulk.new"), "/bulk"),
        statuses: ENDINGS
            .into_iter()
            .map(|status| Choice {
                word: status.word().to_owned(),
                text: ending(status, voice),
                chosen: filter.statuses.contains(&status),
            })
            .collect(),
        causes: causes(conn, &filter, voice).await?,
        spans: spans(&filter, voice),
        filter,
        preview: view,
        why: shown(&why),
        form: Uuid::new_v4(),
        problem,
    };
    let status = match page.problem {
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
        None => StatusCode::OK,
    };
    let document = json!({
        "version": VERSION,
        "problem": page.problem,
        "preview": preview.map(|preview| preview_object(&preview, voice)),
    });
    visit.answer_as(status, &page, || document)
}

/// Makes the plan; it waits for its start.
pub(in crate::desk) async fn plan(
    visit: Visit,
    Body(pairs): Body<Pairs>,
) -> Result<Response, Trouble> {
    visit.may_try()?;
    let filter = Filter::of(&pairs);
    let why = pairs.iter().find(|(name, _)| name == "why");
    let why: String = why
        .map_or("", |(_, value)| value.trim())
        .chars()
        .take(REASON)
        .collect();
    let by = visit.operator(&why)?;
    let mut tx = visit.desk.lines.act().await?;
    let voice = visit.voice(&mut tx).await?;
    let asked = match filter.asked(&voice) {
        Ok(asked) if by.reason.is_some() => asked,
        Ok(_) => {
            let problem = say!(voice, "desk.act.needs_reason");
            return page(&mut tx, &visit, &voice, filter, Some(problem), why).await;
        }
        Err(problem) => {
            return page(&mut tx, &visit, &voice, filter, Some(problem), why).await;
        }
    };
    let id = match bulk::plan(&mut tx, &asked, print(&pairs), &by).await? {
        Planned::Done(id, _) => id,
        Planned::Nothing(_) => {
            let problem = say!(voice, "desk.bulk.nothing_now");
            return page(&mut tx, &visit, &voice, filter, Some(problem), why).await;
        }
    };
    let planned = bulk::bulk(&mut tx, id).await?.ok_or(Trouble::Unasked)?;
    tx.commit().await?;
    if visit.json {
        let document = json!({"version": VERSION, "bulks": [object(&planned, &voice)]});
        return Ok(as_json(&document));
    }
    Ok(Redirect::to(&visit.at(&format!("/bulk/{id}"))).into_response())
}

/// The print of a form with all that stood in it, if it says which form it was. Sent twice it is the same, filled in
/// anew it is another.
fn print(pairs: &Pairs) -> Option<Uuid> {
    pairs.iter().find(|(name, _)| name == "form")?;
    let mut digest = Sha256::new();
    for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text);
    }
    let print: [u8; 32] = digest.finalize().into();
    let (first, _) = print.split_first_chunk::<16>()?;
    Some(uuid::Builder::from_custom_bytes(*first).into_uuid())
}

impl PreviewView {
    pub(super) fn of(
        preview: &Preview,
        with_doubtful: bool,
        with_late: bool,
        voice: &Voice,
    ) -> PreviewView {
        let mut notes = Vec::new();
        let mut note = |n: i64, text: String| {
            if n > 0 {
                notes.push((n.to_string(), text));
            }
        };
        note(preview.stale, say!(voice, "desk.bulk.stale"));
        note(
            preview.doubtful,
            match with_doubtful {
                true => say!(voice, "desk.bulk.doubtful_in"),
                false => say!(voice, "desk.bulk.doubtful_out"),
            },
        );
        note(
            preview.late,
            match with_late {
                true => say!(voice, "desk.bulk.late_in"),
                false => say!(voice, "desk.bulk.late_out"),
            },
        );
        note(preview.replaced, say!(voice, "desk.bulk.replaced"));
        note(preview.handled, say!(voice, "desk.bulk.handled"));
        note(preview.ordered, say!(voice, "desk.bulk.ordered"));
        PreviewView {
            nothing: preview.count == 0,
            count: counted(preview),
            oldest: preview.oldest.map(|at| When::of(at, voice)),
            notes,
            causes: preview
                .causes
                .iter()
                .map(|it| {
                    let (who, next) = voice.remedy(Some(&it.reason));
                    CauseView {
                        count: it.count,
                        cause: shown(&voice.cause(Some(&it.reason), None)),
                        who: voice.who(who),
                        next,
                    }
                })
                .collect(),
        }
    }
}

/// The causes there were lately, and the one of the filter.
async fn causes(
    conn: &mut PgConnection,
    filter: &Filter,
    voice: &Voice,
) -> Result<Vec<Choice>, Trouble> {
    let app = Some(filter.app.as_str()).filter(|app| !app.is_empty());
    let found = inspect::causes(conn, app, voice.now - TimeDelta::days(7)).await?;
    let mut keys: Vec<String> = found.into_iter().map(|cause| cause.reason).collect();
    keys.push(filter.cause.clone());
    keys.retain(|key| !key.is_empty());
    keys.sort();
    keys.dedup();
    Ok(keys
        .into_iter()
        .map(|word| Choice {
            text: shown(&voice.cause(Some(&word), None)),
            chosen: word == filter.cause,
            word,
        })
        .collect())
}

fn spans(filter: &Filter, voice: &Voice) -> Vec<Choice> {
    let text = |word: &str| match word {
        "today" => say!(voice, "desk.bulk.span_today"),
        "24h" => say!(voice, "desk.bulk.span_24h"),
        "7d" => say!(voice, "desk.bulk.span_7d"),
        "30d" => say!(voice, "desk.bulk.span_30d"),
        "all" => say!(voice, "desk.bulk.span_all"),
        day => shown(day),
    };
    let typed = filter.since.as_str();
    let own = (!SPANS.contains(&typed)).then_some(typed);
    SPANS
        .into_iter()
        .chain(own)
        .map(|word| Choice {
            word: word.to_owned(),
            text: text(word),
            chosen: word == typed,
        })
        .collect()
}
