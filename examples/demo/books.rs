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

use crate::phones::{Message, Phones};

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
        Ok(Self::empty(pool, phones, expects, first_line))
    }

    fn empty(
        pool: PgPool,
        phones: Phones,
        expects: fn(&str) -> Expectation,
        first_line: i64,
    ) -> Self {
        Books {
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
        }
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
            self.receive(&message);
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

    fn receive(&mut self, message: &Message) {
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

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Uuid = Uuid::from_u128(7);

    /// The books of a run in which nothing has happened yet; nobody is asked.
    fn books(expects: fn(&str) -> Expectation) -> Books {
        let pool = PgPool::connect_lazy("postgres://nobody@127.0.0.1:1/none").unwrap();
        // A client looks for the TLS provider even if it speaks plain HTTP.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let phones = Phones::at("http://127.0.0.1:1", reqwest::Client::new());
        Books::empty(pool, phones, expects, 1)
    }

    fn entry(status: Option<&str>) -> Entry {
        Entry {
            assignment: 1,
            customer_id: 2,
            assigned_to: "li-na".to_owned(),
            notification_id: 3,
            notification_key: KEY,
            status: status.map(str::to_owned),
            reason: None,
            may_have_arrived: Some(false),
            overtaken: false,
        }
    }

    fn message(seq: u64) -> Message {
        Message {
            seq,
            at: chrono::Utc::now(),
            key: KEY,
            recipient: "li-na".to_owned(),
            data: serde_json::Value::Null,
            aggregate_id: "2".to_owned(),
        }
    }

    #[test]
    fn what_is_said_of_a_row_is_true_lost_or_not_yet_known() {
        use Expectation::{Either, Message, Refusal};
        // Status, messages on phones, may have arrived, overtaken, expected → waiting, true or lost.
        for (status, messages, may_have_arrived, overtaken, expected, verdict) in [
            ("delivered", 1, false, false, Message, "true"),
            ("delivered", 0, false, false, Message, "lost"),
            ("superseded", 0, false, true, Message, "true"),
            ("superseded", 0, false, false, Message, "lost"),
            ("superseded", 1, false, true, Message, "lost"),
            ("superseded", 1, true, true, Message, "true"),
            ("dead", 0, false, false, Refusal, "true"),
            ("dead", 0, false, false, Either, "true"),
            ("dead", 0, false, false, Message, "lost"),
            ("dead", 1, false, false, Refusal, "lost"),
            ("dead", 1, true, false, Message, "true"),
            ("expired", 0, false, false, Message, "lost"),
            ("cancelled", 1, false, false, Either, "lost"),
            ("queued", 0, false, false, Message, "waiting"),
            ("in_flight", 1, true, false, Message, "waiting"),
            ("retrying", 1, true, false, Message, "waiting"),
            ("awaiting_grant", 0, false, false, Either, "waiting"),
            ("held", 0, false, false, Message, "waiting"),
        ] {
            let entry = Entry {
                may_have_arrived: Some(may_have_arrived),
                overtaken,
                ..entry(Some(status))
            };
            let found = match entry.verdict(messages, expected) {
                Verdict::Waiting => "waiting",
                Verdict::True => "true",
                Verdict::Lost(_) => "lost",
            };
            assert_eq!(
                found, verdict,
                "{status}, {messages} messages, may have arrived: {may_have_arrived}, overtaken: \
                 {overtaken}, expected: {expected:?}"
            );
        }
        assert!(matches!(entry(None).verdict(1, Message), Verdict::Lost(_)));
    }

    #[tokio::test]
    async fn a_key_with_several_messages_is_counted_once() {
        let mut books = books(|_| Expectation::Message);
        books.receive(&message(1));
        assert_eq!(books.counts.twice, 0);
        books.receive(&message(2));
        books.receive(&message(3));
        assert_eq!((books.counts.messages, books.counts.twice), (3, 1));
        assert_eq!(books.findings.len(), 1, "{:?}", books.findings);
    }

    #[tokio::test]
    async fn a_row_is_counted_once_and_by_its_end() {
        let mut books = books(|_| Expectation::Message);
        books.check(&entry(Some("retrying")));
        books.check(&entry(Some("in_flight")));
        assert_eq!((books.counts.assigned, books.counts.settled), (1, 0));
        books.receive(&message(1));
        books.check(&entry(Some("delivered")));
        let Counts {
            assigned,
            settled,
            delivered,
            lost,
            ..
        } = books.counts;
        assert_eq!((assigned, settled, delivered, lost), (1, 1, 1, 0));
        assert_eq!(books.findings, [""; 0]);
    }

    #[tokio::test]
    async fn a_loss_is_counted_and_told() {
        let mut books = books(|_| Expectation::Message);
        books.check(&entry(Some("delivered")));
        let gone = Entry {
            assignment: 2,
            ..entry(None)
        };
        books.check(&gone);
        let Counts { settled, lost, .. } = books.counts;
        assert_eq!((settled, lost), (1, 2));
        assert!(books.findings[0].starts_with("lost: assignment 1 (customer 2 to li-na"));
        assert!(books.findings[0].contains("no phone has a message"));
        assert!(books.findings[1].contains("neither in the outbox nor among the settled"));
    }
}
