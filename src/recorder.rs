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
use crate::outbox::line::{Line, jittered};
use crate::outbox::record::{Ending, Recorded, keep_evidence, record};
use crate::policy::Transition;

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
            line,
            app,
            daemon,
            metrics,
            away_since: None,
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
}

impl Writer {
    async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        let mut messages = Vec::with_capacity(BATCH);
        while inbox.recv_many(&mut messages, BATCH).await > 0 {
            let mut endings = Vec::with_capacity(messages.len());
            let mut waiting = Vec::new();
            for message in messages.drain(..) {
                match message {
                    Message::Ending(ending) => endings.push(*ending),
                    Message::Flushed(done) => waiting.push(done),
                }
            }
            self.write(endings).await;
            for done in waiting {
                let _ = done.send(());
            }
        }
        self.line.close().await;
    }

    /// Writes the endings, however often it takes while their leases last.
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
                            away_ms = since.elapsed().as_millis(),
                            "the database takes outcomes again"
                        );
                    }
                    for (ending, recorded) in batch.iter().zip(recorded) {
                        self.report(ending, recorded).await;
                    }
                }
                // The statement itself is refused: one ending is the cause, and its neighbours go on without it.
                Err(cause) if is_refusal(&cause) && batch.len() > 1 => {
                    let half = batch.split_off(batch.len() / 2);
                    batches.push(half);
                    batches.push(batch);
                }
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
                    batch.retain(|ending| {
                        let keep = Instant::now() < ending.lease_ends_at;
                        if !keep {
                            self.metrics.unrecorded(&self.app);
                            error!(notification.id = %ending.id, attempt = %ending.attempt, outcome = ending.outcome,
                                   "notification {}: its outcome could not be recorded before the lease ended; it will be asked about or called again with the same key", ending.id);
                        }
                        keep
                    });
                    batches.push(batch);
                }
            }
        }
    }

    /// After the write: a line in the log means that it is written.
    async fn report(&mut self, ending: &Ending, recorded: Recorded) {
        self.metrics.attempt(&self.app, ending, recorded);
        match recorded {
            Recorded::Done => log(&self.app, ending),
            Recorded::LeaseLost => {
                warn!(app = self.app, notification.id = %ending.id, attempt = %ending.attempt, outcome = ending.outcome,
                      "notification {}: the answer of attempt {} came after its lease was taken over; kept as evidence",
                      ending.id, ending.attempt);
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
    let latency_ms = ending
        .latency
        .map(|l| u64::try_from(l.as_millis()).unwrap_or(u64::MAX));
    let (id, attempt) = (ending.id, ending.attempt);
    match &ending.transition {
        Transition::Settle { status, reason, .. } => {
            info!(app, notification.id = %id, %attempt, status = status.word(), reason = reason.key, errcode = ending.errcode, latency_ms,
                  "notification {id}: {} ({})", status.word(), reason.key);
        }
        Transition::Requeue { after, .. } if ending.phase == Phase::NotCalled => {
            debug!(app, notification.id = %id, %attempt, retry_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX), "notification {id}: released");
        }
        Transition::Requeue { after, .. } => {
            info!(app, notification.id = %id, %attempt, outcome = ending.outcome, reason = ending.why.key, errcode = ending.errcode, latency_ms,
                  retry_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
                  "notification {id}: attempt {attempt} {} ({}), next try in {:.0?}", ending.outcome, ending.why.key, after);
        }
    }
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
    // Data exceptions and violated constraints; not connection loss, shutdown or a full disk.
    matches!(class.as_deref(), Some("22" | "23"))
}
