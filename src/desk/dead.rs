//! Dead letters: what was given up, one card for each cause, with what to do about it.

use askama::Template;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::asked::{Asked, Chip, STATUS};
use super::csv::{self, Batches, Cells};
use super::messages::{APP, REASON};
use super::page::{Frame, Link, When};
use super::period::{PERIOD, Period, Span, switch};
use super::trouble::Trouble;
use super::visit::{Visit, shown};
use crate::answer::json::{VERSION, stamp};
use crate::catalogue::Who;
use crate::outbox::inspect::{self, Cause};
use crate::words::cause::role;
use crate::words::mask::safe;
use crate::words::{Voice, say};

pub(super) const FILTERS: [&str; 2] = [PERIOD, APP];

#[derive(Template)]
#[template(path = "dead.html")]
struct DeadPage {
    frame: Frame,
    spans: Vec<Link>,
    chips: Vec<Chip>,
    causes: Vec<CauseView>,
    /// That there may be more causes than these.
    more: Option<String>,
    csv: String,
}

struct CauseView {
    cause: String,
    status: String,
    app: String,
    count: String,
    doubt: Option<String>,
    dealt_with: Option<String>,
    who: Option<&'static str>,
    next: String,
    oldest: When,
    newest: When,
    samples: Vec<(i64, String)>,
    list: String,
    redrive: String,
}

/// What was found, and for what.
struct Found {
    asked: Asked,
    span: Span,
    since: DateTime<Utc>,
    causes: Vec<Cause>,
    voice: Voice,
}

async fn find(visit: &Visit) -> Result<Found, Trouble> {
    let asked = Asked::of(visit, &FILTERS)?;
    let mut tx = visit.desk.lines.read().await?;
    let voice = visit.voice(&mut tx).await?;
    let Period { span, since, .. } = Period::back(&asked, visit, &voice, Span::Week)?;
    let Some(since) = since else {
        return Err(asked.odd(visit, PERIOD, span.word()));
    };
    let causes = inspect::causes(&mut tx, asked.get(APP), since).await?;
    tx.commit().await?;
    Ok(Found {
        asked,
        span,
        since,
        causes,
        voice,
    })
}

pub(super) async fn dead(visit: Visit) -> Result<Response, Trouble> {
    let Found {
        asked,
        span,
        since,
        causes,
        voice,
    } = find(&visit).await?;
    let view = |cause: &Cause| CauseView::of(cause, span, &visit, &voice);
    let page = DeadPage {
        frame: Frame::new(&visit, say!(visit.lang, "desk.nav.dead"), "/dead"),
        spans: switch(&asked, span, &visit, &voice, "/dead"),
        chips: asked
            .get(APP)
            .map(|app| Chip {
                name: say!(voice, "desk.asked.app"),
                value: shown(app),
                without: asked.without(&[APP]).href(&visit, "/dead"),
            })
            .into_iter()
            .collect(),
        causes: causes.iter().map(view).collect(),
        more: causes
            .first()
            .filter(|first| first.count.more)
            .map(|_| say!(voice, "desk.dead.more", n = inspect::NEWEST)),
        csv: asked.href(&visit, "/dead/export.csv"),
    };
    visit.answer(&page, || {
        let causes: Vec<Value> = causes.iter().map(|cause| object(cause, &voice)).collect();
        json!({"version": VERSION, "since": stamp(since, &voice), "causes": causes})
    })
}

/// The causes as a file.
pub(super) async fn export(visit: Visit) -> Result<Response, Trouble> {
    let Found { causes, voice, .. } = find(&visit).await?;
    let header = vec![
        say!(voice, "column.cause"),
        say!(voice, "column.status"),
        say!(voice, "desk.asked.app"),
        say!(voice, "column.count"),
        say!(voice, "desk.export.may_have_arrived"),
        say!(voice, "desk.export.dealt_with"),
        say!(voice, "column.who"),
        say!(voice, "column.next"),
        say!(voice, "desk.dead.oldest"),
        say!(voice, "desk.dead.newest"),
        say!(voice, "desk.dead.samples"),
    ];
    let lines = causes.iter().map(|it| cells(it, &voice)).collect();
    csv::file("dead.csv", header, Causes { lines, voice }).await
}

/// So few that they are read at once.
struct Causes {
    lines: Vec<Cells>,
    voice: Voice,
}

impl Batches for Causes {
    async fn next(&mut self) -> Result<Option<Vec<Cells>>, Trouble> {
        let lines = std::mem::take(&mut self.lines);
        Ok((!lines.is_empty()).then_some(lines))
    }

    fn is_cut(&self) -> bool {
        false
    }

    fn voice(&self) -> &Voice {
        &self.voice
    }
}

fn cells(it: &Cause, voice: &Voice) -> Cells {
    let (who, next) = remedy(it, voice);
    let samples: Vec<String> = it.samples.iter().map(i64::to_string).collect();
    vec![
        safe(&voice.cause(Some(&it.reason), None)),
        voice.status(&it.status),
        shown(&it.app),
        it.count.to_string(),
        it.in_doubt.to_string(),
        it.dealt_with.to_string(),
        match who {
            Who::Nobody => String::new(),
            who => voice.who(who).to_owned(),
        },
        safe(&next),
        stamp(it.oldest, voice),
        stamp(it.newest, voice),
        samples.join(" "),
    ]
}

impl CauseView {
    fn of(it: &Cause, span: Span, visit: &Visit, voice: &Voice) -> CauseView {
        let (who, next) = remedy(it, voice);
        // Exactly these, on the other pages.
        let these = Asked::default()
            .with(STATUS, &it.status)
            .with(REASON, &it.reason)
            .with(APP, &it.app)
            .with(PERIOD, span.word());
        CauseView {
            cause: safe(&voice.cause(Some(&it.reason), None)),
            status: voice.status(&it.status),
            app: shown(&it.app),
            count: it.count.to_string(),
            doubt: (it.in_doubt > 0).then(|| say!(voice, "desk.dead.doubt", n = it.in_doubt)),
            dealt_with: (1..it.count.n)
                .contains(&it.dealt_with)
                .then(|| say!(voice, "desk.dead.dealt_with", n = it.dealt_with)),
            who: match who {
                Who::Nobody => None,
                who => Some(voice.who(who)),
            },
            next: safe(&next),
            oldest: When::of(it.oldest, voice),
            newest: When::of(it.newest, voice),
            samples: it
                .samples
                .iter()
                .map(|id| (*id, visit.at(&format!("/messages/{id}"))))
                .collect(),
            list: these.href(visit, "/messages"),
            redrive: these.href(visit, "/bulk/new"),
        }
    }
}

/// Whose turn it is, as long as one of them is left.
fn remedy(it: &Cause, voice: &Voice) -> (Who, String) {
    if !it.count.more && it.dealt_with == it.count.n {
        return (Who::Nobody, say!(voice, "desk.dead.all_dealt_with"));
    }
    voice.settled_remedy(&it.status, Some(&it.reason))
}

fn object(it: &Cause, voice: &Voice) -> Value {
    let (who, next) = remedy(it, voice);
    json!({
        "app": it.app, "status": it.status, "reason": it.reason,
        "sentence": safe(&voice.cause(Some(&it.reason), None)),
        "count": it.count.n, "count_is_more": it.count.more, "may_have_arrived": it.in_doubt,
        "dealt_with": it.dealt_with,
        "oldest_settled_at": stamp(it.oldest, voice), "newest_settled_at": stamp(it.newest, voice),
        "samples": it.samples, "who": role(who), "next": safe(&next),
    })
}
