//! Puts the database, the simulated WeChat and the daemons up, enqueues at a steady pace, kills daemons at random all
//! the while, and waits until nothing is left to do.
//!
//! All times are a fifth of real life, with the relations between them kept: the platform cuts a call after 1 s instead
//! of 5, the daemon waits 2 s for an answer instead of 10, a lease lasts 6 s instead of 30.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::time::sleep;
use wechat_sim::{ErrorForm, Settings, Switches, WechatSim, deployment};

use crate::daemon::{self, Daemon};
use crate::{Args, Function, Receipts, crowd};

const SECRET: &str = "one-secret-on-both-sides-0123456789";
/// A quarter of a second's rows at a time.
const BEATS_PER_SECOND: u32 = 4;
/// Nothing settled for so long means that something stands still.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is left when the storm is over.
pub(crate) struct Aftermath {
    pub(crate) pool: PgPool,
    pub(crate) sim: WechatSim,
    pub(crate) seed: u64,
    pub(crate) kills: u32,
    pub(crate) took: Duration,
}

pub(crate) async fn rage(args: &Args) -> Result<Aftermath> {
    let begun = Instant::now();
    let seed = args.seed.unwrap_or_else(rand::random);
    eprintln!("chaos: seed {seed}");
    let pool = PgPoolOptions::new().connect(&args.database_url).await?;
    let sim = wechat(args).await?;
    let daemons = daemons(args, &sim).await?;
    let left = "select count(*) from outboxd.notification_outbox";
    let settled_before: i64 =
        sqlx::query_scalar("select count(*) from outboxd.notification_delivery")
            .fetch_one(&pool)
            .await?;
    ensure!(settled_before == 0, "this database has been used before");

    for daemon in &daemons {
        daemon.start().await?;
    }
    let mut kills = 0;
    {
        let enqueued = enqueue(args, &pool, seed);
        let killed = kill_at_random(&daemons, &sim, seed, &mut kills);
        tokio::select! {
            done = enqueued => done?,
            stopped = killed => stopped?,
        }
    }
    eprintln!("chaos: all enqueued, {kills} kills; what is open now settles in peace");
    let mut last = (i64::MAX, Instant::now());
    loop {
        let open: i64 = sqlx::query_scalar(left).fetch_one(&pool).await?;
        if open == 0 {
            break;
        }
        if open < last.0 {
            last = (open, Instant::now());
        }
        if last.1.elapsed() > PATIENCE {
            bail!("{open} rows are still open, and nothing has moved for {PATIENCE:?}");
        }
        sleep(Duration::from_millis(200)).await;
    }
    for daemon in &daemons {
        ensure!(!daemon.ended_by_itself().await, "a daemon ended by itself");
        daemon.stop().await?;
        let _ = std::fs::remove_file(daemon.log());
    }
    // Functions that run on behind their callers come to their end, too.
    sleep(Duration::from_secs(2)).await;
    Ok(Aftermath {
        pool,
        sim,
        seed,
        kills,
        took: begun.elapsed(),
    })
}

async fn wechat(args: &Args) -> Result<WechatSim> {
    let deployed = match args.function {
        Function::Sim => Vec::new(),
        Function::Node => deployment::command(None)?,
    };
    let sim = WechatSim::start(Settings {
        deployed,
        signing_secret: Some(SECRET.to_owned()),
        switches: Switches {
            receipts_off: args.receipts == Receipts::Off,
            http_cut_ms: 1_000,
            function_timeout_ms: 2_000,
            send_limit_ms: 3_000,
            claim_old_after_ms: 6_000,
            ..Switches::default()
        },
        ..Settings::default()
    })
    .await?;
    if args.function == Function::Node {
        ensure!(
            args.receipts == Receipts::On,
            "the deployed function always keeps receipts"
        );
        sim.warm_up(slots(args) * args.daemons).await;
    }
    Ok(sim)
}

/// Calls at a time and daemon. An instance of the deployed function is a process.
fn slots(args: &Args) -> usize {
    match args.function {
        Function::Sim => 16,
        Function::Node => 2,
    }
}

async fn daemons(args: &Args, sim: &WechatSim) -> Result<Vec<Arc<Daemon>>> {
    let program = daemon::program(args.outboxd.as_deref())?;
    let app = sim.settings();
    let settings: Vec<(&'static str, String)> = [
        ("DATABASE_URL", args.database_url.clone()),
        ("MINIPROGRAM_APPID", app.appid.clone()),
        ("MINIPROGRAM_APPSECRET", app.secret.clone()),
        ("MINIPROGRAM_CLOUD_ENV", app.env.clone()),
        ("OUTBOXD_WECHAT_BASE_URL", sim.base_url()),
        ("OUTBOXD_SIGNING_SECRET", SECRET.to_owned()),
        ("OUTBOXD_HTTP_LISTEN", "off".to_owned()),
        ("OUTBOXD_SLOTS", slots(args).to_string()),
        ("OUTBOXD_CALL_TIMEOUT", "2s".to_owned()),
        ("OUTBOXD_LEASE", "6s".to_owned()),
        ("OUTBOXD_DRAIN_TIMEOUT", "4s".to_owned()),
        // Six attempts, which is what the names in the crowd count on.
        (
            "OUTBOXD_RETRY_SCHEDULE",
            "200ms 400ms 800ms 1s 1s".to_owned(),
        ),
        ("OUTBOXD_LOG", "warn".to_owned()),
        // The cluster is thrown away, and it is daemons that are killed here.
        ("OUTBOXD_UNSAFE_DURABILITY", "true".to_owned()),
    ]
    .into();
    let daemons: Vec<Arc<Daemon>> = (0..args.daemons)
        .map(|n| {
            let name = format!("outboxd-chaos-{}-{n}.log", std::process::id());
            let log = std::env::temp_dir().join(name);
            Arc::new(Daemon::new(program.clone(), settings.clone(), log))
        })
        .collect();
    daemons
        .first()
        .context("at least one daemon")?
        .run_once("migrate")
        .await?;
    Ok(daemons)
}

/// Steadily, so that healthy calls surround the broken ones as they do in real life: five silent calls in a row are an
/// outage.
async fn enqueue(args: &Args, pool: &PgPool, seed: u64) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(seed);
    let usual = match args.function {
        Function::Sim => 1_000,
        Function::Node => 40,
    };
    let per_beat = args.per_second.unwrap_or(usual).div_ceil(BEATS_PER_SECOND);
    let mut beat = tokio::time::interval(Duration::from_secs(1) / BEATS_PER_SECOND);
    let mut done = 0;
    while done < args.rows {
        beat.tick().await;
        let n = per_beat.min(args.rows - done);
        let people: Vec<String> = (0..n).map(|_| crowd::somebody(&mut rng)).collect();
        sqlx::query(
            "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, payload)
             select 'customer_assigned', 'c' || ($2 + n), person, '{\"customerName\": \"李女士\"}'
               from unnest($1::text[]) with ordinality as crowd (person, n)",
        )
        .bind(people)
        .bind(i64::from(done))
        .execute(pool)
        .await?;
        done += n;
    }
    Ok(())
}

/// Never ends. Every second or so one daemon is killed and, a little later, started again; meanwhile the platform
/// changes the form in which it tells of a function that failed.
async fn kill_at_random(
    daemons: &[Arc<Daemon>],
    sim: &WechatSim,
    seed: u64,
    kills: &mut u32,
) -> Result<()> {
    let forms = [
        ErrorForm::Outer,
        ErrorForm::OuterWithData,
        ErrorForm::Inner,
        ErrorForm::Hang,
    ];
    let mut rng = StdRng::seed_from_u64(!seed);
    loop {
        sleep(Duration::from_millis(rng.random_range(400..1_500))).await;
        let victim = &daemons[rng.random_range(0..daemons.len())];
        ensure!(!victim.ended_by_itself().await, "a daemon ended by itself");
        victim.kill().await?;
        *kills += 1;
        let form = forms[rng.random_range(0..forms.len())];
        sim.switches().set(|switches| switches.error_form = form);
        sleep(Duration::from_millis(rng.random_range(50..500))).await;
        victim.start().await?;
    }
}
