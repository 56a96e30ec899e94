//! What people may do to notifications, each act with its line in `audit_log`.
//!
//! An act runs in the caller's transaction (read committed), and its audit line is written by the very
//! statement that changes the rows, so there is no act without its line and no line without its act. Rows
//! in the outbox are locked first and looked at afterwards: of two people who do the same thing at once, one does it and
//! the other is told that it is done. Nothing here waits for a daemon; a row that is being called keeps its
//! lease, and only the daemon that holds it ends it.

mod cancel;
mod enqueue;
mod gate;
mod handled;
mod replace;
mod retry;
mod reveal;
mod seen;

pub use cancel::{Cancelled, cancel};
pub use enqueue::{Enqueue, enqueue};
pub use gate::{Breaker, Pause, Paused, Resumed, pause, resume, resume_as_seen};
pub use handled::{HandOutcome, Handled, handle, handle_as_seen};
pub use replace::{Change, Replaced, replace};
pub(super) use retry::retry_named;
pub use retry::{Doubt, Retried, retry};
pub use reveal::reveal;
pub(super) use seen::in_nobodys_hands;
pub use seen::{AsSeen, Looked, Seen, cancel_as_seen, retry_as_seen};

use uuid::Uuid;

use super::inspect::Notification;
use crate::delivery::clean;
use crate::words::mask::mask;

/// Who acts, and why.
#[derive(Clone, Debug)]
pub struct By {
    pub actor: String,
    pub reason: Option<String>,
}

impl By {
    /// For the desk, where every act has a reason: cleaned, and masked, because support reads the log. `None` without
    /// a name or a reason.
    pub fn because(actor: &str, reason: &str) -> Option<By> {
        let (actor, reason) = (clean(actor), mask(&clean(reason)));
        let said = |text: &str| !text.trim().is_empty();
        (said(&actor) && said(&reason)).then_some(By {
            actor,
            reason: Some(reason),
        })
    }
}

/// The rows of an act: id and key together, because an id alone may name two after a lagging failover.
struct Rows {
    ids: Vec<i64>,
    keys: Vec<Uuid>,
}

impl Rows {
    fn of(notifications: &[Notification]) -> Rows {
        Rows {
            ids: notifications.iter().map(|it| it.id.0).collect(),
            keys: notifications.iter().map(|it| it.key.0).collect(),
        }
    }
}
