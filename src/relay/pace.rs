//! The loop's memory: when it turns next, how many calls it may have under way, and what it waits for.

use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

/// The poll after one that found something, but less than there was room for.
pub(super) const POLL_AFTER_HIT: Duration = Duration::from_millis(50);

/// The loop's memory between two turns.
pub(super) struct Pace {
    /// The last claim was full: there is more.
    pub(super) hungry: bool,
    pub(super) next_claim: Instant,
    pub(super) idle: Duration,
    /// Calls allowed at once; below the slots only while the lane ramps up.
    pub(super) width: usize,
    /// Answers missing in a row.
    pub(super) silent: u32,
    /// The last answer but nothing good since spoke against the whole app.
    pub(super) doubtful: bool,
    /// The claim just made is the breaker's probe.
    pub(super) probing: bool,
    /// Since when the lane waits for, or runs, one suspect alone; and whether it has run.
    pub(super) isolating: Option<(Instant, OwnedSemaphorePermit)>,
    pub(super) suspect_ran: bool,
    pub(super) isolate_again: Instant,
    /// The gate was shut at the last look.
    pub(super) shut: bool,
    pub(super) away_since: Option<Instant>,
    pub(super) empty_sweeps: u32,
}

impl Pace {
    pub(super) fn new(slots: usize) -> Pace {
        Pace {
            hungry: true,
            next_claim: Instant::now(),
            idle: POLL_AFTER_HIT,
            width: slots,
            silent: 0,
            doubtful: false,
            probing: false,
            isolating: None,
            suspect_ran: false,
            isolate_again: Instant::now(),
            shut: false,
            away_since: None,
            empty_sweeps: 0,
        }
    }
}
