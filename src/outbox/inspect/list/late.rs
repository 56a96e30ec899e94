//! What settled within a period although it was written long before: it waited for a time, for a permission, for a receiver.
//!
//! Asked only when the walk came to the period's lower end, so few were written within it; these are found by the time at
//! which they settled, not by their ids. Where they are many, after an outage, or all planned for one day, they are left to
//! the walk instead.

use sqlx::PgConnection;

use super::super::Hit;
use super::Filter;

/// More than so many are many.
pub(super) const MANY: i64 = 10_000;

/// Each kind of row has indexes of its own, which the planner takes only where the statement names it.
macro_rules! late {
    ($name:ident, $named:literal, $kind:literal) => {
        pub(super) async fn $name(
            conn: &mut PgConnection,
            filter: &Filter,
            words: &[String],
            (above, below): (i64, i64),
        ) -> sqlx::Result<Vec<Hit>> {
            let period = filter.period;
            sqlx::query_as!(
                Hit,
                $named
                    + r#"
                   select d.id as "id!", d.key as "key!" from outboxd.notification_delivery d
                    where d.status "#
                    + $kind
                    + r#" and d.status = any($1)
                      and ($2::text is null or d.app = $2)
                      and ($3::text is null or d.event_type = $3)
                      and ($4::text is null or d.reason = $4)
                      and d.settled_at >= coalesce($7::timestamptz, '-infinity')
                      and d.settled_at < coalesce($8::timestamptz, 'infinity')
                      and d.created_at >= coalesce($9::timestamptz, '-infinity')
                      and ($10::timestamptz is null or d.created_at < $10)
                      and d.id > $5 and d.id < $6
                    limit $11"#,
                words,
                filter.app.as_deref(),
                filter.event_type.as_deref(),
                filter.reason.as_deref(),
                above,
                below,
                period.settled_since.max(period.created_since),
                period.settled_until,
                period.created_since,
                period.created_until,
                MANY + 1
            )
            .fetch_all(conn)
            .await
        }
    };
}

late!(trouble, "-- outboxd list: late trouble", "<> 'delivered'");
late!(
    delivered,
    "-- outboxd list: late delivered",
    "= 'delivered'"
);
