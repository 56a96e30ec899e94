//! An answer for people: a notification with its verdict, gathered once, whoever shows it.
//!
//! The command line prints it and the desk renders it; both say the same because both ask here. [`json`] is the form
//! for machines, [`life`] one notification's whole life.

pub(crate) mod audit;
pub(crate) mod bulk;
pub(crate) mod gate;
pub(crate) mod json;
pub(crate) mod life;
mod name;
pub(crate) mod numbers;
mod passed_on;
pub(crate) mod told;

use std::collections::HashMap;

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::postgres::PgConnection;

pub(crate) use name::{Name, meant};

use crate::catalogue::Who;
use crate::notification::{NotificationId, Status};
use crate::outbox::inspect::{self, Act, Links, Match, Notification, Signs, Standing, WhyNotYet};
use crate::words::cause::role;
use crate::words::mask::{glimpse, safe};
use crate::words::verdict::{Beside, Verdict};
use crate::words::{Voice, say};

/// A notification, why it is not there yet, and what is said about both.
pub(crate) struct Card {
    pub(crate) it: Notification,
    pub(crate) why: Option<WhyNotYet>,
    pub(crate) verdict: Verdict,
    /// What people put beside it.
    pub(crate) links: Links,
    /// Where a search found its text, and a glimpse of it.
    pub(crate) found: Option<(Match, String)>,
}

/// How many acts of a notification are read.
pub(crate) const ACTS: i64 = 100;

/// Their cards, in the same order.
pub(crate) async fn cards(
    conn: &mut PgConnection,
    voice: &Voice,
    found: Vec<Notification>,
) -> Result<Vec<Card>> {
    let mut cards = Vec::new();
    let unsettled = found.iter().filter(|it| !it.standing.is_settled());
    let asked: Vec<_> = unsettled.map(|it| (it.id, it.key)).collect();
    let mut reasons = match asked[..] {
        [] => HashMap::new(),
        _ => inspect::why_each_not_yet(conn, &asked, &mut Signs::default()).await?,
    };
    let mut links = inspect::links(conn, &found).await?;
    let mut late = accepted_late(conn, &found).await?;
    for it in found {
        let why = reasons.remove(&it.key.0);
        let beside = Beside {
            links: links.remove(&it.key.0).unwrap_or_default(),
            cancelled: match it.standing {
                Standing::Settled(Status::Cancelled) => cancelled(conn, &it).await?,
                _ => None,
            },
            // After a failover to a lagging standby another notification may have had the id.
            accepted_late: late.remove(&it.id.0).filter(|(at, _)| *at >= it.created_at),
        };
        let verdict = voice.verdict(&it, why.as_ref(), &beside);
        cards.push(Card {
            it,
            why,
            verdict,
            links: beside.links,
            found: None,
        });
    }
    Ok(cards)
}

/// Of those that were settled otherwise, when an answer came that said they were accepted.
async fn accepted_late(
    conn: &mut PgConnection,
    found: &[Notification],
) -> sqlx::Result<HashMap<i64, (DateTime<Utc>, String)>> {
    let delivered = Standing::Settled(Status::Delivered);
    let otherwise = |it: &&Notification| it.standing.is_settled() && it.standing != delivered;
    let ids: Vec<i64> = found.iter().filter(otherwise).map(|it| it.id.0).collect();
    match ids[..] {
        [] => Ok(HashMap::new()),
        _ => inspect::accepted_late(conn, &ids).await,
    }
}

async fn cancelled(conn: &mut PgConnection, it: &Notification) -> Result<Option<Act>> {
    let acts = inspect::acts(conn, it.id, ACTS).await?;
    Ok(acts.into_iter().rfind(|act| act.action == "cancel"))
}

/// The colour of a mark, by meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Waiting,
    Bad,
    Quiet,
}

/// Mark and tone: the colour is never the only sign.
pub(crate) fn mark(it: &Notification) -> (&'static str, Tone) {
    match it.standing {
        Standing::Settled(Status::Delivered) => ("✓", Tone::Good),
        Standing::Settled(Status::Dead | Status::Expired) if it.may_have_arrived => {
            ("?", Tone::Bad)
        }
        Standing::Settled(Status::Dead | Status::Expired) => ("✗", Tone::Bad),
        Standing::Settled(Status::Superseded | Status::Cancelled) => ("–", Tone::Quiet),
        Standing::Queued
        | Standing::Scheduled
        | Standing::Retrying
        | Standing::InFlight
        | Standing::Held
        | Standing::AwaitingGrant => ("…", Tone::Waiting),
    }
}

impl Card {
    /// Of what it will be settled as, if that is certain: "scheduled" is no word for what is not sent any more.
    pub(crate) fn mark(&self, voice: &Voice) -> (&'static str, Tone) {
        match self.comes_to(voice) {
            Some(status) => mark(&Notification {
                standing: Standing::Settled(status),
                ..self.it.clone()
            }),
            None => mark(&self.it),
        }
    }

    /// Where it stands, likewise.
    pub(crate) fn standing(&self, voice: &Voice) -> String {
        match self.comes_to(voice) {
            Some(status) => voice.standing(Standing::Settled(status)),
            None => voice.standing_of(&self.it),
        }
    }

    /// The other one that its verdict speaks of: in its place, newer than it, or before it.
    pub(crate) fn other(&self) -> Option<NotificationId> {
        match (&self.why, &self.links) {
            (
                Some(
                    WhyNotYet::Behind { id, .. }
                    | WhyNotYet::Superseded { by: id }
                    | WhyNotYet::RetryAt {
                        behind: Some(id), ..
                    }
                    | WhyNotYet::Scheduled {
                        behind: Some(id), ..
                    },
                ),
                _,
            ) => Some(*id),
            (Some(_), _) => None,
            (
                None,
                Links {
                    later: Some(later), ..
                },
            ) => Some(later.id),
            (None, links) => links
                .newer
                .filter(|_| self.it.standing != Standing::Settled(Status::Delivered)),
        }
    }

    /// What happened with the doubt about it, in one cell.
    pub(crate) fn happened(&self) -> String {
        match &self.verdict.doubt {
            Some(doubt) => format!("{} {doubt}", self.verdict.happened),
            None => self.verdict.happened.clone(),
        }
    }

    pub(crate) fn json(&self, voice: &Voice) -> Value {
        let mut object = json::notification(&self.it, voice);
        object["verdict"] = json::verdict(&self.verdict, voice);
        object["why_not_yet"] = json::why_not_yet(self.why.as_ref(), voice);
        object["handled"] = json::mark(self.links.handled.as_ref(), voice);
        object["predecessor"] = json::link(self.links.earlier.as_ref(), voice);
        object["successor"] = json::link(self.links.later.as_ref(), voice);
        if let Some((found, glimpse)) = &self.found {
            object["matched"] = json::matched(found, glimpse);
        }
        object
    }
}

/// A CRM that wrote something within this time has a door that works.
const DOOR_WORKS: TimeDelta = TimeDelta::days(1);

/// The verdict "no message exists", and who looks further.
pub(crate) struct NoMessage {
    /// What there is not, and what that means.
    pub(crate) happened: [String; 2],
    pub(crate) who: Who,
}

impl NoMessage {
    pub(crate) fn json(&self) -> Value {
        serde_json::json!({"kind": "no_message", "happened": self.happened.join("\n"), "who": role(self.who)})
    }
}

/// What was looked for and is not there.
pub(crate) enum Sought<'a> {
    /// A customer, by the CRM's id.
    Customer(&'a str),
    /// Whatever stood in the search box.
    Text(&'a str),
    /// The same, by a login that may not read payloads, where names and numbers stand: it may well be there.
    Unread(&'a str),
}

/// It was not assigned, or the CRM did not enqueue. When the CRM last enqueued anything tells the one from the other: who
/// asks can look an assignment up, but only a developer sees why the CRM is silent.
pub(crate) fn nothing(
    voice: &Voice,
    sought: &Sought<'_>,
    last: Option<DateTime<Utc>>,
) -> NoMessage {
    let what = match sought {
        Sought::Customer(customer) => say!(voice, "none.customer", customer = safe(customer)),
        Sought::Text(text) => say!(voice, "none.text", text = safe(text)),
        Sought::Unread(text) => {
            return NoMessage {
                happened: [
                    say!(voice, "none.unread", text = safe(text)),
                    say!(voice, "none.unread_next"),
                ],
                who: Who::Support,
            };
        }
    };
    let (meaning, who) = match last {
        None => (say!(voice, "none.ever"), Who::Developer),
        Some(at) if voice.now - at < DOOR_WORKS => {
            let at = voice.when(at);
            let others = match sought {
                Sought::Customer(_) => say!(voice, "none.others", at = at),
                Sought::Text(_) | Sought::Unread(_) => say!(voice, "none.text_others", at = at),
            };
            (others, Who::Support)
        }
        Some(at) => {
            let span = voice.span(voice.now - at);
            let silent = say!(voice, "none.silent", span = span, at = voice.exact(at));
            (silent, Who::Developer)
        }
    };
    NoMessage {
        happened: [what, meaning],
        who,
    }
}

/// Columns stand on the card in any case; of a payload no more is shown than was typed.
pub(crate) fn glimpsed(matched: Match, it: &Notification, typed: &str) -> (Match, String) {
    let text = match &matched {
        Match::Id => it.id.to_string(),
        Match::Key => it.key.to_string(),
        Match::Customer => it.aggregate_id.clone(),
        Match::Recipient => it.recipient.clone(),
        Match::DedupeKey => it.dedupe_key.clone().unwrap_or_default(),
        Match::Payload { value, .. } => glimpse(value, typed),
    };
    (matched, text)
}
