//! The low-water mark: where a claimer's walk through the index begins.
//!
//! While a long transaction pins the horizon, the index entries of settled rows cannot be removed, and a walk from the
//! beginning steps over every one of them. So ordinary claims begin where the last one ended, and the sweep at the
//! beginning: what was committed late is found, and dead entries are not walked again and again. A row is due from its
//! statement on and to be seen from its commit on; so that ordinary transactions never wait for the sweep, no walk
//! begins less than half a second ago (the statements say so, by the database's clock).

use std::time::{Duration, Instant};

/// How often a claim walks from the beginning, and the part of the time that may go into it (one in so many).
const SWEEP_EVERY: Duration = Duration::from_secs(1);
const SWEEP_SHARE: u32 = 20;
/// A sweep as quick as this may be made at any time.
const QUICK: Duration = Duration::from_millis(3);

/// A place in the claim's index: due time in µs, id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position(pub(super) i64, pub(super) i64);

impl Position {
    pub(super) const BEGINNING: Position = Position(i64::MIN, i64::MIN);
}

/// Where the claims of each priority have come to, and when the next one sweeps.
#[derive(Debug)]
pub(super) struct LowWater {
    reached: [Position; 3],
    sweep_at: Instant,
    /// The last sweep took no time worth mentioning.
    quick: bool,
}

impl Default for LowWater {
    fn default() -> Self {
        LowWater {
            reached: [Position::BEGINNING; 3],
            sweep_at: Instant::now(),
            quick: true,
        }
    }
}

impl LowWater {
    pub(super) fn sweep_is_due(&self) -> bool {
        Instant::now() >= self.sweep_at
    }

    pub(super) fn sweep_next(&mut self) {
        self.sweep_at = Instant::now();
    }

    pub(super) fn sweep_if_quick(&mut self) {
        if self.quick {
            self.sweep_next();
        }
    }

    pub(super) fn swept(&mut self, began: Instant) {
        let took = began.elapsed();
        self.quick = took < QUICK;
        let wait = SWEEP_EVERY.max(took * SWEEP_SHARE);
        self.sweep_at = Instant::now() + wait;
    }

    pub(super) fn from(&self, sweep: bool) -> [Position; 3] {
        if sweep {
            [Position::BEGINNING; 3]
        } else {
            self.reached
        }
    }

    pub(super) fn advance(&mut self, level: usize, taken: Position) {
        self.reached[level] = self.reached[level].max(taken);
    }

    /// A full sweep may have left rows behind the mark: go on from where it ended, or they would wait for one sweep each.
    pub(super) fn rewind(&mut self, level: usize, taken: Position) {
        self.reached[level] = taken;
    }
}

/// The positions as the statements take them.
pub(super) fn columns(from: [Position; 3]) -> ([Option<i64>; 3], [i64; 3]) {
    (
        from.map(|p| (p.0 != i64::MIN).then_some(p.0)),
        from.map(|p| p.1),
    )
}
