//! `audit`: who did what to how many, and why, newest first.

use anyhow::Result;
use serde_json::{Value, json};

use super::out::{Form, safe};
use super::since::Since;
use super::{Desk, Exit};
use crate::answer::audit;
use crate::answer::json::{VERSION, stamp};
use crate::notification::NotificationId;
use crate::outbox::inspect::{self, AuditFilter};
use crate::outbox::session;
use crate::words::say;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  outboxd audit
  outboxd audit --actor wang --since 7d
  outboxd audit --id 4711

Columns in a pipe: line, time, actor, action, app, how many, reason. The next page is --before with the last line.
With --json each line has its detail: what was before, and after.")]
pub(super) struct AuditArgs {
    /// Only of this person.
    #[arg(long)]
    actor: Option<String>,
    /// Only this action, such as retry, cancel, handle, `bulk_start`.
    #[arg(long)]
    action: Option<String>,
    /// Only of this app.
    #[arg(long)]
    app: Option<String>,
    /// Only about this notification.
    #[arg(long)]
    id: Option<i64>,
    /// Since when: 24h, 7d, or a date.
    #[arg(long, default_value = "24h", value_name = "TIME")]
    since: Since,
    /// How many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
    /// Only older lines than this: the last one of the page before.
    #[arg(long, value_name = "LINE")]
    before: Option<i64>,
}

pub(super) async fn audit(desk: &Desk, args: &AuditArgs) -> Result<Exit> {
    let mut conn = desk.connect().await?;
    let mut tx = session::reading(&mut conn).await?;
    let voice = desk.voice(&mut tx).await?;
    let filter = AuditFilter {
        actor: args.actor.clone(),
        action: args.action.clone(),
        app: args.app.clone(),
        notification: args.id.map(NotificationId),
        since: args.since.instant(&voice),
        before: args.before,
        limit: args.limit,
        ..AuditFilter::default()
    };
    let lines = inspect::audit(&mut tx, &filter).await?;
    tx.commit().await?;
    let full = i64::try_from(lines.len()).is_ok_and(|n| n >= args.limit);
    let last = lines.last().map(|line| line.id).filter(|_| full);
    if desk.out.form == Form::Json {
        let rows: Vec<Value> = lines
            .iter()
            .map(|line| audit::object(line, &voice))
            .collect();
        desk.out
            .json(&json!({"version": VERSION, "lines": rows, "next_before": last}))?;
        return Ok(Exit::Ok);
    }
    let terminal = desk.out.form == Form::Terminal;
    let header = [
        say!(voice, "column.id"),
        say!(voice, "column.time"),
        say!(voice, "column.actor"),
        say!(voice, "column.action"),
        say!(voice, "fact.app"),
        say!(voice, "column.count"),
        say!(voice, "column.reason"),
    ];
    let rows: Vec<Vec<String>> = lines
        .into_iter()
        .map(|line| {
            let (at, action) = if terminal {
                (voice.when(line.at), voice.action(&line.action))
            } else {
                (stamp(line.at, &voice), line.action)
            };
            let (app, reason) = (
                line.app.unwrap_or_default(),
                line.reason.as_deref().map_or_else(String::new, safe),
            );
            vec![
                line.id.to_string(),
                at,
                safe(&line.actor),
                action,
                app,
                line.affected.to_string(),
                reason,
            ]
        })
        .collect();
    if rows.is_empty() {
        desk.out.note(&say!(voice, "none.listed"));
    } else {
        desk.out.table(&header, &rows)?;
    }
    if let Some(last) = last {
        desk.out.note(&say!(voice, "more.before", id = last));
    }
    Ok(Exit::Ok)
}
