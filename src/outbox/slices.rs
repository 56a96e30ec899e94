//! The search's index, written in the background: slice by slice of ids, long after the rows themselves.
//!
//! A search by a person's name or telephone number needs an index over what stands in the payloads. Kept by the CRM's
//! insert or by the record it would cost each of them as much as all they do today, so it is kept by nobody in a hurry:
//! a daemon looks from time to time whether a slice of ids is complete, and writes down which pieces of text occur in
//! it (docs/decisions/0009-search-in-slices.md); complete slices it gathers into runs. Any daemon may do it at any time; the database lets one at a time. [`super::inspect::find`] reads what
//! is newer than the last slice directly.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::line::{Line, answered, jittered};

/// Where in a payload names and telephone numbers stand: paths such as `customerName` or `customer.name`. All who write
/// and search one database must mean the same; the index remembers which, and is written anew when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths(pub Vec<String>);

impl Default for Paths {
    fn default() -> Self {
        let paths = [
            "aggregate_label",
            "customerName",
            "recipient_label",
            "recipientName",
            "phone",
            "customerPhone",
        ];
        Paths(paths.map(str::to_owned).to_vec())
    }
}

/// How many ids a slice has when its block is complete, and before that.
pub const LARGE: i64 = 32_768;
pub const SMALL: i64 = 1_024;

/// Does the next piece of work, and says how many ids it covered: none when there is nothing to do, or when another
/// daemon is at it.
pub async fn write(line: &mut Line, paths: &Paths, at_most: i64) -> Result<i64> {
    let mut connection = line.take().await?;
    let covered = answered(
        sqlx::query_scalar!(
            r#"-- outboxd write search
            select outboxd.write_search($1, $2) as "covered!""#,
            &paths.0,
            at_most
        )
        .fetch_one(&mut connection),
    )
    .await
    .context("write the search's index")?;
    line.back(connection).await?;
    Ok(covered)
}

/// Gathers complete slices into a run, and says how many ids it covered; for when there is nothing to write.
pub async fn gather(line: &mut Line) -> Result<i64> {
    let mut connection = line.take().await?;
    let covered = answered(
        sqlx::query_scalar!(
            r#"-- outboxd gather search
            select outboxd.gather_search() as "covered!""#
        )
        .fetch_one(&mut connection),
    )
    .await
    .context("gather the search's index")?;
    line.back(connection).await?;
    Ok(covered)
}

/// How often it is looked whether there is something to do, and while there was lately.
const REST: Duration = Duration::from_secs(30);
const SHORT_REST: Duration = Duration::from_secs(3);
const LATELY: Duration = Duration::from_secs(60);

/// How long slices stay small, or apart, after one failed: a failover passes, long payloads are tried again.
const ANOTHER_WAY: Duration = Duration::from_secs(3600);

/// While there is something to do, this many times what it took is rested: a twentieth of one core at most, so that a long backlog is delivered first.
const SHARE: u32 = 19;

/// Keeps the index up to date, for as long as it is polled.
pub async fn keep(mut line: Line, paths: Paths) {
    let (mut small_since, mut apart_since, mut covered_at) = (None, None, None);
    let within = |since: Option<Instant>, span| since.is_some_and(|since| since.elapsed() < span);
    let mut rest = REST;
    loop {
        sleep(jittered(rest)).await;
        let began = Instant::now();
        let at_most = if within(small_since, ANOTHER_WAY) {
            SMALL
        } else {
            LARGE
        };
        let idle = if within(covered_at, LATELY) {
            SHORT_REST
        } else {
            REST
        };
        rest = match write(&mut line, &paths, at_most).await {
            Ok(0) if within(apart_since, ANOTHER_WAY) => idle,
            Ok(0) => match gather(&mut line).await {
                Ok(0) => idle,
                Ok(_) => began.elapsed() * SHARE,
                Err(cause) => {
                    info!(
                        error = format!("{cause:#}"),
                        "slices of the search's index stay apart for an hour"
                    );
                    apart_since = Some(began);
                    idle
                }
            },
            Ok(_) => {
                covered_at = Some(Instant::now());
                began.elapsed() * SHARE
            }
            Err(cause) if at_most == LARGE => {
                // Very long payloads, perhaps: more, but smaller slices serve as well.
                info!(
                    error = format!("{cause:#}"),
                    "the search's index is written in small slices for an hour"
                );
                small_since = Some(began);
                idle
            }
            Err(cause) => {
                warn!(
                    error = format!("{cause:#}"),
                    "the search's index is left for later; names are found in the newest notifications only"
                );
                REST * 4
            }
        };
    }
}
