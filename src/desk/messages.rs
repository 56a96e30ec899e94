//! The messages: all that fit the filters in the address, newest first, page by page.
//!
//! Nothing moves under a hand: what has come since is counted, and shown when the reader wants it.

use askama::Template;
use axum::response::Response;
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;

use super::asked::{Asked, Chip, Choice, STATUS, Turn, Turns, turned};
use super::card::{Labels, Named, labels};
use super::page::{Frame, When};
use super::period::{FROM, PERIOD, Period, Span, TO};
use super::stream::MOST;
use super::trouble::Trouble;
use super::visit::{Visit, shown};
use crate::answer::json::{self as objects, VERSION};
use crate::answer::mark;
use crate::catalogue;
use crate::notification::NotificationId;
use crate::outbox::inspect::{self, Capped, Filter, Notification, Standing};
use crate::words::mask::safe;
use crate::words::{Voice, say};

/// Rows on a page.
const PAGE: usize = 50;
/// Where counting stops.
const COUNTED: i64 = 200;

pub(super) const REASON: &str = "reason";
pub(super) const EVENT_TYPE: &str = "event_type";
pub(super) const RECIPIENT: &str = "recipient";
pub(super) const APP: &str = "app";
const BEFORE: &str = "before";
const AFTER: &str = "after";

pub(super) const FILTERS: [&str; 10] = [
    STATUS, REASON, EVENT_TYPE, RECIPIENT, APP, PERIOD, FROM, TO, BEFORE, AFTER,
];
/// A file goes on to older ones only.
pub(super) const FILE_FILTERS: &[&str] = FILTERS.split_at(9).0;

#[derive(Template)]
#[template(path = "messages.html")]
struct MessagesPage {
    frame: Frame,
    form: Form,
    chips: Vec<Chip>,
    count: String,
    /// Perhaps more than an export holds.
    is_long: bool,
    rows: Vec<Row>,
    turns: Turns,
    /// Not all of the period was looked through.
    is_partly: bool,
    /// There are some on the pages before.
    is_further: bool,
    /// Where to ask for what has come since; only on the newest page.
    newer: Option<String>,
    /// This very list, without the place in it.
    link: String,
    csv: String,
    json: String,
    plain: String,
}

struct Form {
    statuses: Vec<Choice>,
    spans: Vec<Choice>,
    reasons: Vec<Choice>,
    recipient: String,
    event_type: String,
    app: String,
    from: String,
    to: String,
    /// One of those that are folded away is set.
    open: bool,
}

/// A message in a list.
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) href: String,
    pub(super) mark: &'static str,
    pub(super) tone: &'static str,
    pub(super) standing: String,
    pub(super) customer: Named,
    pub(super) recipient: Named,
    pub(super) cause: Option<String>,
    pub(super) doubt: bool,
    pub(super) event_type: String,
    pub(super) app: String,
    /// When it settled, else when it was written.
    pub(super) at: When,
}

impl Row {
    pub(super) fn of(
        it: &Notification,
        labels: Option<&Labels>,
        visit: &Visit,
        voice: &Voice,
    ) -> Row {
        let (mark, tone) = mark(it);
        Row {
            id: it.id.0,
            href: visit.at(&format!("/messages/{}", it.key)),
            mark,
            tone: tone.word(),
            standing: voice.standing_of(it),
            customer: Named::customer(it, labels),
            recipient: Named::recipient(it, labels),
            cause: cause(it, voice),
            doubt: it.may_have_arrived && tone.word() != "good",
            event_type: shown(&it.event_type),
            app: shown(&it.app),
            at: When::of(it.settled_at.unwrap_or(it.created_at), voice),
        }
    }
}

/// Why it stands where it stands, if there is more to say than its status.
pub(super) fn cause(it: &Notification, voice: &Voice) -> Option<String> {
    let key = it.reason.as_deref()?;
    let says_more = key != it.standing.word() && key != catalogue::local::ACCEPTED.key;
    says_more.then(|| safe(&voice.cause(Some(key), it.errcode)))
}

/// What is asked for, as the database is asked.
pub(super) struct Wanted {
    pub(super) asked: Asked,
    pub(super) filter: Filter,
    /// Nothing can fit: unsettled ones of a time that is over.
    pub(super) is_void: bool,
    span: Span,
}

impl Wanted {
    pub(super) fn of(
        visit: &Visit,
        voice: &Voice,
        known: &[&'static str],
    ) -> Result<Wanted, Trouble> {
        let asked = Asked::of(visit, known)?;
        let mut standings = Vec::new();
        for word in asked.all(STATUS) {
            match word.parse::<Standing>() {
                Ok(standing) => standings.push(standing),
                Err(_) => return Err(asked.odd(visit, STATUS, word)),
            }
        }
        let period = Period::of(&asked, visit, voice, Span::Day)?;
        let mut is_void = false;
        if !period.reaches_now(voice) {
            if standings.is_empty() {
                standings = Standing::ALL.into();
            }
            standings.retain(|standing| standing.is_settled());
            is_void = standings.is_empty();
        }
        let filter = Filter {
            standings,
            app: asked.owned(APP),
            recipient: asked.owned(RECIPIENT),
            event_type: asked.owned(EVENT_TYPE),
            reason: asked.owned(REASON),
            period: inspect::Period {
                settled_since: period.since,
                settled_until: period.until,
                ..inspect::Period::default()
            },
            before: asked.number(visit, BEFORE)?.map(NotificationId),
            after: asked.number(visit, AFTER)?.map(NotificationId),
            limit: 0,
        };
        Ok(Wanted {
            asked,
            filter,
            is_void,
            span: period.span,
        })
    }

    fn turn(&self) -> Turn<i64> {
        match (self.filter.before, self.filter.after) {
            (Some(before), _) => Turn::Before(before.0),
            (None, Some(after)) => Turn::After(after.0),
            (None, None) => Turn::Newest,
        }
    }

    /// The hits on the page of this turn.
    pub(super) async fn hits(
        &self,
        conn: &mut PgConnection,
        turn: Turn<i64>,
        limit: i64,
    ) -> sqlx::Result<inspect::Page> {
        if self.is_void {
            return Ok(inspect::Page::default());
        }
        let (before, after) = match turn {
            Turn::Newest => (None, None),
            Turn::Before(id) => (Some(NotificationId(id)), None),
            Turn::After(id) => (None, Some(NotificationId(id))),
        };
        let filter = Filter {
            before,
            after,
            limit,
            ..self.filter.clone()
        };
        inspect::page(conn, &filter).await
    }

    /// The newest, as many as are counted, and how many there are.
    async fn newest(&self, conn: &mut PgConnection) -> sqlx::Result<(inspect::Page, Capped)> {
        let page = self.hits(conn, Turn::Newest, COUNTED + 1).await?;
        let n = i64::try_from(page.hits.len()).unwrap_or(i64::MAX);
        let mut count = Capped::of(n, COUNTED);
        count.more |= page.looked_to.is_some();
        Ok((page, count))
    }

    /// The filters, without the place in the list.
    fn plain(&self) -> Asked {
        self.asked.without(&[BEFORE, AFTER])
    }

    fn chips(&self, visit: &Visit, voice: &Voice) -> Vec<Chip> {
        let plain = self.plain();
        let mut chips = Vec::new();
        let mut chip = |name: &str, value: String, rest: Asked| {
            let key = format!("desk.asked.{name}");
            chips.push(Chip {
                name: say!(voice, &key),
                value,
                without: rest.href(visit, "/messages"),
            });
        };
        for word in plain.all(STATUS) {
            chip(
                "status",
                voice.status(word),
                plain.without_one(STATUS, word),
            );
        }
        if let Some(key) = plain.get(REASON) {
            let cause = safe(&voice.cause(Some(key), None));
            chip(REASON, cause, plain.without(&[REASON]));
        }
        for name in [RECIPIENT, EVENT_TYPE, APP] {
            if let Some(value) = plain.get(name) {
                chip(name, shown(value), plain.without(&[name]));
            }
        }
        let rest = plain.without(&[PERIOD, FROM, TO]);
        if self.span == Span::Own {
            let ends = [FROM, TO].map(|name| shown(plain.get(name).unwrap_or_default()));
            chip(PERIOD, ends.join(" – ").replace('T', " "), rest);
        } else if self.span != Span::Day {
            chip(PERIOD, self.span.name(voice), rest);
        }
        chips
    }

    fn form(&self, voice: &Voice) -> Form {
        let plain = &self.asked;
        let text = |name: &str| plain.get(name).unwrap_or_default().to_owned();
        Form {
            statuses: Standing::ALL
                .into_iter()
                .map(|standing| Choice {
                    word: standing.word().to_owned(),
                    name: voice.standing(standing),
                    chosen: plain.has(STATUS, standing.word()),
                })
                .collect(),
            spans: Span::choices(self.span, voice),
            reasons: reasons(plain.get(REASON), voice),
            recipient: text(RECIPIENT),
            event_type: text(EVENT_TYPE),
            app: text(APP),
            from: text(FROM),
            to: text(TO),
            open: [REASON, RECIPIENT, EVENT_TYPE, APP, FROM, TO]
                .iter()
                .any(|name| plain.get(name).is_some()),
        }
    }
}

/// Every cause, and the one asked for even when it is a newer version's.
fn reasons(asked: Option<&str>, voice: &Voice) -> Vec<Choice> {
    let mut keys: Vec<&str> = catalogue::ENTRIES.iter().map(|entry| entry.key).collect();
    keys.extend(asked.filter(|asked| catalogue::by_key(asked).is_none()));
    keys.into_iter()
        .map(|key| Choice {
            word: key.to_owned(),
            name: safe(&voice.cause(Some(key), None)),
            chosen: asked == Some(key),
        })
        .collect()
}

pub(super) async fn messages(visit: Visit) -> Result<Response, Trouble> {
    let mut tx = visit.desk.lines.read().await?;
    let voice = visit.voice(&mut tx).await?;
    let wanted = Wanted::of(&visit, &voice, &FILTERS)?;
    let limit = i64::try_from(PAGE + 1).unwrap_or(i64::MAX);
    let (newest, count) = wanted.newest(&mut tx).await?;
    let mut turn = wanted.turn();
    let mut page = match turn {
        Turn::Newest => None,
        Turn::Before(_) | Turn::After(_) => Some(wanted.hits(&mut tx, turn, limit).await?),
    };
    let is_short = |page: &inspect::Page| page.hits.len() < PAGE && page.looked_to.is_none();
    if matches!(turn, Turn::After(_)) && page.as_ref().is_some_and(is_short) {
        // Back at the beginning: the whole newest page.
        turn = Turn::Newest;
        page = None;
    }
    let inspect::Page {
        mut hits,
        looked_to,
    } = page.unwrap_or(newest);
    hits.truncate(PAGE + 1);
    let (hits, mut newer, mut older) = turned(hits, PAGE, turn, |hit| hit.id);
    // Whoever turns over goes on from where looking ended.
    let looked_to = looked_to.map(|to| to.0);
    match turn {
        Turn::After(_) => newer = newer.or(looked_to),
        Turn::Newest | Turn::Before(_) => older = older.or(looked_to),
    }
    // From an empty page the way back is the way it was come.
    match turn {
        Turn::After(id) if hits.is_empty() => older = Some(id.saturating_add(1)),
        Turn::Before(id) if hits.is_empty() => newer = Some(id.saturating_sub(1)),
        _ => {}
    }
    let found = inspect::read(&mut tx, &hits).await?;
    let labels = labels(&mut tx, &visit, &found).await?;
    let newest = inspect::newest_id(&mut tx).await?;
    tx.commit().await?;
    let plain = wanted.plain();
    let at = |name, id: Option<i64>| id.map(|id| plain.with(name, id).href(&visit, "/messages"));
    let page = MessagesPage {
        frame: Frame::new(&visit, say!(visit.lang, "desk.nav.messages"), "/messages"),
        form: wanted.form(&voice),
        chips: wanted.chips(&visit, &voice),
        count: count.to_string(),
        is_long: count.more,
        rows: found
            .iter()
            .map(|it| Row::of(it, labels.get(&it.key.0), &visit, &voice))
            .collect(),
        turns: Turns {
            newest: newer.map(|_| plain.href(&visit, "/messages")),
            newer: at(AFTER, newer),
            older: at(BEFORE, older),
        },
        is_partly: looked_to.is_some(),
        is_further: turn != Turn::Newest,
        newer: (turn == Turn::Newest && !wanted.is_void)
            .then(|| plain.with(AFTER, newest).href(&visit, "/messages/newer")),
        link: plain.href(&visit, "/messages"),
        csv: plain.href(&visit, "/messages/export.csv"),
        json: plain.href(&visit, "/messages/export.json"),
        plain: visit.at("/messages"),
    };
    // The objects of `outboxd list --json`.
    visit.answer(&page, || {
        let rows: Vec<Value> = found
            .iter()
            .map(|it| objects::notification(it, &voice))
            .collect();
        json!({"version": VERSION, "notifications": rows, "count": count.n, "count_is_more": count.more,
               "looked_to": looked_to, "next_before": older, "next_after": newer})
    })
}

#[derive(Template)]
#[template(path = "newer.html")]
struct NewerPage {
    said: Option<String>,
    link: String,
}

/// How many have come since the page was drawn, for the page to say.
pub(super) async fn newer(visit: Visit) -> Result<Response, Trouble> {
    const COUNTED: i64 = 99;
    let mut tx = visit.desk.lines.read().await?;
    let voice = visit.voice(&mut tx).await?;
    let wanted = Wanted::of(&visit, &voice, &FILTERS)?;
    let page = wanted.hits(&mut tx, wanted.turn(), COUNTED + 1).await?;
    tx.commit().await?;
    let count = Capped::of(i64::try_from(page.hits.len()).unwrap_or(i64::MAX), COUNTED);
    let page = NewerPage {
        said: (count.n > 0).then(|| say!(voice, "desk.messages.newer", n = count)),
        link: wanted.plain().href(&visit, "/messages"),
    };
    visit.answer(&page, || Value::Null)
}

impl MessagesPage {
    fn most(&self) -> usize {
        MOST
    }
}
