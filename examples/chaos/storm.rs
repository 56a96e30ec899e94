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
use wechat_sim::deployment::Function;
use wechat_sim::{ErrorForm, Settings, Switches, WechatSim};

use crate::process::{self, Process};
use crate::{Args, Receipts, crowd};

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
    /// How many were enqueued behind the storm, for people without misfortunes.
    pub(crate) calm: u32,
    pub(crate) took: Duration,
}

pub(crate) async fn rage(args: &Args) -> Result<Aftermath> {
    let begun = Instant::now();
    let seed = args.seed.unwrap_or_else(rand::random);
    eprintln!("chaos: seed {seed}");
    let pool = PgPoolOptions::new().connect(&args.database_url).await?;
    let sim = wechat(args).await?;
    let daemons = daemons(args, &sim).await?;
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
        let enqueued = enqueue(args, &pool, &sim, seed);
        let killed = kill_at_random(&daemons, &sim, seed, &mut kills);
        tokio::select! {
            done = enqueued => done?,
            stopped = killed => stopped?,
        }
    }
    eprintln!("chaos: all enqueued, {kills} kills; what is open now settles among a few calm ones");
    let calm = calm_down(&pool).await?;
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
        calm,
        took: begun.elapsed(),
    })
}

/// Waits until everything is settled. What is left of a storm are the broken ones alone, and where nobody answers at
/// all, WeChat is down: the daemons would wait longer and longer. So ordinary notifications go on coming, as they do in
/// real life. How many of them.
async fn calm_down(pool: &PgPool) -> Result<u32> {
    let mut calm = 0;
    let mut last = ((0, 0), Instant::now());
    loop {
        let (open, stormy, tried): (i64, i64, i64) = sqlx::query_as(
            "select count(*), count(*) filter (where recipient not like 'calm-%'), coalesce(sum(attempts), 0)::bigint
               from outboxd.notification_outbox",
        )
        .fetch_one(pool)
        .await?;
        if open == 0 {
            return Ok(calm);
        }
        if stormy > 0 {
            let people = (0..4).map(|n| format!("calm-{}", calm + n)).collect();
            insert(pool, "calm", calm, people).await?;
            calm += 4;
        }
        if (stormy, tried) != last.0 {
            last = ((stormy, tried), Instant::now());
        }
        if last.1.elapsed() > PATIENCE {
            let why = what_is_open(pool).await?;
            bail!("{open} rows are still open, and nothing has moved for {PATIENCE:?}:\n{why}");
        }
        sleep(Duration::from_millis(200)).await;
    }
}

async fn insert(pool: &PgPool, what: &str, first: u32, people: Vec<String>) -> Result<()> {
    sqlx::query(
        "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, payload)
         select 'customer_assigned', $3 || ($2 + n), person, '{\"customerName\": \"李女士\"}'
           from unnest($1::text[]) with ordinality as crowd (person, n)",
    )
    .bind(people)
    .bind(i64::from(first))
    .bind(what)
    .execute(pool)
    .await?;
    Ok(())
}

/// For whoever has to find out why a run does not end.
async fn what_is_open(pool: &PgPool) -> Result<String> {
    let gates: Vec<String> =
        sqlx::query_scalar("select to_jsonb(s)::text from outboxd.app_state s")
            .fetch_all(pool)
            .await?;
    let rows: Vec<String> = sqlx::query_scalar(
        "select format('%s × %s, attempts %s to %s, lapses up to %s, due %s to %s, %s leased', count(*),
                       split_part(recipient, '.', 1), min(attempts), max(attempts), max(lapses),
                       min(next_attempt_at - now()), max(next_attempt_at - now()), count(lease_token))
           from outboxd.notification_outbox group by split_part(recipient, '.', 1) order by count(*) desc limit 20",
    )
    .fetch_all(pool)
    .await?;
    Ok([gates, rows].concat().join("\n"))
}

async fn wechat(args: &Args) -> Result<WechatSim> {
    let sim = WechatSim::start(Settings {
        deployed: args.function.command()?,
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

async fn daemons(args: &Args, sim: &WechatSim) -> Result<Vec<Arc<Process>>> {
    let program = process::program(args.outboxd.as_deref())?;
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
    let daemons: Vec<Arc<Process>> = (0..args.daemons)
        .map(|n| {
            let name = format!("outboxd-chaos-{}-{n}.log", std::process::id());
            let log = std::env::temp_dir().join(name);
            Arc::new(Process::new(program.clone(), "run", settings.clone(), log))
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
async fn enqueue(args: &Args, pool: &PgPool, sim: &WechatSim, seed: u64) -> Result<()> {
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
        let progress = f64::from(done) / f64::from(args.rows);
        let people: Vec<String> = (0..n)
            .map(|_| crowd::somebody(&mut rng, progress))
            .collect();
        for person in people.iter().filter(|name| name.starts_with(crowd::GONE)) {
            sim.set_grants(person, 0);
        }
        insert(pool, "customer", done, people).await?;
        done += n;
    }
    Ok(())
}

/// Never ends. Every second or so one daemon is killed and, a little later, started again; meanwhile the platform
/// changes the form in which it tells of a function that failed.
async fn kill_at_random(
    daemons: &[Arc<Process>],
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
