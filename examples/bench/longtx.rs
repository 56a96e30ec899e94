//! `longtx`: somebody keeps an old snapshot open (a report, a dump, a forgotten transaction). Nothing that is settled
//! after it can be removed, and whoever looks for due rows from the beginning walks over all of it.
//!
//! Without `--minutes`: so many rows are settled under the snapshot, then a drain, beside one without a snapshot.
//! With it: the snapshot stays while rows flow at a steady rate; what does a claim take in the end?

use std::time::Duration;

use anyhow::Result;
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep_until};

use crate::Options;
use crate::books::Books;
use crate::claims::{self, Claims, Timed};
use crate::daemon::Program;
use crate::report::{Report, Run};
use crate::sink::now_us;
use crate::stage::{Drain, Scene, Stage};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    options: Options,
    /// Rows that are settled under the snapshot beforehand: 200,000 before a drain, none before a flow.
    #[arg(long)]
    burn: Option<i64>,
    /// Instead of a drain, hold the snapshot for that long while rows flow.
    #[arg(long)]
    minutes: Option<f64>,
    /// Rows per second that flow.
    #[arg(long, default_value_t = 1000, requires = "minutes")]
    rate: i64,
}

/// What claim and record do to a row, for all rows at once: same columns, same tables, same order of events.
const CLAIM: &str = "\
    update outboxd.notification_outbox
       set lease_token = gen_random_uuid(), lease_until = clock_timestamp() + interval '1 minute', leased_by = 'burn',
           lease_epoch = (extract(epoch from clock_timestamp()) * 1000)::bigint, attempts = attempts + 1";
const SETTLE: &str = "\
    with settled as (delete from outboxd.notification_outbox returning *),
    moved as (
        insert into outboxd.notification_delivery
               (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload, priority, attempts, lease_epoch,
                format_version, created_at, created_by, status, reason, may_have_arrived, settled_at, settled_by)
        select id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload, priority, attempts, lease_epoch,
               format_version, created_at, created_by, 'delivered', 'accepted', false, clock_timestamp(), leased_by
          from settled)
    insert into outboxd.notification_attempt
           (notification_id, attempt, app, lease_token, daemon, started_at, ended_at, phase, outcome, sentence, latency_ms)
    select id, attempts, app, lease_token, leased_by, clock_timestamp(), clock_timestamp(), 'answered', 'delivered', 'accepted', 1
      from settled";

pub(crate) async fn run(args: Args) -> Result<Report> {
    let lead = if args.minutes.is_some() {
        "claim_p99_ms"
    } else {
        "rate"
    };
    let mut report = Report::open(&args.options, lead)?;
    let stage = Stage::put_up(&args.options).await?;
    let drain = Drain {
        n: args.options.n.unwrap_or(100_000),
        slots: args.options.slots.unwrap_or(64),
        answers_after: Duration::ZERO,
    };
    for _ in 0..args.options.runs {
        for program in &stage.programs {
            if let Some(minutes) = args.minutes {
                let burn = args.burn.unwrap_or(0);
                for run in flow(&stage, program, minutes, args.rate, drain.slots, burn).await? {
                    report.add(run)?;
                }
                continue;
            }
            for (variant, burn) in [
                ("alone", 0),
                ("under a snapshot", args.burn.unwrap_or(200_000)),
            ] {
                let mut scene = stage.scene(program).await?;
                let snapshot = if burn > 0 {
                    Some(burn_under_snapshot(&mut scene, burn).await?)
                } else {
                    None
                };
                scene.enqueue(burn + 1, drain.n).await?;
                scene.come_to_rest().await?;
                let mut run = Run::new("longtx", &program.name, variant);
                scene.drain(drain, &mut run).await?;
                if let Some(snapshot) = snapshot {
                    snapshot.close().await?;
                }
                scene.close().await?;
                report.add(run)?;
            }
        }
    }
    Ok(report)
}

/// The session that holds the snapshot, older than all that follows.
async fn old_snapshot(scene: &Scene<'_>) -> Result<PgConnection> {
    let mut session = scene.stage.cluster.connect(&scene.name).await?;
    for step in [
        "begin isolation level repeatable read",
        "select count(*) from pg_class",
    ] {
        sqlx::raw_sql(step).execute(&mut session).await?;
    }
    Ok(session)
}

async fn burn_under_snapshot(scene: &mut Scene<'_>, n: i64) -> Result<PgConnection> {
    let snapshot = old_snapshot(scene).await?;
    scene.enqueue(1, n).await?;
    for step in [CLAIM, SETTLE] {
        sqlx::raw_sql(step).execute(&mut scene.control).await?;
    }
    Ok(snapshot)
}

/// The claims of the first minute and of the last.
async fn flow(
    stage: &Stage,
    program: &Program,
    minutes: f64,
    rate: i64,
    slots: u32,
    burn: i64,
) -> Result<[Run; 2]> {
    let mut scene = stage.scene(program).await?;
    let heard = Claims::listen(&mut scene).await?;
    stage.sink.reset(Duration::ZERO);
    let snapshot = burn_under_snapshot(&mut scene, burn).await?;
    scene.come_to_rest().await?;
    let books = Books::open(&mut scene.control).await?;
    let daemon = scene.start_daemon(slots)?;
    let begun = now_us() as f64 / 1e6;
    let seconds = minutes * 60.0;
    let inserted = feed(&mut scene, burn, rate, Duration::from_secs_f64(seconds)).await?;
    stage.sink.reached(usize::try_from(inserted)?).await?;
    let spent = daemon.stop().await?;
    let balance = books
        .close(&mut scene.control, inserted, &stage.sink.seen())
        .await?;
    snapshot.close().await?;
    scene.close().await?;

    let claims = heard.heard()?;
    let window = seconds.min(60.0);
    let group = match burn {
        0 => format!("{}, {rate}/s for {minutes} min", program.name),
        _ => format!(
            "{}, {rate}/s for {minutes} min after {burn} rows",
            program.name
        ),
    };
    let mut runs = [
        ("first minute", begun),
        ("last minute", begun + seconds - window),
    ]
    .map(|(variant, from)| {
        let mut run = Run::new("longtx", &group, variant);
        let within: Vec<Timed> = claims
            .iter()
            .filter(|claim| claim.at >= from && claim.at < from + window)
            .copied()
            .collect();
        claims::put(&mut run, &within);
        run
    });
    let last = &mut runs[1];
    last.put("n", inserted as f64);
    last.put("peak_rss_mb", spent.peak_rss);
    last.put("duplicates", balance.duplicates as f64);
    last.put("lost", balance.lost as f64);
    last.put_series("claim_ms_over_time", claims::p99_over_time(&claims, begun));
    last.faults.extend(balance.faults);
    Ok(runs)
}

/// Inserts a twentieth of a second's rows twenty times a second; says how many.
async fn feed(scene: &mut Scene<'_>, after: i64, rate: i64, time: Duration) -> Result<i64> {
    let beginning = Instant::now();
    let mut inserted = 0;
    for beat in 0.. {
        sleep_until(beginning + Duration::from_millis(50) * beat).await;
        if beginning.elapsed() >= time {
            break;
        }
        let due = rate * (i64::from(beat) + 1) / 20 - inserted;
        if due > 0 {
            scene.enqueue(after + inserted + 1, due).await?;
            inserted += due;
        }
    }
    Ok(inserted)
}
