//! Reveal: the payload as it was written, phone number and all. Nothing changes but the log, which says who looked, and why.

use sqlx::PgConnection;
use uuid::Uuid;

use super::By;
use crate::notification::{Key, NotificationId};

/// The payload's JSON text, unmasked; `None` when there is no such notification, and then nothing is noted.
pub async fn reveal(
    conn: &mut PgConnection,
    id: NotificationId,
    key: Key,
    by: &By,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        r#"-- outboxd reveal
           with shown as (
               select o.app, o.payload from outboxd.notification_outbox o where o.id = $1 and o.key = $2
               union all
               select d.app, d.payload from outboxd.notification_delivery d where d.id = $1 and d.key = $2
               limit 1
           ),
           noted as (
               insert into outboxd.audit_log (actor, action, app, notification_ids, affected, reason)
               select $3, 'reveal', app, array[$1], 1, $4 from shown
           )
           select payload::text as "payload!" from shown limit 1"#,
        id.0,
        key.0 as Uuid,
        by.actor,
        by.reason
    )
    .fetch_optional(conn)
    .await
}
