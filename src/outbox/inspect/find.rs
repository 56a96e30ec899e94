//! The search box: from whatever is known to notifications, newest first.
//!
//! Three ways, together: rows that bear the text as their name (id, key, customer, recipient, dedupe key), each by an
//! index of its table; rows of persons with this name or telephone number, by the search's index
//! ([`crate::outbox::slices`]), which is written in the background and holds short [`pieces`] of text; and what is too new
//! for it, read directly. What the index comes up with is read and compared before it counts, so a row that is gone
//! is not found. A role that may not read payloads has the names only, and is told so.

mod index;
mod matches;
mod pieces;

pub(super) use index::waiting_of;
pub use matches::{Match, is_called, matches};

use sqlx::PgConnection;
use uuid::Uuid;

use super::Hit;
use crate::outbox::slices::Paths;
use index::{Index, candidates, index, waiting};
use pieces::{Probe, Wanted};

/// What a search box came up with.
#[derive(Debug)]
pub struct Found {
    pub hits: Vec<Hit>,
    /// Not everything was searched for parts of names and numbers, only this and what is indexed.
    pub read_through: Option<ReadThrough>,
}

/// What was read through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadThrough {
    /// How many of the newest notifications.
    pub newest: i64,
    /// Their payloads too; not when this role may not read them.
    pub payloads: bool,
}

/// How many of the newest notifications are read instead of an index, of those that wait and of the settled ones each.
const NEWEST: i64 = 10_000;

/// How many are read for the text anywhere in their payload, when nobody is called so.
const LAST_RESORT: i64 = 2_000;

/// One box for everything. Who bears the name comes before who has it in part; both are newest first. When nobody has it,
/// the text may stand anywhere in the newest payloads.
pub async fn find(
    conn: &mut PgConnection,
    paths: &Paths,
    text: &str,
    limit: i64,
) -> sqlx::Result<Found> {
    let index = index(&mut *conn).await?;
    let mut hits = bearers(&mut *conn, index, text, limit).await?;
    let Some(index) = index else {
        // Payloads may be for a role that the index is not for: then the newest are read.
        let payloads = may_read_payloads(&mut *conn).await?;
        let (more, newest) = match payloads {
            true => (with_payloads(conn, text, limit).await?, LAST_RESORT),
            false => (without_payloads(conn, text, limit).await?, NEWEST),
        };
        add(&mut hits, more, limit);
        let read_through = Some(ReadThrough { newest, payloads });
        return Ok(Found { hits, read_through });
    };
    if let Ok(key) = text.parse::<Uuid>() {
        let of_key = of_key_by(&mut *conn, index, key).await?;
        let is_known = !of_key.is_empty();
        add(&mut hits, of_key, limit);
        // Nobody is called like a key that is known.
        if is_known {
            let read_through = None;
            return Ok(Found { hits, read_through });
        }
    }
    let wanted = Wanted::of(text);
    let (parts, complete) = of_person(&mut *conn, index, paths, &wanted, limit).await?;
    add(&mut hits, parts, limit);
    let mut partly = index.is_behind || !complete;
    // Some digit or other stands in every payload.
    if hits.is_empty() && !wanted.is_digits() {
        hits = with_payloads(conn, text, limit).await?;
        partly |= !hits.is_empty();
    }
    let read_through = partly.then_some(ReadThrough {
        newest: NEWEST,
        payloads: true,
    });
    Ok(Found { hits, read_through })
}

/// The notification with this idempotency key. Where the index may not be read, and among what it does not reach, every
/// row is looked at.
pub async fn of_key(conn: &mut PgConnection, key: Uuid) -> sqlx::Result<Vec<Hit>> {
    let index = index(&mut *conn).await?;
    of_key_by(conn, index.unwrap_or_default(), key).await
}

/// As many of these, newest first, as there is room for.
fn add(hits: &mut Vec<Hit>, mut more: Vec<Hit>, limit: i64) {
    let newest_first = |hit: &Hit| std::cmp::Reverse((hit.id, hit.key));
    more.sort_unstable_by_key(newest_first);
    more.dedup();
    more.retain(|hit| !hits.contains(hit));
    let room = usize::try_from(limit)
        .unwrap_or(usize::MAX)
        .saturating_sub(hits.len());
    hits.extend(more.into_iter().take(room));
    hits.sort_unstable_by_key(newest_first);
}

/// How many apps' dedupe keys are asked.
const APPS: i64 = 1_000;

/// Those that are called so. A waiting row's recipient stands in no index of its table, but in the search's. A dedupe key belongs
/// to an app; which ones there are is found by hopping along its index, in an order that only this index has.
async fn bearers(
    conn: &mut PgConnection,
    index: Option<Index>,
    text: &str,
    limit: i64,
) -> sqlx::Result<Vec<Hit>> {
    let told = match index {
        Some(_) => waiting(&mut *conn, text).await?,
        None => None,
    };
    let id = text.trim_start_matches('#').parse::<i64>().ok();
    sqlx::query_as!(Hit,
        r#"-- outboxd find
           with recursive waiting as (
               (select o.app from outboxd.notification_outbox o where o.dedupe_key is not null
                 order by o.app, o.dedupe_key limit 1)
               union all
               select (select o.app from outboxd.notification_outbox o
                        where o.dedupe_key is not null and o.app > w.app order by o.app, o.dedupe_key limit 1)
                 from waiting w where w.app is not null),
           settled as (
               (select d.app from outboxd.notification_delivery d where d.dedupe_key is not null
                 order by d.app, d.dedupe_key limit 1)
               union all
               select (select d.app from outboxd.notification_delivery d
                        where d.dedupe_key is not null and d.app > s.app order by d.app, d.dedupe_key limit 1)
                 from settled s where s.app is not null)
           select distinct hit.id as "id!", hit.key as "key!" from (
               (select o.id, o.key from outboxd.notification_outbox o where o.id = $2 limit 1)
               union all (select d.id, d.key from outboxd.notification_delivery d where d.id = $2 limit 1)
               union all (select o.id, o.key from outboxd.notification_outbox o
                           where o.aggregate_id = $1 order by o.id desc limit $3)
               union all (select d.id, d.key from outboxd.notification_delivery d
                           where d.aggregate_id = $1 order by d.id desc limit $3)
               union all (select o.id, o.key from outboxd.notification_outbox o
                           where o.id = any($4) order by o.id desc limit $3)
               union all (select o.id, o.key from outboxd.notification_outbox o
                           where $4::bigint[] is null and o.recipient = $1 order by o.id desc limit $3)
               union all (select d.id, d.key from outboxd.notification_delivery d
                           where d.recipient = $1 order by d.id desc limit $3)
               union all (select o.id, o.key from (select app from waiting limit $5) w join outboxd.notification_outbox o
                           on o.app = w.app and o.dedupe_key = $1 limit $3)
               union all (select d.id, d.key from (select app from settled limit $5) s join outboxd.notification_delivery d
                           on d.app = s.app and d.dedupe_key = $1 limit $3)) hit
            order by 1 desc limit $3"#,
        text,
        id,
        limit,
        told.as_deref(),
        APPS
    )
    .fetch_all(conn)
    .await
}

/// How many rows the index may come up with to be read and compared.
const CANDIDATES: usize = 1_000;

/// Those whose person is called so or has this number, and whether that is all there are: what the index does not reach,
/// then what it comes up with.
async fn of_person(
    conn: &mut PgConnection,
    index: Index,
    paths: &Paths,
    wanted: &Wanted,
    limit: i64,
) -> sqlx::Result<(Vec<Hit>, bool)> {
    let mut hits = newest(&mut *conn, index, paths, wanted, limit).await?;
    let enough = usize::try_from(limit).unwrap_or(usize::MAX);
    let room = enough.saturating_sub(hits.len());
    let mut complete = true;
    for probe in &wanted.probes {
        let (mut more, mut below) = (Vec::new(), index.end);
        let mut is_end = false;
        // Nearly all are what they seem; so few are read at first.
        for at_most in [enough.saturating_mul(2).min(CANDIDATES), CANDIDATES] {
            if is_end || more.len() >= room {
                break;
            }
            let ids = candidates(&mut *conn, probe, below, at_most).await?;
            more.extend(compared(&mut *conn, paths, wanted, &ids, limit).await?);
            is_end = ids.len() < at_most;
            below = ids.last().copied().unwrap_or_default();
        }
        complete &= is_end || more.len() >= room;
        hits.extend(more);
    }
    Ok((hits, complete))
}

/// Those of what the index does not reach.
async fn newest(
    conn: &mut PgConnection,
    index: Index,
    paths: &Paths,
    wanted: &Wanted,
    limit: i64,
) -> sqlx::Result<Vec<Hit>> {
    let number = wanted.number();
    // Looked for in the whole text first: cutting out what stands at each path costs four times as much, and writing all of it
    // small a third. In there quotation marks, backslashes and control characters are written otherwise. What is the same for
    // every row is asked once there, hence the brackets around it.
    sqlx::query_as!(Hit,
        r#"-- outboxd find: compare the newest
           select n.id as "id!", n.key as "key!" from (
               (select o.id, o.key, o.payload from outboxd.notification_outbox o where o.id >= $1 order by o.id desc limit $2)
               union all
               (select d.id, d.key, d.payload from outboxd.notification_delivery d where d.id >= $1 order by d.id desc limit $2)) n
            where case when $5::text is not null then n.payload::text ~ $5
                       when (select $4 ~ '["\\[:cntrl:]]') then true
                       when $7 then strpos(lower(n.payload::text), (select lower($4))) > 0
                       else strpos(n.payload::text, (select lower($4))) > 0 end
              and exists (select from unnest($3::text[]) as path
                           cross join lateral (select n.payload #>> string_to_array(path, '.') as value) said
                           where case when $5::text is not null then said.value ~ ($5 || '[^0-9]*$')
                                      when $8 and said.value ~ '([0-9][^0-9]*){7}' then false
                                      else strpos(lower(said.value), lower($4)) > 0 end)
            order by n.id desc limit $6"#,
        index.end,
        NEWEST,
        &paths.0,
        wanted.name.as_deref(),
        number.as_deref(),
        limit,
        wanted.has_case(),
        wanted.is_digits()
    )
    .fetch_all(conn)
    .await
}

/// Those of the candidates that are what is wanted.
async fn compared(
    conn: &mut PgConnection,
    paths: &Paths,
    wanted: &Wanted,
    ids: &[i64],
    limit: i64,
) -> sqlx::Result<Vec<Hit>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let number = wanted.number();
    sqlx::query_as!(Hit,
        r#"-- outboxd find: compare
           select n.id as "id!", n.key as "key!" from (
               select o.id, o.key, o.payload from outboxd.notification_outbox o where o.id = any($1)
               union all
               select d.id, d.key, d.payload from outboxd.notification_delivery d where d.id = any($1)) n
            where exists (select from unnest($2::text[]) as path
                           cross join lateral (select n.payload #>> string_to_array(path, '.') as value) said
                           where case when $4::text is not null then said.value ~ ($4 || '[^0-9]*$')
                                      when $6 and said.value ~ '([0-9][^0-9]*){7}' then false
                                      else strpos(lower(said.value), lower($3)) > 0 end)
            order by n.id desc limit $5"#,
        ids,
        &paths.0,
        wanted.name.as_deref(),
        number.as_deref(),
        limit,
        wanted.is_digits()
    )
    .fetch_all(conn)
    .await
}

/// By the index, and by looking at every row behind its end.
async fn of_key_by(conn: &mut PgConnection, index: Index, key: Uuid) -> sqlx::Result<Vec<Hit>> {
    let probe = Probe::of_key(key);
    let ids = candidates(&mut *conn, &probe, index.end, CANDIDATES).await?;
    sqlx::query_as!(Hit,
        r#"-- outboxd of_key
           (select o.id as "id!", o.key as "key!" from outboxd.notification_outbox o where o.id = any($2) and o.key = $1 limit 1)
           union all
           (select d.id, d.key from outboxd.notification_delivery d where d.id = any($2) and d.key = $1 limit 1)
           union all
           (select o.id, o.key from outboxd.notification_outbox o where o.id >= $3 and o.key = $1 limit 1)
           union all
           (select d.id, d.key from outboxd.notification_delivery d where d.id >= $3 and d.key = $1 limit 1)
           limit 2"#,
        key,
        &ids,
        index.end
    )
    .fetch_all(conn)
    .await
}

async fn with_payloads(conn: &mut PgConnection, text: &str, limit: i64) -> sqlx::Result<Vec<Hit>> {
    sqlx::query_as!(Hit,
        r#"-- outboxd find: read through
           select newest.id as "id!", newest.key as "key!" from (
               (select o.id, o.key, o.aggregate_id, o.recipient, o.dedupe_key, o.payload
                  from outboxd.notification_outbox o order by o.id desc limit $3)
               union all
               (select d.id, d.key, d.aggregate_id, d.recipient, d.dedupe_key, d.payload
                  from outboxd.notification_delivery d order by d.id desc limit $3)) newest
            where strpos(lower(concat_ws(e'\n', newest.aggregate_id, newest.recipient, newest.dedupe_key,
                                         newest.payload)), lower($1)) > 0
            order by newest.id desc limit $2"#,
        text,
        limit,
        LAST_RESORT
    )
    .fetch_all(conn)
    .await
}

async fn without_payloads(
    conn: &mut PgConnection,
    text: &str,
    limit: i64,
) -> sqlx::Result<Vec<Hit>> {
    sqlx::query_as!(Hit,
        r#"-- outboxd find: read through names
           select newest.id as "id!", newest.key as "key!" from (
               (select o.id, o.key, o.aggregate_id, o.recipient, o.dedupe_key
                  from outboxd.notification_outbox o order by o.id desc limit $3)
               union all
               (select d.id, d.key, d.aggregate_id, d.recipient, d.dedupe_key
                  from outboxd.notification_delivery d order by d.id desc limit $3)) newest
            where strpos(lower(concat_ws(e'\n', newest.aggregate_id, newest.recipient, newest.dedupe_key)),
                         lower($1)) > 0
            order by newest.id desc limit $2"#,
        text,
        limit,
        NEWEST
    )
    .fetch_all(conn)
    .await
}

/// Asked ahead: a refusal would end the transaction, and with it the answer.
pub(super) async fn may_read_payloads(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"-- outboxd find: may read payloads
            select has_column_privilege('outboxd.notification_outbox', 'payload', 'select')
               and has_column_privilege('outboxd.notification_delivery', 'payload', 'select') as "may!""#
    )
    .fetch_one(conn)
    .await
}
