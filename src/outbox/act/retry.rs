//! Send again: a settled row goes back to the outbox with the same id, key and attempt numbers; a row that
//! waits for its retry is due now.
//!
//! Same key, so a receiver that has its receipt still refuses to send twice. The attempt count never falls;
//! what was spent is spared instead, which gives the row its whole schedule anew.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{By, Rows};
use crate::notification::NotificationId;
use crate::outbox::inspect::{self, Notification};

/// What to do with a row that may have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Leave it alone and say so.
    Refuse,
    /// The person who acts accepts that it may arrive twice.
    Accept,
}

/// What became of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retried {
    /// Back in the outbox, due now.
    Revived,
    /// The same, and its time limit, which had passed, is gone.
    RevivedWithoutLimit,
    /// It waited for its next attempt; that is now.
    BroughtForward,
    /// It waited, or was due and held; its time limit, which had passed, is gone, and its next attempt is due.
    ForwardWithoutLimit,
    /// It waited, and the next claim settles it as superseded by a newer one, so that those behind it go on.
    GivesWay,
    /// It is due already: somebody else did this, or something holds it back.
    DueAlready,
    /// It is being called at this moment.
    InFlight,
    /// WeChat accepted it.
    Delivered,
    /// Another was written in its place, or a newer one took it, and would again.
    Superseded,
    /// It may have arrived, and nobody accepted the doubt.
    MayHaveArrived,
    /// Another pending notification has its dedupe key, or one that goes back with it.
    DedupeTaken,
    /// It moved while we looked.
    Gone,
}

/// Sends these again. Returns what became of each, in the order given.
pub async fn retry(
    conn: &mut PgConnection,
    notifications: &[Notification],
    by: &By,
    doubt: Doubt,
) -> sqlx::Result<Vec<Retried>> {
    let name = |it: &Notification| (it.id.0, it.key.0);
    let names: Vec<(i64, Uuid)> = notifications.iter().map(name).collect();
    retry_named(conn, &names, by, doubt).await
}

/// The same for those who know no more than the names.
pub(in crate::outbox) async fn retry_named(
    conn: &mut PgConnection,
    names: &[(i64, Uuid)],
    by: &By,
    doubt: Doubt,
) -> sqlx::Result<Vec<Retried>> {
    let (ids, keys) = names.iter().copied().unzip();
    let rows = Rows { ids, keys };
    // As the claim sees it: a newer one supersedes these at once.
    let newer = inspect::newer(&mut *conn, &rows.ids, &rows.keys).await?;
    let (mut found, endings) = settled(conn, &rows, &newer, doubt).await?;
    found.extend(unsettled(conn, &rows, &newer).await?);

    let chosen: Rows = Rows {
        ids: found
            .iter()
            .filter(|(_, retried)| retried.changes())
            .map(|((id, _), _)| *id)
            .collect(),
        keys: found
            .iter()
            .filter(|(_, retried)| retried.changes())
            .map(|((_, key), _)| *key)
            .collect(),
    };
    // A row that was settled when we looked is not brought forward: if it waits by now, another retry did that.
    let waiting: Vec<i64> = found
        .iter()
        .filter(|(_, retried)| {
            matches!(
                retried,
                Retried::BroughtForward | Retried::ForwardWithoutLimit | Retried::GivesWay
            )
        })
        .map(|((id, _), _)| *id)
        .collect();
    let done: Vec<i64> = if chosen.ids.is_empty() {
        Vec::new()
    } else {
        change(conn, &chosen, &endings, &waiting, by).await?
    };
    // What another retry moved while we looked is in the outbox now.
    let moved = if done.len() < chosen.ids.len() {
        unsettled(conn, &rows, &newer).await?
    } else {
        Fates::new()
    };
    Ok(names
        .iter()
        .map(|name| match found.get(name) {
            Some(fate) if !fate.changes() || done.contains(&name.0) => *fate,
            Some(_) | None => match moved.get(name) {
                Some(fate) if !fate.changes() => *fate,
                Some(_) | None => Retried::Gone,
            },
        })
        .collect())
}

impl Retried {
    /// Whether this is a change, as opposed to a refusal.
    pub fn changes(self) -> bool {
        match self {
            Retried::Revived
            | Retried::RevivedWithoutLimit
            | Retried::BroughtForward
            | Retried::ForwardWithoutLimit
            | Retried::GivesWay => true,
            Retried::DueAlready
            | Retried::InFlight
            | Retried::Delivered
            | Retried::Superseded
            | Retried::MayHaveArrived
            | Retried::DedupeTaken
            | Retried::Gone => false,
        }
    }
}

type Fates = HashMap<(i64, Uuid), Retried>;

/// Those after which one of their `collapse_key` was written.
type Newer = HashMap<Uuid, NotificationId>;

/// Looks at the settled ones, and when each ended. They never change where they are, only leave, and the delete waits for
/// whoever is at it; so no lock is taken here (it would need the right to update history). One that left and came back
/// meanwhile has another ending, which nobody looked at: it may have been delivered.
async fn settled(
    conn: &mut PgConnection,
    rows: &Rows,
    newer: &Newer,
    doubt: Doubt,
) -> sqlx::Result<(Fates, Vec<DateTime<Utc>>)> {
    let looked = sqlx::query!(
        r#"-- outboxd retry: look at settled
           select d.id, d.key, d.app, d.dedupe_key, d.status, d.may_have_arrived, d.settled_at,
                  coalesce(d.expires_at <= statement_timestamp(), false) as "late!",
                  exists (select from outboxd.notification_outbox o
                           where o.app = d.app and o.dedupe_key = d.dedupe_key) as "dedupe_taken!",
                  exists (select from outboxd.notification_successor n
                           where n.old_id = d.id and n.old_key = d.key) as "replaced!"
             from outboxd.notification_delivery d
            where d.id = any($1) and d.key = any($2)
            order by d.id limit 1000"#,
        &rows.ids,
        &rows.keys
    )
    .fetch_all(conn)
    .await?;
    let endings = looked.iter().map(|row| row.settled_at).collect();
    // Written without the function, two may have the same; of those the first goes back.
    let mut taken = HashSet::new();
    let fates = looked
        .into_iter()
        .map(|row| {
            let dedupe = row.dedupe_key.map(|key| (row.app, key));
            let fate = match row.status.as_str() {
                "delivered" => Retried::Delivered,
                "superseded" if row.replaced => Retried::Superseded,
                _ if newer.contains_key(&row.key) => Retried::Superseded,
                _ if row.dedupe_taken => Retried::DedupeTaken,
                _ if dedupe.as_ref().is_some_and(|it| taken.contains(it)) => Retried::DedupeTaken,
                _ if row.may_have_arrived && doubt == Doubt::Refuse => Retried::MayHaveArrived,
                _ if row.late => Retried::RevivedWithoutLimit,
                _ => Retried::Revived,
            };
            if fate.changes() {
                taken.extend(dedupe);
            }
            ((row.id, row.key), fate)
        })
        .collect();
    Ok((fates, endings))
}

/// Locks the unsettled ones.
async fn unsettled(conn: &mut PgConnection, rows: &Rows, newer: &Newer) -> sqlx::Result<Fates> {
    let locked = sqlx::query!(
        r#"-- outboxd retry: lock unsettled
           select o.id, o.key, coalesce(o.lease_until between statement_timestamp()
                                                and statement_timestamp() + interval '20 minutes', false) as "in_flight!",
                  o.next_attempt_at > statement_timestamp() as "waits!",
                  coalesce(o.expires_at <= statement_timestamp(), false) as "late!"
             from outboxd.notification_outbox o
            where o.id = any($1) and o.key = any($2)
            order by o.id limit 1000 for update"#,
        &rows.ids,
        &rows.keys
    )
    .fetch_all(conn)
    .await?;
    Ok(locked
        .into_iter()
        .map(|row| {
            let fate = match (row.in_flight, row.waits) {
                (true, _) => Retried::InFlight,
                (false, true) if newer.contains_key(&row.key) => Retried::GivesWay,
                (false, false) if newer.contains_key(&row.key) => Retried::DueAlready,
                (false, _) if row.late => Retried::ForwardWithoutLimit,
                (false, true) => Retried::BroughtForward,
                (false, false) => Retried::DueAlready,
            };
            ((row.id, row.key), fate)
        })
        .collect())
}

/// The one statement that changes, with its audit line. What waits is locked; what is settled must have ended as it was
/// looked at.
async fn change(
    conn: &mut PgConnection,
    chosen: &Rows,
    endings: &[DateTime<Utc>],
    waiting: &[i64],
    by: &By,
) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"-- outboxd retry
           with moved as (
               delete from outboxd.notification_delivery d
                where d.id = any($1) and d.key = any($2) and d.settled_at = any($6)
               returning *
           ),
           back as (
               insert into outboxd.notification_outbox
                      (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload, dedupe_key, order_key,
                       collapse_key, priority, next_attempt_at, expires_at, attempts, spared, may_have_arrived,
                       lease_epoch, traceparent, format_version, created_at, created_by)
               overriding system value
               select id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload, dedupe_key, order_key,
                      collapse_key, priority, statement_timestamp(),
                      case when expires_at > statement_timestamp() then expires_at end,
                      attempts, attempts, may_have_arrived,
                      lease_epoch, traceparent, format_version, created_at, created_by
                 from moved
               returning id, app
           ),
           forward as (
               update outboxd.notification_outbox o
                  set next_attempt_at = least(o.next_attempt_at, statement_timestamp()), awaits_grant = false,
                      expires_at = case when o.expires_at > statement_timestamp() then o.expires_at end
                where o.id = any($5) and o.key = any($2)
               returning o.id, o.app
           ),
           touched as (
               select back.id, back.app, jsonb_build_object('status', moved.status, 'reason', moved.reason) as before
                 from back join moved using (id)
               union all
               -- The snapshot still shows when it was due, and which limit is lifted.
               select forward.id, forward.app,
                      jsonb_strip_nulls(jsonb_build_object(
                          'next_attempt_at', o.next_attempt_at,
                          'expires_at', case when o.expires_at <= statement_timestamp() then o.expires_at end))
                 from forward join outboxd.notification_outbox o using (id)),
           noted as (
               insert into outboxd.audit_log (actor, action, app, notification_ids, affected, reason, detail)
               select $3, 'retry', case when min(app) = max(app) then min(app) end, array_agg(id order by id), count(*),
                      $4, jsonb_build_object('revived', (select count(*) from back),
                                             'brought_forward', (select count(*) from forward),
                                             'before', jsonb_object_agg(id, before), 'after', 'due')
                 from touched having count(*) > 0
           )
           select id as "id!" from touched order by 1 limit 1000"#,
        &chosen.ids,
        &chosen.keys,
        by.actor,
        by.reason,
        waiting,
        endings
    )
    .fetch_all(conn)
    .await
}
