//! Plan: the filter, the instant, and what it would send again. Nothing is sent; the plan waits for its start.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{BulkId, Preview};
use crate::notification::Status;
use crate::outbox::act::By;

/// How far a preview counts.
const COUNTED: i64 = 100_000;

/// What is to be sent again, and how fast.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Of dead, expired and cancelled; anything else is left out.
    pub statuses: Vec<Status>,
    pub app: Option<String>,
    /// Key into the catalogue.
    pub reason: Option<String>,
    pub event_type: Option<String>,
    pub recipient: Option<String>,
    pub settled_since: Option<DateTime<Utc>>,
    /// Those that may arrive twice, too.
    pub with_doubtful: bool,
    /// Those whose time limit has passed, too; it is lifted.
    pub with_late: bool,
    /// At most so many a second, 1 to 500.
    pub per_second: i32,
    /// Stops itself when more than so many per cent of a rung fail.
    pub stop_above: i32,
}

/// What became of a plan.
#[derive(Clone, Debug, PartialEq)]
pub enum Planned {
    Done(BulkId, Preview),
    /// Nothing fits, so there is no plan; what was left out says why.
    Nothing(Preview),
}

/// Makes a plan, with its line in the audit log. A form makes one, however often it is sent.
pub async fn plan(
    conn: &mut PgConnection,
    asked: &Asked,
    form: Option<Uuid>,
    by: &By,
) -> sqlx::Result<Planned> {
    if let Some(made) = of_form(&mut *conn, form).await? {
        return Ok(made);
    }
    let statuses = with_a_way_back(asked);
    let (until, preview) = look(&mut *conn, asked, &statuses).await?;
    if preview.count == 0 && !preview.is_more {
        return Ok(Planned::Nothing(preview));
    }
    let id = sqlx::query_scalar!(
        r#"-- outboxd bulk plan
           with planned as (
               insert into outboxd.bulk_redrive
                      (statuses, app, reason, event_type, recipient, settled_since, settled_until, with_doubtful, with_late,
                       per_second, stop_above, preview, why, planned_by, changed_by, form)
               values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::text::jsonb, $13, $14, $14, $15)
               -- Waits for the other of two that are sent at once.
               on conflict (form) do nothing
               returning id, app
           ),
           noted as (
               insert into outboxd.audit_log (actor, action, app, affected, reason, detail)
               select $14, 'bulk_plan', app, 0, $13,
                      jsonb_build_object('bulk', id, 'before', null, 'after', 'planned', 'preview', $12::text::jsonb)
                 from planned
           )
           select id as "id!" from planned limit 1"#,
        &statuses,
        asked.app.as_deref(),
        asked.reason.as_deref(),
        asked.event_type.as_deref(),
        asked.recipient.as_deref(),
        asked.settled_since,
        until,
        asked.with_doubtful,
        asked.with_late,
        asked.per_second.clamp(1, 500),
        asked.stop_above.clamp(0, 100),
        serde_json::to_string(&preview).map_err(|why| sqlx::Error::Encode(why.into()))?,
        by.reason.as_deref().unwrap_or("-"),
        by.actor,
        form
    )
    .fetch_optional(&mut *conn)
    .await?;
    match id {
        Some(id) => Ok(Planned::Done(BulkId(id), preview)),
        None => of_form(conn, form).await?.ok_or(sqlx::Error::RowNotFound),
    }
}

/// What this form has planned before.
async fn of_form(conn: &mut PgConnection, form: Option<Uuid>) -> sqlx::Result<Option<Planned>> {
    let made = sqlx::query!(
        r#"-- outboxd bulk plan: of a form
           select b.id, b.preview::text as "preview!" from outboxd.bulk_redrive b where b.form = $1 limit 1"#,
        form
    )
    .fetch_optional(conn)
    .await?;
    made.map(|made| {
        let preview =
            serde_json::from_str(&made.preview).map_err(|why| sqlx::Error::Decode(why.into()))?;
        Ok(Planned::Done(BulkId(made.id), preview))
    })
    .transpose()
}

/// What a plan made now would send again. Nothing is written.
pub async fn preview(conn: &mut PgConnection, asked: &Asked) -> sqlx::Result<Preview> {
    let (_, preview) = look(conn, asked, &with_a_way_back(asked)).await?;
    Ok(preview)
}

fn with_a_way_back(asked: &Asked) -> Vec<String> {
    let ended = |s: &&Status| matches!(s, Status::Dead | Status::Expired | Status::Cancelled);
    let statuses = asked.statuses.iter().filter(ended);
    statuses.map(|s| s.word().to_owned()).collect()
}

/// The instant, and what fits at it.
async fn look(
    conn: &mut PgConnection,
    asked: &Asked,
    statuses: &[String],
) -> sqlx::Result<(DateTime<Utc>, Preview)> {
    // A second ago: a record that is being committed right now carries a time of a moment ago, and must not slip into
    // the set after it was counted.
    let until = sqlx::query_scalar!(
        r#"-- outboxd bulk plan: instant
           select statement_timestamp() - interval '1 second' as "until!""#
    )
    .fetch_one(&mut *conn)
    .await?;
    let counted = sqlx::query!(
        r#"-- outboxd bulk plan: preview
           with all_of as materialized (
               select d.created_at, d.may_have_arrived, d.order_key, d.reason,
                      coalesce(d.expires_at <= $7, false) as late,
                      -- Nothing newer settled before this one was written.
                      exists (select from outboxd.notification_successor n
                               where n.old_id = d.id and n.old_key = d.key)
                      or d.collapse_key is not null
                         and (exists (select from outboxd.notification_outbox n
                                       where n.app = d.app and n.collapse_key = d.collapse_key and n.id > d.id)
                              or exists (select from outboxd.notification_delivery n
                                          where n.app = d.app and n.collapse_key = d.collapse_key and n.id > d.id
                                            and n.settled_at > d.created_at - interval '1 day'
                                            and n.status <> 'cancelled')) as replaced,
                      exists (select from outboxd.notification_handled h
                               where h.notification_id = d.id and h.key = d.key and h.settled_at = d.settled_at
                                 and h.outcome <> 'not_reached') as handled
                 from outboxd.notification_delivery d
                where d.status <> 'delivered' and d.status = any($1)
                  and ($2::text is null or d.app = $2) and ($3::text is null or d.reason = $3)
                  and ($4::text is null or d.event_type = $4) and ($5::text is null or d.recipient = $5)
                  and d.settled_at >= coalesce($6::timestamptz, '-infinity') and d.settled_at <= $7
                order by d.settled_at, d.id limit $10
           ),
           t as (
               select a.*, o.open, o.open and ($8 or not a.may_have_arrived) and ($9 or not a.late) as fits
                 from all_of a
                cross join lateral (select not a.replaced and not a.handled as open) o
           ),
           causes as (
               select t.reason, count(*) as n from t where t.fits group by 1 order by 2 desc, 1 limit 50
           )
           select count(*) filter (where fits) as "count!", min(t.created_at) filter (where fits) as oldest,
                  count(*) filter (where fits and t.created_at < $7::timestamptz - interval '1 day') as "stale!",
                  count(*) filter (where t.open and t.late) as "late!",
                  count(*) filter (where t.open and t.may_have_arrived) as "doubtful!",
                  count(*) filter (where t.replaced) as "replaced!",
                  count(*) filter (where t.handled and not t.replaced) as "handled!",
                  count(*) filter (where fits and t.order_key is not null) as "ordered!", count(*) as "all!",
                  (select coalesce(jsonb_agg(jsonb_build_object('reason', c.reason, 'count', c.n)
                                             order by c.n desc, c.reason), '[]') from causes c)::text as "causes!"
             from t"#,
        statuses,
        asked.app.as_deref(),
        asked.reason.as_deref(),
        asked.event_type.as_deref(),
        asked.recipient.as_deref(),
        asked.settled_since,
        until,
        asked.with_doubtful,
        asked.with_late,
        COUNTED + 1
    )
    .fetch_one(conn)
    .await?;
    let preview = Preview {
        count: counted.count.min(COUNTED),
        is_more: counted.all > COUNTED,
        oldest: counted.oldest,
        stale: counted.stale,
        late: counted.late,
        doubtful: counted.doubtful,
        replaced: counted.replaced,
        handled: counted.handled,
        ordered: counted.ordered,
        causes: serde_json::from_str(&counted.causes)
            .map_err(|why| sqlx::Error::Decode(why.into()))?,
    };
    Ok((until, preview))
}
