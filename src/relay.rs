//! The relay: the one place where database and target meet.
//!
//! It claims as many rows as it has free call slots, so nothing waits in memory with its lease running, and
//! starts a [`step`] for each. Polling is the truth: at once again after a full batch, shortly after a hit,
//! backing off when idle. An app's gate may be shut; then one row, let through by one
//! daemon of the fleet, probes whether the trouble is over, and the width of the lane grows again from one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tracing::{Instrument, error, info, info_span, warn};

use crate::catalogue::{Entry, Pause};
use crate::delivery::Target;
use crate::notification::Claim;
use crate::outbox::claim::{Claimer, Reach};
use crate::outbox::line::jittered;
use crate::outbox::state::{self, Gate};
use crate::policy::{self, Health, Transition};
use crate::step::{Lane, Stepped, ending, step};

/// The poll after one that found something, but less than there was room for.
const POLL_AFTER_HIT: Duration = Duration::from_millis(50);

/// One app's lane through this daemon.
pub struct Relay<T> {
    pub app: String,
    pub slots: usize,
    pub poll_idle: Duration,
    pub lease: Duration,
    pub drain_timeout: Duration,
    pub claimer: Claimer,
    pub lane: Arc<Lane<T>>,
}

/// When the relay ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    Stopped,
    /// Nothing is due any more.
    Drained,
}

/// The loop's memory between two turns.
struct Pace {
    /// The last claim was full: there is more.
    hungry: bool,
    next_claim: Instant,
    idle: Duration,
    /// Calls allowed at once; below the slots only while the lane ramps up.
    width: usize,
    /// Answers missing in a row.
    silent: u32,
    /// The last answer but nothing good since spoke against the whole app.
    doubtful: bool,
    /// A probe of ours is under way.
    probing: bool,
    /// A suspect waits to run alone.
    isolate: bool,
    away_since: Option<Instant>,
    empty_sweeps: u32,
}

impl<T: Target> Relay<T> {
    /// Runs until stopped (or drained), then finishes what is under way. No future of the database is ever
    /// dropped half-way: the only things raced are the stop, a finished call and the clock.
    pub async fn run(mut self, until: Until, mut stop: watch::Receiver<bool>) -> Result<()> {
        let mut calls = JoinSet::new();
        let mut pace = Pace {
            hungry: true,
            next_claim: Instant::now(),
            idle: POLL_AFTER_HIT,
            width: self.slots,
            silent: 0,
            doubtful: false,
            probing: false,
            isolate: false,
            away_since: None,
            empty_sweeps: 0,
        };
        while !*stop.borrow() {
            while let Some(done) = calls.try_join_next() {
                self.learn(&mut pace, done).await;
            }
            let free = pace.width.saturating_sub(calls.len());
            if free > 0 && (pace.hungry || Instant::now() >= pace.next_claim) {
                let claims = self.claim(&mut pace, free, calls.len()).await;
                if until == Until::Drained
                    && claims.is_empty()
                    && calls.is_empty()
                    && self.drained(&mut pace).await
                {
                    break;
                }
                if *stop.borrow() {
                    self.release(claims).await;
                    break;
                }
                for claim in claims {
                    let span = info_span!("attempt", notification.id = %claim.id, attempt = %claim.attempt);
                    calls.spawn(step(self.lane.clone(), claim).instrument(span));
                }
                continue;
            }
            let may_claim = free > 0;
            tokio::select! {
                _ = stop.changed() => {}
                Some(done) = calls.join_next() => self.learn(&mut pace, done).await,
                () = tokio::time::sleep_until(pace.next_claim.into()), if may_claim => {}
            }
        }
        self.finish(calls).await;
        Ok(())
    }

    /// One poll. Never fails: a database that is away is waited for.
    async fn claim(&mut self, pace: &mut Pace, free: usize, in_flight: usize) -> Vec<Claim> {
        let asked = Instant::now();
        let swept = self.claimer.sweep_is_due();
        let polled = self.poll(pace, free, in_flight, swept).await;
        match polled {
            Ok(claims) => {
                self.lane
                    .metrics
                    .polled(&self.app, asked.elapsed(), claims.len());
                if let Some(since) = pace.away_since.take() {
                    info!(
                        app = self.app,
                        away_ms = since.elapsed().as_millis(),
                        "the database is back"
                    );
                }
                pace.empty_sweeps = if claims.is_empty() && swept {
                    pace.empty_sweeps + 1
                } else {
                    0
                };
                pace.hungry = claims.len() >= free && !pace.probing && !pace.isolate;
                pace.idle = if claims.is_empty() {
                    (pace.idle * 2).min(self.poll_idle)
                } else {
                    POLL_AFTER_HIT.min(self.poll_idle)
                };
                pace.next_claim = Instant::now() + jittered(pace.idle);
                claims
            }
            Err(cause) => {
                if pace.away_since.is_none() {
                    warn!(
                        app = self.app,
                        error = format!("{cause:#}"),
                        "cannot claim; waiting for the database"
                    );
                    pace.away_since = Some(Instant::now());
                }
                pace.hungry = false;
                pace.idle =
                    (pace.idle * 2).clamp(Duration::from_millis(100), Duration::from_secs(5));
                pace.next_claim = Instant::now() + jittered(pace.idle);
                Vec::new()
            }
        }
    }

    async fn poll(
        &mut self,
        pace: &mut Pace,
        free: usize,
        in_flight: usize,
        sweep: bool,
    ) -> Result<Vec<Claim>> {
        if sweep && !pace.isolate && self.claimer.suspect_is_due().await? {
            pace.isolate = true;
        }
        if pace.isolate {
            // A suspect runs alone, so that the third lapse convicts nobody else.
            if in_flight > 0 {
                return Ok(Vec::new());
            }
            pace.isolate = false;
            let claims = self.claimer.claim(Reach::Suspect).await?;
            if !claims.is_empty() {
                pace.isolate = true;
                return Ok(claims);
            }
        }
        let claims = self.claimer.claim(Reach::Due(free)).await?;
        if !claims.is_empty() {
            return Ok(claims);
        }
        match state::gate(self.claimer.line(), &self.app, self.lease).await? {
            Gate::Open => Ok(Vec::new()),
            Gate::Shut => {
                pace.width = 1;
                Ok(Vec::new())
            }
            Gate::Probe => {
                pace.width = 1;
                let claims = self.claimer.claim(Reach::Probe).await?;
                if claims.is_empty() {
                    state::return_probe(self.claimer.line(), &self.app).await?;
                }
                pace.probing = !claims.is_empty();
                Ok(claims)
            }
        }
    }

    /// What a finished call teaches about the target.
    async fn learn(&mut self, pace: &mut Pace, done: Result<Stepped, JoinError>) {
        let Stepped { health, why } = match done {
            Ok(stepped) => stepped,
            Err(cause) => {
                // Its lease lapses, and the row comes back with one lapse more.
                error!(app = self.app, error = %cause, "an attempt broke off");
                return;
            }
        };
        let probing = std::mem::take(&mut pace.probing);
        let said = match (health, why) {
            (Health::Good, _) => {
                pace.silent = 0;
                pace.doubtful = false;
                pace.width = (pace.width * 2).min(self.slots);
                if !probing {
                    return;
                }
                pace.hungry = true;
                state::close_breaker(self.claimer.line(), &self.app)
                    .await
                    .map(|closed| {
                        if closed {
                            info!(
                                app = self.app,
                                "the breaker is closed: the target answers again"
                            );
                        }
                    })
            }
            (Health::Silent, Some((why, errcode))) => {
                pace.silent += 1;
                if !probing && pace.silent < policy::BREAKER_AFTER {
                    return;
                }
                self.open(pace, Pause::For(policy::BREAKER_PAUSE), why, errcode)
                    .await
            }
            (Health::Doubtful(_), Some(_))
                if !probing && !std::mem::replace(&mut pace.doubtful, true) =>
            {
                return;
            }
            (Health::Broken(pause) | Health::Doubtful(pause), Some((why, errcode))) => {
                self.open(pace, pause, why, errcode).await
            }
            (Health::Neutral | Health::Silent | Health::Broken(_) | Health::Doubtful(_), _) => {
                if !probing {
                    return;
                }
                state::return_probe(self.claimer.line(), &self.app).await
            }
        };
        if let Err(cause) = said {
            warn!(
                app = self.app,
                error = format!("{cause:#}"),
                "the app's state could not be written"
            );
        }
    }

    async fn open(
        &mut self,
        pace: &mut Pace,
        pause: Pause,
        why: &'static Entry,
        errcode: Option<i32>,
    ) -> Result<()> {
        pace.width = 1;
        pace.silent = 0;
        if state::open_breaker(self.claimer.line(), &self.app, pause, why, errcode).await? {
            warn!(
                app = self.app,
                reason = why.key,
                errcode,
                "the breaker is open: {} ({})",
                why.en,
                why.next_en
            );
        }
        Ok(())
    }

    /// For `--once`: everything is recorded, and a second sweep after that finds nothing either.
    async fn drained(&mut self, pace: &mut Pace) -> bool {
        if pace.away_since.is_some() || pace.isolate {
            return false;
        }
        self.lane.recorder.flushed().await;
        self.claimer.sweep_next();
        pace.hungry = true;
        pace.empty_sweeps >= 2
    }

    /// Puts claims back that were not started.
    async fn release(&self, claims: Vec<Claim>) {
        for claim in claims {
            let back = Transition::Requeue {
                after: Duration::ZERO,
                spared: true,
                may_have_arrived: claim.may_have_arrived,
            };
            self.lane
                .recorder
                .record(ending(&claim, None, back, None))
                .await;
        }
    }

    /// Waits for the calls under way, then lets go. What is cut off here comes back when its lease lapses.
    async fn finish(self, mut calls: JoinSet<Stepped>) {
        let in_flight = calls.len();
        let ended = tokio::time::timeout(self.drain_timeout, async {
            while calls.join_next().await.is_some() {}
        });
        if ended.await.is_err() {
            warn!(
                app = self.app,
                cut_off = calls.len(),
                in_flight,
                "the drain time is over; calls under way are cut off and will be asked about"
            );
        }
        calls.shutdown().await;
        self.lane.recorder.flushed().await;
        self.claimer.close().await;
    }
}
