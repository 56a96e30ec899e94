//! The audit log as people read it: who did what to how many, and why, newest first.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::notification::NotificationId;
use crate::outbox::session::planned_anew;

/// What is asked for. Everything given must hold.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    pub actor: Option<String>,
    pub action: Option<String>,
    pub app: Option<String>,
    pub notification: Option<NotificationId>,
    pub since: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
    /// The keyset: only lines older than this one.
    pub before: Option<i64>,
    /// The page before: the nearest lines that are newer. Leave `before` out then.
    pub after: Option<i64>,
    pub limit: i64,
}

/// One line.
#[derive(Clone, Debug)]
pub struct AuditLine {
    pub id: i64,
    pub at: DateTime<Utc>,
    pub actor: String,
    pub action: String,
    pub app: Option<String>,
    /// The first hundred of those it touched.
    pub notifications: Vec<i64>,
    pub affected: i32,
    pub reason: Option<String>,
    /// JSON text of an object; of an act `before` and `after`.
    pub detail: String,
}

/// A page of lines, newest first.
pub async fn audit(conn: &mut PgConnection, filter: &AuditFilter) -> sqlx::Result<Vec<AuditLine>> {
    planned_anew(conn, async |conn| match filter.after {
        None => older(conn, filter).await,
        Some(_) => {
            let mut lines = newer(conn, filter).await?;
            lines.reverse();
            Ok(lines)
        }
    })
    .await
}

macro_rules! page {
    ($name:ident, $from:ident, $than:literal, $order:literal) => {
        async fn $name(
            conn: &mut PgConnection,
            filter: &AuditFilter,
        ) -> sqlx::Result<Vec<AuditLine>> {
            sqlx::query_as!(
                AuditLine,
                r#"-- outboxd audit
                   select l.id, l.at, l.actor, l.action, l.app, l.notification_ids[1:100] as "notifications!",
                          l.affected, l.reason, l.detail::text as "detail!"
                     from outboxd.audit_log l
                    where ($1::text is null or l.actor = $1)
                      and ($2::text is null or l.action = $2)
                      and ($3::text is null or l.app = $3)
                      and ($4::bigint is null or l.notification_ids @> array[$4])
                      and ($5::timestamptz is null or l.at >= $5)
                      and ($6::timestamptz is null or l.at < $6)
                      and ($7::bigint is null or l.id "#
                    + $than
                    + r#" $7)
                    order by l.id "#
                    + $order
                    + r#" limit $8"#,
                filter.actor.as_deref(),
                filter.action.as_deref(),
                filter.app.as_deref(),
                filter.notification.map(|id| id.0),
                filter.since,
                filter.until,
                filter.$from,
                filter.limit
            )
            .fetch_all(conn)
            .await
        }
    };
}

page!(older, before, "<", "desc");
page!(newer, after, ">", "asc");
