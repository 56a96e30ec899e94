//! The loop's memory: when it turns next, how many calls it may have under way, and what it waits for.

use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

use crate::outbox::line::jittered;
use crate::wake::News;

/// The poll after one that found something, but less than there was room for.
const POLL_AFTER_HIT: Duration = Duration::from_millis(50);

/// The question for suspects has a clock of its own, for sweeps may be far apart, or made aside.
const SUSPECTS_EVERY: Duration = Duration::from_secs(1);

/// The loop's memory between two turns.
pub(super) struct Pace {
    /// The last claim was full: there is more.
    pub(super) hungry: bool,
    pub(super) next_claim: Instant,
    /// The last poll found nothing: before the next one a cheaper question is asked.
    pub(super) look_first: bool,
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
    suspects_at: Instant,
    /// The gate was shut at the last look.
    pub(super) shut: bool,
    pub(super) away_since: Option<Instant>,
    pub(super) empty_sweeps: u32,
}

impl Pace {
    /// When the lane turns next after such news.
    pub(super) fn heed(&mut self, news: News, poll_idle: Duration) {
        // Whoever was woken has something to claim; whoever may wait has to look first, now that it has the lock.
        self.look_first = news != News::Woken;
        let wait = match news {
            News::Woken | News::MayWait => Duration::ZERO,
            News::Stirred => jittered(self.after_hit(poll_idle)),
        };
        self.within(wait);
    }

    /// The next turn is `wait` from now at the latest.
    pub(super) fn within(&mut self, wait: Duration) {
        self.next_claim = self.next_claim.min(Instant::now() + wait);
    }

    /// Time to see whether a suspect is due; once a second, and then not while the others have their time.
    pub(super) fn asks_for_suspects(&mut self) -> bool {
        let now = Instant::now();
        if now < self.suspects_at.max(self.isolate_again) {
            return false;
        }
        self.suspects_at = now + SUSPECTS_EVERY;
        true
    }

    /// There is something to take.
    pub(super) fn claim_now(&mut self) {
        self.look_first = false;
        self.within(Duration::ZERO);
    }

    /// Nothing keeps the lane from claiming, so that a wait is a rest.
    pub(super) fn undisturbed(&self) -> bool {
        !self.shut && self.isolating.is_none() && self.away_since.is_none()
    }

    /// The wait after a poll that found something.
    pub(super) fn after_hit(&mut self, at_most: Duration) -> Duration {
        self.idle = POLL_AFTER_HIT.min(at_most);
        self.idle
    }

    /// Found nothing: the wait before the next turn grows.
    pub(super) fn slower(&mut self, at_most: Duration) -> Duration {
        self.idle = (self.idle * 2).min(at_most);
        self.idle
    }

    pub(super) fn new(slots: usize) -> Pace {
        Pace {
            hungry: true,
            next_claim: Instant::now(),
            look_first: false,
            idle: POLL_AFTER_HIT,
            width: slots,
            silent: 0,
            doubtful: false,
            probing: false,
            isolating: None,
            suspect_ran: false,
            isolate_again: Instant::now(),
            suspects_at: Instant::now(),
            shut: false,
            away_since: None,
            empty_sweeps: 0,
        }
    }
}
