//! What a person had before their eyes when they pressed the button.
//!
//! A page is old the moment it is drawn. Whoever acts names what they saw; if the notification has moved since (a
//! colleague was quicker, a daemon took it, the same button was pressed twice), nothing is done and they are told
//! what is there now. So it is if the row is the same, but another was written in its place, or somebody noted that the
//! person knows.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{By, Cancelled, Doubt, Retried};
use crate::notification::{Key, NotificationId};
use crate::outbox::inspect::{self, Links, Notification};

/// A notification as somebody saw it. Its text, `id.key.version.noted_at`, goes through a form and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub id: NotificationId,
    pub key: Key,
    /// Changes with whatever an act or a daemon changes, and with nothing else.
    version: u64,
    /// When somebody last noted something of this ending, in microseconds of the epoch; 0 for never.
    noted_at: i64,
}

/// What is there when the act begins.
#[derive(Clone, Debug)]
pub enum Looked {
    /// What the person saw.
    Same(Box<Notification>),
    /// The same, but somebody has noted something of its ending.
    Noted(Box<Notification>),
    /// Something else, as it is now.
    Moved(Box<Notification>),
    /// There is no such notification.
    Missing,
}

impl Seen {
    pub fn of(it: &Notification, links: &Links) -> Seen {
        let noted_at = links.handled.as_ref().map(|mark| mark.at);
        Seen::beside(it, links.later.as_ref().map(|later| later.id), noted_at)
    }

    /// On the list of people to phone, where nothing has another one in its place.
    pub fn of_call(it: &Notification, tried_at: Option<DateTime<Utc>>) -> Seen {
        Seen::beside(it, None, tried_at)
    }

    fn beside(
        it: &Notification,
        later: Option<NotificationId>,
        noted_at: Option<DateTime<Utc>>,
    ) -> Seen {
        let micros = |at: Option<DateTime<Utc>>| at.map(|at| at.timestamp_micros());
        // FNV-1a over what moves. A held row is no other than a queued one: the gate is not the row's.
        let moves = format!(
            "{:?} {} {} {:?} {:?} {:?} {:?}",
            it.settled_at.map(|_| it.standing.word()),
            it.attempts,
            it.may_have_arrived,
            micros(it.settled_at),
            micros(it.next_attempt_at),
            micros(it.last_attempt_at),
            later,
        );
        let version = moves.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Seen {
            id: it.id,
            key: it.key,
            version,
            noted_at: micros(noted_at).unwrap_or_default(),
        }
    }

    /// When somebody had last noted something.
    pub(super) fn noted_at(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_micros(self.noted_at).filter(|_| self.noted_at != 0)
    }

    /// Looks again, holding what is unsettled until the transaction ends. What is settled leaves its place only by a
    /// delete that waits for others, so the acts on it need no lock on the row here.
    pub async fn look(&self, conn: &mut PgConnection) -> sqlx::Result<Looked> {
        one_at_a_time(&mut *conn, self.key).await?;
        sqlx::query!(
            r#"-- outboxd look again: lock
               select o.id from outboxd.notification_outbox o where o.id = $1 and o.key = $2 limit 1 for update"#,
            self.id.0,
            self.key.0
        )
        .fetch_optional(&mut *conn)
        .await?;
        let there = inspect::of_ids(&mut *conn, &[self.id.0]).await?;
        let Some(it) = there.into_iter().find(|it| it.key == self.key) else {
            return Ok(Looked::Missing);
        };
        let mut links = inspect::links(conn, std::slice::from_ref(&it)).await?;
        let now = Seen::of(&it, &links.remove(&it.key.0).unwrap_or_default());
        let it = Box::new(it);
        Ok(if now == *self {
            Looked::Same(it)
        } else if now.version == self.version {
            Looked::Noted(it)
        } else {
            Looked::Moved(it)
        })
    }
}

/// People who have seen one notification act on it one after the other, each to the end of their transaction: a settled row
/// cannot be locked, and what they write beside it is not there yet.
pub(super) async fn one_at_a_time(conn: &mut PgConnection, key: Key) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- outboxd look again: one at a time
           select from pg_advisory_xact_lock(hashtextextended('outboxd.replace:' || $1::uuid, 0)) limit 1"#,
        key.0
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Those of these settled ones on which nobody acts at this moment, nor has since they were picked; nobody does before the
/// transaction ends. For whoever sends many again, and waits for none of them.
pub(in crate::outbox) async fn in_nobodys_hands(
    conn: &mut PgConnection,
    names: &[(i64, Uuid)],
) -> sqlx::Result<Vec<(i64, Uuid)>> {
    let (ids, keys): (Vec<i64>, Vec<Uuid>) = names.iter().copied().unzip();
    let held = sqlx::query_scalar!(
        r#"-- outboxd in nobody's hands: hold
           select key as "key!" from unnest($1::uuid[]) as key
            where pg_try_advisory_xact_lock(hashtextextended('outboxd.replace:' || key, 0))
            limit 100000"#,
        &keys
    )
    .fetch_all(&mut *conn)
    .await?;
    let dealt_with = sqlx::query_scalar!(
        r#"-- outboxd in nobody's hands: dealt with
           select n.old_key as "key!" from outboxd.notification_successor n where n.old_id = any($1)
           union all
           select h.key from outboxd.notification_handled h
             join outboxd.notification_delivery d on d.id = h.notification_id and d.key = h.key and d.settled_at = h.settled_at
            where h.notification_id = any($1) and h.outcome <> 'not_reached'
           limit 100000"#,
        &ids
    )
    .fetch_all(conn)
    .await?;
    let is_free = |(_, key): &&(i64, Uuid)| held.contains(key) && !dealt_with.contains(key);
    Ok(names.iter().filter(is_free).copied().collect())
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Seen {
            id,
            key,
            version,
            noted_at,
        } = self;
        write!(f, "{id}.{key}.{version:016x}.{noted_at}")
    }
}

impl FromStr for Seen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Seen, Self::Err> {
        let mut parts = text.split('.');
        let seen = (|| {
            Some(Seen {
                id: NotificationId(parts.next()?.parse().ok()?),
                key: Key(parts.next()?.parse::<Uuid>().ok()?),
                version: u64::from_str_radix(parts.next()?, 16).ok()?,
                noted_at: parts.next()?.parse().ok()?,
            })
        })();
        seen.filter(|_| parts.next().is_none())
            .ok_or("not what a page of ours sends: id, key, version and time with dots between")
    }
}

/// What became of an act on what was seen.
#[derive(Clone, Debug)]
pub enum AsSeen<T> {
    Acted(T),
    /// It moved before: nothing was done, and this is what is there now.
    Moved(Box<Notification>),
    Missing,
}

/// Sends again what was seen.
pub async fn retry_as_seen(
    conn: &mut PgConnection,
    seen: &Seen,
    by: &By,
    doubt: Doubt,
) -> sqlx::Result<AsSeen<Retried>> {
    let it = match seen.look(&mut *conn).await? {
        Looked::Same(it) => it,
        Looked::Noted(it) | Looked::Moved(it) => return Ok(AsSeen::Moved(it)),
        Looked::Missing => return Ok(AsSeen::Missing),
    };
    let done = super::retry(conn, std::slice::from_ref(&*it), by, doubt).await?;
    Ok(AsSeen::Acted(
        done.first().copied().unwrap_or(Retried::Gone),
    ))
}

/// Takes back what was seen.
pub async fn cancel_as_seen(
    conn: &mut PgConnection,
    seen: &Seen,
    by: &By,
) -> sqlx::Result<AsSeen<Cancelled>> {
    let it = match seen.look(&mut *conn).await? {
        Looked::Same(it) => it,
        Looked::Noted(it) | Looked::Moved(it) => return Ok(AsSeen::Moved(it)),
        Looked::Missing => return Ok(AsSeen::Missing),
    };
    let done = super::cancel(conn, std::slice::from_ref(&*it), by).await?;
    let fate = done.first().copied().unwrap_or(Cancelled::TooLate);
    Ok(AsSeen::Acted(fate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_goes_through_a_form_and_back() {
        let text = "4711.5f0c3c1e-6f0e-4f0e-9d43-0a4d7e1c2b3a.00000000deadbeef";
        for noted_at in ["0", "1795354157000123"] {
            let text = format!("{text}.{noted_at}");
            assert_eq!(text.parse::<Seen>().unwrap().to_string(), text);
        }
        for wrong in [
            "",
            "4711",
            "4711.x.1.0",
            text,
            &format!("{text}.x"),
            &format!("{text}.0.1"),
            "x.5f0c3c1e-6f0e-4f0e-9d43-0a4d7e1c2b3a.1.0",
        ] {
            assert!(wrong.parse::<Seen>().is_err(), "{wrong}");
        }
    }
}
