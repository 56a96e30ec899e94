//! Where a notification has the text it was found by.

use sqlx::PgConnection;

use super::ReadThrough;
use super::pieces::Wanted;
use crate::outbox::inspect::Notification;
use crate::outbox::slices::Paths;

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
    paths: &Paths,
    notifications: &[Notification],
    text: &str,
    read_through: Option<ReadThrough>,
) -> sqlx::Result<Vec<Option<Match>>> {
    let named = |it: &Notification| bears(it, text).or_else(|| contains(it, text));
    let mut found: Vec<Option<Match>> = notifications.iter().map(named).collect();
    if read_through.is_some_and(|read| !read.payloads) || found.iter().all(Option::is_some) {
        return Ok(found);
    }
    let wanted = Wanted::of(text);
    let ids: Vec<i64> = notifications.iter().map(|it| it.id.0).collect();
    let rows = sqlx::query!(
        r#"-- outboxd find: where in the payload
           select n.key as "key!", field.name as "name!", coalesce(field.value, '') as "value!" from (
               select o.id, o.key, o.payload from outboxd.notification_outbox o where o.id = any($1)
               union all
               select d.id, d.key, d.payload from outboxd.notification_delivery d where d.id = any($1)) n
            cross join lateral (
                  (select e.name, e.value from jsonb_each_text(n.payload) as e(name, value)
                    where strpos(lower(e.value), lower($2)) > 0 order by e.name <> all($3), e.name limit 1)
                  union all
                  -- A number that was typed, or is written, with what people write between its digits.
                  (select path, said.value from unnest($3::text[]) as path
                    cross join lateral (select n.payload #>> string_to_array(path, '.') as value) said
                    where right(regexp_replace(said.value, '\D', '', 'g'), length($4)) = $4 limit 1)
                  limit 1) field
            order by n.id desc limit 1000"#,
        &ids,
        text,
        &paths.0,
        wanted.tail.as_deref()
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

/// Whether the text is its id, its key, or what its customer or recipient is called: not only a part of one of these.
pub fn is_called(it: &Notification, text: &str) -> bool {
    bears(it, text).is_some()
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
