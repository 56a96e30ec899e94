//! Record: one statement writes what became of many claims.
//!
//! A row is in exactly one of outbox and delivery: settling deletes it here and inserts it there in the same
//! statement, with the attempt's own row. Each ending names `id` and `lease_token`; where that pair is gone,
//! somebody else holds the row now, and the answer is kept as evidence, never forced.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;
use uuid::Uuid;

use super::line::{Line, answered};
use crate::catalogue::Entry;
use crate::delivery::Phase;
use crate::notification::{AttemptNo, LeaseToken, NotificationId, Place, Status};
use crate::policy::Transition;

/// How one claim ended: everything the database keeps of it.
#[derive(Clone, Debug)]
pub struct Ending {
    pub id: NotificationId,
    /// Where the claim left the row; none: it has to be looked for.
    pub place: Option<Place>,
    pub lease_token: LeaseToken,
    pub attempt: AttemptNo,
    pub transition: Transition,
    pub phase: Phase,
    /// `delivered`, `failed`, `unknown` or `released`.
    pub outcome: &'static str,
    pub why: &'static Entry,
    pub errcode: Option<i32>,
    pub detail: Option<String>,
    pub msgid: Option<String>,
    /// None when nothing was called.
    pub took: Option<Took>,
    pub ended_at: Instant,
    /// When the lease ends: no use in writing after that.
    pub lease_ends_at: Instant,
}

/// How long an attempt took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Took {
    /// From its start to its end.
    pub attempt: Duration,
    /// How long of it was waited for an access token; `None` when it was not.
    pub token: Option<Duration>,
}

/// Whether an ending was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    Done,
    /// Somebody holds the row locked, or has changed it since the claim: write it again later, and look for it.
    Locked,
    /// Another daemon had taken the row over; this answer was kept in the audit log.
    LeaseLost,
}

/// Writes the endings in one statement and says of each, in order, whether it was written.
pub async fn record(
    line: &mut Line,
    app: &str,
    daemon: &str,
    endings: &[Ending],
) -> Result<Vec<Recorded>> {
    let column = Columns::of(endings);
    let mut connection = line.take().await?;
    let written = answered(
        sqlx::query!(
            r#"-- outboxd record
            with ending as materialized (
                select * from unnest(
                    $2::bigint[], $3::uuid[], $4::int[], $5::text[], $6::text[], $7::text[], $8::bool[], $9::bool[], $10::bigint[],
                    $11::text[], $12::text[], $13::int[], $14::text[], $15::text[], $16::int[], $17::int[], $21::bool[], $22::int[])
                  as e (id, lease_token, attempt, status, reason, why, may_have_arrived, spared, retry_ms,
                        phase, outcome, errcode, detail, msgid, latency_ms, age_ms, awaits_grant, token_ms)
            ),
            -- Rows somebody else holds locked are left for the next write; nobody waits for them. A row is taken from where
            -- the claim left it, and nothing else here could be looked up in an index (hence `id + 0`): to a planner that
            -- believes the table empty each index is as good as the next, and it walks through all of a wrong one.
            held as materialized (
                select o.ctid as place, e.status is not null or o.cancel_requested_by is not null as settles
                  from outboxd.notification_outbox o
                  join ending e on e.id = o.id + 0 and e.lease_token = o.lease_token
                 where o.ctid = any ($19::text[]::tid[])
                   for update of o skip locked
            ),
            strayed as materialized (
                select o.ctid as place, e.status is not null or o.cancel_requested_by is not null as settles
                  from outboxd.notification_outbox o
                  join ending e on e.id = o.id and e.lease_token = o.lease_token
                 where cardinality($20::bigint[]) > 0 and o.id = any ($20)
                   for update of o skip locked
            ),
            taken as materialized (
                select place, settles from held union all select place, settles from strayed
            ),
            settled as (
                delete from outboxd.notification_outbox o
                 where o.ctid = any (array(select place from taken where settles))
                returning o.id, o.lease_token, o.key, o.event_type, o.aggregate_type, o.aggregate_id, o.recipient, o.payload, o.dedupe_key,
                          o.order_key, o.collapse_key, o.priority, o.expires_at, o.attempts, o.lease_epoch, o.traceparent,
                          o.format_version, o.created_at, o.created_by, o.awaits_grant
            ),
            requeued as (
                update outboxd.notification_outbox o
                   set lease_token = null, lease_until = null, leased_by = null,
                       -- A release proves nothing about the row.
                       lapses = case when e.phase = 'not_called' then o.lapses else 0 end,
                       -- No later than its limit, so that a row that no attempt fits in any more is settled then.
                       next_attempt_at = case when e.awaits_grant then coalesce(o.expires_at, 'infinity')
                                              when e.retry_ms > 0 then least(clock_timestamp() + e.retry_ms * interval '1 millisecond',
                                                                             o.expires_at)
                                              else o.next_attempt_at end,
                       awaits_grant = e.awaits_grant,
                       spared = o.spared + e.spared::int,
                       may_have_arrived = e.may_have_arrived
                  from ending e
                 where o.ctid = any (array(select place from taken where not settles))
                   and e.id = o.id + 0 and e.lease_token = o.lease_token
                returning o.id, e.lease_token
            ),
            moved as (
                insert into outboxd.notification_delivery
                       (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload, dedupe_key, order_key,
                        collapse_key, priority, expires_at, attempts, lease_epoch, traceparent, format_version, created_at,
                        created_by, status, reason, errcode, may_have_arrived, msgid, settled_at, settled_by)
                select s.id, s.key, $1, s.event_type, s.aggregate_type, s.aggregate_id, s.recipient, s.payload, s.dedupe_key,
                       s.order_key, s.collapse_key, s.priority, s.expires_at, s.attempts, s.lease_epoch, s.traceparent,
                       s.format_version, s.created_at, s.created_by, coalesce(e.status, 'cancelled'),
                       coalesce(e.reason, 'cancelled'),
                       -- Its time was over while it waited for the user's permission.
                       coalesce(e.errcode, case when s.awaits_grant and e.status = 'expired' then 43101 end), e.may_have_arrived, e.msgid, clock_timestamp(), $18
                  from settled s join ending e on e.id = s.id and e.lease_token = s.lease_token
            ),
            written as (
                select id, lease_token from settled union all select id, lease_token from requeued
            ),
            attempts as (
                insert into outboxd.notification_attempt
                       (notification_id, attempt, app, lease_token, daemon, started_at, ended_at, phase, outcome, errcode,
                        sentence, detail, latency_ms, token_ms)
                select e.id, e.attempt, $1, e.lease_token, $18,
                       clock_timestamp() - (e.age_ms + coalesce(e.latency_ms, 0)) * interval '1 millisecond',
                       clock_timestamp() - e.age_ms * interval '1 millisecond',
                       e.phase, e.outcome, e.errcode, e.why, e.detail, e.latency_ms, e.token_ms
                  from ending e join written w on w.id = e.id and w.lease_token = e.lease_token
            )
            select id as "id!", lease_token as "lease_token!" from written"#,
            app,
            &column.id,
            &column.lease_token,
            &column.attempt,
            &column.status as &[Option<&str>],
            &column.reason as &[Option<&str>],
            &column.why as &[&str],
            &column.may_have_arrived,
            &column.spared,
            &column.retry_ms,
            &column.phase as &[&str],
            &column.outcome as &[&str],
            &column.errcode as &[Option<i32>],
            &column.detail as &[Option<&str>],
            &column.msgid as &[Option<&str>],
            &column.latency_ms as &[Option<i32>],
            &column.age_ms,
            daemon,
            &column.place as &[&str],
            &column.strayed,
            &column.awaits_grant,
            &column.token_ms as &[Option<i32>],
        )
        .fetch_all(&mut connection),
    )
    .await
    .context("record outcomes")?;
    line.back(connection).await?;

    let written: HashSet<(i64, Uuid)> = written
        .into_iter()
        .map(|row| (row.id, row.lease_token))
        .collect();
    let is_written = |ending: &Ending| written.contains(&(ending.id.0, ending.lease_token.0));
    let unwritten: Vec<&Ending> = endings
        .iter()
        .filter(|ending| !is_written(ending))
        .collect();
    let mut why_not = if unwritten.is_empty() {
        Vec::new()
    } else {
        why_not(line, app, &unwritten).await?
    }
    .into_iter();
    Ok(endings
        .iter()
        .map(|ending| match is_written(ending) {
            true => Recorded::Done,
            false => why_not.next().unwrap_or(Recorded::Locked),
        })
        .collect())
}

/// Why these were not written: somebody holds the row locked, an earlier write of the same ending went through
/// although its answer was lost, or the lease is somebody else's now.
async fn why_not(line: &mut Line, app: &str, endings: &[&Ending]) -> Result<Vec<Recorded>> {
    let ids: Vec<i64> = endings.iter().map(|ending| ending.id.0).collect();
    let tokens: Vec<Uuid> = endings.iter().map(|ending| ending.lease_token.0).collect();
    let attempts: Vec<i32> = endings.iter().map(|ending| ending.attempt.0).collect();
    let mut connection = line.take().await?;
    let rows = answered(
        sqlx::query!(
            r#"-- outboxd why not recorded
            select exists (select from outboxd.notification_outbox o
                            where o.app = $1 and o.id = e.id and o.lease_token = e.lease_token) as "held!",
                   exists (select from outboxd.notification_attempt a
                            where a.notification_id = e.id and a.attempt = e.attempt and a.lease_token = e.lease_token
                              and a.phase <> 'lapsed') as "written!"
              from unnest($2::bigint[], $3::uuid[], $4::int[]) with ordinality as e (id, lease_token, attempt, n)
             order by e.n"#,
            app,
            &ids,
            &tokens,
            &attempts
        )
        .fetch_all(&mut connection),
    )
    .await
    .context("ask why outcomes were not recorded")?;
    line.back(connection).await?;
    Ok(rows
        .into_iter()
        .map(|row| match (row.written, row.held) {
            (true, _) => Recorded::Done,
            (false, true) => Recorded::Locked,
            (false, false) => Recorded::LeaseLost,
        })
        .collect())
}

/// Keeps an answer whose lease was lost: the row's timeline shows it, nothing else changes.
pub async fn keep_evidence(
    line: &mut Line,
    app: &str,
    daemon: &str,
    ending: &Ending,
) -> Result<()> {
    let detail = json!({
        "attempt": ending.attempt.0,
        "outcome": ending.outcome,
        "sentence": ending.why.key,
        "errcode": ending.errcode,
        "msgid": ending.msgid,
    });
    let mut connection = line.take().await?;
    answered(
        sqlx::query!(
            r#"-- outboxd keep evidence
            insert into outboxd.audit_log (actor, action, app, notification_ids, affected, detail)
            values ($1, 'late_answer', $2, array[$3::bigint], 0, $4)"#,
            daemon,
            app,
            ending.id.0,
            detail
        )
        .execute(&mut connection),
    )
    .await
    .context("keep a late answer")?;
    line.back(connection).await
}

/// The endings, turned on their side.
#[derive(Default)]
struct Columns<'a> {
    id: Vec<i64>,
    place: Vec<&'a str>,
    /// The ids of those without a place.
    strayed: Vec<i64>,
    lease_token: Vec<Uuid>,
    attempt: Vec<i32>,
    status: Vec<Option<&'a str>>,
    reason: Vec<Option<&'a str>>,
    why: Vec<&'a str>,
    may_have_arrived: Vec<bool>,
    spared: Vec<bool>,
    retry_ms: Vec<i64>,
    phase: Vec<&'a str>,
    outcome: Vec<&'a str>,
    errcode: Vec<Option<i32>>,
    detail: Vec<Option<&'a str>>,
    msgid: Vec<Option<&'a str>>,
    latency_ms: Vec<Option<i32>>,
    age_ms: Vec<i32>,
    awaits_grant: Vec<bool>,
    token_ms: Vec<Option<i32>>,
}

impl<'a> Columns<'a> {
    fn of(endings: &'a [Ending]) -> Self {
        let mut column = Columns::default();
        for ending in endings {
            column.id.push(ending.id.0);
            match &ending.place {
                Some(Place(place)) => column.place.push(place),
                None => column.strayed.push(ending.id.0),
            }
            column.lease_token.push(ending.lease_token.0);
            column.attempt.push(ending.attempt.0);
            column.why.push(ending.why.key);
            column.phase.push(ending.phase.word());
            column.outcome.push(ending.outcome);
            column.errcode.push(ending.errcode);
            column.detail.push(ending.detail.as_deref());
            column.msgid.push(ending.msgid.as_deref());
            let took = ending.took;
            column
                .latency_ms
                .push(took.map(|took| millis(took.attempt)));
            let token = took.and_then(|took| took.token);
            column.token_ms.push(token.map(millis));
            column.age_ms.push(millis(ending.ended_at.elapsed()));
            let (status, reason, may_have_arrived, spared, retry) = match &ending.transition {
                Transition::Settle {
                    status,
                    reason,
                    may_have_arrived,
                } => (
                    Some(status.word()),
                    Some(reason.key),
                    *may_have_arrived,
                    false,
                    Duration::ZERO,
                ),
                Transition::Requeue {
                    after,
                    spared,
                    may_have_arrived,
                } => (None, None, *may_have_arrived, *spared, *after),
                Transition::AwaitGrant => (None, None, false, true, Duration::ZERO),
            };
            let awaits_grant = matches!(ending.transition, Transition::AwaitGrant);
            column.awaits_grant.push(awaits_grant);
            debug_assert!(!(status == Some(Status::Delivered.word()) && may_have_arrived));
            column.status.push(status);
            column.reason.push(reason);
            column.may_have_arrived.push(may_have_arrived);
            column.spared.push(spared);
            column.retry_ms.push(i64::from(millis(retry)));
        }
        column
    }
}

fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}
