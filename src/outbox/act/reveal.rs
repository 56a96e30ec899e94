//! Looking at what is otherwise masked: no row changes, and the audit log says who looked and why.

use sqlx::PgConnection;

use super::{By, Rows};
use crate::outbox::inspect::Notification;

/// Writes down that this person sees the whole payload. Read it in the same transaction, so that nobody sees it
/// unwritten.
pub async fn reveal(conn: &mut PgConnection, it: &Notification, by: &By) -> sqlx::Result<()> {
    let rows = Rows::of(std::slice::from_ref(it));
    sqlx::query!(
        r#"-- outboxd reveal
           insert into outboxd.audit_log (actor, action, app, notification_ids, affected, reason)
           values ($1, 'reveal', $2, $3, 0, $4)"#,
        by.actor,
        it.app,
        &rows.ids,
        by.reason
    )
    .execute(conn)
    .await?;
    Ok(())
}
