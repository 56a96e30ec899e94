//! What is asked of the desk, again and again, by several people at once; and how long each page took.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use chrono::{TimeDelta, Utc};
use tokio::task::JoinSet;

use crate::desk::Pages;
use crate::past::Past;
use crate::people::{colleague, customer, scatter};

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
    Life,
    LifeByKey,
    Newest,
    OlderPage,
    OldDay,
    Queued,
    Scheduled,
    DeadOfADay,
    DeadForOneReason,
    OfRecipient,
    OfEventType,
    OfNoEventType,
    OfApp,
    DeadLetters,
    ToPhone,
    Audit,
    Overview,
}

use Question::{
    Audit, ColleagueName, CustomerId, CustomerName, DeadForOneReason, DeadLetters, DeadOfADay, Id,
    Key, Life, LifeByKey, Newest, Nobody, OfApp, OfEventType, OfNoEventType, OfRecipient, OldDay,
    OlderPage, Overview, PartOfAName, Phone, PhoneTail, Queued, RecipientId, Scheduled, Surname,
    ToPhone,
};

pub(crate) const ALL: [(Question, &str); 28] = [
    (CustomerId, "search a customer's id"),
    (RecipientId, "search a recipient's id"),
    (CustomerName, "search a customer's name"),
    (ColleagueName, "search a recipient's name"),
    (Surname, "search one character of a name"),
    (PartOfAName, "search two characters of a name"),
    (PhoneTail, "search four digits of a phone number"),
    (Phone, "search a phone number"),
    (Id, "search a notification's id"),
    (Key, "search a key"),
    (Nobody, "search somebody who is not there"),
    (Life, "a message's page"),
    (LifeByKey, "a message's page by its key"),
    (Newest, "list the newest"),
    (OlderPage, "list a page in the middle"),
    (OldDay, "list a day of the past"),
    (Queued, "list what is queued"),
    (Scheduled, "list what is scheduled"),
    (DeadOfADay, "list the dead of a day"),
    (DeadForOneReason, "list the dead of a month for one reason"),
    (OfRecipient, "list of one recipient in a week"),
    (OfEventType, "list of one event type in a week"),
    (OfNoEventType, "list of an event type nobody uses"),
    (OfApp, "list of one app in a week"),
    (DeadLetters, "dead letters of a week by cause"),
    (ToPhone, "people to phone"),
    (Audit, "audit"),
    (Overview, "overview"),
];

impl Question {
    /// The page's path and query.
    pub(crate) fn asked(self, past: &Past, dice: u64) -> (String, Vec<(&'static str, String)>) {
        let all = past.settled + past.waiting;
        let it = past.notification(dice % all + 1);
        let person = customer(it.customer);
        let search = |text: String| ("search".to_owned(), vec![("q", text)]);
        let list = |filters: &[(&'static str, &str)]| {
            let own = |&(name, value): &(&'static str, &str)| (name, value.to_owned());
            ("messages".to_owned(), filters.iter().map(own).collect())
        };
        match self {
            CustomerId => search(it.customer.to_string()),
            RecipientId => search(it.recipient.to_string()),
            CustomerName => search(person.name),
            ColleagueName => search(colleague(it.recipient)),
            Surname => search(person.name.chars().take(1).collect()),
            PartOfAName => search(person.name.chars().skip(1).take(2).collect()),
            PhoneTail => search(person.phone[7..].to_owned()),
            Phone => search(person.phone),
            Id => search(it.id.to_string()),
            Key => search(it.key.to_string()),
            Nobody => search("查无此人".to_owned()),
            Life => (format!("messages/{}", it.id), Vec::new()),
            LifeByKey => (format!("messages/{}", it.key), Vec::new()),
            Newest => list(&[]),
            OlderPage => list(&[("period", "own"), ("before", &it.id.to_string())]),
            OldDay => {
                let day = |ago| (Utc::now() - TimeDelta::days(ago)).date_naive().to_string();
                let ago = 2 + i64::try_from(dice % 130).unwrap_or(0);
                list(&[("from", &day(ago)), ("to", &day(ago))])
            }
            Queued => list(&[("status", "queued")]),
            Scheduled => list(&[("status", "scheduled")]),
            DeadOfADay => list(&[("status", "dead")]),
            DeadForOneReason => list(&[
                ("status", "dead"),
                ("reason", "attempts_spent"),
                ("period", "30d"),
            ]),
            OfRecipient => list(&[("recipient", &it.recipient.to_string()), ("period", "7d")]),
            OfEventType => list(&[("event_type", "customer_assigned"), ("period", "7d")]),
            OfNoEventType => list(&[("event_type", "nobody_uses_this"), ("period", "7d")]),
            OfApp => list(&[("app", "default"), ("period", "7d")]),
            DeadLetters => ("dead".to_owned(), Vec::new()),
            ToPhone => ("calls".to_owned(), Vec::new()),
            Audit => ("audit".to_owned(), Vec::new()),
            Overview => ("overview".to_owned(), Vec::new()),
        }
    }

    pub(crate) async fn ask(self, pages: &Pages, past: &Past, dice: u64) -> Result<usize> {
        let (path, query) = self.asked(past, dice);
        pages.page(&path, &query).await
    }
}

/// How long the answers to one question took, in order, and how many bytes they had.
#[derive(Default)]
pub(crate) struct Answers {
    pub(crate) took: Vec<Duration>,
    pub(crate) bytes: usize,
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

/// The same question from so many for so long.
pub(crate) async fn answers(
    pages: &Arc<Pages>,
    clients: usize,
    question: Question,
    past: Past,
    seconds: f64,
) -> Result<Answers> {
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    let mut asking = JoinSet::new();
    for n in 0..clients {
        let pages = pages.clone();
        asking.spawn(async move {
            let mut its = Answers::default();
            let mut dice = scatter(n as u64 + 1);
            while Instant::now() < until {
                dice = scatter(dice);
                let began = Instant::now();
                its.bytes += question.ask(&pages, &past, dice).await?;
                its.took.push(began.elapsed());
            }
            anyhow::Ok(its)
        });
    }
    let mut all = Answers::default();
    while let Some(asked) = asking.join_next().await {
        let its = asked??;
        all.took.extend(its.took);
        all.bytes += its.bytes;
    }
    all.took.sort_unstable();
    Ok(all)
}
