//! The audit log: who did what to how many, when and why, and what was there before and after.

mod file;

pub(super) use file::{csv, json};

use askama::Template;
use axum::response::Response;
use serde_json::{Map, Value, json};
use sqlx::postgres::PgConnection;

use super::asked::{Asked, Chip, Choice, Turn, Turns, turned};
use super::messages::APP;
use super::page::{Frame, When};
use super::period::{FROM, PERIOD, Period, Span, TO};
use super::trouble::Trouble;
use super::visit::{Visit, shown};
use crate::answer::audit::{detail, object};
use crate::answer::json::VERSION;
use crate::notification::NotificationId;
use crate::outbox::inspect::{self, AuditFilter, AuditLine};
use crate::words::label::ACTIONS;
use crate::words::{Voice, say};

const PAGE: usize = 50;
/// Links to notifications in a line that touched many.
const LINKS: usize = 5;
const ACTOR: &str = "actor";
const ACTION: &str = "action";
const NOTIFICATION: &str = "notification";
const BEFORE: &str = "before";
const AFTER: &str = "after";
pub(super) const FILTERS: [&str; 9] = [
    ACTOR,
    ACTION,
    APP,
    NOTIFICATION,
    PERIOD,
    FROM,
    TO,
    BEFORE,
    AFTER,
];
/// A file goes on to older ones only.
pub(super) const FILE_FILTERS: &[&str] = FILTERS.split_at(8).0;

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: Frame,
    form: Form,
    chips: Vec<Chip>,
    lines: Vec<LineView>,
    turns: Turns,
    link: String,
    csv: String,
    json: String,
}

struct Form {
    actor: String,
    actions: Vec<Choice>,
    app: String,
    notification: String,
    spans: Vec<Choice>,
    from: String,
    to: String,
}

struct LineView {
    at: When,
    actor: String,
    action: String,
    app: Option<String>,
    affected: i32,
    notifications: Vec<(i64, String)>,
    /// More than are linked.
    more: bool,
    reason: Option<String>,
    changes: Vec<Change>,
}

/// A fact of an act, and what it was before where it changed one.
struct Change {
    name: String,
    before: Option<String>,
    after: String,
}

struct Wanted {
    asked: Asked,
    filter: AuditFilter,
    span: Span,
}

impl Wanted {
    fn of(visit: &Visit, voice: &Voice, known: &[&'static str]) -> Result<Wanted, Trouble> {
        let asked = Asked::of(visit, known)?;
        let period = Period::of(&asked, visit, voice, Span::Month)?;
        let filter = AuditFilter {
            actor: asked.owned(ACTOR),
            action: asked.owned(ACTION),
            app: asked.owned(APP),
            notification: asked.number(visit, NOTIFICATION)?.map(NotificationId),
            since: period.since,
            until: period.until,
            before: asked.number(visit, BEFORE)?,
            after: asked.number(visit, AFTER)?,
            limit: 0,
        };
        Ok(Wanted {
            asked,
            filter,
            span: period.span,
        })
    }

    async fn lines(
        &self,
        conn: &mut PgConnection,
        turn: Turn<i64>,
        limit: i64,
    ) -> sqlx::Result<Vec<AuditLine>> {
        let (before, after) = match turn {
            Turn::Newest => (None, None),
            Turn::Before(id) => (Some(id), None),
            Turn::After(id) => (None, Some(id)),
        };
        let filter = AuditFilter {
            before,
            after,
            limit,
            ..self.filter.clone()
        };
        inspect::audit(conn, &filter).await
    }

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
                without: rest.href(visit, "/audit"),
            });
        };
        for name in [ACTOR, ACTION, APP, NOTIFICATION] {
            if let Some(value) = plain.get(name) {
                let value = match name {
                    ACTION => voice.action(value),
                    _ => shown(value),
                };
                chip(name, value, plain.without(&[name]));
            }
        }
        let rest = plain.without(&[PERIOD, FROM, TO]);
        if self.span == Span::Own {
            let ends = [FROM, TO].map(|name| shown(plain.get(name).unwrap_or_default()));
            chip(PERIOD, ends.join(" – ").replace('T', " "), rest);
        } else if self.span != Span::Month {
            chip(PERIOD, self.span.name(voice), rest);
        }
        chips
    }

    fn form(&self, voice: &Voice) -> Form {
        let text = |name: &str| self.asked.get(name).unwrap_or_default().to_owned();
        let action = self.asked.get(ACTION);
        let mut actions = ACTIONS.to_vec();
        actions.extend(action.filter(|action| !ACTIONS.contains(action)));
        Form {
            actor: text(ACTOR),
            actions: actions
                .into_iter()
                .map(|word| Choice {
                    word: word.to_owned(),
                    name: voice.action(word),
                    chosen: action == Some(word),
                })
                .collect(),
            app: text(APP),
            notification: text(NOTIFICATION),
            spans: Span::choices(self.span, voice),
            from: text(FROM),
            to: text(TO),
        }
    }
}

pub(super) async fn audit(visit: Visit) -> Result<Response, Trouble> {
    let mut tx = visit.desk.lines.read().await?;
    let voice = visit.voice(&mut tx).await?;
    let wanted = Wanted::of(&visit, &voice, &FILTERS)?;
    let limit = i64::try_from(PAGE + 1).unwrap_or(i64::MAX);
    let mut turn = match (wanted.filter.before, wanted.filter.after) {
        (Some(before), _) => Turn::Before(before),
        (None, Some(after)) => Turn::After(after),
        (None, None) => Turn::Newest,
    };
    let mut lines = wanted.lines(&mut tx, turn, limit).await?;
    if matches!(turn, Turn::After(_)) && lines.len() < PAGE {
        turn = Turn::Newest;
        lines = wanted.lines(&mut tx, turn, limit).await?;
    }
    tx.commit().await?;
    let (lines, newer, older) = turned(lines, PAGE, turn, |line| line.id);
    let plain = wanted.plain();
    let at = |name, id: Option<i64>| id.map(|id| plain.with(name, id).href(&visit, "/audit"));
    let page = AuditPage {
        frame: Frame::new(&visit, say!(visit.lang, "desk.nav.audit"), "/audit"),
        form: wanted.form(&voice),
        chips: wanted.chips(&visit, &voice),
        lines: lines
            .iter()
            .map(|line| LineView::of(line, &visit, &voice))
            .collect(),
        turns: Turns {
            newest: newer.map(|_| plain.href(&visit, "/audit")),
            newer: at(AFTER, newer),
            older: at(BEFORE, older),
        },
        link: plain.href(&visit, "/audit"),
        csv: plain.href(&visit, "/audit/export.csv"),
        json: plain.href(&visit, "/audit/export.json"),
    };
    visit.answer(&page, || {
        let lines: Vec<Value> = lines.iter().map(|line| object(line, &voice)).collect();
        json!({"version": VERSION, "lines": lines, "next_before": older, "next_after": newer})
    })
}

impl LineView {
    fn of(line: &AuditLine, visit: &Visit, voice: &Voice) -> LineView {
        LineView {
            at: When::of(line.at, voice),
            actor: shown(&line.actor),
            action: voice.action(&line.action),
            app: line.app.as_deref().map(shown),
            affected: line.affected,
            notifications: line
                .notifications
                .iter()
                .take(LINKS)
                .map(|id| (*id, visit.at(&format!("/messages/{id}"))))
                .collect(),
            more: line.notifications.len() > LINKS,
            reason: line.reason.as_deref().map(shown),
            changes: changes(&detail(line)),
        }
    }
}

/// `before` and `after` side by side, field by field or, where the same was done to many, one by one; whatever else is known
/// after them.
fn changes(detail: &Value) -> Vec<Change> {
    let nothing = Map::new();
    let of = |name: &str| {
        detail
            .get(name)
            .and_then(Value::as_object)
            .unwrap_or(&nothing)
    };
    let (before, after) = (of("before"), of("after"));
    let of_all = detail.get("after").filter(|it| it.is_string());
    let mut changes = Vec::new();
    for (name, now) in after {
        let was = before.get(name);
        if was != Some(now) {
            changes.push(Change {
                name: shown(name),
                before: Some(was.map_or_else(|| "–".to_owned(), text)),
                after: text(now),
            });
        }
    }
    for (name, was) in before.iter().filter(|(name, _)| !after.contains_key(*name)) {
        changes.push(Change {
            name: shown(name),
            before: Some(text(was)),
            after: of_all.map_or_else(|| "–".to_owned(), text),
        });
    }
    let rest = detail.as_object().unwrap_or(&nothing);
    for (name, it) in rest {
        let is_shown = match &**name {
            "before" => it.is_object() || it.is_null(),
            "after" => it.is_object() || it.is_null() || (of_all.is_some() && !before.is_empty()),
            _ => false,
        };
        if is_shown {
            continue;
        }
        changes.push(Change {
            name: shown(name),
            before: None,
            after: text(it),
        });
    }
    changes
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => shown(text),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(some) => some.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Object(some) => {
            let each = some
                .iter()
                .map(|(name, it)| format!("{}: {}", shown(name), text(it)));
            each.collect::<Vec<_>>().join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_shows_what_was_and_what_is() {
        let detail = json!({"before": {"a": 1, "b": "x", "gone": true}, "after": {"a": 2, "b": "x", "new": null}, "note": "n"});
        let told: Vec<_> = changes(&detail)
            .into_iter()
            .map(|it| (it.name, it.before.unwrap_or_default(), it.after))
            .collect();
        let line = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(
            told,
            [
                line("a", "1", "2"),
                line("new", "–", "–"),
                line("gone", "true", "–"),
                line("note", "", "n"),
            ]
        );
        assert!(changes(&json!({"before": null, "after": {}})).is_empty());
        // One word for many, each of which was something else before.
        let detail = json!({"before": {"7": {"status": "dead", "reason": "r"}, "8": {"next_attempt_at": null}}, "after": "due"});
        let told: Vec<_> = changes(&detail)
            .into_iter()
            .map(|it| (it.name, it.before.unwrap_or_default(), it.after))
            .collect();
        assert_eq!(
            told,
            [
                line("7", "reason: r, status: dead", "due"),
                line("8", "next_attempt_at: –", "due"),
            ]
        );
    }
}
