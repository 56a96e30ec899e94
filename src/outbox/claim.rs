//! Claim: one statement takes due rows under a lease, and counts the attempt.
//!
//! The lease is data, not a status: in flight means `lease_until > now()`. A lapsed lease is taken by
//! the ordinary claim, which writes the attempt that never ended down as `unknown`; there is no janitor.
//! No transaction, lock or connection is held while the call runs.

mod look;
mod low_water;
mod sweep;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use uuid::Uuid;

pub use self::look::Look;
use self::low_water::{LowWater, Position, columns};
use self::sweep::Sweep;
use super::line::{Held, Line, answered};
use crate::notification::{AttemptNo, Claim, Key, LeaseToken, NotificationId, Place};

/// One app's claims by one daemon.
#[derive(Debug)]
pub struct Claimer {
    line: Line,
    app: String,
    daemon: String,
    lease: Duration,
    mark: LowWater,
    sweep: Sweep,
}

/// Which rows a claim may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Due rows, as many as there are free slots, while the app's gate is open.
    Due(usize),
    /// One due row although the breaker is not closed: is the outage over? `in_doubt`: rather one whose last call stayed
    /// without an answer.
    Probe { in_doubt: bool },
    /// One row that was in flight at two lapsed claims. It runs alone, so that a third lapse is its own. `as_probe`
    /// although the breaker is not closed, when nothing else is due.
    Suspect { as_probe: bool },
}

impl Claimer {
    pub fn new(line: Line, app: &str, daemon: &str, lease: Duration) -> Self {
        Claimer {
            line: line.keeping_plans(),
            app: app.to_owned(),
            daemon: daemon.to_owned(),
            lease,
            mark: LowWater::default(),
            sweep: Sweep::new(),
        }
    }

    /// The line, for the statements on `app_state` that stand between two claims.
    pub fn line(&mut self) -> &mut Line {
        &mut self.line
    }

    /// True when the next claim walks from the beginning instead of from the mark.
    pub fn sweeps_next(&self) -> bool {
        self.sweep.is_due_here()
    }

    /// The next claim sweeps, however long that takes.
    pub fn sweep_next(&mut self) {
        self.sweep.force();
    }

    /// The next claim sweeps, unless there is so much to step over that it is made aside.
    pub fn sweep_soon(&mut self) {
        self.sweep.soon();
    }

    pub async fn claim(&mut self, reach: Reach) -> Result<Vec<Claim>> {
        self.mind_the_sweep();
        let sweep = self.sweep.is_due_here() || matches!(reach, Reach::Probe { .. });
        let from = self.mark.from(sweep);
        let token = LeaseToken(Uuid::new_v4());
        let mut connection = self.line.take().await?;
        let claimed_at = Instant::now();
        let rows = match reach {
            Reach::Due(slots) => {
                answered(self.due(&mut connection, token, slots, false, from)).await
            }
            Reach::Probe { in_doubt } => {
                answered(self.probe(&mut connection, token, in_doubt, from)).await
            }
            Reach::Suspect { as_probe } => {
                answered(self.suspect(&mut connection, token, as_probe)).await
            }
        }
        .context("claim due notifications");
        let swept = sweep && !matches!(reach, Reach::Suspect { .. });
        match &rows {
            Ok(_) if swept => self.sweep.made_here(claimed_at.elapsed()),
            Err(_) if swept => self.sweep.failed_here(),
            Ok(_) | Err(_) => {}
        }
        let rows = rows?;
        self.line.back(connection).await?;

        if let Reach::Due(slots) = reach {
            for (level, taken) in by_priority(&rows) {
                if sweep && rows.len() >= slots {
                    self.mark.rewind(level, taken);
                } else {
                    self.mark.advance(level, taken);
                }
            }
        }
        Ok(rows
            .into_iter()
            .map(|row| row.into_claim(token, claimed_at, self.lease))
            .collect())
    }

    /// True when a suspect is due. Cheap: it has an index of its own, empty in good times.
    pub async fn suspect_is_due(&mut self) -> Result<bool> {
        let mut connection = self.line.take().await?;
        let due = answered(
            sqlx::query_scalar!(
                r#"-- outboxd suspect is due
                select exists (
                    select from outboxd.notification_outbox c
                     where app = $1 and lapses >= 1 and lapses + (lease_token is not null)::int >= 2
                       and next_attempt_at <= statement_timestamp()
                       and (lease_until is null or lease_until < statement_timestamp()
                            or lease_until > statement_timestamp() + interval '20 minutes')
                       and format_version <= 1
                       and (order_key is null or not exists (
                           select from outboxd.notification_outbox p
                            where p.app = c.app and p.order_key = c.order_key and p.id < c.id))) as "due!""#,
                self.app
            )
            .fetch_one(&mut connection),
        )
        .await
        .context("look for suspects")?;
        self.line.back(connection).await?;
        Ok(due)
    }

    pub async fn close(mut self) {
        self.line.close().await;
    }
}

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
    async fn due(
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
    async fn probe(
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

    async fn suspect(
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

struct Row {
    id: i64,
    place: String,
    key: Uuid,
    attempts: i32,
    spared: i32,
    lapses: i16,
    may_have_arrived: bool,
    lease_epoch: i64,
    priority: i16,
    event_type: String,
    aggregate_type: String,
    aggregate_id: String,
    recipient: String,
    traceparent: Option<String>,
    payload: String,
    due_us: i64,
    waited_ms: i64,
    expired: bool,
    cancel_requested: bool,
    superseded_by: Option<i64>,
}

impl Row {
    fn into_claim(self, lease_token: LeaseToken, claimed_at: Instant, lease: Duration) -> Claim {
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

/// The furthest position taken, by level of priority.
fn by_priority(rows: &[Row]) -> Vec<(usize, Position)> {
    let mut furthest = [None; 3];
    for row in rows {
        if let Ok(level @ 0..=2) = usize::try_from(row.priority - 1) {
            furthest[level] = furthest[level].max(Some(Position(row.due_us, row.id)));
        }
    }
    let taken = furthest.into_iter().enumerate();
    taken
        .filter_map(|(level, position)| Some((level, position?)))
        .collect()
}
