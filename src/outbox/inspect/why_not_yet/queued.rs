//! Of one that waits for nothing but its turn: how many are before it, and when that comes.

use chrono::TimeDelta;
use sqlx::PgConnection;

use super::{Facts, WhyNotYet};
use crate::outbox::inspect::Capped;
use crate::outbox::inspect::service::{PACE_SECONDS, Signs};

/// How far ahead is looked.
const LOOKED_AT: i64 = 1000;

/// How many due rows of its app stand before it, in the claim's own order. Those that wait for their predecessor keep
/// nobody waiting.
pub(super) async fn queued(
    conn: &mut PgConnection,
    facts: &Facts,
    signs: &mut Signs,
) -> sqlx::Result<Option<WhyNotYet>> {
    let row = sqlx::query!(
        r#"-- outboxd queued
           select counted.looked_at as "looked_at!", counted.ahead as "ahead!"
             from outboxd.notification_outbox o
            cross join lateral (
                  select count(*) as looked_at, count(*) filter (where p.is_first) as ahead from (
                      select p.order_key is null or not exists (
                                 select from outboxd.notification_outbox q
                                  where q.app = p.app and q.order_key = p.order_key and q.id < p.id) as is_first
                        from outboxd.notification_outbox p
                       where p.app = o.app and p.next_attempt_at <= statement_timestamp()
                         and (p.priority, p.next_attempt_at, p.id) < (o.priority, o.next_attempt_at, o.id)
                         and p.format_version <= 1
                         and (p.lease_until is null or p.lease_until not between statement_timestamp()
                                                       and statement_timestamp() + interval '20 minutes')
                       limit $2) p) counted
            where o.id = $1 limit 1"#,
        facts.id,
        LOOKED_AT + 1
    )
    .fetch_optional(&mut *conn)
    .await?;
    let pace = match &row {
        Some(row) if row.ahead > 0 && row.looked_at <= LOOKED_AT => {
            signs.pace(conn, &facts.app).await?
        }
        Some(_) | None => 0,
    };
    Ok(row.map(|row| WhyNotYet::Queued {
        since: facts
            .next_attempt_at
            .map_or(facts.created_at, |due| due.max(facts.created_at)),
        ahead: Capped {
            n: row.ahead.min(LOOKED_AT),
            more: row.looked_at > LOOKED_AT,
        },
        eta: (pace > 0)
            .then(|| {
                facts.now + TimeDelta::milliseconds((row.ahead + 1) * PACE_SECONDS * 1000 / pace)
            })
            .filter(|eta| facts.expires_at.is_none_or(|limit| *eta < limit)),
    }))
}
