//! What people do to a redrive: start, pause, resume, cancel. Each names the version that was seen, so the second of two
//! clicks changes nothing and is told.

use sqlx::PgConnection;

use super::{Bulk, BulkId, State, bulk};
use crate::outbox::act::By;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Start,
    Pause,
    /// Also after it stopped itself; it begins with a canary again.
    Resume,
    /// What is under way goes its way; nothing more is sent again.
    Cancel,
}

impl Order {
    fn action(self) -> &'static str {
        match self {
            Order::Start => "bulk_start",
            Order::Pause => "bulk_pause",
            Order::Resume => "bulk_resume",
            Order::Cancel => "bulk_cancel",
        }
    }

    fn applies_to(self) -> &'static [State] {
        match self {
            Order::Start => &[State::Planned],
            Order::Pause => &[State::Running],
            Order::Resume => &[State::Paused, State::Stopped],
            Order::Cancel => &[
                State::Planned,
                State::Running,
                State::Paused,
                State::Stopped,
            ],
        }
    }

    /// Where the redrive stands after it.
    pub fn leads_to(self) -> State {
        match self {
            Order::Start | Order::Resume => State::Running,
            Order::Pause => State::Paused,
            Order::Cancel => State::Cancelled,
        }
    }
}

/// What became of an order.
#[derive(Clone, Debug)]
pub enum Changed {
    Done(Box<Bulk>),
    /// Somebody was quicker, it stopped or ended by itself, or the order makes no sense there.
    Not(Box<Bulk>),
    Missing,
}

/// Does it, if the redrive is still what was seen.
pub async fn change(
    conn: &mut PgConnection,
    id: BulkId,
    seen_version: i32,
    order: Order,
    by: &By,
) -> sqlx::Result<Changed> {
    let from: Vec<String> = order
        .applies_to()
        .iter()
        .map(|s| s.word().to_owned())
        .collect();
    let done = sqlx::query!(
        r#"-- outboxd bulk change
           with before as (
               select b.id, b.state from outboxd.bulk_redrive b where b.id = $1 for update
           ),
           changed as (
               update outboxd.bulk_redrive b
                  set state = $4, version = b.version + 1, changed_at = clock_timestamp(), changed_by = $5,
                      stopped_because = null, next_rung_at = clock_timestamp(),
                      -- Whoever begins, or begins again, begins with a canary.
                      rung = case when $4 = 'running' then 0 else b.rung end,
                      -- What has come of the last rung counts on after a pause, and no more after a stop.
                      rung_delivered = case when before.state = 'stopped' then 0 else b.rung_delivered end,
                      rung_failed = case when before.state = 'stopped' then 0 else b.rung_failed end
                 from before
                where b.id = before.id and b.version = $2 and b.state = any($3)
               returning b.id, b.app, before.state as earlier
           )
           insert into outboxd.audit_log (actor, action, app, affected, reason, detail)
           select $5, $6, app, 0, $7, jsonb_build_object('bulk', id, 'before', earlier, 'after', $4::text) from changed"#,
        id.0,
        seen_version,
        &from,
        order.leads_to().word(),
        by.actor,
        order.action(),
        by.reason
    )
    .execute(&mut *conn)
    .await?;
    let Some(now) = bulk(conn, id).await? else {
        return Ok(Changed::Missing);
    };
    Ok(if done.rows_affected() == 1 {
        Changed::Done(Box::new(now))
    } else {
        Changed::Not(Box::new(now))
    })
}
