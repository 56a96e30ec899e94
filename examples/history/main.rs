//! A past of ten million notifications, and how long an answer takes beside it.
//!
//! ```text
//! cargo run --release --example history                                  10,000,000 settled, 100,000 waiting, 4 clients
//! cargo run --release --example history -- --settled 1000000 --clients 2
//! cargo run --release --example history -- --flow 600                    ten minutes of deliveries with searches, and without
//! cargo run --release --example history -- --fill                        into the database of DATABASE_URL, and no more
//! cargo run --release --example history -- --filled                      ask there, as often as you like
//! ```
//!
//! Makes a [`cluster`] of its own, writes the [`past`] of invented [`people`], lets the search's index be written as a
//! daemon does, asks every one of the [`questions`], again and again; then all of them mixed beside a [`flow`] of deliveries;
//! and removes everything. What is asked for are the pages of the real [`desk`], over HTTP, to their last byte.

#![expect(clippy::print_stdout, reason = "a measurement prints its figures")]
#![allow(
    dead_code,
    reason = "cluster, daemon and sink are the benchmark's, which uses more of them"
)]

mod apart;
#[path = "../bench/cluster.rs"]
mod cluster;
#[path = "../bench/daemon.rs"]
mod daemon;
mod desk;
mod flow;
mod past;
#[path = "../bench/peer.rs"]
mod peer;
mod people;
#[path = "../bench/proc.rs"]
mod proc;
mod questions;
#[path = "../bench/sink.rs"]
mod sink;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use outboxd::config::Pooler;
use outboxd::outbox::line::Database;
use outboxd::outbox::schema;
use outboxd::outbox::slices::{self, LARGE, Paths};
use sqlx::{Connection as _, PgConnection};

use crate::cluster::Cluster;
use crate::desk::{Desk, Pages};
use crate::past::Past;

/// Measures every search and list beside a long past, on a PostgreSQL of its own that is gone afterwards.
#[derive(Debug, Parser)]
struct Args {
    /// Settled rows, over five months.
    #[arg(long, default_value_t = 10_000_000)]
    settled: u64,
    /// Rows that wait.
    #[arg(long, default_value_t = 100_000)]
    waiting: u64,
    /// How many ask at once.
    #[arg(long, default_value_t = 4)]
    clients: usize,
    /// How long each question is asked by them; 0 leaves this out.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Only write the past, into the empty schema of the database that `DATABASE_URL` names.
    #[arg(long)]
    fill: bool,
    /// Ask in the database that `DATABASE_URL` names, where the same past was written before.
    #[arg(long, conflicts_with = "fill")]
    filled: bool,
    /// Only the questions whose name has this in it.
    #[arg(long, default_value = "")]
    only: String,
    /// Seconds of deliveries without searches, with them, and without again; 0 leaves this out.
    #[arg(long, default_value_t = 60.0)]
    flow: f64,
    /// Deliveries a second then.
    #[arg(long, default_value_t = 200)]
    deliveries: u32,
    /// Searches a second then.
    #[arg(long, default_value_t = 20)]
    searches: u32,
    /// The overview is asked for once in so many seconds; 0 leaves it out.
    #[arg(long, default_value_t = 5)]
    overview: u32,
    /// How often without and with searches in turn, a last time without behind them.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Give the desk and its database sessions a core of their own, and leave the plain work out.
    #[arg(long)]
    apart: bool,
    /// Milliseconds of plain work beside more deliveries, as often as a search; as much as a page took if left out.
    #[arg(long, value_delimiter = ',')]
    plain: Vec<f64>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// The daemon, which this program starts as a process of its own.
    #[command(hide = true)]
    Work,
    /// The desk, likewise.
    #[command(hide = true)]
    Desk,
}

/// What the benchmark's daemon says aloud.
mod report {
    pub(crate) fn say(words: std::fmt::Arguments<'_>) {
        println!("{words}");
    }
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    match args.command {
        Some(Command::Work) => outboxd::daemon::runtime()?.block_on(peer::work())?,
        Some(Command::Desk) => {
            let typed = ["outboxd", "serve", "--read-only"];
            return Ok(outboxd::cli::main(typed.map(Into::into)));
        }
        None => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(measure(args))?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn measure(args: Args) -> Result<()> {
    let past = Past {
        settled: args.settled,
        waiting: args.waiting,
    };
    if args.fill || args.filled {
        let url = std::env::var("DATABASE_URL").context("DATABASE_URL is not set")?;
        if args.fill {
            return fill(&url, past).await;
        }
        return ask(&args, &url, past).await;
    }
    let cluster = Cluster::start()?;
    let url = cluster.url(&cluster.create_database().await?);
    let mut control = PgConnection::connect(&url).await?;
    schema::migrate(&mut control).await?;
    fill(&url, past).await?;
    ask(&args, &url, past).await
}

async fn ask(args: &Args, url: &str, past: Past) -> Result<()> {
    let desk = Desk::start(url).await?;
    if args.seconds > 0.0 {
        in_turn(args, &desk.pages, past).await?;
    }
    if args.flow > 0.0 {
        flow::measure(args, url, &desk, past).await?;
    }
    Ok(())
}

/// One question after the other, from several who each ask again at once.
async fn in_turn(args: &Args, pages: &Arc<Pages>, past: Past) -> Result<()> {
    println!(
        "| {} clients ask | answers | kB each | p50 ms | p99 ms | slowest |",
        args.clients
    );
    println!("|---|---|---|---|---|---|");
    let asked = |(_, name): &(_, &str)| name.contains(&args.only);
    for (question, name) in questions::ALL.into_iter().filter(asked) {
        // Once unmeasured: the first answers read the database's pages into memory and prepare the statements.
        questions::answers(pages, args.clients, question, past, args.seconds / 5.0).await?;
        let answers = questions::answers(pages, args.clients, question, past, args.seconds).await?;
        println!(
            "| {name} | {} | {:.1} | {:.1} | {:.1} | {:.1} |",
            answers.took.len(),
            answers.bytes as f64 / 1000.0 / answers.took.len() as f64,
            answers.ms(0.5),
            answers.ms(0.99),
            answers.ms(1.0),
        );
    }
    Ok(())
}

async fn fill(url: &str, past: Past) -> Result<()> {
    let began = Instant::now();
    let mut first = PgConnection::connect(url).await?;
    let mut second = PgConnection::connect(url).await?;
    past.write(&mut first, &mut second).await?;
    let rows = past.settled + past.waiting;
    println!("{rows} rows written in {}", said(began.elapsed()));
    index(url, &mut first).await
}

/// As a daemon writes it, without the rests.
async fn index(url: &str, control: &mut PgConnection) -> Result<()> {
    let database = Database::new(url.parse()?, Pooler::None);
    let mut line = database.line();
    let (mut covered, mut slowest, began) = (0, Duration::ZERO, Instant::now());
    loop {
        // Nobody writes here, so nobody has to be waited for.
        sqlx::raw_sql("update outboxd.search_mark set seen_at = seen_at - interval '1 minute'")
            .execute(&mut *control)
            .await?;
        let one = Instant::now();
        match slices::write(&mut line, &Paths::default(), LARGE).await? {
            0 if covered > 0 && slices::gather(&mut line).await? == 0 => break,
            ids => covered += ids,
        }
        slowest = slowest.max(one.elapsed());
    }
    let (size, history): (i64, i64) = sqlx::query_as(
        "select pg_total_relation_size('outboxd.search_term') + pg_total_relation_size('outboxd.search_slice'),
                (select sum(pg_total_relation_size(i.inhrelid))::bigint from pg_inherits i
                  where i.inhparent in ('outboxd.notification_delivery'::regclass, 'outboxd.notification_attempt'::regclass))",
    )
    .fetch_one(&mut *control)
    .await?;
    sqlx::raw_sql("vacuum analyze outboxd.search_term, outboxd.search_slice")
        .execute(control)
        .await?;
    println!(
        "{covered} ids indexed in {}, the slowest slice in {}: {} MB beside {} MB of history",
        said(began.elapsed()),
        said(slowest),
        size >> 20,
        history >> 20
    );
    Ok(())
}

fn said(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}
