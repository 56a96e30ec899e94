//! The statements of a claim: which rows are due, and their leases.
//!
//! Three ways to choose, one way to take: due rows behind the mark, a probe, a suspect. Whatever a claim passes by, it passes
//! by here; `why_not_yet` in `src/outbox/inspect` tells people the same.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::Claimer;
use super::low_water::{Position, columns};
use crate::notification::{AttemptNo, Claim, Key, LeaseToken, NotificationId, Place};
use crate::outbox::line::Held;

/// Both claims end alike: `due` names the rows, and what follows leases them.
///
/// - The CTE is materialized: under another plan `limit 1` has been seen to claim the whole table.
/// - `statement_timestamp()` in predicates: it is stable, so the index serves; `clock_timestamp()` there
///   reads every row that is not due. The stored end of the lease is the wall clock's.
/// - A lease more than 20 minutes ahead (no lease is longer than 10) stems from a clock that has since been
///   set back: it counts as lapsed.
/// - No column is decoded that could fail: payload as text, times as numbers. One odd row must never cost its
///   neighbours their batch.
macro_rules! take {
    ([$($due:tt)+], $($argument:expr),* $(,)?) => {
        sqlx::query_as!(
            Row,
            $($due)+ + r#",
            lapsed as (
                insert into outboxd.notification_attempt
                       (notification_id, attempt, app, lease_token, daemon, started_at, ended_at, phase, outcome, sentence)
                select id, attempts, $1, lease_token, leased_by, to_timestamp(lease_epoch / 1000.0), clock_timestamp(),
                       'lapsed', 'unknown', 'lease_lapsed'
                  from due where lease_token is not null and attempts > 0
                   -- A row that was changed between our reading and our lock has moved; the next claim has it.
                   and exists (select from outboxd.notification_outbox o where o.ctid = due.place)
            )
            update outboxd.notification_outbox o
               set lease_token = $2, leased_by = $3,
                   lease_until = clock_timestamp() + $4::bigint * interval '1 millisecond',
                   lease_epoch = greatest(o.lease_epoch + 1, (date_part('epoch', clock_timestamp()) * 1000)::bigint),
                   attempts = o.attempts + 1,
                   lapses = o.lapses + (o.lease_token is not null)::int,
                   may_have_arrived = o.may_have_arrived or o.lease_token is not null
             where o.ctid = any (array(select place from due))
            returning o.id, o.ctid::text as "place!", o.key, o.attempts, o.spared, o.lapses, o.may_have_arrived, o.lease_epoch, o.priority,
                   o.event_type, o.aggregate_type, o.aggregate_id, o.recipient, o.traceparent,
                   o.payload::text as "payload!",
                   (date_part('epoch', o.next_attempt_at) * 1000000)::bigint as "due_us!",
                   greatest(date_part('epoch', statement_timestamp() - o.next_attempt_at) * 1000, 0)::bigint as "waited_ms!",
                   coalesce(o.expires_at <= statement_timestamp(), false) as "expired!",
                   o.cancel_requested_by is not null as "cancel_requested!",
                   -- A newer one of the same collapse_key, whether still here or settled.
                   case when o.collapse_key is not null then greatest(
                       (select max(n.id) from outboxd.notification_outbox n
                         where n.app = o.app and n.collapse_key = o.collapse_key and n.id > o.id),
                       outboxd.newest_settled(o.app, o.collapse_key, o.id))
                   end as superseded_by"#,
            $($argument),*
        )
    };
}

impl Claimer {
    pub(super) async fn due(
        &self,
        connection: &mut Held,
        token: LeaseToken,
        slots: usize,
        through_the_gate: bool,
        from: [Position; 3],
    ) -> sqlx::Result<Vec<Row>> {
        let slots = i64::try_from(slots).unwrap_or(i64::MAX);
        let lease_ms = i64::try_from(self.lease.as_millis()).unwrap_or(i64::MAX);
        let (from_us, from_id) = columns(from);
        take!(
            [r#"-- outboxd claim
            with due as materialized (
                select o.place, o.id, o.attempts, o.lease_token, o.leased_by, o.lease_epoch
                  from unnest(array[1, 2, 3]::smallint[], $5::bigint[], $6::bigint[]) as level (priority, from_us, from_id)
                 cross join coalesce(timestamptz 'epoch' + from_us * interval '1 microsecond', '-infinity') as mark
                 cross join lateral (
                       select c.ctid as place, id, attempts, lease_token, leased_by, lease_epoch
                         from outboxd.notification_outbox c
                        where c.app = $1 and c.priority = level.priority
                          -- From the mark on, or from half a second ago if that is earlier.
                          and (c.next_attempt_at, c.id) >= (
                              least(mark, statement_timestamp() - interval '500 milliseconds'),
                              case when mark < statement_timestamp() - interval '500 milliseconds' then from_id
                                   else -9223372036854775808 end)
                          and c.next_attempt_at <= statement_timestamp()
                          and (c.lease_until is null or c.lease_until < statement_timestamp()
                               or c.lease_until > statement_timestamp() + interval '20 minutes')
                          and c.format_version <= 1
                          and c.lapses + (c.lease_token is not null)::int < 2
                          -- Rows with an order_key wait for their unsettled predecessor; a lock instead of
                          -- this question would let the successor of a locked row overtake it.
                          and (c.order_key is null or not exists (
                              select from outboxd.notification_outbox p
                               where p.app = c.app and p.order_key = c.order_key and p.id < c.id))
                        order by c.next_attempt_at, c.id
                        limit $7
                          for no key update skip locked) o
                 where $8 or not exists (
                       select from outboxd.app_state s
                        where s.app = $1 and (s.paused_at is not null or s.breaker <> 'closed'))
                 limit $7
            )"#],
            self.app,
            token.0,
            self.daemon,
            lease_ms,
            &from_us as &[Option<i64>],
            &from_id,
            slots,
            through_the_gate,
        )
        .fetch_all(connection)
        .await
    }

    /// The best probe is a row whose last call stayed without an answer: it is asked about, not sent, so no other
    /// row is put at risk to learn whether anybody answers. If that failed, one that is not in doubt. Without one, any
    /// due row.
    pub(super) async fn probe(
        &self,
        connection: &mut Held,
        token: LeaseToken,
        in_doubt: bool,
        from: [Position; 3],
    ) -> sqlx::Result<Vec<Row>> {
        let lease_ms = i64::try_from(self.lease.as_millis()).unwrap_or(i64::MAX);
        // Two statements, each in the words and the order of its index.
        macro_rules! probe {
            ($which:tt, $oldest:tt) => {
                take!(
            [r#"-- outboxd claim probe
            with due as materialized (
                select c.ctid as place, c.id, c.attempts, c.lease_token, c.leased_by, c.lease_epoch
                  from outboxd.notification_outbox c
                 where c.app = $1 and "# + $which + r#"
                   and c.next_attempt_at <= statement_timestamp()
                   and (c.lease_until is null or c.lease_until < statement_timestamp()
                        or c.lease_until > statement_timestamp() + interval '20 minutes')
                   and c.format_version <= 1
                   and c.lapses + (c.lease_token is not null)::int < 2
                   and (c.order_key is null or not exists (
                       select from outboxd.notification_outbox p
                        where p.app = c.app and p.order_key = c.order_key and p.id < c.id))
                 order by "# + $oldest + r#"
                 limit 1
                   for no key update skip locked
            )"#],
                    self.app,
                    token.0,
                    self.daemon,
                    lease_ms,
                )
                .fetch_all(&mut *connection)
                .await?
            };
        }
        let best = if in_doubt {
            probe!("c.may_have_arrived", "c.next_attempt_at, c.id")
        } else {
            probe!(
                "not c.may_have_arrived",
                "c.priority, c.next_attempt_at, c.id"
            )
        };
        if !best.is_empty() {
            return Ok(best);
        }
        self.due(connection, token, 1, true, from).await
    }

    pub(super) async fn suspect(
        &self,
        connection: &mut Held,
        token: LeaseToken,
        as_probe: bool,
    ) -> sqlx::Result<Vec<Row>> {
        let lease_ms = i64::try_from(self.lease.as_millis()).unwrap_or(i64::MAX);
        take!(
            [r#"-- outboxd claim suspect
            with due as materialized (
                select c.ctid as place, c.id, c.attempts, c.lease_token, c.leased_by, c.lease_epoch
                  from outboxd.notification_outbox c
                 where c.app = $1 and c.lapses >= 1 and c.lapses + (c.lease_token is not null)::int >= 2
                   and c.next_attempt_at <= statement_timestamp()
                   and (c.lease_until is null or c.lease_until < statement_timestamp()
                        or c.lease_until > statement_timestamp() + interval '20 minutes')
                   and c.format_version <= 1
                   and (c.order_key is null or not exists (
                       select from outboxd.notification_outbox p
                        where p.app = c.app and p.order_key = c.order_key and p.id < c.id))
                   and ($5 or not exists (
                       select from outboxd.app_state s
                        where s.app = $1 and (s.paused_at is not null or s.breaker <> 'closed')))
                 order by c.id
                 limit 1
                   for no key update skip locked
            )"#],
            self.app,
            token.0,
            self.daemon,
            lease_ms,
            as_probe,
        )
        .fetch_all(connection)
        .await
    }
}

/// A row that was taken, as it came over the line.
pub(super) struct Row {
    pub(super) id: i64,
    place: String,
    key: Uuid,
    attempts: i32,
    spared: i32,
    lapses: i16,
    may_have_arrived: bool,
    lease_epoch: i64,
    pub(super) priority: i16,
    event_type: String,
    aggregate_type: String,
    aggregate_id: String,
    recipient: String,
    traceparent: Option<String>,
    payload: String,
    pub(super) due_us: i64,
    waited_ms: i64,
    expired: bool,
    cancel_requested: bool,
    superseded_by: Option<i64>,
}

impl Row {
    pub(super) fn into_claim(
        self,
        lease_token: LeaseToken,
        claimed_at: Instant,
        lease: Duration,
    ) -> Claim {
        Claim {
            id: NotificationId(self.id),
            place: Some(Place(self.place)),
            key: Key(self.key),
            lease_token,
            attempt: AttemptNo(self.attempts),
            spent: self.attempts.saturating_sub(self.spared),
            lapses: self.lapses,
            may_have_arrived: self.may_have_arrived,
            epoch: self.lease_epoch,
            event_type: self.event_type,
            aggregate_type: self.aggregate_type,
            aggregate_id: self.aggregate_id,
            recipient: self.recipient,
            payload: self.payload,
            traceparent: self.traceparent,
            expired: self.expired,
            superseded_by: self.superseded_by.map(NotificationId),
            cancel_requested: self.cancel_requested,
            waited: Duration::from_millis(self.waited_ms.unsigned_abs()),
            claimed_at,
            lease,
        }
    }
}
