//! Reconciliation: the CRM's ledger on one side, the phones' ledger on the other, line by line.
//!
//! The daemon is never asked. What its tables say about a notification is a claim to be checked: a row
//! called delivered needs a message on a phone, a row given up must have none and must have had a
//! reason, a superseded one needs a newer assignment of the same customer.

use std::collections::{BTreeSet, HashMap};

use anyhow::Result;
use serde::Serialize;
use sqlx::PgPool;
use uuid::Uuid;

use crate::phones::Phones;

/// How far below the newest line a late commit is still looked for.
const TRAIL: i64 = 600;

pub(crate) struct Books {
    pool: PgPool,
    phones: Phones,
    /// What the script knows about a recipient.
    expects: fn(&str) -> Expectation,
    first_line: i64,
    last_seq: u64,
    open: BTreeSet<i64>,
    closed: BTreeSet<i64>,
    on_phones: HashMap<Uuid, u32>,
    counts: Counts,
    /// Sentences about everything that is not as it should be.
    pub(crate) findings: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expectation {
    Message,
    Refusal,
    /// The switches are in a visitor's hands.
    Either,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Counts {
    pub(crate) assigned: u64,
    pub(crate) settled: u64,
    pub(crate) delivered: u64,
    pub(crate) superseded: u64,
    pub(crate) refused: u64,
    pub(crate) messages: u64,
    pub(crate) twice: u64,
    pub(crate) lost: u64,
}

/// One line of the CRM's ledger beside what the database says has become of its notification.
#[derive(sqlx::FromRow)]
struct Entry {
    assignment: i64,
    customer_id: i64,
    assigned_to: String,
    notification_id: i64,
    notification_key: Uuid,
    status: Option<String>,
    reason: Option<String>,
    may_have_arrived: Option<bool>,
    overtaken: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Waiting,
    True,
    Lost(&'static str),
}

impl Books {
    /// Opens the books at today's last line: what was assigned before has its messages elsewhere.
    pub(crate) async fn open(
        pool: PgPool,
        phones: Phones,
        expects: fn(&str) -> Expectation,
    ) -> Result<Self> {
        let first_line: i64 =
            sqlx::query_scalar("select coalesce(max(id), 0) + 1 from crm.assignment_log")
                .fetch_one(&pool)
                .await?;
        Ok(Books {
            pool,
            phones,
            expects,
            first_line,
            last_seq: 0,
            open: BTreeSet::new(),
            closed: BTreeSet::new(),
            on_phones: HashMap::new(),
            counts: Counts::default(),
            findings: Vec::new(),
        })
    }

    pub(crate) fn first_line(&self) -> i64 {
        self.first_line
    }

    fn messages_under(&self, key: Uuid) -> u32 {
        self.on_phones.get(&key).copied().unwrap_or(0)
    }

    /// One turn: lines that are new or were open, then the phones. In this order, for a message comes
    /// before the word that it was delivered; the other way round would report losses that are none.
    pub(crate) async fn turn(&mut self) -> Result<Counts> {
        let entries = self.entries().await?;
        for message in self.phones.messages(self.last_seq).await? {
            self.last_seq = message.seq;
            self.counts.messages += 1;
            let times = self.on_phones.entry(message.key).or_default();
            *times += 1;
            if *times == 2 {
                self.counts.twice += 1;
                self.findings.push(format!(
                    "twice: {} has more than one message under {}",
                    message.recipient, message.key
                ));
            }
        }
        for entry in &entries {
            self.check(entry);
        }
        Ok(self.counts)
    }

    /// Sentences about what is not settled yet.
    pub(crate) async fn still_open(&self) -> Result<Vec<String>> {
        let entries = self.entries().await?;
        Ok(entries
            .iter()
            .map(|entry| entry.sentence("not settled in time"))
            .collect())
    }

    /// Everything that is open, and everything that is new. Numbers are given before commits are made, so
    /// a line may appear below one already read: the look trails by a margin.
    async fn entries(&self) -> Result<Vec<Entry>> {
        let newest = self
            .open
            .last()
            .max(self.closed.last())
            .copied()
            .unwrap_or(0);
        let from = (newest - TRAIL).max(self.first_line);
        Ok(sqlx::query_as(
            "select l.id as assignment, l.customer_id, l.assigned_to, l.notification_id, l.notification_key,
                    s.status, s.reason, s.may_have_arrived,
                    exists (select from crm.assignment_log newer
                             where newer.customer_id = l.customer_id and newer.id > l.id) as overtaken
               from crm.assignment_log l
               left join outboxd.notification_delivery_status s on s.id = l.notification_id
              where l.id = any($1) or (l.id >= $2 and l.id <> all($3))
              order by l.id",
        )
        .bind(self.open.iter().copied().collect::<Vec<_>>())
        .bind(from)
        .bind(self.closed.range(from..).copied().collect::<Vec<_>>())
        .fetch_all(&self.pool)
        .await?)
    }

    fn check(&mut self, entry: &Entry) {
        if self.open.insert(entry.assignment) {
            self.counts.assigned += 1;
        }
        let verdict = entry.verdict(
            self.messages_under(entry.notification_key),
            (self.expects)(&entry.assigned_to),
        );
        if verdict == Verdict::Waiting {
            return;
        }
        self.open.remove(&entry.assignment);
        self.closed.insert(entry.assignment);
        match entry.status.as_deref() {
            Some("delivered") => self.counts.delivered += 1,
            Some("superseded") => self.counts.superseded += 1,
            Some(_) => self.counts.refused += 1,
            None => {}
        }
        self.counts.settled += u64::from(entry.status.is_some());
        if let Verdict::Lost(why) = verdict {
            self.counts.lost += 1;
            self.findings.push(format!("lost: {}", entry.sentence(why)));
        }
    }
}

impl Entry {
    /// Is what the database says about this assignment the truth?
    fn verdict(&self, messages: u32, expectation: Expectation) -> Verdict {
        let arrived = messages > 0;
        let certain = self.may_have_arrived == Some(false);
        match self.status.as_deref() {
            None => Verdict::Lost(
                "its notification stands neither in the outbox nor among the settled ones",
            ),
            Some("delivered") if !arrived => {
                Verdict::Lost("called delivered, but no phone has a message")
            }
            Some("delivered") => Verdict::True,
            Some("superseded" | "dead" | "expired" | "cancelled") if arrived && certain => {
                Verdict::Lost("called certainly not sent, but a phone has a message")
            }
            Some("superseded") if !self.overtaken => {
                Verdict::Lost("superseded, but nothing newer was assigned")
            }
            Some("dead" | "expired" | "cancelled")
                if !arrived && expectation == Expectation::Message =>
            {
                Verdict::Lost("given up, although this person takes messages")
            }
            Some("superseded" | "dead" | "expired" | "cancelled") => Verdict::True,
            Some(_) => Verdict::Waiting,
        }
    }

    fn sentence(&self, why: &str) -> String {
        format!(
            "assignment {} (customer {} to {}, notification {}, key {}): {why}; status {}, reason {}",
            self.assignment,
            self.customer_id,
            self.assigned_to,
            self.notification_id,
            self.notification_key,
            self.status.as_deref().unwrap_or("none"),
            self.reason.as_deref().unwrap_or("none"),
        )
    }
}
