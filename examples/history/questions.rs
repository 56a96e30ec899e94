//! What is asked, again and again, by several people at once; and how long each answer took.

use std::time::{Duration, Instant};

use anyhow::Result;
use chrono::{TimeDelta, Utc};
use outboxd::notification::{NotificationId, Status};
use outboxd::outbox::inspect::{self, Filter, Hit, Period, Standing};
use outboxd::outbox::session;
use outboxd::outbox::slices::Paths;
use sqlx::PgConnection;
use tokio::task::JoinSet;

use crate::past::Past;
use crate::people::{colleague, customer, scatter};

/// How many a page shows.
const PAGE: i64 = 20;

/// What is asked; which row, customer or colleague it is about changes each time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Question {
    CustomerId,
    RecipientId,
    CustomerName,
    ColleagueName,
    Surname,
    PartOfAName,
    PhoneTail,
    Phone,
    Id,
    Key,
    Nobody,
    ShowKey,
    OfCustomer,
    Newest,
    OlderPage,
    Unsettled,
    DeadOfADay,
    DeadForOneReason,
    OfRecipient,
    Stats,
}

use Question::{
    ColleagueName, CustomerId, CustomerName, DeadForOneReason, DeadOfADay, Id, Key, Newest, Nobody,
    OfCustomer, OfRecipient, OlderPage, PartOfAName, Phone, PhoneTail, RecipientId, ShowKey, Stats,
    Surname, Unsettled,
};

pub(crate) const ALL: [(Question, &str); 20] = [
    (CustomerId, "find a customer's id"),
    (RecipientId, "find a recipient's id"),
    (CustomerName, "find a customer's name"),
    (ColleagueName, "find a recipient's name"),
    (Surname, "find one character of a name"),
    (PartOfAName, "find two characters of a name"),
    (PhoneTail, "find four digits of a phone number"),
    (Phone, "find a phone number"),
    (Id, "find a notification's id"),
    (Key, "find a key"),
    (Nobody, "find somebody who is not there"),
    (ShowKey, "show a key"),
    (OfCustomer, "why a customer"),
    (Newest, "list the newest"),
    (OlderPage, "list a page in the middle"),
    (Unsettled, "list what waits"),
    (DeadOfADay, "list the dead of a day"),
    (DeadForOneReason, "list the dead of a month for one reason"),
    (OfRecipient, "list of one recipient"),
    (Stats, "stats"),
];

impl Question {
    /// Asked as the command line and the desk ask it, to the last row of the page; says how many rows it showed.
    pub(crate) async fn ask(self, tx: &mut PgConnection, past: &Past, dice: u64) -> Result<usize> {
        let all = past.settled + past.waiting;
        let it = past.notification(dice % all + 1);
        let person = customer(it.customer);
        let text = match self {
            CustomerId => it.customer.to_string(),
            RecipientId => it.recipient.to_string(),
            CustomerName => person.name,
            ColleagueName => colleague(it.recipient),
            Surname => person.name.chars().take(1).collect(),
            PartOfAName => person.name.chars().skip(1).take(2).collect(),
            PhoneTail => person.phone[7..].to_owned(),
            Phone => person.phone,
            Id => it.id.to_string(),
            Key => it.key.to_string(),
            Nobody => "查无此人".to_owned(),
            ShowKey => {
                let hits = inspect::of_key(tx, it.key).await?;
                return shown(tx, hits).await;
            }
            OfCustomer => {
                let hits = inspect::of_customer(tx, &it.customer.to_string(), PAGE).await?;
                return shown(tx, hits).await;
            }
            Stats => return Ok(inspect::stats(tx).await?.len()),
            Newest | OlderPage | Unsettled | DeadOfADay | DeadForOneReason | OfRecipient => {
                let hits = inspect::list(tx, &self.filter(it.id, it.recipient)).await?;
                return shown(tx, hits).await;
            }
        };
        let found = inspect::find(tx, &Paths::default(), &text, PAGE).await?;
        let read = inspect::read(tx, &found.hits).await?;
        inspect::matches(tx, &Paths::default(), &read, &text, found.read_through).await?;
        Ok(read.len())
    }

    fn filter(self, id: u64, recipient: u64) -> Filter {
        let since = |days| Period {
            settled_since: Some(Utc::now() - TimeDelta::days(days)),
            ..Period::default()
        };
        let plain = Filter {
            limit: PAGE,
            period: since(1),
            ..Filter::default()
        };
        match self {
            OlderPage => Filter {
                before: i64::try_from(id).ok().map(NotificationId),
                period: Period::default(),
                ..plain
            },
            Unsettled => Filter {
                standings: vec![Standing::Queued, Standing::Scheduled],
                ..plain
            },
            DeadOfADay => Filter {
                standings: vec![Standing::Settled(Status::Dead)],
                ..plain
            },
            DeadForOneReason => Filter {
                standings: vec![Standing::Settled(Status::Dead)],
                reason: Some("attempts_spent".to_owned()),
                period: since(30),
                ..plain
            },
            OfRecipient => Filter {
                recipient: Some(recipient.to_string()),
                ..plain
            },
            _ => plain,
        }
    }
}

async fn shown(conn: &mut PgConnection, hits: Vec<Hit>) -> Result<usize> {
    Ok(inspect::read(conn, &hits).await?.len())
}

/// How long the answers to one question took, in order, and how many rows they had.
#[derive(Default)]
pub(crate) struct Answers {
    pub(crate) took: Vec<Duration>,
    pub(crate) rows: usize,
}

impl Answers {
    pub(crate) fn ms(&self, share: f64) -> f64 {
        ms(&self.took, share)
    }
}

/// The percentile of times in order.
pub(crate) fn ms(took: &[Duration], share: f64) -> f64 {
    let at = (took.len() as f64 * share) as usize;
    let took = took.get(at.min(took.len().saturating_sub(1)));
    took.map_or(0.0, |took| took.as_secs_f64() * 1000.0)
}

/// The same question from all of them for so long.
pub(crate) async fn answers(
    clients: &mut Vec<PgConnection>,
    question: Question,
    past: Past,
    seconds: f64,
) -> Result<Answers> {
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    let mut asking = JoinSet::new();
    for (n, mut conn) in clients.drain(..).enumerate() {
        asking.spawn(async move {
            let (mut took, mut rows) = (Vec::new(), 0);
            let mut dice = scatter(n as u64 + 1);
            while Instant::now() < until {
                dice = scatter(dice);
                let began = Instant::now();
                let mut tx = session::reading(&mut conn).await?;
                rows += question.ask(&mut tx, &past, dice).await?;
                drop(tx);
                took.push(began.elapsed());
            }
            anyhow::Ok((conn, took, rows))
        });
    }
    let (mut took, mut rows) = (Vec::new(), 0);
    while let Some(asked) = asking.join_next().await {
        let (conn, its, shown) = asked??;
        clients.push(conn);
        took.extend(its);
        rows += shown;
    }
    took.sort_unstable();
    Ok(Answers { took, rows })
}
