//! The recorder: every outcome of an app goes through it to the database.
//!
//! It writes what has gathered since its last flush in one statement, and at once when idle: group commit without
//! a timer and without an added wait. While the database is away it keeps trying as long as the leases last, and the
//! calls behind it hold their slots, so nothing new is claimed that could not be written down. What it holds then is in
//! the [journal], so that it outlives this process.

pub mod journal;
mod tell;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use self::journal::Journal;
use self::tell::tell;
use crate::metrics::Metrics;
use crate::outbox::line::{Line, jittered};
use crate::outbox::record::{Ending, Recorded, keep_evidence, record};

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
        journal_dir: Option<PathBuf>,
    ) -> (Recorder, JoinHandle<()>) {
        let (endings, inbox) = mpsc::channel(capacity.max(1));
        let writer = Writer {
            line: line.keeping_plans(),
            inbox,
            journal: Arc::new(Mutex::new(Journal::new(journal_dir, &app))),
            app,
            daemon,
            metrics,
            away_since: None,
            aside: Vec::new(),
            flushing: Vec::new(),
            capacity: capacity.max(1),
            aside_at: Instant::now(),
        };
        (Recorder { endings }, tokio::spawn(writer.run()))
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
    inbox: mpsc::Receiver<Message>,
    journal: Arc<Mutex<Journal>>,
    app: String,
    daemon: String,
    metrics: Arc<Metrics>,
    away_since: Option<Instant>,
    /// Endings to be written later, each by itself. While there are `capacity` of them, none is taken in.
    aside: Vec<Ending>,
    /// Who waits until everything before is written.
    flushing: Vec<oneshot::Sender<()>>,
    capacity: usize,
    aside_at: Instant,
}

impl Writer {
    async fn run(mut self) {
        self.inherit().await;
        let mut messages = Vec::with_capacity(BATCH);
        loop {
            // What cannot be written holds its slot: nothing new is called that could not be written down either.
            let received = if self.aside.len() >= self.capacity {
                tokio::time::sleep(ASIDE_EVERY).await;
                usize::MAX
            } else if self.aside.is_empty() {
                self.inbox.recv_many(&mut messages, BATCH).await
            } else {
                let inbox = self.inbox.recv_many(&mut messages, BATCH);
                tokio::time::timeout(ASIDE_EVERY, inbox)
                    .await
                    .unwrap_or(usize::MAX)
            };
            // What has come meanwhile belongs to the same flush.
            tokio::task::yield_now().await;
            while messages.len() < BATCH
                && let Ok(message) = self.inbox.try_recv()
            {
                messages.push(message);
            }
            let mut endings = Vec::with_capacity(messages.len());
            for message in messages.drain(..) {
                self.sort(message, &mut endings);
            }
            self.write(endings).await;
            let is_asked = !self.flushing.is_empty();
            if self.aside_at.elapsed() >= ASIDE_EVERY || is_asked || received == 0 {
                // One by one: what was refused once must not take its neighbours along.
                let mut aside = std::mem::take(&mut self.aside);
                self.give_up_on_ended_leases(&mut aside);
                for ending in aside {
                    self.write(vec![ending]).await;
                }
                self.aside_at = Instant::now();
            }
            for done in self.flushing.drain(..) {
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

    fn sort(&mut self, message: Message, endings: &mut Vec<Ending>) {
        match message {
            Message::Ending(ending) => endings.push(*ending),
            Message::Flushed(done) => self.flushing.push(done),
        }
    }

    /// Records what daemons that are gone had heard and could not record.
    async fn inherit(&mut self) {
        let legacies = match self.in_journal(|journal| journal.legacies()).await {
            Ok(legacies) => legacies,
            Err(cause) => {
                warn!(
                    app = self.app,
                    error = %cause,
                    "the receipt journals of earlier daemons cannot be read"
                );
                return;
            }
        };
        for legacy in legacies {
            info!(
                app = self.app,
                answers = legacy.endings.len(),
                unreadable = legacy.unreadable,
                "recording what an earlier daemon had heard"
            );
            self.write(legacy.endings.clone()).await;
            // What had to be put aside is tried again, and kept in a file of our own if need be.
            let aside = self.aside.clone();
            let forgotten = self.in_journal(move |journal| {
                journal.keep(&aside)?;
                legacy.forget()
            });
            if let Err(cause) = forgotten.await {
                warn!(
                    app = self.app,
                    error = %cause,
                    "a receipt journal cannot be removed; it will be read again, without effect"
                );
            }
        }
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
                            Recorded::Locked => self.aside.push(Ending {
                                place: None,
                                ..ending
                            }),
                            Recorded::Done | Recorded::LeaseLost => {
                                self.journal().done(&ending);
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
                    self.wait_out(jittered(wait), &mut batch).await;
                    wait = (wait * 2).min(Duration::from_secs(2));
                    self.give_up_on_ended_leases(&mut batch);
                    batches.push(batch);
                }
            }
        }
    }

    /// Waits; what it holds, and what comes meanwhile as long as it may hold more, is written down on disk.
    async fn wait_out(&mut self, wait: Duration, batch: &mut Vec<Ending>) {
        let until = tokio::time::Instant::now() + wait;
        loop {
            let endings = batch.clone();
            if let Err(cause) = self.in_journal(move |journal| journal.keep(&endings)).await {
                warn!(
                    app = self.app,
                    error = %cause,
                    "the receipt journal cannot be written; answers are held in memory alone"
                );
            }
            if batch.len() >= self.capacity.min(BATCH) {
                return tokio::time::sleep_until(until).await;
            }
            match tokio::time::timeout_at(until, self.inbox.recv()).await {
                Ok(Some(message)) => self.sort(message, batch),
                Ok(None) => return tokio::time::sleep_until(until).await,
                Err(_elapsed) => return,
            }
        }
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A disk may be slow, and this thread has other things to do.
    async fn in_journal<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Journal) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let journal = self.journal.clone();
        let work = move || work(&mut journal.lock().unwrap_or_else(PoisonError::into_inner));
        tokio::task::spawn_blocking(work).await?
    }

    /// After a try that failed: once the lease is over, somebody else may have the row. The journal keeps the answer, for
    /// the next daemon: the fence will tell whether it still counts or is evidence.
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
            Recorded::Done => tell(&self.app, ending),
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
