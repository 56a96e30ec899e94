//! The demonstration: a reference CRM, the daemon, a simulated WeChat and a phone, on one page.
//!
//! Without arguments it serves the page until Ctrl-C. With `--once` it plays a scripted run with faults,
//! reconciles the CRM's ledger with the phones', and ends with one line of JSON. In reading order: [`crm`]
//! assigns, [`process`] is the program under demonstration, [`phones`] is the simulated WeChat from
//! outside, [`books`] compares the two ledgers, [`stage`] puts all of it up and takes it down, [`page`]
//! shows it, [`once`] plays the script.

mod books;
mod crm;
mod once;
mod page;
mod phones;
mod process;
mod stage;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use wechat_sim::deployment::Function;

use stage::Stage;

/// Shows outboxd at work: a CRM that assigns, a daemon that delivers, a phone that lights up.
#[derive(Debug, Parser)]
struct Args {
    /// The database; an empty one, or one that this demo has used before.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// The daemon's program; the one built beside this example unless given.
    #[arg(long, value_name = "PROGRAM")]
    outboxd: Option<PathBuf>,
    /// Play the scripted run, print its result as one line of JSON, and leave.
    #[arg(long)]
    once: bool,
    /// What the scripted run draws its people, pauses and faults from. Random unless given, and printed.
    #[arg(long, requires = "once")]
    seed: Option<u64>,
    /// The page's port; taken by somebody else, the next free one.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// What answers as the cloud function.
    #[arg(long, value_enum, default_value_t = Function::Sim)]
    function: Function,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    demonstrate(&args).await.unwrap_or_else(|e| {
        eprintln!("demo: {e:#}");
        ExitCode::FAILURE
    })
}

/// Puts the stage up, plays, and takes it down again, whichever way the play ended.
async fn demonstrate(args: &Args) -> Result<ExitCode> {
    let mut told_to_stop = std::pin::pin!(process::told_to_stop()?);

    // Dropped half-way, it takes daemon and desk with it.
    let stage = tokio::select! {
        stage = Stage::put_up(args) => stage?,
        () = &mut told_to_stop => return Ok(ExitCode::from(130)),
    };
    let ending = tokio::select! {
        ending = play(args, &stage) => ending,
        () = &mut told_to_stop => Ok(if args.once { Ending::Interrupted } else { Ending::Good }),
    };
    let log = stage.take_down().await?;
    let code = match ending? {
        Ending::Good => ExitCode::SUCCESS,
        Ending::Interrupted => ExitCode::from(130),
        Ending::Broken => {
            eprintln!("demo: outboxd's log is kept in {}", log.display());
            return Ok(ExitCode::FAILURE);
        }
    };
    std::fs::remove_file(&log).with_context(|| format!("remove {}", log.display()))?;
    Ok(code)
}

/// How a demonstration ends.
enum Ending {
    Good,
    Interrupted,
    /// A promise was not kept.
    Broken,
}

async fn play(args: &Args, stage: &Stage) -> Result<Ending> {
    if args.once {
        return once::play(stage, args.seed.unwrap_or_else(rand::random)).await;
    }
    say(format_args!(
        "The demo is on {}  (Ctrl-C ends it; outboxd's log: {})",
        stage.url(),
        stage.daemon.log().display()
    ));
    if let Some(desk) = stage.desk_url() {
        say(format_args!("The desk is on {desk}"));
    }
    std::future::pending().await
}

/// The one place that writes to standard output: what was asked for goes there, everything else to
/// standard error.
#[allow(clippy::print_stdout, reason = "the demo's result is its output")]
fn say(words: std::fmt::Arguments<'_>) {
    println!("{words}");
}
