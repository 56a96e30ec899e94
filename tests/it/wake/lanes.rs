//! One daemon's lanes without WeChat: the real loop, sleeper, claimer and recorder, and a target that tells the test what
//! was claimed and answers at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use outboxd::delivery::{Attempted, Outcome, Receipt, Sealed, Target};
use outboxd::metrics::Metrics;
use outboxd::notification::Claim;
use outboxd::outbox::claim::Claimer;
use outboxd::outbox::line::Database;
use outboxd::policy::{Policy, RetrySchedule};
use outboxd::recorder::Recorder;
use outboxd::relay::{Relay, Until};
use outboxd::step::Lane;
use outboxd::wake::{Rhythm, Sleeper, Wake};
use sqlx::{PgExecutor, PgPool};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use crate::harness::{LEASE, appears, database, number};

/// Far beyond the end of any test.
const NEVER: Duration = Duration::from_secs(3600);

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) apps: Vec<&'static str>,
    pub(super) slots: usize,
    pub(super) poll_idle: Duration,
    pub(super) rhythm: Rhythm,
    /// Calls never end.
    pub(super) hold_calls: bool,
    /// Else its lanes only poll.
    pub(super) listens: bool,
    /// As under a long transaction that keeps every dead entry alive.
    pub(super) sweeps_are_slow: bool,
}

impl Settings {
    /// A lane that sleeps is found by nothing but a word.
    pub(super) fn only_words() -> Settings {
        Settings {
            apps: vec!["default"],
            slots: 8,
            poll_idle: NEVER,
            rhythm: Rhythm {
                backstop: NEVER,
                ..Rhythm::default()
            },
            hold_calls: false,
            listens: true,
            sweeps_are_slow: false,
        }
    }

    /// Notices within a second what is wrong with its ears.
    pub(super) fn attentive() -> Settings {
        let mut settings = Settings::only_words();
        settings.poll_idle = Duration::from_millis(100);
        settings.rhythm = Rhythm {
            backstop: NEVER,
            echo_every: Duration::from_millis(250),
            echo_within: Duration::from_millis(500),
            reconnect: Duration::from_millis(20),
            ..Rhythm::default()
        };
        settings
    }
}

pub(super) struct Lanes {
    claims: mpsc::UnboundedReceiver<(Claim, Instant)>,
    metrics: Arc<Metrics>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Lanes {
    pub(super) fn start(pool: &PgPool, settings: &Settings) -> Lanes {
        Lanes::listening_at(pool, settings, database(pool))
    }

    /// The listening connection may take another way than the rest.
    pub(super) fn listening_at(pool: &PgPool, settings: &Settings, ears: Database) -> Lanes {
        let (told, claims) = mpsc::unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let metrics = Arc::new(Metrics::new());
        let (wake, listen) = Wake::new(ears, metrics.clone(), settings.rhythm);
        let mut tasks = JoinSet::new();
        tasks.spawn(listen);
        let suspects = Arc::new(Semaphore::new(1));
        for app in &settings.apps {
            metrics.serve(app);
            let (recorder, writer) = Recorder::start(
                database(pool).line(),
                (*app).to_owned(),
                "test".to_owned(),
                metrics.clone(),
                settings.slots * 2,
                None,
            );
            let mut claimer = Claimer::new(database(pool).line(), app, "test", LEASE);
            if settings.sweeps_are_slow {
                claimer.sweep_is_slow_from(Duration::ZERO);
            }
            let relay = Relay {
                app: (*app).to_owned(),
                slots: settings.slots,
                poll_idle: settings.poll_idle,
                lease: LEASE,
                drain_timeout: Duration::from_millis(200),
                claimer,
                suspects: suspects.clone(),
                sleeper: if settings.listens {
                    wake.sleeper(app)
                } else {
                    Sleeper::never()
                },
                lane: Arc::new(Lane {
                    app: (*app).to_owned(),
                    target: Tells {
                        told: told.clone(),
                        hold_calls: settings.hold_calls,
                    },
                    policy: Policy {
                        on_unknown: Default::default(),
                        await_grant: Default::default(),
                        schedule: RetrySchedule(vec![Duration::from_secs(1)]),
                        call_timeout: Duration::from_secs(5),
                    },
                    recorder,
                    metrics: metrics.clone(),
                }),
            };
            let stopped = stopped.clone();
            tasks.spawn(async move {
                relay.run(Until::Stopped, stopped).await.unwrap();
                writer.await.unwrap();
            });
        }
        Lanes {
            claims,
            metrics,
            stop,
            tasks,
        }
    }

    /// The next claim. A word is on its way for milliseconds; half a minute means that it never comes.
    pub(super) async fn claim(&mut self) -> Claim {
        self.claim_at().await.0
    }

    pub(super) async fn claim_at(&mut self) -> (Claim, Instant) {
        tokio::time::timeout(Duration::from_secs(30), self.claims.recv())
            .await
            .expect("slept over a row")
            .unwrap()
    }

    /// The next claim's customer.
    pub(super) async fn claimed(&mut self) -> String {
        self.claim().await.aggregate_id
    }

    pub(super) fn metric(&self, name: &str) -> i64 {
        let page = self.metrics.render().unwrap();
        let line = page.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.rsplit(' ').next());
        value
            .unwrap_or_else(|| panic!("{name} is not in {page}"))
            .parse()
            .unwrap()
    }

    /// Polled: the metric is all there is to see.
    pub(super) async fn listener_is(&self, up: i64) {
        let give_up = tokio::time::Instant::now() + Duration::from_secs(30);
        while self.metric("outbox_listener_up") != up {
            assert!(
                tokio::time::Instant::now() < give_up,
                "outbox_listener_up stays {}",
                1 - up
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Stops it and waits for all its tasks, the listening one too.
    pub(super) async fn stop(mut self) {
        self.stop.send(true).unwrap();
        let ended = async {
            while let Some(task) = self.tasks.join_next().await {
                task.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(30), ended)
            .await
            .expect("every task ends");
    }
}

/// The customer that any of these daemons claims next.
pub(super) async fn first(daemons: &mut [Lanes]) -> String {
    let claims = daemons.iter_mut().map(|lanes| Box::pin(lanes.claimed()));
    futures(claims.collect()).await.1
}

/// Which of these daemons sleeps on the lock: the one that an insert wakes.
pub(super) async fn holder(daemons: &mut [Lanes], pool: &PgPool) -> usize {
    insert(pool, "default", "whose").await;
    let claims = daemons.iter_mut().map(|lanes| Box::pin(lanes.claimed()));
    futures(claims.collect()).await.0
}

/// The first of these to be done, and its number.
async fn futures<F: Future + Unpin>(mut these: Vec<F>) -> (usize, F::Output) {
    std::future::poll_fn(|context| {
        for (n, one) in these.iter_mut().enumerate() {
            if let std::task::Poll::Ready(done) = std::pin::Pin::new(one).poll(context) {
                return std::task::Poll::Ready((n, done));
            }
        }
        std::task::Poll::Pending
    })
    .await
}

struct Tells {
    told: mpsc::UnboundedSender<(Claim, Instant)>,
    hold_calls: bool,
}

impl Target for Tells {
    async fn deliver(&self, claim: &Claim) -> Attempted {
        let _ = self.told.send((claim.clone(), Instant::now()));
        if self.hold_calls {
            std::future::pending::<()>().await;
        }
        Attempted {
            outcome: Outcome::Delivered(Receipt::default()),
            token: None,
        }
    }

    async fn seal(&self, _: &Claim) -> Sealed {
        Sealed::NotSent
    }
}

/// How many apps have a sleeper.
pub(super) const SLEEPERS: &str = "select count(*) from pg_locks
    where locktype = 'advisory' and mode = 'ExclusiveLock' and granted
      and database = (select oid from pg_database where datname = current_database())
      and ((classid::bigint << 32) | objid::bigint) in (
          select outboxd.sleep_lock(app) from unnest(array['default', 'idle', 'busy']) app)";
pub(super) const NOBODY_SLEEPS: &str = "select (count(*) = 0)::int::bigint from pg_locks
    where locktype = 'advisory' and mode = 'ExclusiveLock' and granted
      and database = (select oid from pg_database where datname = current_database())
      and ((classid::bigint << 32) | objid::bigint) = outboxd.sleep_lock('default')";

/// Waits until so many apps have a sleeper.
pub(super) async fn asleep(pool: &PgPool, apps: i64) {
    let give_up = tokio::time::Instant::now() + Duration::from_secs(30);
    while number(pool, SLEEPERS).await != apps {
        assert!(
            tokio::time::Instant::now() < give_up,
            "nobody falls asleep: {} of {apps}",
            number(pool, SLEEPERS).await
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A plain insert, as a CRM may write it.
pub(super) async fn insert(db: impl PgExecutor<'_>, app: &str, customer: &str) {
    sqlx::query("insert into outboxd.notification_outbox (app, event_type, aggregate_id, recipient) values ($1, 'e', $2, 'u')")
        .bind(app)
        .bind(customer)
        .execute(db)
        .await
        .unwrap();
}

/// The listening session that has the lock of `default` is ended by the server.
pub(super) async fn kill_listener(pool: &PgPool) {
    appears(
        pool,
        "select count(*) from (select pg_terminate_backend(pid) from pg_locks
           where locktype = 'advisory' and mode = 'ExclusiveLock' and granted
             and database = (select oid from pg_database where datname = current_database())) killed",
    )
    .await;
}
