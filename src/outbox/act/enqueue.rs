//! Write one notification by hand, through the same door as the CRM.

use sqlx::PgConnection;

use crate::notification::NotificationId;

/// What is to be written.
#[derive(Clone, Copy, Debug)]
pub struct Enqueue<'a> {
    pub event_type: &'a str,
    pub recipient: &'a str,
    pub aggregate_id: &'a str,
    /// JSON text of an object.
    pub payload: &'a str,
    pub app: &'a str,
    pub created_by: &'a str,
}

/// Calls `enqueue_notification`.
pub async fn enqueue(conn: &mut PgConnection, it: &Enqueue<'_>) -> sqlx::Result<NotificationId> {
    sqlx::query_scalar!(
        r#"-- outboxd enqueue
           select outboxd.enqueue_notification(
                      event_type => $1, recipient => $2, aggregate_id => $3, payload => $4::text::jsonb,
                      app => $5, created_by => $6) as "id!" limit 1"#,
        it.event_type,
        it.recipient,
        it.aggregate_id,
        it.payload,
        it.app,
        it.created_by
    )
    .fetch_one(conn)
    .await
    .map(NotificationId)
}
