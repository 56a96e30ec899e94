//! One step of a redrive: see what came of those under way, stop if too many failed, and send the next rung.
//!
//! The row of the redrive is the fence: it is locked for the length of the step, and a second driver passes it by. All
//! that a step decides stands in the database when it commits, and nothing of it when it does not.

use sqlx::PgConnection;

use super::BulkId;
use super::pick::pick;
use crate::outbox::act::{By, Doubt, in_nobodys_hands, retry_named};
use crate::outbox::session;

/// The first rung, and the first one after a pause: all of it is waited for.
pub const CANARY: i32 = 5;

/// How many that have failed before are looked at in one step. Those that have not are all looked at, so there are no
/// more of them either: behind one that is stuck, many of its `order_key` could gather.
const LOOKED_AT: i64 = 2000;

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stepped {
    /// Somebody else drives it, or there is nothing to drive.
    Nothing,
    /// What came of the last rung is not known yet, or the next one is not due.
    Waits,
    /// Sent so many again.
    Sent(usize),
    /// Too large a share of the rung failed.
    Stopped,
    /// All were sent again, and all have ended, but for those that wait for a permission.
    Done,
}

/// The redrives that a driver should step, now and about once a second.
pub async fn next_to_drive(conn: &mut PgConnection) -> sqlx::Result<Vec<BulkId>> {
    let ids = sqlx::query_scalar!(
        r#"-- outboxd bulk next to drive
           select b.id from outboxd.bulk_redrive b
            where b.state = 'running'
               or b.state in ('paused', 'stopped', 'cancelled')
                  and exists (select from outboxd.bulk_redrive_underway u where u.bulk_id = b.id)
            order by b.id limit 100"#
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(BulkId).collect())
}

/// One step, in a transaction of its own. It has the time of any act on the command line, also where a desk makes it: no page
/// waits for it, and it is on a connection of its own. What it looks at grows with those that failed and are tried again.
pub async fn step(conn: &mut PgConnection, id: BulkId) -> sqlx::Result<Stepped> {
    let mut tx = session::acting(conn).await?;
    let stepped = step_in(&mut tx, id).await?;
    tx.commit().await?;
    Ok(stepped)
}

/// A redrive under its lock.
struct Held {
    id: i64,
    is_running: bool,
    is_walked: bool,
    is_due: bool,
    rung: i32,
    per_second: i32,
    stop_above: i32,
    by: By,
    doubt: Doubt,
}

async fn step_in(conn: &mut PgConnection, id: BulkId) -> sqlx::Result<Stepped> {
    let Some(held) = hold(&mut *conn, id).await? else {
        return Ok(Stepped::Nothing);
    };
    let rung = judge(&mut *conn, &held).await?;
    let has_sent_all = held.is_walked || !held.is_running;
    let is_underway = has_sent_all && !leave_waiting(&mut *conn, &held).await?;
    if !held.is_running {
        return Ok(Stepped::Waits);
    }
    let (failed, known) = (rung.failed, rung.delivered + rung.failed);
    let is_known = i64::from(held.rung) >= rung.open * 10;
    // Certain before all is known, if what failed is too much even of the whole rung. After a pause its size is forgotten:
    // it is what is known of it and what is not.
    let of = if is_known {
        known
    } else {
        (known + rung.open).max(held.rung.into())
    };
    if failed * 100 > i64::from(held.stop_above) * of {
        stop(conn, &held, &format!("{failed}/{known}")).await?;
        return Ok(Stepped::Stopped);
    }
    if held.is_walked {
        if is_underway {
            return Ok(Stepped::Waits);
        }
        finish(conn, &held).await?;
        return Ok(Stepped::Done);
    }
    if !is_known || !held.is_due || rung.unknown > LOOKED_AT {
        return Ok(Stepped::Waits);
    }
    climb(conn, &held).await
}

/// Takes the row, unless somebody else has it.
async fn hold(conn: &mut PgConnection, id: BulkId) -> sqlx::Result<Option<Held>> {
    let row = sqlx::query!(
        r#"-- outboxd bulk hold
           select b.id, b.state = 'running' as "is_running!", b.is_walked, b.next_rung_at <= clock_timestamp() as "is_due!",
                  b.rung, b.per_second, b.stop_above, b.with_doubtful, b.why, b.changed_by
             from outboxd.bulk_redrive b
            where b.id = $1 and b.state in ('running', 'paused', 'stopped', 'cancelled')
            limit 1 for update skip locked"#,
        id.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Held {
        id: row.id,
        is_running: row.is_running,
        is_walked: row.is_walked,
        is_due: row.is_due,
        rung: row.rung,
        per_second: row.per_second,
        stop_above: row.stop_above,
        by: By {
            actor: row.changed_by,
            reason: Some(format!("bulk {id}: {}", row.why)),
        },
        doubt: if row.with_doubtful {
            Doubt::Accept
        } else {
            Doubt::Refuse
        },
    }))
}

/// What has come of the rung so far.
struct Rung {
    delivered: i64,
    failed: i64,
    /// Not known yet, and not held up by a stranger or by one that failed.
    open: i64,
    /// Of all rungs: not known yet, and not waiting for a permission or behind one that does.
    unknown: i64,
}

/// Looks at those under way. One whose attempt failed counts against its rung at once, and is waited for until it ends.
async fn judge(conn: &mut PgConnection, held: &Held) -> sqlx::Result<Rung> {
    let rung = sqlx::query!(
        r#"-- outboxd bulk judge
           with looked as materialized (
               (select u.notification_id, u.key, u.redriven_at, u.has_failed from outboxd.bulk_redrive_underway u
                 where u.bulk_id = $1 and not u.has_failed)
               union all
               (select u.notification_id, u.key, u.redriven_at, u.has_failed from outboxd.bulk_redrive_underway u
                 where u.bulk_id = $1 and u.has_failed
                   and not exists (select from outboxd.notification_outbox o where o.id = u.notification_id and o.key = u.key)
                 limit $2)
           ),
           judged as materialized (
               select l.*, d.status,
                      d.status is null and not l.has_failed and exists (
                          select from outboxd.notification_attempt a
                           where a.notification_id = l.notification_id and a.ended_at >= l.redriven_at
                             and a.outcome in ('failed', 'unknown')) as stumbles
                 from looked l
                 left join lateral (
                      select d.status from outboxd.notification_delivery d
                       where d.id = l.notification_id and d.key = l.key and d.settled_at >= l.redriven_at
                       order by d.settled_at desc limit 1) d on true
           ),
           ended as (
               delete from outboxd.bulk_redrive_underway u using judged j
                where u.bulk_id = $1 and u.notification_id = j.notification_id and u.key = j.key and j.status is not null
               returning j.status, j.has_failed
           ),
           stumbled as (
               update outboxd.bulk_redrive_underway u set has_failed = true from judged j
                where u.bulk_id = $1 and u.notification_id = j.notification_id and u.key = j.key and j.stumbles
               returning u.notification_id
           ),
           sums as (
               select count(*) filter (where status = 'delivered') as delivered,
                      count(*) filter (where status in ('dead', 'expired')) as failed,
                      count(*) filter (where status in ('cancelled', 'superseded')) as withdrawn,
                      count(*) filter (where status = 'delivered' and not has_failed) as rung_delivered,
                      count(*) filter (where status in ('dead', 'expired') and not has_failed)
                          + (select count(*) from stumbled) as rung_failed
                 from ended
           )
           update outboxd.bulk_redrive b
              set delivered = b.delivered + sums.delivered, failed = b.failed + sums.failed,
                  withdrawn = b.withdrawn + sums.withdrawn, rung_delivered = b.rung_delivered + sums.rung_delivered,
                  rung_failed = b.rung_failed + sums.rung_failed
             from sums
            where b.id = $1
           returning b.rung_delivered, b.rung_failed"#,
        held.id,
        LOOKED_AT
    )
    .fetch_one(&mut *conn)
    .await?;
    // One that waits for its predecessor is not open, unless the predecessor is of this redrive and still to be known.
    let left = sqlx::query!(
        r#"-- outboxd bulk underway
           select count(*) filter (where not exists (
                      select from outboxd.notification_outbox o
                       where o.id = u.notification_id and o.key = u.key
                         and (o.awaits_grant and o.next_attempt_at > statement_timestamp()
                              or exists (select from outboxd.notification_outbox p
                                          where p.app = o.app and p.order_key = o.order_key and p.id < o.id
                                            and p.awaits_grant and p.next_attempt_at > statement_timestamp())))) as "unknown!",
                  count(*) filter (where not exists (
                      select from outboxd.notification_outbox o
                        join outboxd.notification_outbox p on p.app = o.app and p.order_key = o.order_key and p.id < o.id
                       where o.id = u.notification_id and o.order_key is not null
                         and not exists (select from outboxd.bulk_redrive_underway v
                                          where v.bulk_id = $1 and v.notification_id = p.id and not v.has_failed))) as "open!"
             from outboxd.bulk_redrive_underway u where u.bulk_id = $1 and not u.has_failed"#,
        held.id
    )
    .fetch_one(conn)
    .await?;
    Ok(Rung {
        delivered: rung.rung_delivered.into(),
        failed: rung.rung_failed.into(),
        open: left.open,
        unknown: left.unknown,
    })
}

/// Where all that is still under way waits for a permission, or behind one that does, it is let out of sight. Returns whether
/// nothing is under way now.
async fn leave_waiting(conn: &mut PgConnection, held: &Held) -> sqlx::Result<bool> {
    let rest = sqlx::query_scalar!(
        r#"-- outboxd bulk leave waiting
           with left_waiting as (
               delete from outboxd.bulk_redrive_underway u
                where u.bulk_id = $1
                  and not exists (
                      select from outboxd.bulk_redrive_underway v
                       where v.bulk_id = $1
                         and not exists (
                             select from outboxd.notification_outbox o
                              where o.id = v.notification_id and o.key = v.key
                                and (o.awaits_grant and o.next_attempt_at > statement_timestamp()
                                     or exists (select from outboxd.notification_outbox p
                                                 where p.app = o.app and p.order_key = o.order_key and p.id < o.id
                                                   and p.awaits_grant and p.next_attempt_at > statement_timestamp()))))
               returning u.notification_id
           )
           select (select count(*) from left_waiting) > 0
               or not exists (select from outboxd.bulk_redrive_underway u where u.bulk_id = $1) as "nothing!" "#,
        held.id
    )
    .fetch_one(conn)
    .await?;
    Ok(rest)
}

/// Sends the next rung.
async fn climb(conn: &mut PgConnection, held: &Held) -> sqlx::Result<Stepped> {
    let size = match held.rung {
        0 => CANARY,
        rung => rung.saturating_mul(2).max(CANARY),
    };
    let size = usize::try_from(size.min(held.per_second)).unwrap_or(1);
    let batch = pick(&mut *conn, held.id, size).await?;
    let names = in_nobodys_hands(&mut *conn, &batch.names).await?;
    let fates = retry_named(&mut *conn, &names, &held.by, held.doubt).await?;
    let (mut ids, mut keys) = (Vec::new(), Vec::new());
    for ((id, key), fate) in names.iter().zip(&fates) {
        if fate.changes() {
            ids.push(*id);
            keys.push(*key);
        }
    }
    let refused = i64::try_from(batch.names.len() - ids.len()).unwrap_or(i64::MAX);
    let (walked_at, walked_id) = batch.reached.unzip();
    sqlx::query!(
        r#"-- outboxd bulk climb
           with sent as (
               insert into outboxd.bulk_redrive_underway (bulk_id, notification_id, key, redriven_at)
               select $1, sent.id, sent.key, clock_timestamp() from unnest($2::bigint[], $3::uuid[]) as sent(id, key)
               returning notification_id
           )
           update outboxd.bulk_redrive b
              set rung = $4, rung_delivered = 0, rung_failed = 0, next_rung_at = clock_timestamp() + interval '1 second',
                  walked_at = coalesce($5, b.walked_at), walked_id = coalesce($6, b.walked_id), is_walked = $7,
                  redriven = b.redriven + (select count(*) from sent), refused = b.refused + $8
            where b.id = $1"#,
        held.id,
        &ids,
        &keys,
        i32::try_from(ids.len()).unwrap_or(i32::MAX).max(1),
        walked_at,
        walked_id,
        batch.is_last,
        refused
    )
    .execute(conn)
    .await?;
    Ok(Stepped::Sent(ids.len()))
}

/// Stops by itself.
async fn stop(conn: &mut PgConnection, held: &Held, share: &str) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- outboxd bulk stop
           with stopped as (
               update outboxd.bulk_redrive b set state = 'stopped', stopped_because = $2, changed_at = clock_timestamp()
                where b.id = $1 returning b.id, b.app
           )
           insert into outboxd.audit_log (actor, action, app, affected, reason, detail)
           select $3, 'bulk_stop', app, 0, $4,
                  jsonb_build_object('bulk', id, 'before', 'running', 'after', 'stopped', 'failed', $2::text) from stopped"#,
        held.id,
        share,
        held.by.actor,
        held.by.reason
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// All have ended, or wait for somebody.
async fn finish(conn: &mut PgConnection, held: &Held) -> sqlx::Result<()> {
    sqlx::query!(
        r#"-- outboxd bulk finish
           with done as (
               update outboxd.bulk_redrive b set state = 'done', changed_at = clock_timestamp()
                where b.id = $1 returning b.*
           )
           insert into outboxd.audit_log (actor, action, app, affected, reason, detail)
           select $2, 'bulk_done', app, redriven, $3,
                  jsonb_build_object('bulk', id, 'before', 'running', 'after', 'done', 'delivered', delivered, 'failed', failed,
                                     'withdrawn', withdrawn, 'refused', refused,
                                     'waiting', redriven - delivered - failed - withdrawn) from done"#,
        held.id,
        held.by.actor,
        held.by.reason
    )
    .execute(conn)
    .await?;
    Ok(())
}
