//! `list`: many notifications, newest first, page by page.

use anyhow::Result;
use serde_json::json;

use super::out::Form;
use super::since::Since;
use super::{Desk, Exit};
use crate::answer::json::{self as objects, VERSION};
use crate::notification::NotificationId;
use crate::outbox::inspect::{self, Filter, Period, Standing};
use crate::outbox::session;
use crate::words::say;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  outboxd list                                  what is unsettled, and a day of what is settled
  outboxd list --status dead,expired --since 7d
  outboxd list --status held --app default
  outboxd list --since 2026-11-22
  outboxd list --reason not_subscribed --limit 200 --before 4711

Columns in a pipe: id, status, customer, recipient, event type, app, attempts, reason, errcode,
may have arrived, created, settled. The next page is --before with the last id.")]
pub(super) struct ListArgs {
    /// queued, scheduled, retrying, `in_flight`, held, `awaiting_grant`, delivered, dead, expired, superseded, cancelled.
    #[arg(long, value_delimiter = ',', value_name = "STATUS")]
    status: Vec<Standing>,
    /// Settled since when: 24h, 7d, or a date; what is unsettled is always listed.
    #[arg(long, default_value = "24h", value_name = "TIME")]
    since: Since,
    /// Only this app.
    #[arg(long)]
    app: Option<String>,
    /// Only to this CRM user.
    #[arg(long)]
    recipient: Option<String>,
    /// Only of this kind.
    #[arg(long, value_name = "TYPE")]
    event_type: Option<String>,
    /// Only with this cause; `outboxd errors` names them.
    #[arg(long, visible_alias = "cause", value_name = "CAUSE")]
    reason: Option<String>,
    /// How many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
    /// Only older ones than this: the last id of the page before.
    #[arg(long, value_name = "ID")]
    before: Option<i64>,
}

pub(super) async fn list(desk: &Desk, args: &ListArgs) -> Result<Exit> {
    let mut conn = desk.connect().await?;
    let mut tx = session::reading(&mut conn).await?;
    let voice = desk.voice(&mut tx).await?;
    let filter = Filter {
        standings: args.status.clone(),
        app: args.app.clone(),
        recipient: args.recipient.clone(),
        event_type: args.event_type.clone(),
        reason: args.reason.clone(),
        period: Period {
            settled_since: args.since.instant(&voice),
            ..Period::default()
        },
        before: args.before.map(NotificationId),
        limit: args.limit,
        ..Filter::default()
    };
    let hits = inspect::list(&mut tx, &filter).await?;
    let found = inspect::read(&mut tx, &hits).await?;
    tx.commit().await?;
    let last = hits
        .last()
        .map(|hit| hit.id)
        .filter(|_| i64::try_from(hits.len()).is_ok_and(|n| n >= args.limit));
    match desk.out.form {
        Form::Json => {
            let rows: Vec<_> = found
                .iter()
                .map(|it| objects::notification(it, &voice))
                .collect();
            desk.out
                .json(&json!({"version": VERSION, "notifications": rows, "next_before": last}))?;
        }
        Form::Lines => {
            for it in &found {
                desk.out.row(&[
                    it.id.to_string(),
                    it.standing.to_string(),
                    it.aggregate_id.clone(),
                    it.recipient.clone(),
                    it.event_type.clone(),
                    it.app.clone(),
                    it.attempts.to_string(),
                    it.reason.clone().unwrap_or_default(),
                    it.errcode.map_or_else(String::new, |code| code.to_string()),
                    it.may_have_arrived.to_string(),
                    objects::stamp(it.created_at, &voice),
                    objects::stamps(it.settled_at, &voice).unwrap_or_default(),
                ])?;
            }
        }
        Form::Terminal => {
            let header = [
                say!(voice, "column.id"),
                say!(voice, "column.status"),
                say!(voice, "column.customer"),
                say!(voice, "column.recipient"),
                say!(voice, "column.event_type"),
                say!(voice, "column.attempts"),
                say!(voice, "column.cause"),
                say!(voice, "column.time"),
            ];
            let rows: Vec<_> = found
                .iter()
                .map(|it| {
                    let doubt = if it.may_have_arrived { " ?" } else { "" };
                    let cause = it
                        .reason
                        .as_deref()
                        .map_or_else(String::new, |key| voice.cause(Some(key), it.errcode));
                    vec![
                        it.id.to_string(),
                        format!("{}{doubt}", voice.standing_of(it)),
                        it.aggregate_id.clone(),
                        it.recipient.clone(),
                        it.event_type.clone(),
                        it.attempts.to_string(),
                        cause,
                        voice.when(it.settled_at.unwrap_or(it.created_at)),
                    ]
                })
                .collect();
            if rows.is_empty() {
                desk.out.note(&say!(voice, "none.listed"));
            } else {
                desk.out.table(&header, &rows)?;
            }
        }
    }
    // In a pipe too: standard error does not disturb the lines, and nobody takes a page for the whole.
    if let (Form::Terminal | Form::Lines, Some(last)) = (desk.out.form, last) {
        desk.out.note(&say!(voice, "more.before", id = last));
    }
    Ok(Exit::Ok)
}
