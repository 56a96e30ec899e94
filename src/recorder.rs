//! The recorder: every outcome of an app goes through it to the database.
//!
//! It writes what has gathered since its last flush in one statement, and at once when idle: group commit without
//! a timer and without an added wait. While the database is away it keeps trying as long as the leases last, and the
//! calls behind it hold their slots, so nothing new is claimed that could not be written down.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tracing::{debug, error, info, warn};

use crate::delivery::Phase;
use crate::metrics::Metrics;
use crate::notification::Status;
use crate::outbox::line::{Line, jittered};
use crate::outbox::record::{Ending, Recorded, keep_evidence, record};
use crate::policy::Transition;

/// How often endings put aside are tried again.
const ASIDE_EVERY: Duration = Duration::from_millis(500);

/// The most endings in one statement.
const BATCH: usize = 512;

/// The sending side; cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorder {
    endings: mpsc::Sender<Message>,
}

#[derive(Debug)]
enum Message {
    Ending(Box<Ending>),
    Flushed(oneshot::Sender<()>),
}

impl Recorder {
    /// Starts the writing task. It ends when the last clone of the recorder is gone and all is written.
    pub fn start(
        line: Line,
        app: String,
        daemon: String,
        metrics: Arc<Metrics>,
        capacity: usize,
    ) -> (Recorder, JoinHandle<()>) {
        let (endings, inbox) = mpsc::channel(capacity.max(1));
        let writer = Writer {
            line: line.keeping_plans(),
            app,
            daemon,
            metrics,
            away_since: None,
            aside: Vec::new(),
            capacity: capacity.max(1),
            aside_at: Instant::now(),
        };
        (Recorder { endings }, tokio::spawn(writer.run(inbox)))
    }

    /// Hands an ending over; waits while too many are unwritten.
    pub async fn record(&self, ending: Ending) {
        if self
            .endings
            .send(Message::Ending(Box::new(ending)))
            .await
            .is_err()
        {
            error!(
                "the recorder is gone; the lease will lapse and the notification be called again"
            );
        }
    }

    /// Returns when everything handed over before is written, or given up.
    pub async fn flushed(&self) {
        let (done, wait) = oneshot::channel();
        if self.endings.send(Message::Flushed(done)).await.is_ok() {
            let _ = wait.await;
        }
    }
}

struct Writer {
    line: Line,
    app: String,
    daemon: String,
    metrics: Arc<Metrics>,
    away_since: Option<Instant>,
    /// Endings to be written later, each by itself. While there are `capacity` of them, none is taken in.
    aside: Vec<Ending>,
    capacity: usize,
    aside_at: Instant,
}

impl Writer {
    async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        let mut messages = Vec::with_capacity(BATCH);
        loop {
            // What cannot be written holds its slot: nothing new is called that could not be written down either.
            let received = if self.aside.len() >= self.capacity {
                tokio::time::sleep(ASIDE_EVERY).await;
                usize::MAX
            } else if self.aside.is_empty() {
                inbox.recv_many(&mut messages, BATCH).await
            } else {
                let inbox = inbox.recv_many(&mut messages, BATCH);
                tokio::time::timeout(ASIDE_EVERY, inbox)
                    .await
                    .unwrap_or(usize::MAX)
            };
            // What has come meanwhile belongs to the same flush.
            tokio::task::yield_now().await;
            while messages.len() < BATCH
                && let Ok(message) = inbox.try_recv()
            {
                messages.push(message);
            }
            let mut endings = Vec::with_capacity(messages.len());
            let mut waiting = Vec::new();
            for message in messages.drain(..) {
                match message {
                    Message::Ending(ending) => endings.push(*ending),
                    Message::Flushed(done) => waiting.push(done),
                }
            }
            self.write(endings).await;
            if self.aside_at.elapsed() >= ASIDE_EVERY || !waiting.is_empty() || received == 0 {
                // One by one: what was refused once must not take its neighbours along.
                let mut aside = std::mem::take(&mut self.aside);
                self.give_up_on_ended_leases(&mut aside);
                for ending in aside {
                    self.write(vec![ending]).await;
                }
                self.aside_at = Instant::now();
            }
            for done in waiting {
                let _ = done.send(());
            }
            if received == 0 && self.aside.is_empty() {
                break;
            }
            if received == 0 {
                tokio::time::sleep(ASIDE_EVERY).await;
            }
        }
        self.line.close().await;
    }

    /// Writes the endings, however often it takes while their leases last. One that the server refuses, or whose row
    /// is locked, is put aside for later, so that nothing waits behind it.
    async fn write(&mut self, endings: Vec<Ending>) {
        let mut batches = vec![endings];
        let mut wait = Duration::from_millis(50);
        while let Some(mut batch) = batches.pop() {
            if batch.is_empty() {
                continue;
            }
            match record(&mut self.line, &self.app, &self.daemon, &batch).await {
                Ok(recorded) => {
                    if let Some(since) = self.away_since.take() {
                        info!(
                            app = self.app,
                            away_ms = millis(since.elapsed()),
                            "the database takes outcomes again"
                        );
                    }
                    for (ending, recorded) in batch.into_iter().zip(recorded) {
                        match recorded {
                            Recorded::Locked => self.aside.push(ending),
                            Recorded::Done | Recorded::LeaseLost => {
                                self.report(&ending, recorded).await;
                            }
                        }
                    }
                }
                // The statement itself is refused: one ending is the cause, and its neighbours go on without it.
                Err(cause) if is_refusal(&cause) => match batch.len() {
                    1 => {
                        warn!(
                            app = self.app,
                            error = format!("{cause:#}"),
                            "an outcome is refused by the database; trying again later"
                        );
                        self.aside.append(&mut batch);
                    }
                    many => {
                        batches.push(batch.split_off(many / 2));
                        batches.push(batch);
                    }
                },
                Err(cause) => {
                    if self.away_since.is_none() {
                        warn!(
                            app = self.app,
                            error = format!("{cause:#}"),
                            "outcomes cannot be recorded; trying again while the leases last"
                        );
                        self.away_since = Some(Instant::now());
                    }
                    tokio::time::sleep(jittered(wait)).await;
                    wait = (wait * 2).min(Duration::from_secs(2));
                    self.give_up_on_ended_leases(&mut batch);
                    batches.push(batch);
                }
            }
        }
    }

    /// After a try that failed: once the lease is over, somebody else may have the row.
    fn give_up_on_ended_leases(&mut self, batch: &mut Vec<Ending>) {
        let now = Instant::now();
        batch.retain(|ending| {
            let keep = now < ending.lease_ends_at;
            if !keep {
                self.metrics.unrecorded(&self.app);
                error!(
                    notification.id = ending.id.0,
                    attempt = ending.attempt.0,
                    outcome = ending.outcome,
                    "notification {}: its outcome could not be recorded before the lease ended; it will be asked \
                     about or called again with the same key",
                    ending.id
                );
            }
            keep
        });
    }

    /// After the write: a line in the log means that it is written.
    async fn report(&mut self, ending: &Ending, recorded: Recorded) {
        self.metrics.attempt(&self.app, ending, recorded);
        match recorded {
            Recorded::Done => log(&self.app, ending),
            Recorded::Locked => {}
            Recorded::LeaseLost => {
                warn!(
                    app = self.app,
                    notification.id = ending.id.0,
                    attempt = ending.attempt.0,
                    outcome = ending.outcome,
                    "notification {}: the answer of attempt {} came after its lease was taken over; kept as evidence",
                    ending.id,
                    ending.attempt
                );
                if let Err(cause) =
                    keep_evidence(&mut self.line, &self.app, &self.daemon, ending).await
                {
                    warn!(
                        error = format!("{cause:#}"),
                        "a late answer could not be kept"
                    );
                }
            }
        }
    }
}

fn log(app: &str, ending: &Ending) {
    let latency_ms = ending.latency.map(millis);
    let (id, attempt) = (ending.id.0, ending.attempt.0);
    match &ending.transition {
        Transition::Settle {
            status: Status::Dead,
            reason,
            ..
        } => {
            warn!(
                app,
                notification.id = id,
                attempt,
                status = "dead",
                reason = reason.key,
                errcode = ending.errcode,
                latency_ms,
                "notification {id}: dead ({})",
                reason.key
            );
        }
        Transition::Settle { status, reason, .. } => {
            info!(
                app,
                notification.id = id,
                attempt,
                status = status.word(),
                reason = reason.key,
                errcode = ending.errcode,
                latency_ms,
                "notification {id}: {} ({})",
                status.word(),
                reason.key
            );
        }
        Transition::Requeue { after, .. } if ending.phase == Phase::NotCalled => {
            let retry_ms = millis(*after);
            debug!(
                app,
                notification.id = id,
                attempt,
                retry_ms,
                "notification {id}: released"
            );
        }
        Transition::Requeue { after, .. } => {
            info!(
                app,
                notification.id = id,
                attempt,
                outcome = ending.outcome,
                reason = ending.why.key,
                errcode = ending.errcode,
                latency_ms,
                retry_ms = millis(*after),
                "notification {id}: attempt {attempt} {} ({}), next try in {after:.0?}",
                ending.outcome,
                ending.why.key
            );
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// True when the server read the statement and refused it, so that another try would be refused, too.
fn is_refusal(cause: &anyhow::Error) -> bool {
    let class = cause
        .downcast_ref::<sqlx::Error>()
        .and_then(|e| e.as_database_error())
        .and_then(|e| {
            e.code()
                .map(|code| code.get(..2).unwrap_or_default().to_owned())
        });
    // Data exceptions, violated constraints, deadlocks; not connection loss, a full disk, or a lock on the table: rows
    // that somebody holds are left out by the statement itself.
    matches!(class.as_deref(), Some("22" | "23" | "40"))
}
