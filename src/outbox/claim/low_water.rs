//! The low-water mark: where a claimer's walk through the index begins.
//!
//! While a long transaction pins the horizon, the index entries of settled rows cannot be removed, and a walk from the
//! beginning steps over every one of them. So ordinary claims begin at the mark, and the sweep, once a second, at the
//! beginning: what was committed late is found, and dead entries are not walked again and again.

use std::time::{Duration, Instant};

/// How long a position of the low-water mark is kept back. A row committed later than this after it
/// became due waits for the sweep, at most a second.
const MARK_TRAILS: Duration = Duration::from_millis(500);

/// A place in the claim's index: due time in µs, id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position(pub(super) i64, pub(super) i64);

impl Position {
    pub(super) const BEGINNING: Position = Position(i64::MIN, i64::MIN);
}

/// Where the claims of each priority have come to: now, and [`MARK_TRAILS`] ago, where the next one begins.
#[derive(Debug)]
pub(super) struct LowWater {
    trailing: [Position; 3],
    kept: [Position; 3],
    kept_at: Instant,
    reached: [Position; 3],
}

impl Default for LowWater {
    fn default() -> Self {
        let beginning = [Position::BEGINNING; 3];
        LowWater {
            trailing: beginning,
            kept: beginning,
            kept_at: Instant::now(),
            reached: beginning,
        }
    }
}

impl LowWater {
    pub(super) fn from(&mut self) -> [Position; 3] {
        if self.kept_at.elapsed() >= MARK_TRAILS {
            self.trailing = self.kept;
            self.kept = self.reached;
            self.kept_at = Instant::now();
        }
        self.trailing
    }

    pub(super) fn advance(&mut self, level: usize, taken: Position) {
        self.reached[level] = self.reached[level].max(taken);
    }

    /// A full sweep that ended behind the mark has left rows there: go on from where it ended, or they would wait
    /// for one sweep each.
    pub(super) fn rewind(&mut self, level: usize, taken: Position) {
        if taken < self.trailing[level] {
            self.trailing[level] = taken;
            self.kept[level] = taken;
            self.reached[level] = taken;
        } else {
            self.advance(level, taken);
        }
    }
}
