//! What outboxd costs and how fast it is, measured with everything durable and all of its evidence written.
//!
//! ```text
//! cargo run --release --example bench -- drain              see `-- help` for the workloads, `-- drain --help` for options
//! cargo run --release --example bench -- drain --work old=/path/to/an/older/bench
//! ```
//!
//! Each workload makes a [`cluster`] of its own, starts the real [`daemon`] as a child (this program's `work`, in
//! [`peer`]) between a database and a [`sink`], checks the [`books`] when it is over, and hands its figures to the
//! [`report`]. [`stage`] puts these parts together; every other file is one workload, [`plot`] draws what was kept.
//!
//! `setup` and `work` make outboxd one worker among others in a benchmark that feeds them all alike.

mod books;
mod claims;
mod cluster;
mod daemon;
mod daemons;
mod drain;
mod history;
mod http;
mod idle;
mod latency;
mod longtx;
mod memory;
mod peer;
mod plot;
mod proc;
mod report;
mod sink;
mod stage;
mod start;
mod svg;
mod writers;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::daemon::Program;

/// Measures outboxd. Every workload makes a PostgreSQL cluster of its own on loopback and removes it afterwards.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Rows wait; the daemon starts and settles them all.
    Drain(drain::Args),
    /// The same with a sink that answers after 200 ms: is every slot used?
    Slow(drain::SlowArgs),
    /// Single inserts into an idle service: from the acknowledged commit to the arrival at the sink.
    Latency(latency::Args),
    /// A drain while somebody keeps an old snapshot open, beside one without.
    Longtx(longtx::Args),
    /// A drain beside millions of settled rows, beside one without.
    History(history::Args),
    /// What the outbox costs the CRM's inserts.
    Writers(writers::Args),
    /// Several daemons on one database.
    Daemons(daemons::Args),
    /// What a daemon with nothing to do uses.
    Idle(idle::Args),
    /// From the start of the process to its first call, with rows waiting.
    Start(start::Args),
    /// Memory under a large backlog and a slow sink.
    Memory(memory::Args),
    /// The HTTP client alone: reqwest against hyper, plain and with TLS.
    Http(http::Args),
    #[command(hide = true)]
    HttpClient(http::ClientArgs),
    /// Draws SVGs of what `--json` kept.
    Plot(plot::Args),
    /// Makes the schema in the database that `BENCH_DSN` names.
    Setup,
    /// Runs the daemon on `BENCH_DSN` and `BENCH_URL` with `BENCH_CONC` slots until SIGTERM.
    Work,
}

/// What all workloads have in common.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// How often each variant runs; variants take turns.
    #[arg(long, default_value_t = 3)]
    runs: u32,
    /// Rows.
    #[arg(long, short)]
    n: Option<i64>,
    /// Calls in flight.
    #[arg(long)]
    slots: Option<u32>,
    /// How long the timed part takes.
    #[arg(long)]
    seconds: Option<u64>,
    /// Another build of this program to compare with; may be repeated.
    #[arg(long, value_name = "[NAME=]PATH")]
    work: Vec<Program>,
    /// Append one line of JSON per run to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let command = Args::parse().command;
    run(command).unwrap_or_else(|e| {
        eprintln!("bench: {e:#}");
        ExitCode::FAILURE
    })
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        // As the product runs.
        Command::Setup => outboxd::daemon::runtime()?.block_on(peer::setup())?,
        Command::Work => outboxd::daemon::runtime()?.block_on(peer::work())?,
        Command::HttpClient(args) => outboxd::daemon::runtime()?.block_on(http::client(args))?,
        Command::Plot(args) => plot::plot(&args)?,
        command => {
            // One thread, and the main one: it takes little from those measured, and the daemons it starts are told by
            // the kernel when it is gone.
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            return runtime.block_on(async {
                tokio::select! {
                    measured = measure(command) => measured,
                    code = told_to_stop() => Ok(ExitCode::from(code?)),
                }
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn measure(command: Command) -> Result<ExitCode> {
    let report = match command {
        Command::Drain(args) => drain::run(args).await?,
        Command::Slow(args) => drain::run_slow(args).await?,
        Command::Latency(args) => latency::run(args).await?,
        Command::Longtx(args) => longtx::run(args).await?,
        Command::History(args) => history::run(args).await?,
        Command::Writers(args) => writers::run(args).await?,
        Command::Daemons(args) => daemons::run(args).await?,
        Command::Idle(args) => idle::run(args).await?,
        Command::Start(args) => start::run(args).await?,
        Command::Memory(args) => memory::run(args).await?,
        Command::Http(args) => http::run(args).await?,
        Command::HttpClient(_) | Command::Plot(_) | Command::Setup | Command::Work => {
            unreachable!("these measure nothing and were handled before")
        }
    };
    Ok(report.close())
}

/// Everything that was started is ended when what holds it is dropped.
async fn told_to_stop() -> Result<u8> {
    let mut interrupt = signal(SignalKind::interrupt()).context("wait for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("wait for SIGTERM")?;
    tokio::select! {
        _ = interrupt.recv() => Ok(130),
        _ = terminate.recv() => Ok(143),
    }
}
