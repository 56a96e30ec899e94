//! Take back: a row that nobody is calling is settled as cancelled; one that is being called is marked, and
//! the daemon that has it does not try it again.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::{By, Rows};
use crate::outbox::inspect::Notification;

/// What became of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It will not be sent.
    Done,
    /// A daemon fell silent over it: it will not be sent again, but may have been.
    DoneInDoubt,
    /// It is being called: this attempt may still deliver it, no other follows.
    Requested,
    /// It was asked for before.
    RequestedAlready,
    /// It is settled already, or moved while we looked.
    TooLate,
}

impl Cancelled {
    /// Whether this is a change, as opposed to a refusal.
    pub fn changes(self) -> bool {
        match self {
            Cancelled::Done | Cancelled::DoneInDoubt | Cancelled::Requested => true,
            Cancelled::RequestedAlready | Cancelled::TooLate => false,
        }
    }
}

/// Cancels these. Returns what became of each, in the order given.
pub async fn cancel(
    conn: &mut PgConnection,
    notifications: &[Notification],
    by: &By,
) -> sqlx::Result<Vec<Cancelled>> {
    let rows = Rows::of(notifications);
    // Locked first: a claim that has just begun is waited for, and then seen.
    let locked = sqlx::query!(
        r#"-- outboxd cancel: lock
           select o.id, o.key, coalesce(o.lease_until between statement_timestamp()
                                                and statement_timestamp() + interval '20 minutes', false) as "in_flight!",
                  o.lease_token is not null as "leased!", o.cancel_requested_by is not null as "requested!"
             from outboxd.notification_outbox o
            where o.id = any($1) and o.key = any($2)
            order by o.id limit 1000 for update"#,
        &rows.ids,
        &rows.keys
    )
    .fetch_all(&mut *conn)
    .await?;
    let found: HashMap<(i64, Uuid), Cancelled> = locked
        .into_iter()
        .map(|row| {
            let fate = match (row.in_flight, row.leased, row.requested) {
                (true, _, true) => Cancelled::RequestedAlready,
                (true, _, false) => Cancelled::Requested,
                (false, true, _) => Cancelled::DoneInDoubt,
                (false, false, _) => Cancelled::Done,
            };
            ((row.id, row.key), fate)
        })
        .collect();
    let chosen = |wanted: fn(Cancelled) -> bool| -> Vec<i64> {
        found
            .iter()
            .filter(|(_, fate)| wanted(**fate))
            .map(|((id, _), _)| *id)
            .collect()
    };
    let settle = chosen(|fate| matches!(fate, Cancelled::Done | Cancelled::DoneInDoubt));
    let request = chosen(|fate| fate == Cancelled::Requested);
    if !settle.is_empty() || !request.is_empty() {
        change(conn, &settle, &request, by).await?;
    }
    Ok(notifications
        .iter()
        .map(|it| {
            found
                .get(&(it.id.0, it.key.0))
                .copied()
                .unwrap_or(Cancelled::TooLate)
        })
        .collect())
}

/// The one statement that changes, with its audit line. The rows are locked. A lease that lapsed leaves its
/// attempt behind as `unknown`, just as the claim that takes over would write it.
async fn change(
    conn: &mut PgConnection,
    settle: &[i64],
    request: &[i64],
    by: &By,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- outboxd cancel
           with gone as (
               delete from outboxd.notification_outbox o where o.id = any($1) returning *
           ),
           settled as (
               insert into outboxd.notification_delivery
                      (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload, dedupe_key, order_key,
                       collapse_key, priority, expires_at, attempts, lease_epoch, traceparent, format_version, created_at,
                       created_by, status, reason, may_have_arrived, settled_at, settled_by)
               select id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload, dedupe_key, order_key,
                      collapse_key, priority, expires_at, attempts, lease_epoch, traceparent, format_version, created_at,
                      created_by, 'cancelled', 'cancelled', may_have_arrived or lease_token is not null,
                      clock_timestamp(), $3
                 from gone
           ),
           lapsed as (
               insert into outboxd.notification_attempt
                      (notification_id, attempt, app, lease_token, daemon, started_at, ended_at, phase, outcome, sentence)
               select id, attempts, app, lease_token, leased_by, to_timestamp(lease_epoch / 1000.0), clock_timestamp(),
                      'lapsed', 'unknown', 'lease_lapsed'
                 from gone where lease_token is not null and attempts > 0
           ),
           requested as (
               update outboxd.notification_outbox o set cancel_requested_by = $3
                where o.id = any($2)
               returning o.id, o.app, o.attempts, o.leased_by
           ),
           touched as (
               select id, app, jsonb_build_object('attempts', attempts, 'leased_by', leased_by) as before, 'cancelled' as after from gone
               union all
               select id, app, jsonb_build_object('attempts', attempts, 'leased_by', leased_by), 'cancel_requested' from requested)
           insert into outboxd.audit_log (actor, action, app, notification_ids, affected, reason, detail)
           select $3, 'cancel', case when min(app) = max(app) then min(app) end, array_agg(id order by id), count(*),
                  $4, jsonb_build_object('settled', (select count(*) from gone),
                                         'requested', (select count(*) from requested),
                                         'before', jsonb_object_agg(id, before), 'after', jsonb_object_agg(id, after))
             from touched having count(*) > 0"#,
        settle,
        request,
        by.actor,
        by.reason
    )
    .execute(conn)
    .await?;
    Ok(())
}
