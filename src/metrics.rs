//! The numbers of this process, counted after the write, and the numbers of the service, read from the
//! database when scraped. Labels carry app, outcome and reason; never an id, a name or a number.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::notification::Status;
use crate::outbox::backlog::Backlog;
use crate::outbox::record::{Ending, Recorded};
use crate::policy::Transition;
use crate::wechat::TokenFigures;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct App {
    app: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Settled {
    app: String,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Attempted {
    app: String,
    outcome: &'static str,
    reason: &'static str,
}

type Seconds = fn() -> Histogram;

pub struct Metrics {
    registry: Registry,
    notifications: Family<Settled, Counter>,
    attempts: Family<Attempted, Counter>,
    call_duration: Family<App, Histogram, Seconds>,
    claim_duration: Family<App, Histogram, Seconds>,
    claimed: Family<App, Counter>,
    wake_ups: Family<App, Counter>,
    listener_up: Gauge,
    lease_lost: Family<App, Counter>,
    unrecorded: Family<App, Counter>,
    poll_last_success: Family<App, Gauge<f64, AtomicU64>>,
    token_fetches: Family<App, Counter>,
    token_failures: Family<App, Counter>,
    token_expiry: Family<App, Gauge<f64, AtomicU64>>,
    due: Family<App, Gauge>,
    oldest_due_age: Family<App, Gauge<f64, AtomicU64>>,
    in_flight: Family<App, Gauge>,
    awaiting_grant: Family<App, Gauge>,
    breaker_open: Family<App, Gauge>,
    paused: Family<App, Gauge>,
    beats: Mutex<HashMap<String, Instant>>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    pub fn new() -> Self {
        // 2 s is the founding target for a call.
        let call: Seconds = || {
            Histogram::new([
                0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0,
            ])
        };
        let claim: Seconds =
            || Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0]);
        let mut metrics = Metrics {
            registry: Registry::with_prefix("outbox"),
            notifications: Family::default(),
            attempts: Family::default(),
            call_duration: Family::new_with_constructor(call),
            claim_duration: Family::new_with_constructor(claim),
            claimed: Family::default(),
            wake_ups: Family::default(),
            listener_up: Gauge::default(),
            lease_lost: Family::default(),
            unrecorded: Family::default(),
            poll_last_success: Family::default(),
            token_fetches: Family::default(),
            token_failures: Family::default(),
            token_expiry: Family::default(),
            due: Family::default(),
            oldest_due_age: Family::default(),
            in_flight: Family::default(),
            awaiting_grant: Family::default(),
            breaker_open: Family::default(),
            paused: Family::default(),
            beats: Mutex::default(),
        };
        let r = &mut metrics.registry;
        r.register(
            "notifications",
            "Notifications settled by this daemon, by status",
            metrics.notifications.clone(),
        );
        r.register(
            "attempts",
            "Attempts recorded by this daemon, by outcome and reason",
            metrics.attempts.clone(),
        );
        r.register_with_unit(
            "call_duration",
            "From the start of an attempt to its outcome",
            Unit::Seconds,
            metrics.call_duration.clone(),
        );
        r.register_with_unit(
            "claim_duration",
            "One claim, database time included",
            Unit::Seconds,
            metrics.claim_duration.clone(),
        );
        r.register(
            "claimed",
            "Rows claimed by this daemon",
            metrics.claimed.clone(),
        );
        r.register(
            "wake_ups",
            "Sleeping lanes of this daemon called by an insert",
            metrics.wake_ups.clone(),
        );
        r.register(
            "listener_up",
            "1 while an insert wakes this daemon; 0: it polls",
            metrics.listener_up.clone(),
        );
        r.register(
            "lease_lost",
            "Answers that came after their lease was taken over",
            metrics.lease_lost.clone(),
        );
        r.register(
            "unrecorded",
            "Outcomes that could not be recorded before the lease ended",
            metrics.unrecorded.clone(),
        );
        r.register_with_unit(
            "poll_last_success_timestamp",
            "When this daemon last asked the database for work, successfully",
            Unit::Seconds,
            metrics.poll_last_success.clone(),
        );
        r.register(
            "access_token_fetches",
            "Access tokens asked for by this daemon",
            metrics.token_fetches.clone(),
        );
        r.register(
            "access_token_failures",
            "Access tokens this daemon did not get",
            metrics.token_failures.clone(),
        );
        r.register_with_unit(
            "access_token_expiry_timestamp",
            "When the token at hand ends; 0 without one",
            Unit::Seconds,
            metrics.token_expiry.clone(),
        );
        r.register(
            "due",
            "Rows due now in the whole service, counted up to 10,000",
            metrics.due.clone(),
        );
        r.register_with_unit(
            "oldest_due_age",
            "Age of the oldest due row in the whole service that is not behind another of its order_key; the number to page on",
            Unit::Seconds,
            metrics.oldest_due_age.clone(),
        );
        r.register(
            "in_flight",
            "Rows under a live lease in the whole service, counted up to 10,000",
            metrics.in_flight.clone(),
        );
        r.register(
            "awaiting_grant",
            "Rows that wait for their user's permission in the whole service, counted up to 10,000",
            metrics.awaiting_grant.clone(),
        );
        r.register(
            "circuit_open",
            "1 while the app's breaker is not closed",
            metrics.breaker_open.clone(),
        );
        r.register(
            "paused",
            "1 while an operator has paused the app",
            metrics.paused.clone(),
        );
        r.register(
            "build",
            "Version of this daemon",
            Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
        );
        metrics
    }

    /// Makes an app's counters start at zero: an alert on an increase must see the first event.
    pub fn serve(&self, app: &str) {
        let app = App {
            app: app.to_owned(),
        };
        for counter in [
            &self.claimed,
            &self.wake_ups,
            &self.lease_lost,
            &self.unrecorded,
            &self.token_fetches,
            &self.token_failures,
        ] {
            drop(counter.get_or_create(&app));
        }
        for status in Status::ALL {
            let status = status.word();
            let settled = Settled {
                app: app.app.clone(),
                status,
            };
            drop(self.notifications.get_or_create(&settled));
        }
    }

    /// After the write of an ending.
    pub fn attempt(&self, app: &str, ending: &Ending, recorded: Recorded) {
        let app = App {
            app: app.to_owned(),
        };
        if let Some(took) = ending.took {
            self.call_duration
                .get_or_create(&app)
                .observe(took.attempt.as_secs_f64());
        }
        match recorded {
            Recorded::Locked => {}
            Recorded::LeaseLost => {
                self.lease_lost.get_or_create(&app).inc();
            }
            Recorded::Done => {
                self.attempts
                    .get_or_create(&Attempted {
                        app: app.app.clone(),
                        outcome: ending.outcome,
                        reason: ending.why.key,
                    })
                    .inc();
                if let Transition::Settle { status, .. } = &ending.transition {
                    self.notifications
                        .get_or_create(&Settled {
                            app: app.app,
                            status: status.word(),
                        })
                        .inc();
                }
            }
        }
    }

    /// After a successful poll.
    pub fn polled(&self, app: &str, took: Duration, claimed: usize) {
        let label = App {
            app: app.to_owned(),
        };
        if claimed > 0 {
            self.claim_duration
                .get_or_create(&label)
                .observe(took.as_secs_f64());
            self.claimed.get_or_create(&label).inc_by(claimed as u64);
        }
        self.poll_last_success.get_or_create(&label).set(unix_now());
        self.beat(app);
    }

    /// An insert called a sleeping lane.
    pub fn woken(&self, app: &str) {
        self.wake_ups
            .get_or_create(&App {
                app: app.to_owned(),
            })
            .inc();
    }

    /// Whether inserts wake this daemon.
    pub fn listening(&self, up: bool) {
        self.listener_up.set(i64::from(up));
    }

    pub fn unrecorded(&self, app: &str) {
        self.unrecorded
            .get_or_create(&App {
                app: app.to_owned(),
            })
            .inc();
    }

    /// What is known about an app's access token, at a scrape.
    pub fn token(&self, app: &str, figures: TokenFigures) {
        let app = App {
            app: app.to_owned(),
        };
        let fetches = self.token_fetches.get_or_create(&app);
        fetches.inc_by(figures.fetches.saturating_sub(fetches.get()));
        let failures = self.token_failures.get_or_create(&app);
        failures.inc_by(figures.failures.saturating_sub(failures.get()));
        let left = figures
            .expires_at
            .map(|end| end.saturating_duration_since(Instant::now()));
        self.token_expiry
            .get_or_create(&app)
            .set(left.map_or(0.0, |left| unix_now() + left.as_secs_f64()));
    }

    /// The loop of this app turned.
    pub fn beat(&self, app: &str) {
        let mut beats = self
            .beats
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        match beats.get_mut(app) {
            Some(beat) => *beat = Instant::now(),
            None => {
                beats.insert(app.to_owned(), Instant::now());
            }
        }
    }

    /// How long ago the slowest loop of this process turned; none before the first turn.
    pub fn slowest_beat(&self) -> Option<Duration> {
        let beats = self
            .beats
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        beats.values().map(Instant::elapsed).max()
    }

    pub fn backlog(&self, backlogs: &[Backlog]) {
        for backlog in backlogs {
            let app = App {
                app: backlog.app.clone(),
            };
            self.due.get_or_create(&app).set(backlog.due);
            self.in_flight.get_or_create(&app).set(backlog.in_flight);
            self.awaiting_grant
                .get_or_create(&app)
                .set(backlog.awaiting_grant);
            self.oldest_due_age
                .get_or_create(&app)
                .set(backlog.oldest_due_age.as_secs_f64());
            self.breaker_open
                .get_or_create(&app)
                .set(i64::from(backlog.breaker_open));
            self.paused
                .get_or_create(&app)
                .set(i64::from(backlog.paused));
        }
    }

    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut page = String::with_capacity(8192);
        text::encode(&mut page, &self.registry)?;
        Ok(page)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}

fn unix_now() -> f64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0.0, |d| d.as_secs_f64())
}
