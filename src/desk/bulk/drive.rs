//! What makes running redrives go on: one step of each, again and again, on a connection of its own.
//!
//! Every desk that may act has this driver. A redrive lives in the database and its row is locked for each step, so two
//! desks do no harm, and after a restart it goes on where it stood.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use sqlx::postgres::{PgPool, PgPoolOptions};
use tokio::sync::{Notify, watch};

use crate::desk::{Desk, lines};
use crate::outbox::{bulk, session};
use crate::secret::Secret;

/// While something runs; a rung is due a second after the one before.
const BEAT: Duration = Duration::from_millis(500);
/// While nothing does. Orders given on this desk wake it at once.
const IDLE: Duration = Duration::from_secs(5);
/// At most, while the database refuses.
const TROUBLED: Duration = Duration::from_secs(60);

pub(in crate::desk) struct Driver {
    pool: PgPool,
    nudge: Notify,
}

impl Driver {
    /// Connects with the first step.
    pub(in crate::desk) fn new(url: &Secret) -> Result<Driver> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(lines::WAIT)
            .idle_timeout(Some(IDLE * 4));
        Ok(Driver {
            pool: pool.connect_lazy_with(lines::options(url)?),
            nudge: Notify::new(),
        })
    }

    /// There is something to drive.
    pub(in crate::desk) fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// One step of each; whether there was any.
    async fn beat(&self, stop: &watch::Receiver<bool>) -> Result<bool> {
        let (mut tx, _) = session::viewing(&self.pool).await?;
        let running = bulk::next_to_drive(&mut tx).await?;
        tx.commit().await?;
        let mut outcome = Ok(!running.is_empty());
        for id in running {
            if *stop.borrow() {
                break;
            }
            let mut conn = self.pool.acquire().await?;
            // One that cannot be driven does not hold up the others.
            if let Err(cause) = bulk::step(&mut conn, id).await {
                outcome = Err(anyhow::Error::from(cause).context(format!("drive redrive {id}")));
            }
        }
        outcome
    }
}

/// Drives until told to stop. A step that has begun is finished.
pub(in crate::desk) async fn drive(desk: Arc<Desk>, mut stop: watch::Receiver<bool>) {
    let mut trouble: Option<Duration> = None;
    loop {
        let rest = match desk.driver.beat(&stop).await {
            Ok(running) => {
                if trouble.take().is_some() {
                    tracing::info!("the desk drives redrives again");
                }
                if running { BEAT } else { IDLE }
            }
            Err(cause) => {
                match trouble {
                    Some(_) => {}
                    // A daemon beside it may be about to make the tables.
                    None if is_for_want_of_tables(&cause) => {
                        tracing::info!("the desk drives redrives as soon as the schema is there");
                    }
                    None => {
                        let error = format!("{cause:#}");
                        tracing::warn!(error, "the desk cannot drive redrives just now");
                    }
                }
                let rest = trouble.map_or(BEAT, |last| (last * 2).min(TROUBLED));
                trouble = Some(rest);
                rest
            }
        };
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = desk.driver.nudge.notified() => {}
            () = tokio::time::sleep(rest) => {}
        }
    }
}

fn is_for_want_of_tables(cause: &anyhow::Error) -> bool {
    let database = cause
        .downcast_ref::<sqlx::Error>()
        .and_then(|error| error.as_database_error());
    // No such table, no such schema.
    database
        .and_then(|error| error.code())
        .is_some_and(|code| matches!(&*code, "42P01" | "3F000"))
}
