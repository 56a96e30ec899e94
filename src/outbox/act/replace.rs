//! "Send to someone else" and "correct and send": another notification in the place of this one.
//!
//! What a receiver was told under a key must stay true, so nothing is rewritten: a new notification with a new key goes
//! through the same door as the CRM's, the two are linked, and the old one is settled as superseded if it was still
//! waiting. If it was settled already, it stays as it is. Each notification has one successor at most; of two people
//! who replace the same one, one does, and the other is told which.
//!
//! The new one is due at once: what is put right is wanted now, and does not wait for the next try of what was wrong. Only
//! the time that somebody chose for the old one holds for the new one, too.

use sqlx::PgConnection;
use sqlx::types::JsonValue;

use super::By;
use super::seen::{Looked, Seen, one_at_a_time};
use crate::notification::{Key, NotificationId};
use crate::outbox::inspect::{self, Notification};

/// What is to be different.
#[derive(Clone, Debug)]
pub enum Change<'a> {
    /// The same news to another CRM user.
    Recipient(&'a str),
    /// The same, with a payload that names the other user: JSON text of an object.
    RecipientNamed(&'a str, &'a str),
    /// To the same user with another payload.
    Payload(&'a str),
}

impl Change<'_> {
    /// The word in the column, and the action in the audit log.
    pub fn word(&self) -> &'static str {
        match self {
            Change::Recipient(_) | Change::RecipientNamed(..) => "redirect",
            Change::Payload(_) => "correct",
        }
    }
}

/// What became of it.
#[derive(Clone, Debug)]
pub enum Replaced {
    /// Written; the old one was superseded if it was still waiting.
    Done {
        new: NotificationId,
        superseded: bool,
    },
    /// Somebody did it before: by whom, and the other notification.
    Already {
        by: String,
        new: NotificationId,
    },
    /// It is being called at this moment: wait for that answer.
    InFlight,
    /// A newer one of its `collapse_key` took its place; in the place of this one another would be newer still, and
    /// supersede that.
    Superseded(NotificationId),
    /// It would be the same once more.
    NoChange,
    Moved(Box<Notification>),
    Missing,
}

/// Writes another notification in the place of the one that was seen.
pub async fn replace(
    conn: &mut PgConnection,
    seen: &Seen,
    change: &Change<'_>,
    by: &By,
) -> sqlx::Result<Replaced> {
    one_at_a_time(&mut *conn, seen.key).await?;
    if let Some((new, by)) = successor(&mut *conn, seen.id, seen.key).await? {
        return Ok(Replaced::Already { by, new });
    }
    // `write` takes it again: whatever may have to be waited for comes before the look, so that what came meanwhile is seen.
    sqlx::query!(
        r#"-- outboxd replace: lock the order
           select from (select o.app, o.order_key from outboxd.notification_outbox o where o.id = $1 and o.key = $2
                        union all
                        select d.app, d.order_key from outboxd.notification_delivery d where d.id = $1 and d.key = $2
                        limit 1) old,
                  pg_advisory_xact_lock(outboxd.key_lock('order', old.app, old.order_key))
            where old.order_key is not null limit 1"#,
        seen.id.0,
        seen.key.0
    )
    .execute(&mut *conn)
    .await?;
    let it = match seen.look(&mut *conn).await? {
        Looked::Same(it) => it,
        Looked::Noted(it) | Looked::Moved(it) => return Ok(Replaced::Moved(it)),
        Looked::Missing => return Ok(Replaced::Missing),
    };
    let in_flight = sqlx::query_scalar!(
        r#"-- outboxd replace: in flight
           select exists (select from outboxd.notification_outbox o
                           where o.id = $1 and o.key = $2
                             and o.lease_until between statement_timestamp()
                                                   and statement_timestamp() + interval '20 minutes') as "in_flight!""#,
        it.id.0,
        it.key.0
    )
    .fetch_one(&mut *conn)
    .await?;
    if in_flight {
        return Ok(Replaced::InFlight);
    }
    let newer = inspect::newer(&mut *conn, &[it.id.0], &[it.key.0]).await?;
    if let Some(newer) = newer.get(&it.key.0) {
        return Ok(Replaced::Superseded(*newer));
    }
    let Some(new) = write(&mut *conn, &it, change, by).await? else {
        return Ok(Replaced::NoChange);
    };
    let superseded = link(conn, &it, new, change, by).await?;
    Ok(Replaced::Done { new, superseded })
}

/// Which one was written in its place, and by whom.
pub(super) async fn successor(
    conn: &mut PgConnection,
    id: NotificationId,
    key: Key,
) -> sqlx::Result<Option<(NotificationId, String)>> {
    let row = sqlx::query!(
        r#"-- outboxd replace: earlier
           select n.by, n.new_id from outboxd.notification_successor n where n.old_id = $1 and n.old_key = $2 limit 1"#,
        id.0,
        key.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| (NotificationId(row.new_id), row.by)))
}

/// Through the CRM's door: its checks, its order lock, its wake-up. Without the old one's `dedupe_key`, which would
/// return the old one. `None` when nothing would be different.
async fn write(
    conn: &mut PgConnection,
    it: &Notification,
    change: &Change<'_>,
    by: &By,
) -> sqlx::Result<Option<NotificationId>> {
    let (recipient, payload) = match change {
        Change::Recipient(recipient) => (Some(*recipient), None),
        Change::RecipientNamed(recipient, payload) => (Some(*recipient), Some(*payload)),
        Change::Payload(payload) => (None, Some(*payload)),
    };
    let new = sqlx::query_scalar!(
        r#"-- outboxd replace: write
           select outboxd.enqueue_notification(
                      event_type => old.event_type, recipient => coalesce($3, old.recipient),
                      aggregate_id => old.aggregate_id, payload => coalesce($4::text::jsonb, old.payload),
                      aggregate_type => old.aggregate_type, app => old.app, order_key => old.order_key,
                      collapse_key => old.collapse_key, priority => old.priority::integer,
                      next_attempt_at => old.planned_for,
                      -- A time limit that has passed would end it before it is sent.
                      expires_at => case when old.expires_at > statement_timestamp() then old.expires_at end,
                      created_by => $5) as "id!"
             from (select o.event_type, o.recipient, o.aggregate_id, o.aggregate_type, o.payload, o.app, o.order_key,
                          o.collapse_key, o.priority, o.expires_at,
                          -- Notification::keeps_its_time
                          case when o.attempts = 0 and o.next_attempt_at > statement_timestamp() then o.next_attempt_at end as planned_for
                     from outboxd.notification_outbox o where o.id = $1 and o.key = $2
                   union all
                   select d.event_type, d.recipient, d.aggregate_id, d.aggregate_type, d.payload, d.app, d.order_key,
                          d.collapse_key, d.priority, d.expires_at, null
                     from outboxd.notification_delivery d where d.id = $1 and d.key = $2
                   limit 1) old
            where old.recipient is distinct from coalesce($3, old.recipient)
               or old.payload is distinct from coalesce($4::text::jsonb, old.payload)
            limit 1"#,
        it.id.0,
        it.key.0,
        recipient,
        payload,
        by.actor
    )
    .fetch_optional(conn)
    .await?;
    Ok(new.map(NotificationId))
}

/// Settles the old one if it waits, links the two, and notes it, in one statement. One that was settled is left alone even
/// if somebody sends it again at this moment: a daemon may have it. The log names the fields of the
/// payload that changed and not what stands in them: support reads the log and no payload.
async fn link(
    conn: &mut PgConnection,
    it: &Notification,
    new: NotificationId,
    change: &Change<'_>,
    by: &By,
) -> sqlx::Result<bool> {
    let before = JsonValue::from(it.standing.word());
    sqlx::query_scalar!(
        r#"-- outboxd replace
           with gone as (
               delete from outboxd.notification_outbox o where $10 and o.id = $1 and o.key = $2 returning *
           ),
           settled as (
               insert into outboxd.notification_delivery
                      (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload, dedupe_key, order_key,
                       collapse_key, priority, expires_at, attempts, lease_epoch, traceparent, format_version, created_at,
                       created_by, status, reason, may_have_arrived, settled_at, settled_by)
               select id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload, dedupe_key, order_key,
                      collapse_key, priority, expires_at, attempts, lease_epoch, traceparent, format_version, created_at,
                      created_by, 'superseded', 'superseded', may_have_arrived or lease_token is not null,
                      clock_timestamp(), $5
                 from gone
           ),
           lapsed as (
               insert into outboxd.notification_attempt
                      (notification_id, attempt, app, lease_token, daemon, started_at, ended_at, phase, outcome, sentence)
               select id, attempts, app, lease_token, leased_by, to_timestamp(lease_epoch / 1000.0), clock_timestamp(),
                      'lapsed', 'unknown', 'lease_lapsed'
                 from gone where lease_token is not null and attempts > 0
           ),
           later as (
               select o.id, o.key, o.recipient, o.payload from outboxd.notification_outbox o where o.id = $3
           ),
           old as (
               select o.payload from outboxd.notification_outbox o where o.id = $1 and o.key = $2
               union all
               select d.payload from outboxd.notification_delivery d where d.id = $1 and d.key = $2
               limit 1
           ),
           linked as (
               insert into outboxd.notification_successor (old_id, old_key, new_id, new_key, kind, by)
               select $1, $2, later.id, later.key, $4, $5 from later
           ),
           noted as (
               insert into outboxd.audit_log (actor, action, app, notification_ids, affected, reason, detail)
               select $5, $4, $7, array[$1, $3], 2, $6,
                      jsonb_build_object(
                          'before', jsonb_build_object('id', $1, 'status', $8::jsonb, 'recipient', $9::text),
                          'after', jsonb_build_object('id', $3, 'recipient', later.recipient,
                              'status_of_old', case when exists (select from gone) then '"superseded"'::jsonb else $8::jsonb end,
                              'changed_fields', (select coalesce(jsonb_agg(field order by field), '[]')
                                                   from (select jsonb_object_keys(old.payload || later.payload)) k(field)
                                                  where old.payload -> field is distinct from later.payload -> field)))
                 from later cross join old
           )
           select exists (select from gone) as "superseded!""#,
        it.id.0,
        it.key.0,
        new.0,
        change.word(),
        by.actor,
        by.reason,
        it.app,
        before,
        it.recipient,
        !it.standing.is_settled()
    )
    .fetch_one(conn)
    .await
}
