//! `send-test`: one real call, printed step by step; or, with `--store`, a real row for the daemon.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};
use uuid::Uuid;

use super::exit::Stop;
use super::out::{Form, Tone, safe};
use super::{Desk, Exit};
use crate::answer::json::VERSION;
use crate::config::Needs;
use crate::delivery::{FailureKind, Outcome};
use crate::notification::{AttemptNo, Claim, Key, LeaseToken, NotificationId};
use crate::outbox::act::{self, Enqueue};
use crate::outbox::line::Database;
use crate::outbox::session;
use crate::target::AppTarget;
use crate::wechat::Alone;
use crate::words::cause::{cause, remedy};
use crate::words::{Lang, label, say};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  outboxd send-test --customer 10086 --user 42
  outboxd send-test --customer 10086 --user 42 --payload '{\"customerName\":\"李女士\"}' --store

Without --store nothing is written anywhere: one token, one call, one answer. A real person
gets a real message. Columns in a pipe: step, milliseconds, what it said; the last line is
the verdict. Exit code 0 only when it was accepted, 5 when nobody could be reached.")]
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
    /// The app that sends it.
    #[arg(long, default_value = "default")]
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
        place: None,
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
    let config = desk.typed.load(Needs::Everything, desk.out)?;
    let Some(app) = config.apps.iter().find(|app| app.name == args.app) else {
        return Err(Stop::new(
            Exit::Usage,
            say!(desk.lang, "send_test.app", app = args.app),
        )
        .into());
    };
    let database = Database::configured(&config.database)?;
    let target = AppTarget::new(app, config.time_zone, &database, Arc::new(Alone))?;
    let rehearsal = target.rehearse(&claim).await;
    let why = rehearsal.outcome.why();
    let errcode = rehearsal.outcome.errcode();
    let sentence = cause(desk.lang, Some(why.key), errcode);
    let next = remedy(desk.lang, Some(why.key)).1;
    // Here nobody asks again, so what is unknown stays unknown.
    let (mark, tone, detail, next, exit) = match &rehearsal.outcome {
        Outcome::Delivered(_) => ("✓", Tone::Good, None, next, Exit::Ok),
        Outcome::Failed(failure) => {
            let exit = match failure.kind {
                FailureKind::Unreachable => Exit::Unreachable,
                FailureKind::Transient
                | FailureKind::Throttled
                | FailureKind::Permanent
                | FailureKind::Outage(_) => Exit::Failed,
            };
            ("✗", Tone::Bad, failure.detail.as_deref(), next, exit)
        }
        Outcome::Unknown(unknown) => {
            let next = say!(desk.lang, "send_test.unknown");
            let detail = unknown.detail.as_deref();
            ("?", Tone::Bad, detail, next, Exit::Failed)
        }
    };
    match desk.out.form {
        Form::Json => {
            let steps: Vec<Value> = rehearsal
                .steps
                .iter()
                .map(|step| json!({"step": step.name, "ms": step.took.as_millis(), "said": safe(&step.said)}))
                .collect();
            desk.out.json(&json!({
                "version": VERSION, "key": claim.key.0, "steps": steps, "accepted": exit == Exit::Ok,
                "cause": why.key, "errcode": errcode, "sentence": sentence, "detail": detail.map(safe), "next": next,
            }))?;
        }
        Form::Lines => {
            for step in &rehearsal.steps {
                desk.out.row(&[
                    step.name.to_owned(),
                    step.took.as_millis().to_string(),
                    step.said.clone(),
                ])?;
            }
            desk.out
                .row(&["verdict".to_owned(), String::new(), why.key.to_owned()])?;
        }
        Form::Terminal => {
            for step in &rehearsal.steps {
                let name = label::step(desk.lang, step.name);
                let gap = " ".repeat(8_usize.saturating_sub(label::cells(&name)));
                let (took, said) = (
                    step.took.as_millis(),
                    label::step_said(desk.lang, &step.said),
                );
                desk.out
                    .line(&format!("  {name}{gap} {took:>6} ms  {}", safe(&said)))?;
            }
            let mark = desk.out.paint(tone, mark);
            desk.out.line(&format!("{mark} {sentence}"))?;
            if let Some(detail) = detail {
                desk.out.line(&format!("  {}", safe(detail)))?;
            }
            desk.out.line(&format!("  → {next}"))?;
        }
    }
    Ok(exit)
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
