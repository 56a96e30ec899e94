//! What a person had before their eyes when they pressed the button.
//!
//! A page is old the moment it is drawn. Whoever acts names what they saw; if the notification has moved since (a
//! colleague was quicker, a daemon took it, the same button was pressed twice), nothing is done and they are told
//! what is there now.

use std::fmt;
use std::str::FromStr;

use sqlx::PgConnection;
use uuid::Uuid;

use super::{By, Cancelled, Doubt, Retried};
use crate::notification::{Key, NotificationId};
use crate::outbox::inspect::{self, Notification};

/// A notification as somebody saw it. Its text, `id.key.version`, goes through a form and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub id: NotificationId,
    pub key: Key,
    /// Changes with whatever an act or a daemon changes, and with nothing else.
    version: u64,
}

/// What is there when the act begins.
#[derive(Clone, Debug)]
pub enum Looked {
    /// What the person saw.
    Same(Box<Notification>),
    /// Something else, as it is now.
    Moved(Box<Notification>),
    /// There is no such notification.
    Missing,
}

impl Seen {
    pub fn of(it: &Notification) -> Seen {
        let micros = |at: Option<chrono::DateTime<chrono::Utc>>| at.map(|at| at.timestamp_micros());
        // FNV-1a over what moves. A held row is no other than a queued one: the gate is not the row's.
        let moves = format!(
            "{:?} {} {} {:?} {:?} {:?}",
            it.settled_at.map(|_| it.standing.word()),
            it.attempts,
            it.may_have_arrived,
            micros(it.settled_at),
            micros(it.next_attempt_at),
            micros(it.last_attempt_at),
        );
        let version = moves.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Seen {
            id: it.id,
            key: it.key,
            version,
        }
    }

    /// Looks again, holding what is unsettled until the transaction ends. What is settled leaves its place only by a
    /// delete that waits for others, so the acts on it need no lock here.
    pub async fn look(&self, conn: &mut PgConnection) -> sqlx::Result<Looked> {
        sqlx::query!(
            r#"-- outboxd look again: lock
               select o.id from outboxd.notification_outbox o where o.id = $1 and o.key = $2 limit 1 for update"#,
            self.id.0,
            self.key.0
        )
        .fetch_optional(&mut *conn)
        .await?;
        let there = inspect::of_ids(conn, &[self.id.0]).await?;
        Ok(match there.into_iter().find(|it| it.key == self.key) {
            None => Looked::Missing,
            Some(it) if Seen::of(&it) == *self => Looked::Same(Box::new(it)),
            Some(it) => Looked::Moved(Box::new(it)),
        })
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{:016x}", self.id, self.key, self.version)
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
            })
        })();
        seen.filter(|_| parts.next().is_none())
            .ok_or("not what a page of ours sends: id, key and version with dots between")
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
        Looked::Moved(it) => return Ok(AsSeen::Moved(it)),
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
        Looked::Moved(it) => return Ok(AsSeen::Moved(it)),
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
        assert_eq!(text.parse::<Seen>().unwrap().to_string(), text);
        for wrong in [
            "",
            "4711",
            "4711.x.1",
            &format!("{text}.1"),
            "x.5f0c3c1e-6f0e-4f0e-9d43-0a4d7e1c2b3a.1",
        ] {
            assert!(wrong.parse::<Seen>().is_err(), "{wrong}");
        }
    }
}
