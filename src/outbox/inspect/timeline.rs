//! One notification's life: its attempts, and the acts of people on it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::find::may_read_payloads;
use crate::notification::{Key, NotificationId};
use crate::outbox::session::planned_anew;

/// One attempt that has ended.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub attempt: i32,
    pub daemon: String,
    pub started_at: DateTime<Utc>,
    pub ended_at: DateTime<Utc>,
    pub phase: String,
    pub outcome: String,
    pub errcode: Option<i32>,
    /// Key into the catalogue.
    pub sentence: String,
    pub detail: Option<String>,
    pub latency_ms: Option<i32>,
    /// How long of that was waited for an access token; `None` when it was not, and of attempts older than this column.
    pub token_ms: Option<i32>,
}

/// The attempts, oldest first; of a row with very many the latest `limit`.
pub async fn attempts(
    conn: &mut PgConnection,
    id: NotificationId,
    limit: i64,
) -> sqlx::Result<Vec<Attempt>> {
    let mut attempts = sqlx::query_as!(
        Attempt,
        r#"-- outboxd attempts
           select a.attempt, a.daemon, a.started_at, a.ended_at, a.phase, a.outcome, a.errcode, a.sentence,
                  a.detail, a.latency_ms, a.token_ms
             from outboxd.notification_attempt a
            where a.notification_id = $1
            order by a.attempt desc, a.ended_at desc
            limit $2"#,
        id.0,
        limit
    )
    .fetch_all(conn)
    .await?;
    attempts.reverse();
    Ok(attempts)
}

/// What a person did to it.
#[derive(Clone, Debug)]
pub struct Act {
    pub at: DateTime<Utc>,
    pub actor: String,
    pub action: String,
    pub reason: Option<String>,
    /// How many notifications the same act touched.
    pub affected: i32,
    /// What the answer said, if the act is a daemon's answer that came after its lease was lost.
    pub answer: Option<LateAnswer>,
    /// What was there before, as the log has it, and after. Of an act on many, what there was of this one.
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// An answer that changed nothing, because the row was in other hands by then.
#[derive(Clone, Debug, Deserialize)]
pub struct LateAnswer {
    pub attempt: i32,
    pub outcome: String,
    /// Key into the catalogue.
    pub sentence: String,
    pub errcode: Option<i32>,
}

/// The acts on this notification, oldest first.
pub async fn acts(
    conn: &mut PgConnection,
    id: NotificationId,
    limit: i64,
) -> sqlx::Result<Vec<Act>> {
    let ask = async |conn: &mut PgConnection| {
        sqlx::query!(
            r#"-- outboxd acts
           select l.at, l.actor, l.action, l.reason, l.affected,
                  case when l.action = 'late_answer' then l.detail end as answer,
                  coalesce(l.detail -> 'before' -> ($1::bigint)::text, l.detail -> 'before') as before,
                  coalesce(l.detail -> 'after' -> ($1::bigint)::text, l.detail -> 'after') as after
             from outboxd.audit_log l
            where l.notification_ids @> array[$1::bigint]
            order by l.id desc
            limit $2"#,
            id.0,
            limit
        )
        .fetch_all(conn)
        .await
    };
    let rows = planned_anew(conn, ask).await?;
    let acts = rows.into_iter().rev().map(|row| Act {
        at: row.at,
        actor: row.actor,
        action: row.action,
        reason: row.reason,
        affected: row.affected,
        // Of a newer version's it is said that it came.
        answer: row.answer.and_then(|it| serde_json::from_value(it).ok()),
        before: row.before,
        after: row.after,
    });
    Ok(acts.collect())
}

/// Of these ids, those of which an answer came too late that said they were accepted: when, and its sentence.
pub async fn accepted_late(
    conn: &mut PgConnection,
    ids: &[i64],
) -> sqlx::Result<HashMap<i64, (DateTime<Utc>, String)>> {
    let ask = async |conn: &mut PgConnection| {
        sqlx::query!(
        r#"-- outboxd accepted late
           select l.notification_ids[1] as "id!", l.at, coalesce(l.detail ->> 'sentence', '') as "sentence!"
             from outboxd.audit_log l
            where l.notification_ids && $1 and l.action = 'late_answer' and l.detail ->> 'outcome' = 'delivered'
            order by l.id limit 1000"#,
        ids
    )
    .fetch_all(conn)
    .await
    };
    let rows = planned_anew(conn, ask).await?;
    let late = rows.into_iter().map(|row| (row.id, (row.at, row.sentence)));
    Ok(late.collect())
}

/// How it was written, beyond what the view shows.
#[derive(Clone, Debug)]
pub struct Created {
    pub priority: i16,
    pub order_key: Option<String>,
    pub collapse_key: Option<String>,
    pub traceparent: Option<String>,
}

/// How it was written.
pub async fn created(
    conn: &mut PgConnection,
    id: NotificationId,
    key: Key,
) -> sqlx::Result<Option<Created>> {
    sqlx::query_as!(
        Created,
        r#"-- outboxd created
           select o.priority as "priority!", o.order_key, o.collapse_key, o.traceparent
             from outboxd.notification_outbox o where o.id = $1 and o.key = $2
           union all
           select d.priority, d.order_key, d.collapse_key, d.traceparent
             from outboxd.notification_delivery d where d.id = $1 and d.key = $2
           limit 1"#,
        id.0,
        key.0 as Uuid
    )
    .fetch_optional(conn)
    .await
}

/// The payload's JSON text, as the database prints it, so that no number is rounded. The caller masks it.
pub async fn payload(
    conn: &mut PgConnection,
    id: NotificationId,
    key: Key,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        r#"-- outboxd payload
           select o.payload::text as "payload!" from outboxd.notification_outbox o where o.id = $1 and o.key = $2
           union all
           select d.payload::text from outboxd.notification_delivery d where d.id = $1 and d.key = $2
           limit 1"#,
        id.0,
        key.0 as Uuid
    )
    .fetch_optional(conn)
    .await
}

/// The payloads of these notifications by their keys, laid out for eyes; `None` when this role may not read payloads.
/// The caller masks them.
pub async fn payloads(
    conn: &mut PgConnection,
    ids: &[i64],
) -> sqlx::Result<Option<Vec<(Uuid, String)>>> {
    if !may_read_payloads(&mut *conn).await? {
        return Ok(None);
    }
    let rows = sqlx::query!(
        r#"-- outboxd payloads
           select o.key as "key!", jsonb_pretty(o.payload) as "payload!"
             from outboxd.notification_outbox o where o.id = any($1)
           union all
           select d.key, jsonb_pretty(d.payload) from outboxd.notification_delivery d where d.id = any($1)
           limit 2000"#,
        ids
    )
    .fetch_all(conn)
    .await?;
    Ok(Some(
        rows.into_iter().map(|row| (row.key, row.payload)).collect(),
    ))
}
