//! What stands beside a notification: the one it came from, the one in its place, a newer one of its `collapse_key`, and
//! what was done by hand.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Notification;
use crate::notification::{Key, NotificationId};

/// What stands beside a notification.
#[derive(Clone, Debug, Default)]
pub struct Links {
    /// In whose place it was written.
    pub earlier: Option<Link>,
    /// Which was written in its place.
    pub later: Option<Link>,
    /// The newest of its `collapse_key`, if that was written after it.
    pub newer: Option<NotificationId>,
    /// What somebody noted of this very ending.
    pub handled: Option<Mark>,
}

impl Links {
    /// Another was written in its place or after it, or somebody told the person or found it not needed.
    pub fn deal_with_it(&self) -> bool {
        let mark = self.handled.as_ref();
        self.later.is_some()
            || self.newer.is_some()
            || mark.is_some_and(|mark| mark.outcome != "not_reached")
    }
}

/// Another notification, and who wrote the later of the two.
#[derive(Clone, Debug)]
pub struct Link {
    pub id: NotificationId,
    pub key: Key,
    pub at: DateTime<Utc>,
    pub by: String,
}

/// Dealt with by hand.
#[derive(Clone, Debug)]
pub struct Mark {
    /// `told`, `not_reached` or `not_needed`.
    pub outcome: String,
    pub at: DateTime<Utc>,
    pub by: String,
}

/// What stands beside these, by their keys; none where nothing does.
pub async fn links(
    conn: &mut PgConnection,
    found: &[Notification],
) -> sqlx::Result<HashMap<Uuid, Links>> {
    let ids: Vec<i64> = found.iter().map(|it| it.id.0).collect();
    let rows = sqlx::query!(
        r#"-- outboxd links
           select n.old_key as "of!: Uuid", n.new_id as "id!", n.new_key as "key!: Uuid", n.at as "at!", n.by as "by!",
                  true as "is_later!"
             from outboxd.notification_successor n where n.old_id = any($1)
           union all
           select n.new_key, n.old_id, n.old_key, n.at, n.by, false
             from outboxd.notification_successor n where n.new_id = any($1)
           limit 1000"#,
        &ids
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut all: HashMap<Uuid, Links> = HashMap::new();
    for row in rows {
        let links = all.entry(row.of).or_default();
        let link = Link {
            id: NotificationId(row.id),
            key: Key(row.key),
            at: row.at,
            by: row.by,
        };
        if row.is_later {
            links.later = Some(link);
        } else {
            links.earlier = Some(link);
        }
    }
    let marks = sqlx::query!(
        r#"-- outboxd handled
           select h.key as "key: Uuid", h.settled_at, h.outcome, h.handled_at, h.handled_by
             from outboxd.notification_handled h where h.notification_id = any($1)
            order by h.settled_at desc limit 1000"#,
        &ids
    )
    .fetch_all(&mut *conn)
    .await?;
    for row in marks {
        // A mark speaks of one ending.
        let is_of =
            |it: &Notification| it.key.0 == row.key && it.settled_at == Some(row.settled_at);
        if found.iter().any(is_of) {
            all.entry(row.key).or_default().handled = Some(Mark {
                outcome: row.outcome,
                at: row.handled_at,
                by: row.handled_by,
            });
        }
    }
    let keys: Vec<Uuid> = found.iter().map(|it| it.key.0).collect();
    for (key, id) in newer(conn, &ids, &keys).await? {
        all.entry(key).or_default().newer = Some(id);
    }
    Ok(all)
}

/// The newest of their `collapse_key`, of each after which one was written: for that one's sake a claim passes it by.
pub async fn newer(
    conn: &mut PgConnection,
    ids: &[i64],
    keys: &[Uuid],
) -> sqlx::Result<HashMap<Uuid, NotificationId>> {
    let rows = sqlx::query!(
        r#"-- outboxd newer
           select it.key as "key!", newer.id as "id!" from (
                  select o.id, o.key, o.app, o.collapse_key from outboxd.notification_outbox o where o.id = any($1)
                  union all
                  select d.id, d.key, d.app, d.collapse_key from outboxd.notification_delivery d where d.id = any($1)) it
            cross join lateral (
                  select greatest((select max(n.id) from outboxd.notification_outbox n
                                    where n.app = it.app and n.collapse_key = it.collapse_key and n.id > it.id),
                                  (select max(d.id) from outboxd.notification_delivery d
                                    where d.app = it.app and d.collapse_key = it.collapse_key and d.id > it.id
                                      and d.status <> 'cancelled')) as id) newer
            where it.key = any($2) and newer.id is not null limit 1000"#,
        ids,
        keys
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.key, NotificationId(row.id)))
        .collect())
}
