//! What the daemons of an app share about its access token: the leave to force a refresh, and since when they have it. It stands
//! in the database, for they know nothing of each other.

use std::time::Duration;

use tokio::sync::Mutex;
use tracing::warn;

use crate::outbox::line::{Database, Line};
use crate::outbox::state;
use crate::wechat::{Fleet, Pending};

/// Where all daemons of an app meet.
pub(super) struct FleetState {
    fence: Mutex<Line>,
    /// Apart, so that a note never delays who asks for leave.
    notes: Mutex<Line>,
}

impl FleetState {
    pub(super) fn new(database: &Database) -> FleetState {
        FleetState {
            fence: Mutex::new(database.line()),
            notes: Mutex::new(database.line()),
        }
    }
}

impl Fleet for FleetState {
    fn may_force_refresh<'a>(&'a self, app: &'a str) -> Pending<'a, bool> {
        Box::pin(async move {
            let mut line = self.fence.lock().await;
            let may = state::may_force_refresh(&mut line, app).await;
            may.unwrap_or_else(|cause| {
                warn!(
                    app,
                    error = format!("{cause:#}"),
                    "no forced token refresh without the database"
                );
                false
            })
        })
    }

    fn token_fetched<'a>(&'a self, app: &'a str, life: Duration) -> Pending<'a, ()> {
        Box::pin(async move {
            let mut line = self.notes.lock().await;
            let noted = state::note_token(&mut line, app, life).await;
            // Seldom needed, so not kept.
            line.close().await;
            if let Err(cause) = noted {
                warn!(
                    app,
                    error = format!("{cause:#}"),
                    "the new token's age could not be noted"
                );
            }
        })
    }
}
