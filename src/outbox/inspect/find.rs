//! The search box: from whatever is known to notifications, and which of their fields it was found in.
//!
//! Names come first (a notification's id or key, a customer, a recipient, a dedupe key), each by its index.
//! Only when nothing bears the name, a fixed number of the newest notifications is read through, payloads
//! included; a role that may not read payloads searches the rest, and is told so.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Hit, Notification, of_key};

/// What a search box came up with.
#[derive(Debug)]
pub struct Found {
    pub hits: Vec<Hit>,
    /// Nothing bore that name, so the newest notifications were read through.
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

/// How many of the newest notifications the last resort of [`find`] reads through.
const READ_THROUGH: i64 = 10_000;

/// One box for everything: a notification's id or key, a customer, a recipient, a dedupe key; when nothing
/// bears that name, the text anywhere in the newest notifications (a name, the tail of a phone number).
pub async fn find(conn: &mut PgConnection, text: &str, limit: i64) -> sqlx::Result<Found> {
    if let Ok(key) = text.parse::<Uuid>() {
        let hits = of_key(conn, key).await?;
        if !hits.is_empty() {
            return Ok(Found {
                hits,
                read_through: None,
            });
        }
    }
    let id = text.trim_start_matches('#').parse::<i64>().ok();
    let hits = sqlx::query_as!(Hit,
        r#"-- outboxd find
           select distinct hit.id as "id!", hit.key as "key!" from (
               (select o.id, o.key from outboxd.notification_outbox o where o.id = $2 limit 1)
               union all (select d.id, d.key from outboxd.notification_delivery d where d.id = $2 limit 1)
               union all (select o.id, o.key from outboxd.notification_outbox o
                           where o.aggregate_id = $1 order by o.id desc limit $3)
               union all (select d.id, d.key from outboxd.notification_delivery d
                           where d.aggregate_id = $1 order by d.id desc limit $3)
               union all (select o.id, o.key from outboxd.notification_outbox o
                           where o.recipient = $1 order by o.id desc limit $3)
               union all (select d.id, d.key from outboxd.notification_delivery d
                           where d.recipient = $1 order by d.id desc limit $3)
               union all (select o.id, o.key from outboxd.app_state s join outboxd.notification_outbox o
                           on o.app = s.app and o.dedupe_key = $1 limit $3)
               union all (select d.id, d.key from outboxd.app_state s join outboxd.notification_delivery d
                           on d.app = s.app and d.dedupe_key = $1 limit $3)) hit
            order by 1 desc limit $3"#,
        text,
        id,
        limit
    )
    .fetch_all(&mut *conn)
    .await?;
    if !hits.is_empty() {
        return Ok(Found {
            hits,
            read_through: None,
        });
    }
    let payloads = may_read_payloads(&mut *conn).await?;
    let hits = if payloads {
        with_payloads(conn, text, limit).await?
    } else {
        without_payloads(conn, text, limit).await?
    };
    Ok(Found {
        hits,
        read_through: Some(ReadThrough {
            newest: READ_THROUGH,
            payloads,
        }),
    })
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
        READ_THROUGH
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
        READ_THROUGH
    )
    .fetch_all(conn)
    .await
}

/// Where a text was found in a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    Id,
    Key,
    Customer,
    Recipient,
    DedupeKey,
    /// A field of the payload, with its whole value; the caller masks it.
    Payload {
        field: String,
        value: String,
    },
}

/// Where each of these notifications has the text; `None` for one that has it where nobody reads (in the
/// name of a payload's field, say).
pub async fn matches(
    conn: &mut PgConnection,
    notifications: &[Notification],
    text: &str,
    read_through: Option<ReadThrough>,
) -> sqlx::Result<Vec<Option<Match>>> {
    let named = |it: &Notification| match read_through {
        None => bears(it, text),
        Some(_) => contains(it, text),
    };
    let mut found: Vec<Option<Match>> = notifications.iter().map(named).collect();
    if !read_through.is_some_and(|read| read.payloads) || found.iter().all(Option::is_some) {
        return Ok(found);
    }
    let ids: Vec<i64> = notifications.iter().map(|it| it.id.0).collect();
    let rows = sqlx::query!(
        r#"-- outboxd find: where in the payload
           select n.key as "key!", field.name as "name!", coalesce(field.value, '') as "value!" from (
               select o.id, o.key, o.payload from outboxd.notification_outbox o where o.id = any($1)
               union all
               select d.id, d.key, d.payload from outboxd.notification_delivery d where d.id = any($1)) n
            cross join lateral (
                  select e.name, e.value from jsonb_each_text(n.payload) as e(name, value)
                   where strpos(lower(e.value), lower($2)) > 0 order by e.name limit 1) field
            order by n.id desc limit 1000"#,
        &ids,
        text
    )
    .fetch_all(conn)
    .await?;
    for row in rows {
        let at = notifications.iter().position(|it| it.key.0 == row.key);
        if let Some(found @ None) = at.and_then(|at| found.get_mut(at)) {
            *found = Some(Match::Payload {
                field: row.name,
                value: row.value,
            });
        }
    }
    Ok(found)
}

/// The field that is the text.
fn bears(it: &Notification, text: &str) -> Option<Match> {
    if text.trim_start_matches('#') == it.id.to_string() {
        Some(Match::Id)
    } else if text.parse() == Ok(it.key.0) {
        Some(Match::Key)
    } else if it.aggregate_id == text {
        Some(Match::Customer)
    } else if it.recipient == text {
        Some(Match::Recipient)
    } else {
        (it.dedupe_key.as_deref() == Some(text)).then_some(Match::DedupeKey)
    }
}

/// The field that holds the text somewhere.
fn contains(it: &Notification, text: &str) -> Option<Match> {
    let text = text.to_lowercase();
    let holds = |field: &str| field.to_lowercase().contains(&text);
    if holds(&it.aggregate_id) {
        Some(Match::Customer)
    } else if holds(&it.recipient) {
        Some(Match::Recipient)
    } else {
        (it.dedupe_key.as_deref().is_some_and(holds)).then_some(Match::DedupeKey)
    }
}
