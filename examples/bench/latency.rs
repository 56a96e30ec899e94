//! `latency`: an idle service gets one row at a time. From the moment the CRM knows its commit to the arrival at the
//! sink, which is what a person waits for on top of WeChat's own time.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Result;
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::time::{Instant, sleep_until};

use crate::Options;
use crate::books::Books;
use crate::report::{Report, Run};
use crate::sink::now_us;
use crate::stage::{ROW, Scene, Stage};

/// Rows before the measured ones: connections, plans and pages are warm then.
const WARM_UP: i64 = 200;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    options: Options,
    /// Single inserts per second.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// Without the trigger that wakes a sleeping daemon: by polling alone.
    #[arg(long)]
    no_trigger: bool,
}

pub(crate) async fn run(args: Args) -> Result<Report> {
    let mut report = Report::open(&args.options, "p50_ms")?;
    let stage = Stage::put_up(&args.options).await?;
    let seconds = args.options.seconds.unwrap_or(20);
    let n = args
        .options
        .n
        .unwrap_or(i64::try_from(seconds)? * i64::from(args.rate));
    let slots = args.options.slots.unwrap_or(64);
    for _ in 0..args.options.runs {
        for program in &stage.programs {
            let mut scene = stage.scene(program).await?;
            let variant = if args.no_trigger {
                drop_wake_up(&mut scene).await?;
                format!("{}, no trigger", program.name)
            } else {
                program.name.clone()
            };
            let mut run = Run::new("latency", "", &variant);
            trickle(&mut scene, n, args.rate, slots, &mut run).await?;
            scene.close().await?;
            report.add(run)?;
        }
    }
    Ok(report)
}

async fn trickle(
    scene: &mut Scene<'_>,
    n: i64,
    rate: u32,
    slots: u32,
    run: &mut Run,
) -> Result<()> {
    let sink = &scene.stage.sink;
    sink.reset(Duration::ZERO);
    let mut crm = scene.stage.cluster.connect(&scene.name).await?;
    let books = Books::open(&mut scene.control).await?;
    let daemon = scene.start_daemon(slots)?;
    insert_at(&mut crm, 1, WARM_UP, rate).await?;
    sink.reached(usize::try_from(WARM_UP)?).await?;

    let before = scene.meter().await?;
    let cpu = daemon.cpu();
    let inserts = insert_at(&mut crm, WARM_UP + 1, n, rate).await?;
    sink.reached(usize::try_from(WARM_UP + n)?).await?;
    let spent = daemon.stop().await?;
    let after = scene.meter().await?;
    let calls = sink.seen();
    let balance = books.close(&mut scene.control, WARM_UP + n, &calls).await?;

    let arrivals: HashMap<i64, i64> = calls.iter().map(|call| (call.id, call.at_us)).collect();
    let ms = |us: i64| us as f64 / 1e3;
    let mut waits: Vec<f64> = inserts
        .iter()
        .filter_map(|insert| Some(ms(arrivals.get(&insert.number)? - insert.known_us)))
        .collect();
    let mut took: Vec<f64> = inserts
        .iter()
        .map(|insert| ms(insert.known_us - insert.begun_us))
        .collect();
    run.put("n", waits.len() as f64);
    let names = [
        ("p50_ms", 0.5),
        ("p95_ms", 0.95),
        ("p99_ms", 0.99),
        ("max_ms", 1.0),
    ];
    run.put_percentiles(names, &mut waits);
    let names = [
        ("insert_p50_ms", 0.5),
        ("insert_p95_ms", 0.95),
        ("insert_p99_ms", 0.99),
        ("insert_max_ms", 1.0),
    ];
    run.put_percentiles(names, &mut took);
    // With all of its polls and with the inserts themselves, which are the database's work too.
    run.put("daemon_us", (spent.cpu - cpu) / n as f64 * 1e6);
    run.put("peak_rss_mb", spent.peak_rss);
    after.since(&before, n, run);
    run.put("duplicates", balance.duplicates as f64);
    run.put("lost", balance.lost as f64);
    run.faults.extend(balance.faults);
    Ok(())
}

struct Insert {
    number: i64,
    begun_us: i64,
    /// When the commit was acknowledged.
    known_us: i64,
}

/// One autocommit statement each, on time: one that is late does not put off the next.
async fn insert_at(crm: &mut PgConnection, first: i64, n: i64, rate: u32) -> Result<Vec<Insert>> {
    let sql = format!("insert into outboxd.notification_outbox {ROW}");
    let beginning = Instant::now();
    let mut inserts = Vec::with_capacity(usize::try_from(n)?);
    for i in 0..n {
        let number = first + i;
        sleep_until(beginning + Duration::from_secs_f64(i as f64 / f64::from(rate))).await;
        let begun_us = now_us();
        sqlx::query(AssertSqlSafe(sql.as_str()))
            .bind(number.to_string())
            .execute(&mut *crm)
            .await?;
        inserts.push(Insert {
            number,
            begun_us,
            known_us: now_us(),
        });
    }
    Ok(inserts)
}

async fn drop_wake_up(scene: &mut Scene<'_>) -> Result<()> {
    let triggers: Vec<String> = sqlx::query_scalar(
        "select t.tgname::text from pg_trigger t join pg_proc p on p.oid = t.tgfoid
          where t.tgrelid = 'outboxd.notification_outbox'::regclass and not t.tgisinternal
            and (t.tgname like '%wake%' or p.proname like '%wake%')",
    )
    .fetch_all(&mut scene.control)
    .await?;
    for trigger in triggers {
        let sql = format!("drop trigger {trigger} on outboxd.notification_outbox");
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut scene.control)
            .await?;
    }
    Ok(())
}
