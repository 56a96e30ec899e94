//! The line in the log for an ending that is written.

use std::time::Duration;

use tracing::{debug, info, warn};

use crate::delivery::Phase;
use crate::notification::Status;
use crate::outbox::record::Ending;
use crate::policy::Transition;

pub(super) fn tell(app: &str, ending: &Ending) {
    let latency_ms = ending.took.map(|took| millis(took.attempt));
    let (id, attempt) = (ending.id.0, ending.attempt.0);
    match &ending.transition {
        Transition::Settle {
            status: Status::Dead,
            reason,
            ..
        } => {
            warn!(
                app,
                notification.id = id,
                attempt,
                status = "dead",
                reason = reason.key,
                errcode = ending.errcode,
                latency_ms,
                "notification {id}: dead ({})",
                reason.key
            );
        }
        Transition::Settle { status, reason, .. } => {
            info!(
                app,
                notification.id = id,
                attempt,
                status = status.word(),
                reason = reason.key,
                errcode = ending.errcode,
                latency_ms,
                "notification {id}: {} ({})",
                status.word(),
                reason.key
            );
        }
        Transition::Requeue { after, .. } if ending.phase == Phase::NotCalled => {
            let retry_ms = millis(*after);
            debug!(
                app,
                notification.id = id,
                attempt,
                retry_ms,
                "notification {id}: released"
            );
        }
        Transition::Requeue { after, .. } => {
            info!(
                app,
                notification.id = id,
                attempt,
                outcome = ending.outcome,
                reason = ending.why.key,
                errcode = ending.errcode,
                latency_ms,
                retry_ms = millis(*after),
                "notification {id}: attempt {attempt} {} ({}), next try in {after:.0?}",
                ending.outcome,
                ending.why.key
            );
        }
        Transition::AwaitGrant => {
            info!(
                app,
                notification.id = id,
                attempt,
                outcome = ending.outcome,
                reason = ending.why.key,
                errcode = ending.errcode,
                latency_ms,
                "notification {id}: attempt {attempt} {} ({}), waits for the user's permission",
                ending.outcome,
                ending.why.key
            );
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
