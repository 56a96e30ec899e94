//! The daemon: the only place where the real parts are put together, started, and ended in order.
//!
//! Start: health port, database (waited for), checks that would make everything else a lie, schema (waited for,
//! never migrated unless asked), then one relay per app. End: stop claiming, finish what is under way, write it
//! down, close. A task that ends by itself ends the process, so that a supervisor sees it.

mod fleet;
mod ready;

use std::future::Future;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::{info, warn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{AppConfig, Config, LogConfig, LogFormat, Pooler};
use crate::grants::Asker;
use crate::health::{self, Health};
use crate::metrics::Metrics;
use crate::outbox::claim::Claimer;
use crate::outbox::line::{Database, Line, jittered};
use crate::outbox::slices;
use crate::policy::{Policy, RetrySchedule};
use crate::recorder::{self, Recorder};
use crate::relay::{Ended, Relay, Until};
use crate::step::Lane;
use crate::target::{self, AppTarget};
use crate::wake::{Rhythm, Sleeper, Wake};
use fleet::FleetState;

/// After the drain time, for what has been answered to be written.
const LAST_WRITES: Duration = Duration::from_secs(3);
/// For the listening connection to be closed politely.
const LAST_WORD: Duration = Duration::from_secs(1);
const PARTITIONS_EVERY: Duration = Duration::from_secs(3600);

/// One thread. Measured, a second one has them mostly wait for each other; more than a core can do is work for more daemons.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

/// Runs until `stop` turns true, or until nothing is due.
pub async fn run(
    config: Config,
    until: Until,
    migrate: bool,
    mut stop: watch::Receiver<bool>,
) -> Result<()> {
    let metrics = Arc::new(Metrics::new());
    let database = Database::configured(&config.database)?;
    if let Some(folder) = &config.journal_dir {
        recorder::journal::prepare(folder).with_context(|| {
            format!(
                "OUTBOXD_JOURNAL_DIR: cannot write to {}; give the daemon a folder of its own, or remove the setting",
                folder.display()
            )
        })?;
    }
    let mut targets = Vec::new();
    for app in &config.apps {
        metrics.serve(&app.name);
        let fleet = Arc::new(FleetState::new(&database));
        let target = AppTarget::new(app, config.time_zone, &database, fleet)?;
        targets.push((app.name.clone(), Arc::new(target)));
    }
    let health = Arc::new(Health {
        metrics: metrics.clone(),
        line: Mutex::new(database.line()),
        apps: config.apps.iter().map(|app| app.name.clone()).collect(),
        targets: targets.clone(),
        stopping: AtomicBool::new(false),
    });
    // One that drains and ends is nobody's to probe, and would be in the way of the daemon beside it.
    if let Some(listen) = config.http_listen.filter(|_| until == Until::Stopped) {
        let address = health::serve(listen, health.clone()).await?;
        info!(%address, "health and metrics on http://{address}");
    }

    let ready = ready::ready(&config, &database, until, migrate);
    tokio::select! {
        ready = ready => ready?,
        _ = stop.wait_for(|stop| *stop) => return Ok(()),
    }

    let wake = match (until, config.database.pooler) {
        // It is done before anybody would call it.
        (Until::Drained, _) => None,
        (Until::Stopped, Pooler::Transaction) => {
            info!(
                "behind a transaction pooler no insert can wake this daemon; it polls every OUTBOXD_POLL_IDLE"
            );
            None
        }
        (Until::Stopped, Pooler::None) => Some(Wake::new(
            database.clone(),
            metrics.clone(),
            Rhythm::default(),
        )),
    };
    let mut listening = JoinSet::new();
    let wake = wake.map(|(wake, listen)| {
        listening.spawn(listen);
        wake
    });
    let shared = Shared {
        database,
        wake,
        metrics,
        suspects: Arc::new(Semaphore::new(1)),
        until,
        stop: stop.clone(),
    };
    let mut lanes = JoinSet::new();
    let mut upkeep = JoinSet::new();
    for (app, (_, target)) in config.apps.iter().zip(targets) {
        let asker = asker(app, target.clone(), &shared.database);
        let first = lane(&config, app, target.clone(), &shared);
        match until {
            Until::Stopped => {
                upkeep.spawn(asker.run());
                lanes.spawn(first);
            }
            Until::Drained => {
                let then = lane(&config, app, target, &shared);
                lanes.spawn(drained(first, asker, then, stop.clone()));
            }
        }
    }
    upkeep.spawn(keep_partitions(shared.database.line()));
    upkeep.spawn(slices::keep(
        shared.database.line_of_patience(),
        config.desk.labels.paths(),
    ));
    info!(daemon = %config.instance, apps = config.apps.len(), version = env!("CARGO_PKG_VERSION"), "outboxd is running");

    // The first lane to end by itself before a stop is a fault, unless all were to end when drained.
    let mut ended = Ok(());
    loop {
        tokio::select! {
            lane = lanes.join_next() => match lane {
                Some(Ok(Ok(Ended::Held))) => {
                    ended = Err(anyhow::anyhow!(
                        "an app is held (paused, or its breaker is open), and what is due there was left; `outboxd stats` says why"
                    ));
                }
                Some(Ok(Ok(Ended::Drained))) => {}
                Some(Ok(Ok(Ended::Stopped))) if *stop.borrow() => {}
                Some(Ok(Ok(Ended::Stopped))) => { ended = Err(anyhow::anyhow!("a relay ended by itself")); break }
                Some(Ok(Err(cause))) => { ended = Err(cause); break }
                Some(Err(cause)) => { ended = Err(cause).context("a relay broke off"); break }
                None => break,
            },
            Some(Err(cause)) = listening.join_next() => {
                tracing::error!(error = %cause, "the listening task broke off; this daemon polls until it is restarted");
            }
            _ = stop.changed(), if !health.stopping.load(Ordering::Relaxed) => {
                health.stopping.store(true, Ordering::Relaxed);
                info!("stopping: no new claims; finishing what is under way");
            }
        }
    }
    upkeep.shutdown().await;
    // The lanes are gone, so it ends by itself.
    drop(shared);
    let _ = tokio::time::timeout(LAST_WORD, listening.join_next()).await;
    listening.shutdown().await;
    info!("stopped");
    ended
}

/// What all lanes of the process have in common.
struct Shared {
    database: Database,
    /// None: its lanes only poll.
    wake: Option<Wake>,
    metrics: Arc<Metrics>,
    suspects: Arc<Semaphore>,
    until: Until,
    stop: watch::Receiver<bool>,
}

/// One app's relay with its recorder, ready to be spawned.
fn lane(
    config: &Config,
    app: &AppConfig,
    target: Arc<AppTarget>,
    shared: &Shared,
) -> impl Future<Output = Result<Ended>> + Send + use<> {
    let slots = app.slots as usize;
    let (recorder, mut writer) = Recorder::start(
        shared.database.line(),
        app.name.clone(),
        config.instance.to_string(),
        shared.metrics.clone(),
        slots * 2,
        config.journal_dir.clone(),
    );
    let relay = Relay {
        app: app.name.clone(),
        slots,
        poll_idle: config.poll_idle,
        lease: config.lease,
        drain_timeout: config.drain_timeout,
        claimer: Claimer::new(
            shared.database.line(),
            &app.name,
            &config.instance.to_string(),
            config.lease,
        ),
        suspects: shared.suspects.clone(),
        sleeper: match &shared.wake {
            Some(wake) => wake.sleeper(&app.name),
            None => Sleeper::never(),
        },
        lane: Arc::new(Lane {
            app: app.name.clone(),
            target,
            policy: Policy {
                schedule: RetrySchedule(app.retry_schedule.clone()),
                call_timeout: app.call_timeout,
                on_unknown: target::on_unknown(app),
                await_grant: target::await_grant(app),
            },
            recorder,
            metrics: shared.metrics.clone(),
        }),
    };
    let app = app.name.clone();
    let (until, stop) = (shared.until, shared.stop.clone());
    async move {
        tokio::select! {
            ended = relay.run(until, stop) => {
                // The relay is gone, so the recorder ends when all is written; what cannot be, the leases bring back.
                match tokio::time::timeout(LAST_WRITES, &mut writer).await {
                    Ok(written) => written.context("the recorder broke off")?,
                    Err(_) => {
                        writer.abort();
                        warn!(app, "outcomes were left unwritten; their rows come back when the leases lapse");
                    }
                }
                ended
            }
            gone = &mut writer => {
                gone.context("the recorder broke off")?;
                anyhow::bail!("the recorder ended before the relay")
            }
        }
    }
}

/// Ends the wait of what waits for the user's permission.
fn asker(app: &AppConfig, target: Arc<AppTarget>, database: &Database) -> Asker {
    Asker {
        app: app.name.clone(),
        target,
        line: database.line(),
        every: target::ask_grants_every(app),
        call_timeout: app.call_timeout,
        trouble: None,
        gone: 0,
    }
}

/// Works until nothing is due, asks for grants meanwhile, and then works off what they have made due. A stop ends the
/// asking at once; a round that is cut off has promised nobody anything.
async fn drained(
    first: impl Future<Output = Result<Ended>>,
    asker: Asker,
    then: impl Future<Output = Result<Ended>>,
    mut stop: watch::Receiver<bool>,
) -> Result<Ended> {
    let asking = async {
        tokio::select! {
            gone = asker.round() => Ok(gone),
            _ = stop.wait_for(|stop| *stop) => Ok(0),
        }
    };
    match tokio::try_join!(first, asking)? {
        (Ended::Drained, gone) if gone > 0 => then.await,
        (ended, _) => Ok(ended),
    }
}

async fn keep_partitions(mut line: Line) {
    loop {
        sleep(jittered(PARTITIONS_EVERY)).await;
        ready::make_partitions(&mut line).await;
    }
}

/// Runs until SIGTERM or SIGINT, which stop gracefully; a second one ends at once, leaving what is under way to
/// its leases.
pub async fn run_until_signalled(config: Config, until: Until, migrate: bool) -> Result<()> {
    run(config, until, migrate, stop_by_signal()?).await
}

/// What the first SIGTERM or SIGINT turns true.
pub fn stop_by_signal() -> Result<watch::Receiver<bool>> {
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(signals(stop)?);
    Ok(stopped)
}

/// Logs go to standard error: for people on a terminal, as JSON elsewhere.
pub fn log_to_stderr(log: &LogConfig) {
    // The HTTP client and the database driver print whole URLs and statements when asked for details: their
    // details stay off whatever the filter says, so that no setting puts an access token into a log.
    let talkative = tracing_subscriber::filter::filter_fn(|event| {
        let chatter = ["hyper", "hyper_util", "rustls", "sqlx"];
        *event.level() <= tracing::Level::WARN
            || !chatter.iter().any(|name| event.target().starts_with(name))
    });
    let chosen = tracing_subscriber::EnvFilter::new(&log.filter);
    let json = match log.format {
        LogFormat::Auto => !std::io::stderr().is_terminal(),
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(chosen).with(talkative);
    let set = if json {
        registry.with(lines.json().flatten_event(true)).try_init()
    } else {
        registry
            .with(lines.with_ansi(std::io::stderr().is_terminal()))
            .try_init()
    };
    if set.is_err() {
        warn!("logging was set up before");
    }
}

fn signals(stop: watch::Sender<bool>) -> Result<impl Future<Output = ()> + Send> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        for number in 1.. {
            let code = tokio::select! {
                _ = terminate.recv() => 143,
                _ = interrupt.recv() => 130,
            };
            if number == 2 {
                warn!("second signal: ending at once; what is under way is left to its leases");
                std::process::exit(code);
            }
            let _ = stop.send(true);
        }
    })
}
