//! What stands beside a notification: the one it came from, the one in its place, a newer one of its `collapse_key`, and
//! what was done by hand.

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

/// What stands beside this one.
pub async fn links(conn: &mut PgConnection, it: &Notification) -> sqlx::Result<Links> {
    let rows = sqlx::query!(
        r#"-- outboxd links
           select n.new_id as "id!", n.new_key as "key!: Uuid", n.at as "at!", n.by as "by!", true as "is_later!"
             from outboxd.notification_successor n where n.old_id = $1 and n.old_key = $2
           union all
           select n.old_id, n.old_key, n.at, n.by, false
             from outboxd.notification_successor n where n.new_id = $1 and n.new_key = $2
           limit 2"#,
        it.id.0,
        it.key.0
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut links = Links::default();
    for row in rows {
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
    links.newer = newer(&mut *conn, it).await?;
    if let Some(settled_at) = it.settled_at {
        links.handled = sqlx::query_as!(
            Mark,
            r#"-- outboxd handled
               select h.outcome, h.handled_at as at, h.handled_by as by from outboxd.notification_handled h
                where h.notification_id = $1 and h.key = $2 and h.settled_at = $3 limit 1"#,
            it.id.0,
            it.key.0,
            settled_at
        )
        .fetch_optional(conn)
        .await?;
    }
    Ok(links)
}

/// The newest of its `collapse_key`, if that was written after it: for that one's sake a claim passes this one by.
pub async fn newer(
    conn: &mut PgConnection,
    it: &Notification,
) -> sqlx::Result<Option<NotificationId>> {
    let newer = sqlx::query_scalar!(
        r#"-- outboxd newer
           select greatest((select max(n.id) from outboxd.notification_outbox n
                             where n.app = it.app and n.collapse_key = it.collapse_key and n.id > $1),
                           (select max(d.id) from outboxd.notification_delivery d
                             where d.app = it.app and d.collapse_key = it.collapse_key and d.id > $1
                               and d.status <> 'cancelled')) as newer
             from (select o.app, o.collapse_key from outboxd.notification_outbox o where o.id = $1 and o.key = $2
                   union all
                   select d.app, d.collapse_key from outboxd.notification_delivery d where d.id = $1 and d.key = $2) it
            where it.collapse_key is not null limit 1"#,
        it.id.0,
        it.key.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(newer.flatten().map(NotificationId))
}
