//! The daemon's ears: the task that owns the listening connection, holds the sleep locks of its lanes, passes the words on,
//! and tests itself. Whenever something is wrong here nobody sleeps; nothing that goes wrong here is fatal.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;
use tracing::{info, warn};
use uuid::Uuid;

use super::{Answer, Bed, Request, Rhythm};
use crate::metrics::Metrics;
use crate::outbox::line::{Database, jittered};
use crate::outbox::listen::{Listener, Tried, Word};

/// The server ends the listening session, and with it the sleep locks, when it has not been heard for so many echoes: the
/// daemon is frozen, or the network has swallowed it.
const SILENT_FOR_ECHOES: u32 = 4;

/// Listens until no lane is left.
pub(super) async fn listen(
    database: Database,
    requests: mpsc::WeakUnboundedSender<Request>,
    inbox: mpsc::UnboundedReceiver<Request>,
    metrics: Arc<Metrics>,
    rhythm: Rhythm,
) {
    // However this task ends, the metric does not go on claiming that it listens.
    let _deaf = Deaf(metrics.clone());
    let ears = Ears {
        database,
        requests,
        inbox,
        held: HashMap::new(),
        attended: HashMap::new(),
        metrics,
        rhythm,
        told: None,
        pause: rhythm.reconnect,
    };
    ears.keep_listening().await;
}

struct Ears {
    database: Database,
    requests: mpsc::WeakUnboundedSender<Request>,
    inbox: mpsc::UnboundedReceiver<Request>,
    /// The apps whose lock this connection has, and whom to call.
    held: HashMap<String, oneshot::Sender<()>>,
    /// The apps whose lock another daemon has, and whom to tell of a word to it.
    attended: HashMap<String, oneshot::Sender<()>>,
    metrics: Arc<Metrics>,
    rhythm: Rhythm,
    /// What the log was told last: that inserts call, or why they do not.
    told: Option<Result<(), String>>,
    pause: Duration,
}

impl Ears {
    async fn keep_listening(mut self) {
        while let Err(cause) = self.listen().await {
            // Who sleeps is woken by this, for nobody would call any more.
            self.held.clear();
            self.attended.clear();
            self.tell(Err(format!("{cause:#}")));
            let again_at = Instant::now() + jittered(self.pause);
            self.pause = (self.pause * 2).min(self.rhythm.reconnect * 30);
            loop {
                tokio::select! {
                    request = self.inbox.recv() => match request {
                        Some(Request::Lock { reply, .. }) => drop(reply.send(Answer::Refused)),
                        Some(Request::Unlock { .. }) => {}
                        None => return,
                    },
                    () = sleep_until(again_at.into()) => break,
                }
            }
        }
    }

    /// One connection's life. Ends well when nobody is left to be called.
    async fn listen(&mut self) -> Result<()> {
        let Rhythm {
            echo_every,
            echo_within,
            ..
        } = self.rhythm;
        let silent = echo_every * SILENT_FOR_ECHOES;
        let mut listener = Listener::connect(&self.database, echo_within, silent).await?;
        let ended = self.serve(&mut listener).await;
        match ended {
            Ok(()) => listener.close().await,
            Err(_) => listener.abandon(),
        }
        ended
    }

    async fn serve(&mut self, listener: &mut Listener) -> Result<()> {
        // Nobody sleeps before the first word has come back.
        let mut hears = false;
        let mut inserts_call = false;
        let mut awaited = String::new();
        let mut test_at = Instant::now();
        loop {
            tokio::select! {
                // What has been heard is heeded before a word is called missing.
                biased;
                word = listener.word() => match word? {
                    Word::Wake(app) => {
                        // Without the lock it is for another daemon, which has heard it, too.
                        self.attended.remove(&app);
                        if let Some(lane) = self.held.remove(&app) {
                            self.metrics.woken(&app);
                            let _ = lane.send(());
                            listener.unlock(&app).await?;
                        }
                    }
                    Word::Echo(word) if word == awaited => {
                        awaited.clear();
                        test_at = Instant::now() + self.rhythm.echo_every;
                        hears = true;
                        self.pause = self.rhythm.reconnect;
                        if inserts_call {
                            self.tell(Ok(()));
                        }
                    }
                    Word::Echo(_) => {}
                },
                request = self.inbox.recv() => match request {
                    Some(Request::Lock { app, reply }) => {
                        let answer = if hears && inserts_call { self.lock(listener, app).await? } else { Answer::Refused };
                        // A lane that no longer wants it drops it here, and with that asks to unlock.
                        let _ = reply.send(answer);
                    }
                    Some(Request::Unlock { app }) => {
                        if self.held.remove(&app).is_some() {
                            listener.unlock(&app).await?;
                        }
                    }
                    None => return Ok(()),
                },
                () = sleep_until(test_at.into()) => {
                    if !awaited.is_empty() {
                        bail!("a word to itself has not come back in {} s", self.rhythm.echo_within.as_secs_f32());
                    }
                    awaited = Uuid::new_v4().to_string();
                    inserts_call = listener.echo(&awaited).await?;
                    if !inserts_call {
                        self.attended.clear();
                        for (app, _) in std::mem::take(&mut self.held) {
                            listener.unlock(&app).await?;
                        }
                        self.tell(Err(
                            "the trigger wake_sleeper is absent or disabled on outboxd.notification_outbox".to_owned(),
                        ));
                    }
                    test_at = Instant::now() + self.rhythm.echo_within;
                }
            }
        }
    }

    async fn lock(&mut self, listener: &mut Listener, app: String) -> Result<Answer> {
        let Some(requests) = self.requests.upgrade() else {
            return Ok(Answer::Refused);
        };
        let (lane, called) = oneshot::channel();
        Ok(match listener.try_lock(&app).await? {
            Tried::Had => {
                self.held.insert(app.clone(), lane);
                Answer::Had(Bed {
                    app,
                    called,
                    requests,
                })
            }
            Tried::Attended => {
                self.attended.insert(app, lane);
                Answer::Attended(called)
            }
            Tried::Refused => Answer::Refused,
        })
    }

    /// Sets the metric, and tells the log what is new.
    fn tell(&mut self, state: Result<(), String>) {
        self.metrics.listening(state.is_ok());
        if self.told.as_ref() == Some(&state) {
            return;
        }
        match &state {
            Ok(()) => info!("listening: an insert wakes this daemon"),
            Err(cause) => warn!(
                error = cause,
                "inserts do not wake this daemon; it polls every OUTBOXD_POLL_IDLE"
            ),
        }
        self.told = Some(state);
    }
}

struct Deaf(Arc<Metrics>);

impl Drop for Deaf {
    fn drop(&mut self) {
        self.0.listening(false);
    }
}
