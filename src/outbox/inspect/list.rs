//! The list: the notifications that fit a filter, newest first, page by page in both directions.
//!
//! A page is found by the id it follows or precedes, never by counting rows over. Three questions make it: delivered,
//! unsettled, and trouble, which has indexes of its own. Each walks ids in order, those for what has settled from one
//! [`ends`] of the period towards the other, and none beyond where another one has filled the page; what settled in the
//! period although it was written long before is asked [`late`], by time. A page that people wait for looks at so many rows
//! of each question and no more, and says how far it came: a filter that hardly any row fits costs as much as one that all
//! fit.

mod ends;
mod late;
mod walk;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{Hit, Standing};
use crate::notification::NotificationId;
use crate::outbox::session::planned_anew;
use walk::{newer, older};

/// What is asked for. Everything given must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Empty: any.
    pub standings: Vec<Standing>,
    pub app: Option<String>,
    pub recipient: Option<String>,
    pub event_type: Option<String>,
    /// Key into the catalogue.
    pub reason: Option<String>,
    pub period: Period,
    /// The keyset: only notifications older than this one.
    pub before: Option<NotificationId>,
    /// The page before: the nearest ones that are newer than this one. Leave `before` out then.
    pub after: Option<NotificationId>,
    pub limit: i64,
}

/// From when to when; the end does not belong to it. What is unsettled is of any settling period: it is of today.
#[derive(Clone, Copy, Debug, Default)]
pub struct Period {
    pub settled_since: Option<DateTime<Utc>>,
    pub settled_until: Option<DateTime<Utc>>,
    pub created_since: Option<DateTime<Utc>>,
    pub created_until: Option<DateTime<Utc>>,
}

/// Part of a list.
#[derive(Debug, Default)]
pub struct Page {
    /// Newest first.
    pub hits: Vec<Hit>,
    /// Not every row was looked at, only those up to this one, in the direction of the page.
    pub looked_to: Option<NotificationId>,
}

/// How many rows of a question are looked at: of those that lie side by side, and of trouble or one recipient's, which lie
/// apart and cost some ten times as much each.
#[derive(Clone, Copy, Debug)]
struct Looked {
    beside: i64,
    apart: i64,
}

/// For what one page costs.
const PAGE: Looked = Looked {
    beside: 10_000,
    apart: 600,
};
const ALL: Looked = Looked {
    beside: i64::MAX,
    apart: i64::MAX,
};

/// A page at a bounded price.
pub async fn page(conn: &mut PgConnection, filter: &Filter) -> sqlx::Result<Page> {
    within(conn, filter, PAGE).await
}

/// A page, newest first, however many rows have to be looked at.
pub async fn list(conn: &mut PgConnection, filter: &Filter) -> sqlx::Result<Vec<Hit>> {
    Ok(within(conn, filter, ALL).await?.hits)
}

async fn within(conn: &mut PgConnection, filter: &Filter, most: Looked) -> sqlx::Result<Page> {
    let ends = ends::of(&mut *conn, filter).await?;
    let walk = async |conn: &mut PgConnection, ends| match filter.after {
        None => older(conn, filter, ends, most).await,
        Some(_) => newer(conn, filter, ends, most).await,
    };
    let Walked {
        mut hits,
        looked_to,
        ..
    } = planned_anew(conn, async |conn| {
        let walked = walk(&mut *conn, ends).await?;
        match walked.has_many_late {
            false => Ok(walked),
            true => walk(conn, ends.without_low()).await,
        }
    })
    .await?;
    let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    let is_newer = filter.after.is_some();
    // Beyond the place where one question stopped, the others' hits are not all there are.
    let looked_to = match is_newer {
        false => looked_to.into_iter().max(),
        true => looked_to.into_iter().min(),
    };
    if let Some(to) = looked_to {
        hits.retain(|hit| if is_newer { hit.id <= to } else { hit.id >= to });
    }
    let is_full = hits.len() >= limit;
    hits.sort_unstable_by_key(|hit: &Hit| hit.id);
    // The nearest ones, in the order of every page.
    if is_newer {
        hits.truncate(limit);
        hits.reverse();
    } else {
        hits.reverse();
        hits.truncate(limit);
    }
    Ok(Page {
        hits,
        looked_to: looked_to.filter(|_| !is_full).map(NotificationId),
    })
}

/// What the questions came up with, and where those stopped that did not come to the end.
#[derive(Default)]
struct Walked {
    hits: Vec<Hit>,
    looked_to: Vec<i64>,
    /// How far the last question came that did not come to the end. The ones after it need not go beyond.
    reach: Option<i64>,
    has_many_late: bool,
}

/// A row that fits, or the last one that was looked at.
struct Met {
    id: i64,
    key: uuid::Uuid,
    fits: bool,
    is_last: bool,
}

impl Walked {
    /// Whether the question came to the end of its ids.
    fn add(&mut self, met: Vec<Met>, limit: i64) -> bool {
        let full = i64::try_from(met.len()).is_ok_and(|n| n >= limit);
        let last = met.iter().find(|met| met.is_last).map(|met| met.id);
        let stopped = full || last.is_some();
        if stopped && let Some(farthest) = met.last() {
            self.reach = Some(farthest.id);
        }
        let fits = met.into_iter().filter(|met| met.fits);
        self.hits
            .extend(fits.map(|Met { id, key, .. }| Hit { id, key }));
        self.looked_to.extend(last);
        !stopped
    }

    fn add_late(&mut self, late: Vec<Hit>) {
        self.has_many_late |= i64::try_from(late.len()).is_ok_and(|n| n > late::MANY);
        self.hits.extend(late);
    }
}
