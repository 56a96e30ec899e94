//! The relay: the one place where database and target meet.
//!
//! It claims as many rows as it has free call slots, so nothing waits in memory with its lease running, and
//! starts a [`step`] for each. Polling is the truth: at once again after a full batch, shortly after a hit,
//! backing off when idle, and then by a [look](Claimer::look) instead of a claim. An idle lane sleeps until it is [woken](crate::wake),
//! stopped, a call ends, or the time is up. An app's gate may be shut; then one row, let through by one daemon of the fleet, probes
//! whether the trouble is over, and the width of the lane grows again from one.

mod learn;
mod pace;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tracing::{Instrument, info, info_span, warn};

use self::pace::Pace;
use crate::delivery::Target;
use crate::notification::Claim;
use crate::outbox::backlog::backlog;
use crate::outbox::claim::{Claimer, Reach};
use crate::outbox::line::{answered, jittered};
use crate::outbox::state::{self, Gate};
use crate::policy::Transition;
use crate::step::{Lane, Stepped, ending, step};
use crate::wake::Sleeper;

/// For putting back, at a stop, what was claimed and not started.
const RELEASE_WITHIN: Duration = Duration::from_secs(3);

/// A loop that waits for long calls turns at least this often.
const BEAT_EVERY: Duration = Duration::from_secs(10);

/// One app's lane through this daemon.
pub struct Relay<T> {
    pub app: String,
    pub slots: usize,
    pub poll_idle: Duration,
    pub lease: Duration,
    pub drain_timeout: Duration,
    pub claimer: Claimer,
    /// One permit for all lanes of the process.
    pub suspects: Arc<Semaphore>,
    pub sleeper: Sleeper,
    pub lane: Arc<Lane<T>>,
}

/// When the relay ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    Stopped,
    /// Nothing is due any more.
    Drained,
}

/// How a relay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Stopped,
    /// Nothing is due any more.
    Drained,
    /// The app is paused or its breaker open: what is due was left.
    Held,
}

impl<T: Target> Relay<T> {
    /// Runs until stopped (or drained), then finishes what is under way. The database is not raced against anything: only
    /// the stop, a finished call and the clock are. What cannot be put back in time at a stop is left to its lease.
    pub async fn run(mut self, until: Until, mut stop: watch::Receiver<bool>) -> Result<Ended> {
        let mut calls = JoinSet::new();
        let mut pace = Pace::new(self.slots);
        let mut ended = Ended::Stopped;
        while !*stop.borrow() {
            self.lane.metrics.beat(&self.app);
            if !calls.is_empty() {
                // Answers that have come meanwhile are taken first: fewer claims, each of more rows.
                tokio::task::yield_now().await;
            }
            while !*stop.borrow()
                && let Some(done) = calls.try_join_next()
            {
                self.learn(&mut pace, done).await;
            }
            let free = pace.width.saturating_sub(calls.len());
            // Who can take no row leaves the lock to those who can, and lets inserts be silent.
            let may_rest = free > 0 && !pace.hungry && pace.undisturbed();
            if !may_rest {
                self.sleeper.get_up();
            }
            if free > 0 && (pace.hungry || Instant::now() >= pace.next_claim) {
                let may_look = until == Until::Stopped && pace.look_first && !pace.hungry;
                if may_look && self.may_pass(&mut pace).await {
                    continue;
                }
                let claims = self.claim(&mut pace, free, calls.len()).await;
                if until == Until::Drained
                    && claims.is_empty()
                    && calls.is_empty()
                    && self.drained(&mut pace, &mut stop).await
                {
                    ended = if pace.shut && self.something_is_due().await {
                        Ended::Held
                    } else {
                        Ended::Drained
                    };
                    break;
                }
                if *stop.borrow() {
                    let put_back = self.release(claims, pace.probing);
                    let _ = tokio::time::timeout(RELEASE_WITHIN, put_back).await;
                    break;
                }
                let probe = std::mem::take(&mut pace.probing);
                for claim in claims {
                    let span = info_span!(
                        "attempt",
                        notification.id = claim.id.0,
                        attempt = claim.attempt.0
                    );
                    // In a box, for the runtime moves a task several times, and this one is large.
                    let call = Box::pin(step(self.lane.clone(), claim).instrument(span));
                    calls.spawn(async move { (probe, call.await) });
                }
                continue;
            }
            let may_claim = free > 0;
            tokio::select! {
                _ = stop.changed() => {}
                Some(done) = calls.join_next() => self.learn(&mut pace, done).await,
                () = tokio::time::sleep_until(pace.next_claim.into()), if may_claim => {}
                news = self.sleeper.news(), if may_rest => {
                    // What was committed late lies behind the mark. Whoever lies down now must see it.
                    self.claimer.sweep_soon();
                    pace.heed(news, self.poll_idle);
                }
                // A row lies behind the mark; the mark has been set back to it.
                () = self.claimer.swept_aside(), if may_claim => pace.claim_now(),
                // However long the calls take, the loop shows that it lives.
                () = tokio::time::sleep(BEAT_EVERY) => {}
            }
        }
        self.sleeper.get_up();
        self.finish(calls).await;
        Ok(ended)
    }

    /// One poll. Never fails: a database that is away is waited for.
    async fn claim(&mut self, pace: &mut Pace, free: usize, in_flight: usize) -> Vec<Claim> {
        let asked = Instant::now();
        let swept = self.claimer.sweeps_next();
        let polled = self.poll(pace, free, in_flight).await;
        match polled {
            Ok(claims) => {
                self.lane
                    .metrics
                    .polled(&self.app, asked.elapsed(), claims.len());
                if let Some(since) = pace.away_since.take() {
                    info!(
                        app = self.app,
                        away_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
                        "the database is back"
                    );
                }
                pace.empty_sweeps =
                    if claims.is_empty() && swept && in_flight == 0 && pace.isolating.is_none() {
                        pace.empty_sweeps + 1
                    } else {
                        0
                    };
                pace.hungry = claims.len() >= free && !pace.probing && pace.isolating.is_none();
                pace.look_first = claims.is_empty() && pace.undisturbed();
                let wait = if claims.is_empty() {
                    pace.slower(self.poll_idle)
                } else {
                    self.sleeper.found();
                    pace.after_hit(self.poll_idle)
                };
                pace.next_claim = Instant::now() + jittered(wait);
                claims
            }
            Err(cause) => {
                self.away(pace, &cause);
                Vec::new()
            }
        }
    }

    /// True when a look says that a poll would find nothing yet.
    async fn may_pass(&mut self, pace: &mut Pace) -> bool {
        let asked = Instant::now();
        let seen = match self.claimer.look().await {
            Ok(seen) => seen,
            Err(cause) => {
                self.away(pace, &cause);
                return true;
            }
        };
        let now_due = seen.due_in == Some(Duration::ZERO);
        if seen.held || now_due {
            if seen.swept {
                // What was committed late lies behind the mark.
                self.claimer.sweep_next();
            }
            return false;
        }
        self.lane.metrics.polled(&self.app, asked.elapsed(), 0);
        self.sleeper.looked(asked.elapsed());
        let wait = self
            .sleeper
            .may_wait()
            .unwrap_or_else(|| pace.slower(self.poll_idle));
        pace.next_claim = Instant::now() + jittered(wait);
        if let Some(due_in) = seen.due_in {
            pace.within(due_in);
        }
        true
    }

    fn away(&self, pace: &mut Pace, cause: &anyhow::Error) {
        if pace.away_since.is_none() {
            warn!(
                app = self.app,
                error = format!("{cause:#}"),
                "cannot claim; waiting for the database"
            );
            pace.away_since = Some(Instant::now());
        }
        pace.hungry = false;
        pace.look_first = false;
        pace.idle = (pace.idle * 2).clamp(Duration::from_millis(100), Duration::from_secs(5));
        pace.next_claim = Instant::now() + jittered(pace.idle);
    }

    async fn poll(&mut self, pace: &mut Pace, free: usize, in_flight: usize) -> Result<Vec<Claim>> {
        if pace.isolating.is_none()
            && pace.asks_for_suspects()
            && self.claimer.suspect_is_due().await?
        {
            // A crash takes the whole process along: of all its lanes, one at a time runs a suspect.
            let turn = self.suspects.clone().try_acquire_owned().ok();
            pace.isolating = turn.map(|turn| (Instant::now(), turn));
        }
        if let Some((since, _)) = pace.isolating {
            // A suspect runs alone, so that the third lapse convicts nobody else.
            if in_flight > 0 {
                return Ok(Vec::new());
            }
            if !pace.suspect_ran {
                let claims = self
                    .claimer
                    .claim(Reach::Suspect { as_probe: false })
                    .await?;
                if !claims.is_empty() {
                    pace.suspect_ran = true;
                    return Ok(claims);
                }
            }
            // However many suspects there are, nine tenths of the time belong to the other rows.
            pace.isolating = None;
            pace.suspect_ran = false;
            let pause = (since.elapsed() * 9).min(self.lease * 10);
            pace.isolate_again = Instant::now() + pause;
        }
        let claims = self.claimer.claim(Reach::Due(free)).await?;
        if !claims.is_empty() {
            return Ok(claims);
        }
        if in_flight == 0 {
            // Nobody is kept waiting by a suspect.
            pace.isolate_again = Instant::now();
        }
        match state::gate(self.claimer.line(), &self.app, self.lease).await? {
            Gate::Open => {
                self.tell_gate(pace, false);
                Ok(Vec::new())
            }
            Gate::Shut => {
                self.tell_gate(pace, true);
                pace.width = 1;
                Ok(Vec::new())
            }
            Gate::Probe { in_doubt } => {
                self.tell_gate(pace, true);
                pace.width = 1;
                let mut claims = self.claimer.claim(Reach::Probe { in_doubt }).await?;
                if claims.is_empty() && in_flight == 0 {
                    claims = self
                        .claimer
                        .claim(Reach::Suspect { as_probe: true })
                        .await?;
                }
                if claims.is_empty() {
                    state::return_probe(self.claimer.line(), &self.app).await?;
                }
                pace.probing = !claims.is_empty();
                Ok(claims)
            }
        }
    }

    /// For `--once`: everything is recorded, and a second sweep after that finds nothing either.
    async fn drained(&mut self, pace: &mut Pace, stop: &mut watch::Receiver<bool>) -> bool {
        if pace.away_since.is_some() || pace.isolating.is_some() {
            return false;
        }
        if !pace.shut && self.claimer.suspect_is_due().await.unwrap_or(true) {
            return false;
        }
        tokio::select! {
            () = self.lane.recorder.flushed() => {}
            _ = stop.changed() => return false,
        }
        self.claimer.sweep_next();
        pace.hungry = true;
        pace.empty_sweeps >= 2
    }

    async fn something_is_due(&mut self) -> bool {
        let apps = [self.app.clone()];
        let due = async {
            let mut connection = self.claimer.line().take().await?;
            let backlogs = answered(backlog(&mut connection, &apps)).await?;
            self.claimer.line().back(connection).await?;
            anyhow::Ok(backlogs.iter().any(|backlog| backlog.due > 0))
        };
        due.await.unwrap_or(true)
    }

    /// Puts claims back that were not started.
    async fn release(&mut self, claims: Vec<Claim>, probe: bool) {
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
        if probe && let Err(cause) = state::return_probe(self.claimer.line(), &self.app).await {
            warn!(
                app = self.app,
                error = format!("{cause:#}"),
                "the probe could not be put back"
            );
        }
    }

    /// Waits for the calls under way, then lets go. What is cut off here comes back when its lease lapses.
    async fn finish(self, mut calls: JoinSet<(bool, Stepped)>) {
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
        self.claimer.close().await;
    }
}
