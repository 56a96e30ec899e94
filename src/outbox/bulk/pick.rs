//! The next ones of a redrive's set, in the order of settling, and of one `order_key` in the order of writing. What people
//! have dealt with is left alone, also when they did so after the plan: another was written in its place or after it, the
//! person was told another way, or nobody has to know any more. So is what passed its time limit after the plan, unless the
//! plan takes such ones along.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// The next ones of the set.
pub(super) struct Batch {
    pub(super) names: Vec<(i64, Uuid)>,
    /// How far the set is walked with them.
    pub(super) reached: Option<(DateTime<Utc>, i64)>,
    pub(super) is_last: bool,
}

/// Asks for rows `d` of the set of `b`: those that the walk has not passed yet. A newer one is what a claim takes for one.
macro_rules! of_the_set {
    ($row:ident, $head:literal, $tail:literal, $($argument:expr),*) => {
        sqlx::query_as!(
            $row,
            $head
                + r#"
                     and d.status <> 'delivered' and d.status = any(b.statuses)
                     and (b.app is null or d.app = b.app) and (b.reason is null or d.reason = b.reason)
                     and (b.event_type is null or d.event_type = b.event_type)
                     and (b.recipient is null or d.recipient = b.recipient)
                     and d.settled_at >= coalesce(b.settled_since, '-infinity') and d.settled_at <= b.settled_until
                     and (d.settled_at, d.id) > (b.walked_at, b.walked_id)
                     and (b.with_doubtful or not d.may_have_arrived)
                     and (b.with_late or d.expires_at is null or d.expires_at > greatest(b.settled_until, statement_timestamp()))
                     and not exists (select from outboxd.notification_successor n
                                      where n.old_id = d.id and n.old_key = d.key)
                     and not exists (select from outboxd.notification_handled h
                                      where h.notification_id = d.id and h.key = d.key and h.settled_at = d.settled_at
                                        and h.outcome <> 'not_reached')
                     and (d.collapse_key is null
                          or not exists (select from outboxd.notification_outbox n
                                          where n.app = d.app and n.collapse_key = d.collapse_key and n.id > d.id)
                             and not exists (select from outboxd.notification_delivery n
                                              where n.app = d.app and n.collapse_key = d.collapse_key and n.id > d.id
                                                and n.status <> 'cancelled'))"#
                + $tail,
            $($argument),*
        )
    };
}

/// One of the set, where the walk meets it.
struct Picked {
    id: i64,
    key: Uuid,
    settled_at: DateTime<Utc>,
    ordered: bool,
}

/// Picks in the order of settling. Of one `order_key` those that come before go first, however late they settled: they
/// are taken along, and the walk does not pass a row whose turn has not come.
pub(super) async fn pick(conn: &mut PgConnection, bulk: i64, size: usize) -> sqlx::Result<Batch> {
    let limit = i64::try_from(size).unwrap_or(i64::MAX);
    // The planner cannot know where the walk stands, takes the rest of the set for four rows and sorts all of it for every
    // rung. With the other ways shut it walks the index of trouble from there.
    const WALK: &str = "set local enable_sort = off; set local enable_seqscan = off; set local enable_bitmapscan = off;
        set local enable_hashjoin = off";
    const AS_EVER: &str = "set local enable_sort to default; set local enable_seqscan to default; set local enable_bitmapscan to default;
        set local enable_hashjoin to default";
    sqlx::raw_sql(WALK).execute(&mut *conn).await?;
    let picked = of_the_set!(
        Picked,
        r#"-- outboxd bulk pick
           select d.id as "id!", d.key as "key!", d.settled_at as "settled_at!", d.ordered as "ordered!"
             from outboxd.bulk_redrive b
            cross join lateral (
                  select d.id, d.key, d.settled_at, d.order_key is not null as ordered from outboxd.notification_delivery d
                   where true"#,
        r#"
                   order by d.settled_at, d.id limit $2) d
            where b.id = $1
            order by d.settled_at, d.id limit $2"#,
        bulk,
        limit
    )
    .fetch_all(&mut *conn)
    .await?;
    sqlx::raw_sql(AS_EVER).execute(&mut *conn).await?;
    let ordered: Vec<i64> = picked
        .iter()
        .filter(|row| row.ordered)
        .map(|row| row.id)
        .collect();
    let chains = if ordered.is_empty() {
        Vec::new()
    } else {
        chains(conn, bulk, &ordered, limit).await?
    };
    let mut batch = Batch {
        names: Vec::new(),
        reached: None,
        is_last: picked.len() < size,
    };
    'walk: for row in &picked {
        let before = chains
            .iter()
            .filter(|link| link.of == row.id)
            .map(|link| (link.id, link.key));
        for name in before.chain([(row.id, row.key)]) {
            if batch.names.contains(&name) {
                continue;
            }
            if batch.names.len() == size {
                batch.is_last = false;
                break 'walk;
            }
            batch.names.push(name);
        }
        batch.reached = Some((row.settled_at, row.id));
    }
    Ok(batch)
}

/// One that comes before `of` in its `order_key`.
struct Link {
    of: i64,
    id: i64,
    key: Uuid,
}

/// Those of the set that come before these and can go, the first ones first. One that cannot is left to the walk, which
/// passes it once: offered from here it would be refused with each of its successors anew.
async fn chains(
    conn: &mut PgConnection,
    bulk: i64,
    ordered: &[i64],
    limit: i64,
) -> sqlx::Result<Vec<Link>> {
    of_the_set!(
        Link,
        r#"-- outboxd bulk chain
           select p.id as "of!", d.id as "id!", d.key as "key!"
             from outboxd.bulk_redrive b
             join outboxd.notification_delivery p on p.id = any($2) and p.order_key is not null and p.settled_at <= b.settled_until
            cross join lateral (
                  select d.id, d.key from outboxd.notification_delivery d
                   where d.order_key is not null and d.app = p.app and d.order_key = p.order_key and d.id < p.id
                     and not exists (select from outboxd.notification_outbox o
                                      where o.app = d.app and o.dedupe_key = d.dedupe_key)"#,
        r#"
                   order by d.id limit $3) d
            where b.id = $1
            order by 1, 2 limit 100000"#,
        bulk,
        ordered,
        limit
    )
    .fetch_all(conn)
    .await
}
