//! The questions to the search's index: how far it reaches, and which rows it comes up with.
//!
//! What it comes up with are candidates, for whoever asks to read and compare. How the index is walked stands beside how
//! it is written, in `migrations/0015_shorter_walks.sql` and `0016_gathering_apart.sql`.

use sqlx::PgConnection;

use super::NEWEST;
use super::pieces::Probe;

/// How far the index reaches.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Index {
    /// The first id that it does not reach.
    pub(super) end: i64,
    /// There are more behind it than anybody wants to wait for.
    pub(super) is_behind: bool,
}

/// `None` for a role that may not read it.
pub(super) async fn index(conn: &mut PgConnection) -> sqlx::Result<Option<Index>> {
    if !may_read(&mut *conn).await? {
        return Ok(None);
    }
    let row = sqlx::query!(
        r#"-- outboxd find: how far the index reaches
           with index as materialized (
               -- An older schema has no runs, and its index other pieces: better an error than nothing found.
               select coalesce((select s.last_id + 1 from outboxd.search_slice s where s.run is not null
                                 order by s.first_id desc limit 1), 0) as "end")
           select index.end as "end!",
                  -- Ids are given one by one: no count is needed while the newest is near.
                  case when newest.id - index.end + 1 < $1 then 0
                       else greatest((select count(*) from (select from outboxd.notification_outbox o
                                                             where o.id >= index.end limit $1) waiting),
                                     (select count(*) from (select from outboxd.notification_delivery d
                                                             where d.id >= index.end limit $1) settled)) end as "newer!"
             from index
            cross join (select greatest((select o.id from outboxd.notification_outbox o order by o.id desc limit 1),
                                        (select d.id from outboxd.notification_delivery d order by d.id desc limit 1)) as id) newest
            limit 1"#,
        NEWEST + 1
    )
    .fetch_one(conn)
    .await?;
    Ok(Some(Index {
        end: row.end,
        is_behind: row.newer > NEWEST,
    }))
}

/// Asked ahead, for a refusal would end the transaction.
async fn may_read(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"-- outboxd find: may read
           select has_column_privilege('outboxd.notification_outbox', 'payload', 'select')
              and has_column_privilege('outboxd.notification_delivery', 'payload', 'select')
              and has_table_privilege('outboxd.search_slice', 'select')
              and has_table_privilege('outboxd.search_term', 'select') as "may!""#
    )
    .fetch_one(conn)
    .await
}

/// The newest below an id that may be meant, so many at most.
pub(super) async fn candidates(
    conn: &mut PgConnection,
    probe: &Probe,
    below: i64,
    at_most: usize,
) -> sqlx::Result<Vec<i64>> {
    // Nothing is indexed, or this role may not read it.
    if below == 0 {
        return Ok(Vec::new());
    }
    sqlx::query_scalar!(
        r#"-- outboxd find: candidates
           select outboxd.search_candidates($1, $2, $3, $4, $5) as "id!""#,
        &probe.pieces,
        probe.modulus,
        probe.remainder,
        below,
        i32::try_from(at_most).unwrap_or(i32::MAX)
    )
    .fetch_all(conn)
    .await
}

/// More waiting rows of one recipient than this are found soon enough by reading the newest ones.
const WAITING: i32 = 2_000;

/// All waiting rows of a recipient; `None` when there are very many, or for a role that may not read the index. Then every
/// waiting row has to be looked at.
pub(in crate::outbox::inspect) async fn waiting_of(
    conn: &mut PgConnection,
    recipient: &str,
) -> sqlx::Result<Option<Vec<i64>>> {
    if may_read(&mut *conn).await? {
        waiting(conn, recipient).await
    } else {
        Ok(None)
    }
}

/// The same for a role that may.
pub(super) async fn waiting(
    conn: &mut PgConnection,
    recipient: &str,
) -> sqlx::Result<Option<Vec<i64>>> {
    sqlx::query_scalar!(
        r#"-- outboxd find: waiting
           select outboxd.waiting_of($1, $2)"#,
        recipient,
        WAITING
    )
    .fetch_one(conn)
    .await
}
