//! The low-water mark: where a claimer's walk through the index begins.
//!
//! While a long transaction pins the horizon, the index entries of settled rows cannot be removed, and a walk from the
//! beginning steps over every one of them. So ordinary claims begin where the last one ended, and the
//! [sweep](super::sweep) at the beginning: what was committed late is found, and dead entries are not walked again and
//! again. A row is due from its statement on and to be seen from its commit on; so that ordinary transactions never wait
//! for the sweep, no walk begins less than half a second ago (the statements say so, by the database's clock).

/// A place in the claim's index: due time in µs, id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position(pub(super) i64, pub(super) i64);

impl Position {
    pub(super) const BEGINNING: Position = Position(i64::MIN, i64::MIN);
}

/// Where the claims of each priority have come to.
#[derive(Debug)]
pub(super) struct LowWater {
    reached: [Position; 3],
}

impl Default for LowWater {
    fn default() -> Self {
        LowWater {
            reached: [Position::BEGINNING; 3],
        }
    }
}

impl LowWater {
    pub(super) fn reached(&self) -> [Position; 3] {
        self.reached
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

    /// There are rows behind the mark (a full sweep left some, or one made aside has seen some): go on from there, or they
    /// would wait for one sweep each.
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
