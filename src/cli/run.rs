//! `run`: the daemon.

use anyhow::Result;

use super::Exit;
use super::out::Out;
use super::serve;
use super::settings::Typed;
use crate::config::Needs;
use crate::daemon;
use crate::relay::Until;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  outboxd run                  work until SIGTERM or SIGINT; a second signal ends at once
  outboxd run --once           deliver what is due, then end
  outboxd run --migrate        bring the schema up to date first
  outboxd run --desk           open the desk as well, as `outboxd serve` does

Any number of daemons may run on one database. Logs go to standard error; /livez, /readyz
and /metrics are served on OUTBOXD_HTTP_LISTEN.")]
pub(super) struct RunArgs {
    /// Deliver what is due, then end.
    #[arg(long)]
    once: bool,
    /// Bring the schema up to date first.
    #[arg(long)]
    migrate: bool,
    /// Open the desk as well.
    #[arg(long, conflicts_with = "once")]
    desk: bool,
}

pub(super) async fn run(typed: &Typed, args: &RunArgs, out: Out) -> Result<Exit> {
    let config = typed.load(Needs::Everything, out)?;
    daemon::log_to_stderr(&config.log);
    let until = if args.once {
        Until::Drained
    } else {
        Until::Stopped
    };
    let stop = daemon::stop_by_signal()?;
    let desk = match args.desk {
        true => Some(serve::open(&config, false, stop.clone()).await?),
        false => None,
    };
    let ended = daemon::run(config, until, args.migrate, stop).await;
    // A daemon that ended by itself takes the desk with it.
    if let Some(desk) = desk.filter(|_| ended.is_ok()) {
        desk.ended().await;
    }
    ended?;
    Ok(Exit::Ok)
}
