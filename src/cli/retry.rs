//! `retry`: sends notifications again, named one by one or by what became of them.

use std::collections::HashSet;

use anyhow::Result;
use sqlx::postgres::PgConnection;

use super::act::{all, by, consent, tell};
use super::since::Since;
use super::{Desk, Exit};
use crate::answer::Name;
use crate::answer::told::{Told, retried};
use crate::notification::Status;
use crate::outbox::act::{self, Doubt, Retried};
use crate::outbox::inspect::{self, Filter, Notification, Period, Standing};
use crate::outbox::session;
use crate::words::{Voice, say};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  outboxd retry 4711 --reason 'the salesperson tapped allow'
  outboxd retry 4711 4712 4713 --yes --reason 'template fixed'
  outboxd retry --status dead --cause template_wrong --since 7d --dry-run
  outboxd retry --status dead --cause template_wrong --since 7d --yes --reason 'template fixed'

A notification keeps its id and its key, so a receiver that still has its receipt does not
send twice. One that WeChat accepted is never sent again; one that may have arrived, only
with --may-arrive-twice.
Columns in a pipe: id, result, sentence. Exit code 1 when any was refused.")]
pub(super) struct RetryArgs {
    /// Ids or keys.
    #[arg(required_unless_present = "status", num_args = 1..=1000)]
    ids: Vec<Name>,
    /// Instead of ids, all that ended so: dead, expired, cancelled.
    #[arg(long, value_delimiter = ',', value_name = "STATUS", conflicts_with = "ids", value_parser = ended)]
    status: Vec<Standing>,
    /// With --status: only with this cause; `outboxd errors` names them.
    #[arg(long, conflicts_with = "ids", value_name = "CAUSE")]
    cause: Option<String>,
    /// With --status: only of this app.
    #[arg(long, conflicts_with = "ids")]
    app: Option<String>,
    /// With --status: settled since when: 24h, 7d, or a date.
    #[arg(
        long,
        conflicts_with = "ids",
        default_value = "24h",
        value_name = "TIME"
    )]
    since: Since,
    /// Only say what would be sent again.
    #[arg(long)]
    dry_run: bool,
    /// Why; kept in the audit log.
    #[arg(long, required_unless_present = "dry_run")]
    reason: Option<String>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Send again even what may have arrived.
    #[arg(long)]
    may_arrive_twice: bool,
    /// Who acts; else the user who typed this.
    #[arg(long)]
    actor: Option<String>,
}

/// How many one command sends again at most.
const MOST: i64 = 1000;

/// The endings of which many may go back, and what waits for the user's permission.
fn ended(word: &str) -> Result<Standing, String> {
    match word.parse() {
        Ok(it @ Standing::Settled(Status::Dead | Status::Expired | Status::Cancelled)) => Ok(it),
        Ok(Standing::AwaitingGrant) => Ok(Standing::AwaitingGrant),
        Ok(_) | Err(_) => Err("one of dead, expired, cancelled, awaiting_grant".to_owned()),
    }
}

pub(super) async fn retry(desk: &Desk, args: &RetryArgs) -> Result<Exit> {
    let mut conn = desk.connect().await?;
    let mut tx = session::acting(&mut conn).await?;
    let voice = desk.voice(&mut tx).await?;
    let chosen = chosen(&mut tx, desk, args, &voice).await?;
    if chosen.is_empty() {
        desk.out.note(&say!(voice, "none.listed"));
        return tell(desk, &[]);
    }
    if !args.dry_run {
        let n = chosen.len();
        let question = say!(voice, "act.ask_retry", n = n);
        consent(desk, question, n, args.yes, &voice)?;
    }
    let doubt = if args.may_arrive_twice {
        Doubt::Accept
    } else {
        Doubt::Refuse
    };
    let by = by(args.actor.as_deref(), args.reason.as_deref());
    let results = act::retry(&mut tx, &chosen, &by, doubt).await?;
    if args.dry_run {
        // The act itself knows best what it would do; nothing of it stays.
        tx.rollback().await?;
    } else {
        tx.commit().await?;
    }
    let in_doubt = results
        .iter()
        .filter(|result| **result == Retried::MayHaveArrived)
        .count();
    let told: Vec<Told> = chosen
        .iter()
        .zip(results)
        .map(|(it, result)| {
            let mut told = retried(it, result, &voice);
            if args.dry_run && result.changes() && result != Retried::GivesWay {
                told.word = "would_retry";
                told.sentence = say!(voice, "retry.would");
            }
            told
        })
        .collect();
    if in_doubt > 0 {
        desk.out.note(&say!(voice, "retry.skipped", n = in_doubt));
    }
    tell(desk, &told)
}

async fn chosen(
    conn: &mut PgConnection,
    desk: &Desk,
    args: &RetryArgs,
    voice: &Voice,
) -> Result<Vec<Notification>> {
    if args.status.is_empty() {
        return all(conn, &args.ids, voice).await;
    }
    let filter = Filter {
        standings: args.status.clone(),
        app: args.app.clone(),
        reason: args.cause.clone(),
        period: Period {
            settled_since: args.since.instant(voice),
            ..Period::default()
        },
        limit: MOST,
        ..Filter::default()
    };
    let hits = inspect::list(&mut *conn, &filter).await?;
    if i64::try_from(hits.len()).is_ok_and(|n| n >= MOST) {
        desk.out.note(&say!(voice, "retry.no_more", n = MOST));
    }
    let found = inspect::read(&mut *conn, &hits).await?;
    let listed = found.len();
    let rest = not_dealt_with(conn, found).await?;
    if rest.len() < listed {
        let n = listed - rest.len();
        desk.out.note(&say!(voice, "retry.dealt_with", n = n));
    }
    Ok(rest)
}

/// Without those that people have replaced or told another way: whoever means one all the same names it.
async fn not_dealt_with(
    conn: &mut PgConnection,
    found: Vec<Notification>,
) -> Result<Vec<Notification>> {
    const AT_ONCE: usize = 200;
    let mut dealt_with = HashSet::new();
    for some in found.chunks(AT_ONCE) {
        let links = inspect::links(&mut *conn, some).await?;
        let done = links.into_iter().filter(|(_, links)| links.deal_with_it());
        dealt_with.extend(done.map(|(key, _)| key));
    }
    let is_left = |it: &Notification| !dealt_with.contains(&it.key.0);
    Ok(found.into_iter().filter(is_left).collect())
}
