//! Handled by hand: somebody told the person another way, tried to, or nobody has to any more.
//!
//! The mark speaks of one ending. It changes nothing of the evidence, and a notification that is sent again and refused
//! again is on the list again.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::By;
use super::replace::successor;
use super::seen::{Looked, Seen};
use crate::notification::NotificationId;
use crate::outbox::inspect::Notification;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOutcome {
    /// The person knows.
    Told,
    /// Tried; the notification stays on the list.
    NotReached,
    /// Nobody has to know any more.
    NotNeeded,
}

impl HandOutcome {
    pub const ALL: [HandOutcome; 3] = [
        HandOutcome::Told,
        HandOutcome::NotReached,
        HandOutcome::NotNeeded,
    ];

    /// The word in the column.
    pub fn word(self) -> &'static str {
        match self {
            HandOutcome::Told => "told",
            HandOutcome::NotReached => "not_reached",
            HandOutcome::NotNeeded => "not_needed",
        }
    }
}

/// What became of the mark.
#[derive(Clone, Debug)]
pub enum Handled {
    Done,
    /// Somebody has dealt with this ending: who, when, and what came of it.
    Already {
        by: String,
        at: DateTime<Utc>,
        outcome: String,
    },
    /// Another was written in its place, and is the one to speak of: by whom, and which.
    Replaced {
        by: String,
        new: NotificationId,
    },
    /// Only what was given up or has expired needs it.
    NothingToHandle(Box<Notification>),
    /// It is no longer what was seen.
    Moved(Box<Notification>),
    Missing,
}

/// Marks the ending that was seen, whatever was noted of earlier tries.
pub async fn handle(
    conn: &mut PgConnection,
    seen: &Seen,
    outcome: HandOutcome,
    by: &By,
) -> sqlx::Result<Handled> {
    mark(conn, seen, Tried::Whenever, outcome, by).await
}

/// Marks the ending that was seen, if nobody has noted another try since: the same button pressed twice notes one try, not
/// two.
pub async fn handle_as_seen(
    conn: &mut PgConnection,
    seen: &Seen,
    outcome: HandOutcome,
    by: &By,
) -> sqlx::Result<Handled> {
    mark(conn, seen, Tried::AsSeen, outcome, by).await
}

/// Which tries may have been noted before.
#[derive(PartialEq)]
enum Tried {
    Whenever,
    AsSeen,
}

async fn mark(
    conn: &mut PgConnection,
    seen: &Seen,
    tried: Tried,
    outcome: HandOutcome,
    by: &By,
) -> sqlx::Result<Handled> {
    let it = match seen.look(&mut *conn).await? {
        Looked::Same(it) | Looked::Noted(it) => it,
        Looked::Moved(it) => return Ok(Handled::Moved(it)),
        Looked::Missing => return Ok(Handled::Missing),
    };
    if let Some((new, by)) = successor(&mut *conn, it.id, it.key).await? {
        return Ok(Handled::Replaced { by, new });
    }
    let (Some(settled_at), "dead" | "expired") = (it.settled_at, it.standing.word()) else {
        return Ok(Handled::NothingToHandle(it));
    };
    // An attempt to reach somebody may be followed by another; what is dealt with stays as it is.
    let marked = sqlx::query!(
        r#"-- outboxd handle
           with before as (
               select h.outcome, h.handled_by from outboxd.notification_handled h
                where h.notification_id = $1 and h.key = $2 and h.settled_at = $3
           ),
           marked as (
               insert into outboxd.notification_handled as h (notification_id, key, settled_at, outcome, handled_by)
               values ($1, $2, $3, $4, $5)
               on conflict (notification_id, key, settled_at) do update
                  set outcome = excluded.outcome, handled_by = excluded.handled_by, handled_at = clock_timestamp()
                where h.outcome = 'not_reached' and ($8 or h.handled_at = $9)
               returning h.outcome
           )
           insert into outboxd.audit_log (actor, action, app, notification_ids, affected, reason, detail)
           select $5, 'handle', $6, array[$1], 1, $7,
                  jsonb_build_object('before', (select to_jsonb(before) from before), 'after', to_jsonb(marked))
             from marked"#,
        it.id.0,
        it.key.0,
        settled_at,
        outcome.word(),
        by.actor,
        it.app,
        by.reason,
        tried == Tried::Whenever,
        seen.noted_at()
    )
    .execute(&mut *conn)
    .await?;
    if marked.rows_affected() == 1 {
        return Ok(Handled::Done);
    }
    let mark = sqlx::query!(
        r#"-- outboxd handle: earlier
           select h.outcome, h.handled_by, h.handled_at from outboxd.notification_handled h
            where h.notification_id = $1 and h.key = $2 and h.settled_at = $3 limit 1"#,
        it.id.0,
        it.key.0,
        settled_at
    )
    .fetch_one(conn)
    .await?;
    Ok(Handled::Already {
        by: mark.handled_by,
        at: mark.handled_at,
        outcome: mark.outcome,
    })
}
