//! `writers`: what the outbox costs the CRM. Single-row autocommit inserts by several sessions at once, into a plain
//! table of the same columns and indexes, into the outbox, and into the outbox while a daemon empties it.

use std::time::Duration;

use anyhow::{Context, Result};
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::time::Instant;

use crate::Options;
use crate::books::Books;
use crate::daemon::Program;
use crate::report::{Report, Run};
use crate::stage::{ROW, Stage};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    options: Options,
    /// How many sessions insert at once.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 32])]
    writers: Vec<u32>,
}

/// No constraints, no triggers, no room kept free.
const PLAIN: &str = "\
    create table outboxd.plain (like outboxd.notification_outbox including defaults including identity including indexes)";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Plain,
    Outbox,
    OutboxWithDaemon,
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Place::Plain => "plain table",
            Place::Outbox => "outbox",
            Place::OutboxWithDaemon => "outbox, daemon running",
        }
    }

    fn table(self) -> &'static str {
        match self {
            Place::Plain => "outboxd.plain",
            Place::Outbox | Place::OutboxWithDaemon => "outboxd.notification_outbox",
        }
    }
}

pub(crate) async fn run(args: Args) -> Result<Report> {
    let mut report = Report::open(&args.options, "rate")?;
    let stage = Stage::put_up(&args.options).await?;
    for _ in 0..args.options.runs {
        for &writers in &args.writers {
            for program in &stage.programs {
                for place in [Place::Plain, Place::Outbox, Place::OutboxWithDaemon] {
                    report.add(insert(&stage, program, writers, place, &args.options).await?)?;
                }
            }
        }
    }
    Ok(report)
}

async fn insert(
    stage: &Stage,
    program: &Program,
    writers: u32,
    place: Place,
    options: &Options,
) -> Result<Run> {
    let time = Duration::from_secs(options.seconds.unwrap_or(5));
    let mut run = Run::new(
        "writers",
        &format!("{}, writers: {writers}", program.name),
        place.name(),
    );
    let mut scene = stage.scene(program).await?;
    sqlx::raw_sql(PLAIN).execute(&mut scene.control).await?;
    scene.come_to_rest().await?;
    stage.sink.reset(Duration::ZERO);
    let books = Books::open(&mut scene.control).await?;
    let daemon = match place {
        Place::OutboxWithDaemon => Some(scene.start_daemon(options.slots.unwrap_or(64))?),
        Place::Plain | Place::Outbox => None,
    };
    let mut sessions = Vec::new();
    for writer in 0..writers {
        let session = stage.cluster.connect(&scene.name).await?;
        sessions.push((i64::from(writer) * 100_000_000, session));
    }

    let before = scene.meter().await?;
    let beginning = Instant::now();
    let sql = format!("insert into {} {ROW}", place.table());
    let tasks: Vec<_> = sessions
        .into_iter()
        .map(|(first, session)| tokio::spawn(write(session, sql.clone(), first, beginning + time)))
        .collect();
    let mut took = Vec::new();
    for task in tasks {
        took.extend(task.await.context("a writer broke off")??);
    }
    let seconds = beginning.elapsed().as_secs_f64();
    let inserted = took.len();
    let rows = i64::try_from(inserted)?;
    scene.meter().await?.since(&before, rows, &mut run);

    if let Some(daemon) = daemon {
        stage.sink.reached(inserted).await?;
        daemon.stop().await?;
        let calls = stage.sink.seen();
        let balance = books.close(&mut scene.control, rows, &calls).await?;
        run.put("duplicates", balance.duplicates as f64);
        run.put("lost", balance.lost as f64);
        run.faults.extend(balance.faults);
    }
    scene.close().await?;
    run.put("n", rows as f64);
    run.put("rate", rows as f64 / seconds);
    let names = [
        ("p50_ms", 0.5),
        ("p95_ms", 0.95),
        ("p99_ms", 0.99),
        ("max_ms", 1.0),
    ];
    run.put_percentiles(names, &mut took);
    Ok(run)
}

/// One session, until the time is over; says how long each insert took, in milliseconds.
async fn write(
    mut session: PgConnection,
    sql: String,
    first: i64,
    end: Instant,
) -> Result<Vec<f64>> {
    let mut took = Vec::new();
    for number in first.. {
        let begun = Instant::now();
        if begun >= end {
            break;
        }
        sqlx::query(AssertSqlSafe(sql.as_str()))
            .bind(number.to_string())
            .execute(&mut session)
            .await?;
        took.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(took)
}
