//! `pause APP` and `resume APP`.

use anyhow::Result;
use serde_json::json;

use super::act::by;
use super::exit::Stop;
use super::out::{Form, safe};
use super::{Desk, Exit};
use crate::answer::gate;
use crate::answer::json::VERSION;
use crate::config::{Config, Needs};
use crate::outbox::act::{self, Breaker, Paused};
use crate::outbox::session;
use crate::words::say;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  outboxd pause default --reason 'template under review until Monday'

Acts at once on every daemon. Calls under way are finished; nothing is lost.
Columns in a pipe: app, result, sentence.")]
pub(super) struct PauseArgs {
    /// The app, as the CRM wrote it.
    app: String,
    /// Why; support reads it.
    #[arg(long)]
    reason: String,
    /// Also an app of which nothing is known here.
    #[arg(long)]
    yes: bool,
    /// Who acts; else the user who typed this.
    #[arg(long)]
    actor: Option<String>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  outboxd resume default --reason 'template approved'
  outboxd resume default --now --reason 'AppSecret replaced'   closes an open breaker too

Columns in a pipe: app, result, sentence.")]
pub(super) struct ResumeArgs {
    /// The app, as the CRM wrote it.
    app: String,
    /// Close an open breaker too, instead of waiting for its time.
    #[arg(long)]
    now: bool,
    /// Why; kept in the audit log.
    #[arg(long)]
    reason: String,
    /// Who acts; else the user who typed this.
    #[arg(long)]
    actor: Option<String>,
}

pub(super) async fn pause(desk: &Desk, args: &PauseArgs) -> Result<Exit> {
    let mut conn = desk.connect().await?;
    let mut tx = session::acting(&mut conn).await?;
    let voice = desk.voice(&mut tx).await?;
    let by = by(args.actor.as_deref(), Some(&args.reason));
    let done = act::pause(&mut tx, &args.app, &by).await?;
    // A mistyped name would pause nothing, and look as if it had.
    if done == (Paused::Done { known: false }) && !args.yes && !configured(desk, &args.app) {
        let sentence = say!(voice, "pause.unknown_app", app = safe(&args.app));
        return Err(Stop::new(Exit::Usage, sentence).into());
    }
    tx.commit().await?;
    let (word, sentence) = gate::paused(&done, &args.app, &voice);
    tell(desk, &args.app, word, &sentence)
}

/// Whether the settings here name it. They may be those of another machine, so no is no proof.
fn configured(desk: &Desk, app: &str) -> bool {
    Config::load(&desk.typed.sources(), Needs::Everything)
        .is_ok_and(|config| config.apps.iter().any(|it| it.name == app))
}

pub(super) async fn resume(desk: &Desk, args: &ResumeArgs) -> Result<Exit> {
    let mut conn = desk.connect().await?;
    let mut tx = session::acting(&mut conn).await?;
    let voice = desk.voice(&mut tx).await?;
    let by = by(args.actor.as_deref(), Some(&args.reason));
    let breaker = if args.now {
        Breaker::Close
    } else {
        Breaker::Leave
    };
    let done = act::resume(&mut tx, &args.app, &by, breaker).await?;
    tx.commit().await?;
    let (word, sentence) = gate::resumed(&done, &args.app, &voice);
    tell(desk, &args.app, word, &sentence)
}

fn tell(desk: &Desk, app: &str, word: &str, sentence: &str) -> Result<Exit> {
    match desk.out.form {
        Form::Json => desk
            .out
            .json(&json!({"version": VERSION, "app": app, "result": word, "sentence": sentence}))?,
        Form::Lines => desk
            .out
            .row(&[app.to_owned(), word.to_owned(), sentence.to_owned()])?,
        Form::Terminal => desk.out.line(&safe(sentence))?,
    }
    Ok(Exit::Ok)
}
