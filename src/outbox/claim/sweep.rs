//! The sweep: the walk from the beginning, which meets what was committed behind the [mark](super::low_water).
//!
//! It is quick nearly always, and then a claim makes it, once a second. Where a long transaction keeps dead index entries
//! alive, the walk steps over every one of them, and a claim that made it would let each due row wait for that. Then it is
//! made aside, by a line of its own, in a twentieth of the time; it takes nothing, it says from where on the next claim
//! has to walk. Claims pay for a slow one twice only: the first claim of a daemon, and the one that takes what was found.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::oneshot;
use tracing::warn;

use super::Claimer;
use super::low_water::{Position, columns};
use crate::outbox::line::{Line, answered};

/// How often, and the part of the time that may go into it (one in so many).
const SWEEP_EVERY: Duration = Duration::from_secs(1);
const SWEEP_SHARE: u32 = 20;
/// A sweep as quick as this may be made by a claim, and at any time.
const QUICK: Duration = Duration::from_millis(3);

/// When the next sweep is due, and who makes it.
#[derive(Debug)]
pub(super) struct Sweep {
    at: Instant,
    /// Sooner than that it would take more than its share of the time.
    not_before: Instant,
    quick: Duration,
    /// The last one took no time worth mentioning.
    was_quick: bool,
    /// The next claim makes it, however long it takes.
    forced: bool,
    /// Under way on a line of its own.
    aside: Option<oneshot::Receiver<Ended>>,
    line: Option<Line>,
}

/// A sweep that was made aside.
#[derive(Debug)]
struct Ended {
    line: Line,
    /// Of the statement alone: connecting, and the time until somebody looks, are not the walk's.
    took: Duration,
    behind: Result<Behind>,
}

/// The first row behind the mark that a claim would take, by level of priority.
type Behind = [Option<Position>; 3];

impl Sweep {
    pub(super) fn new() -> Self {
        Sweep {
            at: Instant::now(),
            not_before: Instant::now(),
            quick: QUICK,
            was_quick: true,
            forced: false,
            aside: None,
            line: None,
        }
    }

    /// The statement that comes next makes it.
    pub(super) fn is_due_here(&self) -> bool {
        self.forced || (self.was_quick && self.is_its_turn())
    }

    fn is_its_turn(&self) -> bool {
        self.aside.is_none() && Instant::now() >= self.at
    }

    pub(super) fn force(&mut self) {
        self.forced = true;
    }

    /// As soon as its share of the time allows; at once, when it is quick.
    pub(super) fn soon(&mut self) {
        self.at = self.at.min(self.not_before);
    }

    /// A claim or a look has made it.
    pub(super) fn made_here(&mut self, took: Duration) {
        self.forced = false;
        self.made(took, took < self.quick);
    }

    /// A claim or a look that was to make it has failed. Perhaps the walk is too long for it.
    pub(super) fn failed_here(&mut self) {
        self.was_quick = false;
    }

    fn made(&mut self, took: Duration, was_quick: bool) {
        let now = Instant::now();
        self.was_quick = was_quick;
        self.not_before = if self.was_quick {
            now
        } else {
            now + took * SWEEP_SHARE
        };
        self.at = self.not_before.max(now + SWEEP_EVERY);
    }
}

impl Claimer {
    /// For tests: as if every sweep that takes longer were slow.
    pub fn sweep_is_slow_from(&mut self, quick: Duration) {
        self.sweep.quick = quick;
    }

    /// Ends when a sweep made aside has found something for the next claim to take. May be dropped at any point and
    /// called again; without it, the claims look after their sweep.
    pub async fn swept_aside(&mut self) {
        loop {
            if let Some(aside) = &mut self.sweep.aside {
                let ended = aside.await;
                if self.take_home(ended.ok()) {
                    return;
                }
            } else if self.sweep.was_quick {
                return std::future::pending().await;
            } else {
                tokio::time::sleep_until(self.sweep.at.into()).await;
                self.sweep_aside();
            }
        }
    }

    /// Takes note of a sweep that has ended aside, or begins one that is due there. Never waits.
    pub(super) fn mind_the_sweep(&mut self) {
        if let Some(aside) = &mut self.sweep.aside {
            match aside.try_recv() {
                Ok(ended) => self.take_home(Some(ended)),
                Err(oneshot::error::TryRecvError::Closed) => self.take_home(None),
                Err(oneshot::error::TryRecvError::Empty) => return,
            };
        } else if self.sweep.is_its_turn() && !self.sweep.is_due_here() {
            self.sweep_aside();
        }
    }

    fn sweep_aside(&mut self) {
        let mut line = match self.sweep.line.take() {
            Some(line) => line,
            None => self.line.another(),
        };
        let app = self.app.clone();
        let reached = self.mark.reached();
        let (tell, ended) = oneshot::channel();
        // In a task of its own: a statement is never dropped half-way.
        tokio::spawn(async move {
            let mut began = Instant::now();
            let behind = first_behind(&mut line, &app, reached, &mut began).await;
            let took = began.elapsed();
            // Nobody to tell: the lane has ended.
            let _ = tell.send(Ended { line, took, behind });
        });
        self.sweep.aside = Some(ended);
    }

    /// True when there is something to take.
    fn take_home(&mut self, ended: Option<Ended>) -> bool {
        self.sweep.aside = None;
        // Else the task broke off, and so did its line.
        let Some(Ended { line, took, behind }) = ended else {
            self.sweep.made(Duration::ZERO, false);
            return false;
        };
        // One that failed says nothing about how long it takes.
        let was_quick = behind.is_ok() && took < self.sweep.quick;
        self.sweep.made(took, was_quick);
        if !self.sweep.was_quick {
            // Its connection is needed again soon.
            self.sweep.line = Some(line);
        }
        match behind {
            Ok(behind) => {
                for (level, position) in behind.into_iter().enumerate() {
                    if let Some(position) = position {
                        self.mark.rewind(level, position);
                    }
                }
                behind.iter().any(Option::is_some)
            }
            Err(cause) => {
                warn!(
                    app = self.app,
                    error = format!("{cause:#}"),
                    "a sweep for rows that were committed late did not end; the next one follows"
                );
                false
            }
        }
    }
}

/// What a claim from the beginning would meet first, before the mark; or a claim of suspects.
async fn first_behind(
    line: &mut Line,
    app: &str,
    reached: [Position; 3],
    began: &mut Instant,
) -> Result<Behind> {
    let (to_us, to_id) = columns(reached);
    let mut connection = line.take().await?;
    *began = Instant::now();
    let rows = answered(
        sqlx::query!(
            r#"-- outboxd sweep
            select level.priority as "priority!", next.id as "id!",
                   (date_part('epoch', next.at) * 1000000)::bigint as "due_us!"
              from unnest(array[1, 2, 3]::smallint[], $2::bigint[], $3::bigint[]) as level (priority, to_us, to_id)
             cross join lateral (
                   select c.next_attempt_at as at, c.id
                     from outboxd.notification_outbox c
                    where c.app = $1 and c.priority = level.priority
                      and (c.next_attempt_at, c.id) < (timestamptz 'epoch' + to_us * interval '1 microsecond', to_id)
                      and c.next_attempt_at <= statement_timestamp()
                      and (c.lease_until is null or c.lease_until < statement_timestamp()
                           or c.lease_until > statement_timestamp() + interval '20 minutes')
                      and c.format_version <= 1
                      and (c.order_key is null or not exists (
                          select from outboxd.notification_outbox p
                           where p.app = c.app and p.order_key = c.order_key and p.id < c.id))
                    order by c.next_attempt_at, c.id
                    limit 1) next"#,
            app,
            &to_us as &[Option<i64>],
            &to_id,
        )
        .fetch_all(&mut connection),
    )
    .await
    .context("sweep for due notifications")?;
    line.back(connection).await?;
    let mut behind = [None; 3];
    for row in rows {
        if let Ok(level @ 0..=2) = usize::try_from(row.priority - 1) {
            behind[level] = Some(Position(row.due_us, row.id));
        }
    }
    Ok(behind)
}
