//! The past itself: settled rows of five months with their attempts, and rows that wait. Written as COPY goes, on two
//! connections, in the order of time.

use anyhow::{Context, Result};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use crate::people::{STAFF, colleague, customer, scatter};

/// How large it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Past {
    pub(crate) settled: u64,
    pub(crate) waiting: u64,
}

/// One notification, made of its number alone.
pub(crate) struct Notification {
    pub(crate) id: u64,
    pub(crate) key: uuid::Uuid,
    pub(crate) customer: u64,
    pub(crate) recipient: u64,
    /// Of a hundred; what became of it follows from that.
    dice: u64,
}

/// For how long the service has run.
const DAYS: i64 = 140;

/// The migrations make the months from now on; a service of five months has four older ones.
pub(crate) const MONTHS: &str = "\
    do $$
    declare month timestamptz := date_trunc('month', now(), 'UTC'); parent text;
    begin
        for n in 1..5 loop
            foreach parent in array array['notification_delivery', 'notification_attempt'] loop
                execute format('create table if not exists outboxd.%I partition of outboxd.%I for values from (%L) to (%L)',
                               parent || to_char(month - make_interval(months => n), '_YYYY_MM'), parent,
                               month - make_interval(months => n), month - make_interval(months => n - 1));
            end loop;
        end loop;
    end $$";

/// Somebody acts every five minutes.
const ACTS: &str = "\
    insert into outboxd.audit_log (at, actor, action, app, notification_ids, affected, reason)
    select now() - n * interval '5 minutes', 'wang', (array['retry', 'handle', 'reveal'])[n % 3 + 1], 'default', array[n], 1, 'asked by phone'
      from generate_series(1, 40320) n order by n desc";

const DELIVERY: &str = "copy outboxd.notification_delivery (id, key, app, event_type, aggregate_type, aggregate_id, recipient, \
    payload, priority, attempts, lease_epoch, format_version, created_at, created_by, status, reason, errcode, \
    may_have_arrived, settled_at, settled_by) from stdin";
const ATTEMPT: &str = "copy outboxd.notification_attempt (notification_id, attempt, app, lease_token, daemon, started_at, \
    ended_at, phase, outcome, errcode, sentence, latency_ms) from stdin";
const OUTBOX: &str = "copy outboxd.notification_outbox (id, key, event_type, aggregate_id, recipient, payload, \
    next_attempt_at, created_at) from stdin";

impl Past {
    /// A customer is heard of five times.
    pub(crate) fn customers(&self) -> u64 {
        (self.settled / 5).max(1)
    }

    pub(crate) fn notification(&self, id: u64) -> Notification {
        let dice = scatter(id);
        Notification {
            id,
            key: uuid::Uuid::from_u64_pair(scatter(dice), scatter(dice ^ 1)),
            customer: dice % self.customers() + 1,
            recipient: (dice >> 32) % STAFF + 1,
            dice: (dice >> 20) % 200,
        }
    }

    /// Evenly, the last an hour ago.
    fn settled_at(&self, id: u64, now: DateTime<Utc>) -> DateTime<Utc> {
        let age = (1.0 - id as f64 / self.settled as f64) * (DAYS * 86_400) as f64;
        now - TimeDelta::hours(1) - TimeDelta::milliseconds((age * 1000.0) as i64)
    }

    pub(crate) async fn write(
        &self,
        first: &mut PgConnection,
        second: &mut PgConnection,
    ) -> Result<()> {
        sqlx::raw_sql(MONTHS).execute(&mut *first).await?;
        let now = Utc::now();
        let settled = 1..=self.settled;
        let deliveries = copy(first, DELIVERY, settled.clone(), |id| {
            self.notification(id).delivery(self.settled_at(id, now))
        });
        let attempts = copy(second, ATTEMPT, settled, |id| {
            self.notification(id).attempt(self.settled_at(id, now))
        });
        tokio::try_join!(deliveries, attempts)?;
        let waiting = self.settled + 1..=self.settled + self.waiting;
        copy(first, OUTBOX, waiting, |id| {
            self.notification(id).waiting(now)
        })
        .await?;
        sqlx::query(
            "select setval(pg_get_serial_sequence('outboxd.notification_outbox', 'id'), $1)",
        )
        .bind(i64::try_from(self.settled + self.waiting)?)
        .execute(&mut *first)
        .await?;
        sqlx::raw_sql(ACTS).execute(&mut *first).await?;
        sqlx::raw_sql("vacuum analyze").execute(first).await?;
        Ok(())
    }
}

impl Notification {
    pub(crate) fn payload(&self) -> String {
        let customer = customer(self.customer);
        format!(
            r#"{{"customerName": "{}", "customerPhone": "{}", "recipientName": "{}", "source": "mini program", "assignedAt": "2026-11-22 10:00"}}"#,
            customer.name,
            customer.phone,
            colleague(self.recipient)
        )
    }

    /// Of two hundred 192 are delivered, four refused for want of a permission, and one each expired and so on.
    fn end(&self) -> (&'static str, &'static str, &'static str) {
        match self.dice {
            0..4 => ("dead", "not_subscribed", "43101"),
            4 => ("dead", "attempts_spent", "\\N"),
            5 => ("expired", "expired", "\\N"),
            6 => ("superseded", "superseded", "\\N"),
            7 => ("cancelled", "cancelled", "\\N"),
            _ => ("delivered", "accepted", "\\N"),
        }
    }

    fn delivery(&self, at: DateTime<Utc>) -> String {
        let Notification {
            id,
            key,
            customer,
            recipient,
            ..
        } = self;
        let (status, reason, errcode) = self.end();
        let payload = self.payload();
        let at = at.format("%FT%T%.3fZ");
        format!(
            "{id}\t{key}\tdefault\tcustomer_assigned\tcustomer\t{customer}\t{recipient}\t{payload}\t2\t1\t0\t1\t{at}\tcrm\t\
             {status}\t{reason}\t{errcode}\tf\t{at}\tdaemon-1\n"
        )
    }

    fn attempt(&self, at: DateTime<Utc>) -> String {
        let Notification { id, key, .. } = self;
        let (status, reason, errcode) = self.end();
        let outcome = if status == "delivered" {
            "delivered"
        } else {
            "failed"
        };
        let began = at - TimeDelta::milliseconds(200);
        let (began, at) = (began.format("%FT%T%.3fZ"), at.format("%FT%T%.3fZ"));
        format!(
            "{id}\t1\tdefault\t{key}\tdaemon-1\t{began}\t{at}\tanswered\t{outcome}\t{errcode}\t{reason}\t200\n"
        )
    }

    /// A third is due; the others wait for hours to come.
    fn waiting(&self, now: DateTime<Utc>) -> String {
        let Notification {
            id,
            key,
            customer,
            recipient,
            dice,
            ..
        } = self;
        let due =
            now + TimeDelta::minutes(i64::try_from(dice.saturating_sub(66)).unwrap_or(0) * 10);
        let (due, now) = (due.format("%FT%T%.3fZ"), now.format("%FT%T%.3fZ"));
        let payload = self.payload();
        format!(
            "{id}\t{key}\tcustomer_assigned\t{customer}\t{recipient}\t{payload}\t{due}\t{now}\n"
        )
    }
}

/// Lines for these numbers, a megabyte at a time.
async fn copy(
    connection: &mut PgConnection,
    sql: &str,
    ids: std::ops::RangeInclusive<u64>,
    line: impl Fn(u64) -> String,
) -> Result<()> {
    const BUFFER: usize = 1 << 20;
    let mut copy = connection.copy_in_raw(sql).await.context("begin a COPY")?;
    let mut lines = String::with_capacity(BUFFER + 4096);
    for id in ids {
        lines.push_str(&line(id));
        if lines.len() > BUFFER {
            copy.send(lines.as_bytes()).await?;
            lines.clear();
        }
    }
    copy.send(lines.as_bytes()).await?;
    copy.finish().await.context("end a COPY")?;
    Ok(())
}
