//! `bulk`: sends many again, a little at a time, and stops before it does harm.
//!
//! The redrive lives in the database. `start` and `resume` drive it too, until it ends; whoever else drives it (a desk,
//! `bulk drive` on another machine) does no harm, and an interrupted one is taken up where it stood.

mod print;

use std::time::Duration;

use anyhow::Result;
use clap::Subcommand;
use serde_json::json;
use sqlx::PgConnection;

use super::act::{by, consent};
use super::exit::Stop;
use super::out::Form;
use super::since::Since;
use super::{Desk, Exit};
use crate::answer::bulk::{counted, not_done, sentence};
use crate::answer::json::VERSION;
use crate::notification::Status;
use crate::outbox::bulk::{self, Asked, Bulk, BulkId, Changed, Order, Planned, Preview, State};
use crate::outbox::session;
use crate::words::{Voice, say};
use print::status;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  outboxd bulk plan --status dead --cause template_wrong --since 7d --reason 'template fixed'
  outboxd bulk start 1 --yes
  outboxd bulk status

The set is what fits at the instant of the plan, and nothing that fits later. Five go out first; when what came of them is
known, ten, then twenty, up to --rate a second. It stops itself when more than --stop-above per cent of a rung fail.
Columns in a pipe: id, state, to send, sent again, accepted, failed, under way, left alone.")]
pub(super) struct BulkArgs {
    #[command(subcommand)]
    pub(super) what: What,
}

#[derive(Debug, Subcommand)]
pub(super) enum What {
    /// Says what would be sent again, and keeps it as a plan.
    Plan(PlanArgs),
    /// Starts a plan, and drives it until it ends.
    Start(DriveArgs),
    /// Shows the redrives, or one.
    Status {
        /// Its number.
        id: Option<i64>,
    },
    /// Sends no more until it is resumed.
    Pause(OrderArgs),
    /// Goes on, with a canary first, and drives it until it ends.
    Resume(DriveArgs),
    /// Ends it: what was sent again goes its way, nothing more follows.
    Cancel(OrderArgs),
    /// Drives whatever is running, until nothing is.
    Drive,
}

#[derive(Debug, clap::Args)]
pub(super) struct PlanArgs {
    /// Those that ended so: dead, expired, cancelled.
    #[arg(long, value_delimiter = ',', value_name = "STATUS", required = true, value_parser = ended)]
    status: Vec<Status>,
    /// Only with this cause; `outboxd errors` names them.
    #[arg(long, value_name = "CAUSE")]
    cause: Option<String>,
    /// Only of this app.
    #[arg(long)]
    app: Option<String>,
    /// Only of this kind.
    #[arg(long, value_name = "TYPE")]
    event_type: Option<String>,
    /// Only to this CRM user.
    #[arg(long)]
    recipient: Option<String>,
    /// Settled since when: 24h, 7d, or a date.
    #[arg(long, default_value = "24h", value_name = "TIME")]
    since: Since,
    /// Also what may have arrived.
    #[arg(long)]
    may_arrive_twice: bool,
    /// Also what was of use until a time that has passed; the limit is lifted.
    #[arg(long)]
    late: bool,
    /// At most so many a second.
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=500))]
    rate: i32,
    /// Stops itself when more than so many per cent of a rung fail.
    #[arg(long, default_value_t = 20, value_name = "PERCENT", value_parser = clap::value_parser!(i32).range(0..=100))]
    stop_above: i32,
    /// Why; kept in the audit log.
    #[arg(long)]
    reason: String,
    /// Who acts; else the user who typed this.
    #[arg(long)]
    actor: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct OrderArgs {
    /// Its number.
    id: i64,
    /// Why; kept in the audit log.
    #[arg(long)]
    reason: String,
    /// Who acts; else the user who typed this.
    #[arg(long)]
    actor: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct DriveArgs {
    /// Its number.
    id: i64,
    /// Leave the driving to a desk, or to `outboxd bulk drive`.
    #[arg(long)]
    detach: bool,
    /// Why, if not for the plan's reason; kept in the audit log.
    #[arg(long)]
    reason: Option<String>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Who acts; else the user who typed this.
    #[arg(long)]
    actor: Option<String>,
}

/// The endings that have a way back.
fn ended(word: &str) -> Result<Status, String> {
    let back = [Status::Dead, Status::Expired, Status::Cancelled];
    let found = back.into_iter().find(|status| status.word() == word);
    found.ok_or_else(|| "one of dead, expired, cancelled".to_owned())
}

/// A driver looks again so often; a rung is due a second after the one before.
const BEAT: Duration = Duration::from_millis(250);

pub(super) async fn bulk(desk: &Desk, args: &BulkArgs) -> Result<Exit> {
    let mut conn = desk.connect().await?;
    match &args.what {
        What::Plan(args) => plan(desk, &mut conn, args).await,
        What::Start(args) => start(desk, &mut conn, args, Order::Start).await,
        What::Resume(args) => start(desk, &mut conn, args, Order::Resume).await,
        What::Pause(args) => order(desk, &mut conn, args, Order::Pause).await,
        What::Cancel(args) => order(desk, &mut conn, args, Order::Cancel).await,
        What::Status { id } => status(desk, &mut conn, id.map(BulkId)).await,
        What::Drive => {
            while !beat(&mut conn).await?.is_empty() {
                tokio::time::sleep(BEAT).await;
            }
            status(desk, &mut conn, None).await
        }
    }
}

async fn plan(desk: &Desk, conn: &mut PgConnection, args: &PlanArgs) -> Result<Exit> {
    let mut tx = session::acting(conn).await?;
    let voice = desk.voice(&mut tx).await?;
    let asked = Asked {
        statuses: args.status.clone(),
        app: args.app.clone(),
        reason: args.cause.clone(),
        event_type: args.event_type.clone(),
        recipient: args.recipient.clone(),
        settled_since: args.since.instant(&voice),
        with_doubtful: args.may_arrive_twice,
        with_late: args.late,
        per_second: args.rate,
        stop_above: args.stop_above,
    };
    let by = by(args.actor.as_deref(), Some(&args.reason));
    let planned = bulk::plan(&mut tx, &asked, None, &by).await?;
    tx.commit().await?;
    let (id, preview) = match planned {
        Planned::Done(id, preview) => (id, preview),
        Planned::Nothing(preview) => {
            desk.out.note(&say!(voice, "none.listed"));
            leave_out(desk, &asked, &preview, &voice);
            if desk.out.form == Form::Json {
                desk.out.json(&json!({"version": VERSION, "bulks": []}))?;
            }
            return Ok(Exit::NotFound);
        }
    };
    if desk.out.form == Form::Terminal {
        desk.out.line(&say!(
            voice,
            "bulk.planned",
            id = id,
            count = counted(&preview),
            oldest = preview.oldest.map_or_else(String::new, |at| voice.when(at)),
            stale = preview.stale,
            ordered = preview.ordered
        ))?;
    } else {
        status(desk, conn, Some(id)).await?;
    }
    leave_out(desk, &asked, &preview, &voice);
    Ok(Exit::Ok)
}

/// Says what the plan passed by, and how it could be taken along, if it could.
fn leave_out(desk: &Desk, asked: &Asked, preview: &Preview, voice: &Voice) {
    if preview.doubtful > 0 && !asked.with_doubtful {
        desk.out
            .note(&say!(voice, "bulk.doubtful", n = preview.doubtful));
    }
    if preview.late > 0 && !asked.with_late {
        desk.out.note(&say!(voice, "bulk.late", n = preview.late));
    }
    if preview.replaced > 0 {
        desk.out
            .note(&say!(voice, "bulk.replaced", n = preview.replaced));
    }
    if preview.handled > 0 {
        desk.out
            .note(&say!(voice, "bulk.handled", n = preview.handled));
    }
}

async fn start(
    desk: &Desk,
    conn: &mut PgConnection,
    args: &DriveArgs,
    order: Order,
) -> Result<Exit> {
    let id = BulkId(args.id);
    let it = find(desk, conn, id).await?;
    let voice = desk.voice(conn).await?;
    let n = usize::try_from(it.preview.count).unwrap_or(usize::MAX);
    consent(
        desk,
        say!(voice, "bulk.ask", n = counted(&it.preview)),
        n,
        args.yes,
        &voice,
    )?;
    let by = by(
        args.actor.as_deref(),
        args.reason.as_deref().or(Some(&it.why)),
    );
    make(desk, conn, &it, order, &by).await?;
    if args.detach {
        return status(desk, conn, Some(id)).await;
    }
    // To standard error: the data is how it ends.
    let mut told = None;
    while beat(conn).await?.contains(&id) {
        let it = find(desk, conn, id).await?;
        if told != Some(it.redriven) {
            told = Some(it.redriven);
            desk.out.note(&sentence(&it, &desk.voice(conn).await?));
        }
        if it.state != State::Running {
            break;
        }
        tokio::time::sleep(BEAT).await;
    }
    status(desk, conn, Some(id)).await?;
    Ok(match find(desk, conn, id).await?.state {
        State::Stopped => Exit::Failed,
        State::Planned | State::Running | State::Paused | State::Cancelled | State::Done => {
            Exit::Ok
        }
    })
}

async fn order(
    desk: &Desk,
    conn: &mut PgConnection,
    args: &OrderArgs,
    order: Order,
) -> Result<Exit> {
    let it = find(desk, conn, BulkId(args.id)).await?;
    let by = by(args.actor.as_deref(), Some(&args.reason));
    make(desk, conn, &it, order, &by).await?;
    status(desk, conn, Some(it.id)).await
}

/// Does it to what was seen, or says why not.
async fn make(
    desk: &Desk,
    conn: &mut PgConnection,
    it: &Bulk,
    order: Order,
    by: &crate::outbox::act::By,
) -> Result<()> {
    let mut tx = session::acting(conn).await?;
    let voice = desk.voice(&mut tx).await?;
    let changed = bulk::change(&mut tx, it.id, it.version, order, by).await?;
    tx.commit().await?;
    match changed {
        Changed::Done(_) => Ok(()),
        Changed::Not(now) => {
            let sentence = not_done(&now, &voice);
            Err(Stop::new(Exit::Failed, sentence).into())
        }
        Changed::Missing => Err(missing(it.id, &voice).into()),
    }
}

/// One step of each that runs.
async fn beat(conn: &mut PgConnection) -> Result<Vec<BulkId>> {
    let running = bulk::next_to_drive(conn).await?;
    for id in &running {
        bulk::step(conn, *id).await?;
    }
    Ok(running)
}

async fn find(desk: &Desk, conn: &mut PgConnection, id: BulkId) -> Result<Bulk> {
    match bulk::bulk(conn, id).await? {
        Some(it) => Ok(it),
        None => Err(missing(id, &desk.voice(conn).await?).into()),
    }
}

fn missing(id: BulkId, voice: &Voice) -> Stop {
    Stop::new(Exit::NotFound, say!(voice, "bulk.missing", id = id))
}
