//! `send-test`: one real call, printed step by step; or, with `--store`, a real row for the daemon.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};
use uuid::Uuid;

use super::exit::Stop;
use super::json::VERSION;
use super::out::{Form, Tone, safe};
use super::seams::{self, Went};
use super::{Desk, Exit};
use crate::notification::{AttemptNo, Claim, Key, LeaseToken, NotificationId};
use crate::outbox::act::{self, Enqueue};
use crate::outbox::session;
use crate::words::{Lang, say};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  outboxd send-test --customer 10086 --user 42
  outboxd send-test --customer 10086 --user 42 --payload '{\"customerName\":\"李女士\"}' --store

Without --store nothing is written anywhere: one token, one call, one answer. A real person gets a real
message. Columns in a pipe: step, result, milliseconds, what it said. Exit code 1 when a step went wrong.")]
pub(super) struct SendTestArgs {
    /// The customer's id.
    #[arg(long)]
    customer: String,
    /// The CRM user to be told.
    #[arg(long)]
    user: String,
    /// The kind of news.
    #[arg(long, default_value = "customer_assigned", value_name = "TYPE")]
    event_type: String,
    /// A JSON object for the template.
    #[arg(long, default_value = "{}", value_name = "JSON")]
    payload: String,
    /// The app whose daemon sends it; only with --store.
    #[arg(long, default_value = "default", requires = "store")]
    app: String,
    /// Write it to the outbox and let the daemon send it.
    #[arg(long)]
    store: bool,
}

/// How long a rehearsal may take.
const LEASE: Duration = Duration::from_secs(30);

pub(super) async fn send_test(desk: &Desk, args: &SendTestArgs) -> Result<Exit> {
    let payload = payload(&args.payload, desk.lang)?;
    if args.store {
        return store(desk, args, &payload).await;
    }
    let now = chrono::Utc::now().timestamp_millis();
    let claim = Claim {
        id: NotificationId(0),
        key: Key(Uuid::new_v4()),
        lease_token: LeaseToken(Uuid::new_v4()),
        attempt: AttemptNo(1),
        spent: 1,
        lapses: 0,
        may_have_arrived: false,
        epoch: now,
        event_type: args.event_type.clone(),
        aggregate_type: "customer".to_owned(),
        aggregate_id: args.customer.clone(),
        recipient: args.user.clone(),
        payload,
        traceparent: None,
        expired: false,
        superseded_by: None,
        cancel_requested: false,
        waited: Duration::ZERO,
        claimed_at: Instant::now(),
        lease: LEASE,
    };
    let steps = seams::rehearse(&desk.typed, &claim).await?;
    if desk.out.form == Form::Json {
        let objects: Vec<Value> = steps
            .iter()
            .map(|step| {
                json!({"step": step.name, "ok": step.went == Went::Well,
                       "ms": step.took.as_millis(), "said": safe(&step.said)})
            })
            .collect();
        desk.out
            .json(&json!({"version": VERSION, "key": claim.key.0, "steps": objects}))?;
    } else {
        for step in &steps {
            let ms = step.took.as_millis().to_string();
            let (word, mark, tone) = match step.went {
                Went::Well => ("ok", "✓", Tone::Good),
                Went::Wrong => ("wrong", "✗", Tone::Bad),
            };
            if desk.out.form == Form::Lines {
                desk.out
                    .row(&[step.name.clone(), word.to_owned(), ms, step.said.clone()])?;
            } else {
                let mark = desk.out.paint(tone, mark);
                desk.out.line(&format!(
                    "{mark} {:<10} {ms:>6} ms  {}",
                    safe(&step.name),
                    safe(&step.said)
                ))?;
            }
        }
    }
    Ok(if steps.iter().all(|step| step.went == Went::Well) {
        Exit::Ok
    } else {
        Exit::Failed
    })
}

/// The payload must be an object, as the table demands.
fn payload(text: &str, lang: Lang) -> Result<String> {
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(_)) => Ok(text.to_owned()),
        Ok(_) | Err(_) => Err(Stop::new(Exit::Usage, say!(lang, "send_test.payload")).into()),
    }
}

async fn store(desk: &Desk, args: &SendTestArgs, payload: &str) -> Result<Exit> {
    let mut conn = desk.connect().await?;
    let mut tx = session::acting(&mut conn).await?;
    let by = super::act::by(None, Some("send-test"));
    let id = act::enqueue(
        &mut tx,
        &Enqueue {
            event_type: &args.event_type,
            recipient: &args.user,
            aggregate_id: &args.customer,
            payload,
            app: &args.app,
            created_by: &by.actor,
        },
    )
    .await?;
    tx.commit().await?;
    match desk.out.form {
        Form::Json => desk.out.json(&json!({"version": VERSION, "id": id.0}))?,
        Form::Lines | Form::Terminal => {
            desk.out.line(&id.to_string())?;
            desk.out.note(&say!(desk.lang, "send_test.stored", id = id));
        }
    }
    Ok(Exit::Ok)
}
