//! `send-test`: one real call, printed step by step; or, with `--store`, a real row for the daemon.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};
use uuid::Uuid;

use super::exit::Stop;
use super::json::VERSION;
use super::out::{Form, Tone, safe};
use super::seams;
use super::{Exit, Setup};
use crate::catalogue::local;
use crate::delivery::{FailureKind, Outcome};
use crate::notification::{AttemptNo, Claim, Key, LeaseToken, NotificationId};
use crate::outbox::act::{self, Enqueue};
use crate::outbox::session;
use crate::words::cause::{cause, remedy};
use crate::words::{Lang, say};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  outboxd send-test --customer 10086 --user 42
  outboxd send-test --customer 10086 --user 42 --payload '{\"customerName\":\"李女士\"}' --store

Without --store nothing is written anywhere: one token, one call, one answer. A real person
gets a real message. Columns in a pipe: step, milliseconds, what it said; the last line is
the outcome. Exit code 0 only when WeChat accepted it, 5 when it could not be reached.")]
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
    /// The app it is sent for.
    #[arg(long, default_value = "default")]
    app: String,
    /// Write it to the outbox and let the daemon send it.
    #[arg(long)]
    store: bool,
}

/// How long a rehearsal may take.
const LEASE: Duration = Duration::from_secs(30);

pub(super) async fn send_test(setup: &Setup, args: &SendTestArgs) -> Result<Exit> {
    let payload = payload(&args.payload, setup.lang)?;
    if args.store {
        return store(setup, args, &payload).await;
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
    let rehearsal = seams::rehearse(&setup.typed, &args.app, &claim).await?;
    let ending = ending(&rehearsal.outcome, setup.lang);
    match setup.out.form {
        Form::Json => {
            let steps: Vec<Value> = rehearsal
                .steps
                .iter()
                .map(|step| json!({"step": step.name, "ms": step.took.as_millis(), "said": safe(&step.said)}))
                .collect();
            setup.out.json(&json!({
                "version": VERSION,
                "key": claim.key.0,
                "steps": steps,
                "outcome": ending.word,
                "reason": ending.reason,
                "sentence": safe(&ending.sentence),
                "detail": ending.detail.map(safe),
                "next": ending.next,
            }))?;
        }
        Form::Lines => {
            for step in &rehearsal.steps {
                let ms = step.took.as_millis().to_string();
                setup
                    .out
                    .row(&[step.name.to_owned(), ms, step.said.clone()])?;
            }
            setup
                .out
                .row(&["outcome".to_owned(), String::new(), ending.sentence])?;
        }
        Form::Terminal => {
            for step in &rehearsal.steps {
                setup.out.line(&format!(
                    "  {:<8} {:>6} ms  {}",
                    step.name,
                    step.took.as_millis(),
                    safe(&step.said)
                ))?;
            }
            let mark = setup.out.paint(ending.tone, ending.mark);
            setup
                .out
                .line(&format!("{mark} {}", safe(&ending.sentence)))?;
            if let Some(detail) = ending.detail {
                setup.out.line(&format!("  {}", safe(detail)))?;
            }
            setup.out.line(&format!("  {}", ending.next))?;
        }
    }
    Ok(ending.exit)
}

/// How the call ended, in words and for scripts.
struct Ending<'a> {
    word: &'static str,
    reason: &'static str,
    sentence: String,
    detail: Option<&'a str>,
    next: String,
    mark: &'static str,
    tone: Tone,
    exit: Exit,
}

fn ending(outcome: &Outcome, lang: Lang) -> Ending<'_> {
    match outcome {
        Outcome::Delivered(receipt) => {
            let why = if receipt.duplicate {
                local::ACCEPTED_DUPLICATE
            } else {
                local::ACCEPTED
            };
            Ending {
                word: "delivered",
                reason: why.key,
                sentence: cause(lang, Some(why.key), None),
                detail: None,
                next: remedy(lang, Some(why.key)).1,
                mark: "✓",
                tone: Tone::Good,
                exit: Exit::Ok,
            }
        }
        Outcome::Failed(failure) => Ending {
            word: "failed",
            reason: failure.why.key,
            sentence: cause(lang, Some(failure.why.key), failure.errcode),
            detail: failure.detail.as_deref(),
            next: remedy(lang, Some(failure.why.key)).1,
            mark: "✗",
            tone: Tone::Bad,
            exit: match failure.kind {
                FailureKind::Unreachable => Exit::Unreachable,
                FailureKind::Transient
                | FailureKind::Throttled
                | FailureKind::Permanent
                | FailureKind::Outage(_) => Exit::Failed,
            },
        },
        Outcome::Unknown(unknown) => Ending {
            word: "unknown",
            reason: unknown.why.key,
            sentence: cause(lang, Some(unknown.why.key), unknown.errcode),
            detail: unknown.detail.as_deref(),
            next: say!(lang, "send_test.unknown"),
            mark: "?",
            tone: Tone::Bad,
            exit: Exit::Failed,
        },
    }
}

/// The payload must be an object, as the table demands.
fn payload(text: &str, lang: Lang) -> Result<String> {
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(_)) => Ok(text.to_owned()),
        Ok(_) | Err(_) => Err(Stop::new(Exit::Usage, say!(lang, "send_test.payload")).into()),
    }
}

async fn store(setup: &Setup, args: &SendTestArgs, payload: &str) -> Result<Exit> {
    let mut conn = setup.connect().await?;
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
    match setup.out.form {
        Form::Json => setup.out.json(&json!({"version": VERSION, "id": id.0}))?,
        Form::Lines | Form::Terminal => {
            setup.out.line(&id.to_string())?;
            setup
                .out
                .note(&say!(setup.lang, "send_test.stored", id = id));
        }
    }
    Ok(Exit::Ok)
}
