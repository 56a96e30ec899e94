//! What people do where a machine got no further: `phone` lists whom to tell another way, `handled` notes what came of it,
//! `redirect` and `correct` write another notification in the place of one.

use anyhow::Result;
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::act::{all, by, tell};
use super::out::{Form, safe};
use super::since::Since;
use super::{Desk, Exit};
use crate::answer::Name;
use crate::answer::json::{self as objects, VERSION};
use crate::answer::told;
use crate::outbox::act::{self, By, Change, HandOutcome, Seen};
use crate::outbox::inspect::{self, Notification, ToPhone};
use crate::outbox::session;
use crate::words::say;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  outboxd phone
  outboxd phone --since 24h --app default

Given up or expired, newest first, without those that were dealt with or have another notification in their place.
Columns in a pipe: id, status, customer, recipient, cause, settled, who tried.")]
pub(super) struct PhoneArgs {
    /// Settled since when: 24h, 7d, or a date.
    #[arg(long, default_value = "7d", value_name = "TIME")]
    since: Since,
    /// Only this app.
    #[arg(long)]
    app: Option<String>,
    /// Only to this CRM user.
    #[arg(long)]
    recipient: Option<String>,
    /// How many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  outboxd handled 4711 told --reason 'phoned at ten'
  outboxd handled 4711 not_reached --reason 'no answer'

Who was not reached stays on the list. Columns in a pipe: id, result, sentence.")]
pub(super) struct HandledArgs {
    /// Id or key.
    id: Name,
    /// What came of it: told, `not_reached`, `not_needed`.
    #[arg(value_parser = outcome)]
    outcome: HandOutcome,
    /// What was done; kept in the audit log.
    #[arg(long)]
    reason: String,
    /// Who acts; else the user who typed this.
    #[arg(long)]
    actor: Option<String>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  outboxd redirect 4711 --to 43 --reason 'assigned to the wrong colleague'

A new notification with a key of its own, due at once; if the old one was not tried yet, at the time that was chosen for
it. One that still waits is not sent. Columns in a pipe: id, result, sentence.")]
pub(super) struct RedirectArgs {
    /// Id or key.
    id: Name,
    /// The CRM user who is to be told.
    #[arg(long, value_name = "USER")]
    to: String,
    /// Why; kept in the audit log.
    #[arg(long)]
    reason: String,
    /// Who acts; else the user who typed this.
    #[arg(long)]
    actor: Option<String>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  outboxd correct 4711 --payload '{\"customerName\": \"李女士\"}' --reason 'name was empty'

A new notification with a key of its own, due at once; if the old one was not tried yet, at the time that was chosen for
it. One that still waits is not sent. Columns in a pipe: id, result, sentence.")]
pub(super) struct CorrectArgs {
    /// Id or key.
    id: Name,
    /// The whole payload, a JSON object.
    #[arg(long, value_name = "JSON", value_parser = object)]
    payload: String,
    /// Why; kept in the audit log.
    #[arg(long)]
    reason: String,
    /// Who acts; else the user who typed this.
    #[arg(long)]
    actor: Option<String>,
}

fn outcome(word: &str) -> Result<HandOutcome, String> {
    let found = HandOutcome::ALL.into_iter().find(|it| it.word() == word);
    found.ok_or_else(|| "one of told, not_reached, not_needed".to_owned())
}

fn object(text: &str) -> Result<String, String> {
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(_)) => Ok(text.to_owned()),
        Ok(_) | Err(_) => Err("not a JSON object, such as {\"customerName\":\"Li\"}".to_owned()),
    }
}

pub(super) async fn phone(desk: &Desk, args: &PhoneArgs) -> Result<Exit> {
    let mut conn = desk.connect().await?;
    let mut tx = session::reading(&mut conn).await?;
    let voice = desk.voice(&mut tx).await?;
    let asked = ToPhone {
        app: args.app.clone(),
        recipient: args.recipient.clone(),
        since: args.since.instant(&voice),
        limit: args.limit,
        ..ToPhone::default()
    };
    let calls = inspect::to_phone(&mut tx, &asked).await?;
    let hits: Vec<_> = calls.iter().map(|call| call.hit).collect();
    let read = inspect::read(&mut tx, &hits).await?;
    let (app, recipient) = (args.app.as_deref(), args.recipient.as_deref());
    let held = inspect::expired_held(&mut tx, app, recipient, args.limit).await?;
    let held = inspect::read(&mut tx, &held).await?;
    let awaiting = inspect::awaiting_grant(&mut tx, app, recipient, args.limit).await?;
    let awaiting = inspect::read(&mut tx, &awaiting).await?;
    tx.commit().await?;
    // In the order of the list: by when it ended.
    let found: Vec<(&Notification, String)> = calls
        .iter()
        .filter_map(|call| {
            let it = read.iter().find(|it| it.key.0 == call.hit.key)?;
            let tried = call.tried.as_ref().map_or_else(String::new, |(by, at)| {
                say!(voice, "hand.tried", by = safe(by), at = voice.when(*at))
            });
            Some((it, tried))
        })
        .collect();
    if desk.out.form == Form::Json {
        let rows: Vec<Value> = found
            .iter()
            .map(|(it, tried)| {
                let mut row = objects::notification(it, &voice);
                row["tried"] = json!((!tried.is_empty()).then_some(tried));
                row
            })
            .collect();
        let plainly = |these: &[Notification]| -> Vec<Value> {
            let one = |it| objects::notification(it, &voice);
            these.iter().map(one).collect()
        };
        desk.out.json(&json!({
            "version": VERSION, "notifications": rows,
            "expired_held": plainly(&held), "awaiting_grant": plainly(&awaiting),
        }))?;
        return Ok(Exit::Ok);
    }
    let ids = |these: &[Notification]| -> String {
        let ids: Vec<String> = these.iter().map(|it| it.id.to_string()).collect();
        ids.join(" ")
    };
    if !held.is_empty() {
        desk.out.note(&say!(voice, "hand.held", ids = ids(&held)));
    }
    if !awaiting.is_empty() {
        desk.out
            .note(&say!(voice, "hand.awaiting", ids = ids(&awaiting)));
    }
    if found.is_empty() {
        desk.out.note(&say!(voice, "none.listed"));
        return Ok(Exit::Ok);
    }
    let terminal = desk.out.form == Form::Terminal;
    let header = [
        say!(voice, "column.id"),
        say!(voice, "column.status"),
        say!(voice, "column.customer"),
        say!(voice, "column.recipient"),
        say!(voice, "column.cause"),
        say!(voice, "column.time"),
        String::new(),
    ];
    let rows: Vec<Vec<String>> = found
        .into_iter()
        .map(|(it, tried)| {
            let settled = it.settled_at.unwrap_or(it.created_at);
            let (status, cause, at) = if terminal {
                let cause = voice.cause(it.reason.as_deref(), it.errcode);
                (voice.standing_of(it), cause, voice.when(settled))
            } else {
                let cause = it.reason.clone().unwrap_or_default();
                (
                    it.standing.to_string(),
                    cause,
                    objects::stamp(settled, &voice),
                )
            };
            let (customer, recipient) = (it.aggregate_id.clone(), it.recipient.clone());
            vec![
                it.id.to_string(),
                status,
                customer,
                recipient,
                cause,
                at,
                tried,
            ]
        })
        .collect();
    desk.out.table(&header, &rows)?;
    Ok(Exit::Ok)
}

pub(super) async fn handled(desk: &Desk, args: &HandledArgs) -> Result<Exit> {
    let mut conn = desk.connect().await?;
    let mut tx = session::acting(&mut conn).await?;
    let voice = desk.voice(&mut tx).await?;
    let it = all(&mut tx, &[args.id], &voice).await?.remove(0);
    let by = by(args.actor.as_deref(), Some(&args.reason));
    let seen = seen(&mut tx, &it).await?;
    let done = act::handle(&mut tx, &seen, args.outcome, &by).await?;
    tx.commit().await?;
    tell(desk, &[told::handled(&it, &done, args.outcome, &voice)])
}

pub(super) async fn redirect(desk: &Desk, args: &RedirectArgs) -> Result<Exit> {
    let by = by(args.actor.as_deref(), Some(&args.reason));
    replace(desk, args.id, &Change::Recipient(&args.to), &by).await
}

pub(super) async fn correct(desk: &Desk, args: &CorrectArgs) -> Result<Exit> {
    let by = by(args.actor.as_deref(), Some(&args.reason));
    replace(desk, args.id, &Change::Payload(&args.payload), &by).await
}

async fn replace(desk: &Desk, id: Name, change: &Change<'_>, by: &By) -> Result<Exit> {
    let mut conn = desk.connect().await?;
    let mut tx = session::acting(&mut conn).await?;
    let voice = desk.voice(&mut tx).await?;
    let it = all(&mut tx, &[id], &voice).await?.remove(0);
    let seen = seen(&mut tx, &it).await?;
    let done = act::replace(&mut tx, &seen, change, by).await?;
    tx.commit().await?;
    tell(desk, &[told::replaced(&it, &done, &voice)])
}

/// Whoever types a command has seen what is there now.
async fn seen(conn: &mut PgConnection, it: &Notification) -> Result<Seen> {
    let mut links = inspect::links(conn, std::slice::from_ref(it)).await?;
    Ok(Seen::of(it, &links.remove(&it.key.0).unwrap_or_default()))
}
