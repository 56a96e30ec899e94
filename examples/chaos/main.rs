//! The long run: many notifications, several daemons, and everything breaks all the time. Who is told what, how
//! often, is judged from WeChat's ledger and the tables, never from a daemon's word.
//!
//! ```text
//! make chaos                        100,000 notifications, four daemons; ROWS, DAEMONS, SEED
//! make chaos RECEIPTS=off           the same with a receiver that keeps no receipts: how many get a message twice?
//! make chaos ROWS=2000 FUNCTION=node   with the deployed cloud function
//! ```
//!
//! In reading order: [`crowd`] are the people and their misfortunes, [`storm`] puts everything up, enqueues and
//! kills, [`verdict`] judges. The daemon is that of the demo: a process of its own, killed for real.

mod crowd;
#[path = "../demo/process.rs"]
mod process;
mod storm;
mod verdict;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use wechat_sim::deployment::Function;

/// Breaks everything for a while and counts the messages. Wants an empty database with nobody else in it.
#[derive(Debug, Parser)]
struct Args {
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// The daemon's program; the one built beside this example unless given.
    #[arg(long, value_name = "PROGRAM")]
    outboxd: Option<PathBuf>,
    /// Notifications.
    #[arg(long, default_value_t = 100_000)]
    rows: u32,
    /// How many of them are enqueued in a second.
    #[arg(long)]
    per_second: Option<u32>,
    #[arg(long, default_value_t = 4)]
    daemons: usize,
    /// Whether the receiver keeps receipts. Without, the run fails if nobody got a message twice: nothing would
    /// have been put to the test.
    #[arg(long, value_enum, default_value_t = Receipts::On)]
    receipts: Receipts,
    /// What answers as the cloud function.
    #[arg(long, value_enum, default_value_t = Function::Sim)]
    function: Function,
    /// What misfortunes and kills are drawn from. Random unless given, and printed.
    #[arg(long)]
    seed: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Receipts {
    On,
    Off,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    run(&args).await.unwrap_or_else(|e| {
        eprintln!("chaos: {e:#}");
        ExitCode::FAILURE
    })
}

/// What was started is ended when what holds it is dropped.
async fn run(args: &Args) -> Result<ExitCode> {
    let told_to_stop = process::told_to_stop()?;
    let judged = async {
        let aftermath = storm::rage(args).await?;
        verdict::judge(args, &aftermath).await
    };
    tokio::select! {
        kept = judged => Ok(if kept? { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
        () = told_to_stop => Ok(ExitCode::from(130)),
    }
}
