//! The protocol of src/wake.rs, every interleaving of it: a model small enough to be walked through completely.
//!
//! Every step that another process could come between is a step of its own: a transaction becomes visible, and only then
//! gives its lock back or is heard; a claim takes a row, and only then commits or fails. Lanes poll, try, get up and give
//! up whenever they like. What must hold in each state that can be reached: whoever waits for a word without end, and has
//! none coming, sleeps over no row. And each way to get the protocol wrong must be found out.

use std::collections::{HashSet, VecDeque};

/// A protocol, or one with a mistake in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Ours,
    /// Waits as soon as it has the lock.
    NoSecondLook,
    /// Looks, and takes the lock afterwards.
    LooksBeforeItLocks,
    /// Sleeps although it was refused the lock.
    SleepsWithoutTheLock,
    /// The shared lock ends with the statement, not with the transaction.
    SharedLockEndsEarly,
    /// Notifies when the shared lock was had, and is silent when not.
    NotifiesTheWrongOnes,
    /// The word goes out with the insert, before the commit.
    NotifiesBeforeTheCommit,
    /// A word that comes between the second look and the wait is forgotten.
    ForgetsWordsWhileLooking,
    /// Takes a row that another daemon is just claiming for done.
    CountsOnTheOthersClaim,
    /// The listening connection is replaced without a word to the lane.
    ReconnectsSilently,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Inserter {
    Idle,
    /// The row is written and not visible; the trigger has not run.
    Wrote,
    /// The trigger has run: with the shared lock, or about to notify at the commit.
    Holds,
    Calls,
    /// Committed and visible; the lock not yet given back, the word not yet sent.
    VisibleHolds,
    VisibleCalls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Lane {
    Awake,
    /// A claim under way: its rows are taken and the claim not committed.
    Claiming,
    /// Has the lock and must look.
    Looking,
    /// The look saw nothing; its answer is on the way.
    SawNothing,
    /// Has looked, and must lock (only with the mistake of that name).
    Looked,
    Waiting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Row {
    None,
    /// Committed and unclaimed.
    Due,
    TakenBy(usize),
}

const LANES: usize = 2;
const INSERTERS: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct State {
    /// Who has the sleep lock exclusively.
    lock: Option<usize>,
    lanes: [Lane; LANES],
    /// A word has come in since the lane has the lock.
    called: [bool; LANES],
    inserters: [Inserter; INSERTERS],
    rows: [Row; INSERTERS],
}

impl State {
    fn start() -> State {
        State {
            lock: None,
            lanes: [Lane::Awake; LANES],
            called: [false; LANES],
            inserters: [Inserter::Idle; INSERTERS],
            rows: [Row::None; INSERTERS],
        }
    }

    /// What must never be: a lane waits without end, no word is coming, and a row lies there.
    fn is_bad(&self) -> bool {
        let word_is_coming = self.inserters.contains(&Inserter::VisibleCalls);
        let row_lies_there = self.rows.contains(&Row::Due);
        let waits = |lane: usize| self.lanes[lane] == Lane::Waiting && !self.called[lane];
        row_lies_there && !word_is_coming && (0..LANES).any(waits)
    }

    /// Every state one step away.
    fn next(&self, protocol: Protocol) -> Vec<State> {
        let mut next = Vec::new();
        for inserter in 0..INSERTERS {
            self.insert(inserter, protocol, &mut next);
        }
        for lane in 0..LANES {
            self.live(lane, protocol, &mut next);
        }
        next
    }

    fn insert(&self, me: usize, protocol: Protocol, next: &mut Vec<State>) {
        let go = |to: Inserter| {
            let mut state = *self;
            state.inserters[me] = to;
            state
        };
        let had = match protocol {
            Protocol::NotifiesTheWrongOnes => Inserter::Calls,
            _ => Inserter::Holds,
        };
        match self.inserters[me] {
            Inserter::Idle => next.push(go(Inserter::Wrote)),
            Inserter::Wrote => {
                let had_it = self.lock.is_none();
                let mut state = match (had_it, protocol) {
                    (true, _) => go(had),
                    (false, Protocol::NotifiesTheWrongOnes) => go(Inserter::Holds),
                    (false, _) => go(Inserter::Calls),
                };
                if !had_it && protocol == Protocol::NotifiesBeforeTheCommit {
                    state.call(protocol);
                }
                next.push(state);
            }
            Inserter::Holds | Inserter::Calls => {
                // Rolled back, or the savepoint was: lock and word go with the row.
                next.push(go(Inserter::Idle));
                // The slot is this inserter's; its last row must be out of a claim's hands.
                if !matches!(self.rows[me], Row::TakenBy(_)) {
                    let mut state = match self.inserters[me] {
                        Inserter::Holds => go(Inserter::VisibleHolds),
                        _ => go(Inserter::VisibleCalls),
                    };
                    state.rows[me] = Row::Due;
                    next.push(state);
                }
            }
            Inserter::VisibleHolds => next.push(go(Inserter::Idle)),
            Inserter::VisibleCalls => {
                let mut state = go(Inserter::Idle);
                if protocol != Protocol::NotifiesBeforeTheCommit {
                    state.call(protocol);
                }
                next.push(state);
            }
        }
    }

    /// A word reaches the daemons. Only who has the lock heeds it; the lock is given back at once.
    fn call(&mut self, protocol: Protocol) {
        let Some(lane) = self.lock else { return };
        let looks = matches!(self.lanes[lane], Lane::Looking | Lane::SawNothing);
        if looks && protocol == Protocol::ForgetsWordsWhileLooking {
            return;
        }
        self.called[lane] = true;
        self.lock = None;
    }

    fn live(&self, me: usize, protocol: Protocol, next: &mut Vec<State>) {
        let go = |to: Lane| {
            let mut state = *self;
            state.lanes[me] = to;
            state
        };
        let due = self.rows.contains(&Row::Due);
        let others_claim = self.rows.iter().any(|row| matches!(row, Row::TakenBy(_)));
        match self.lanes[me] {
            Lane::Awake => {
                if due {
                    next.push(go(Lane::Claiming).taking(me));
                }
                if protocol == Protocol::LooksBeforeItLocks {
                    if !due && !others_claim {
                        next.push(go(Lane::Looked));
                    }
                } else if self.lock_is_free(protocol) {
                    next.push(go(Lane::Looking).locking(me));
                } else if protocol == Protocol::SleepsWithoutTheLock {
                    next.push(go(Lane::Waiting));
                }
            }
            Lane::Looked if self.lock_is_free(protocol) => next.push(go(Lane::Waiting).locking(me)),
            Lane::Looked => next.push(go(Lane::Awake)),
            Lane::Claiming => {
                let mut done = go(Lane::Awake);
                let mut failed = done;
                for row in 0..INSERTERS {
                    if self.rows[row] == Row::TakenBy(me) {
                        done.rows[row] = Row::None;
                        failed.rows[row] = Row::Due;
                    }
                }
                next.push(done);
                next.push(failed);
            }
            Lane::Looking => {
                // At any time it may give up: its calls end, its app is paused, it stops, its connection is lost.
                next.push(go(Lane::Awake).unlocking(me));
                let others_claim = others_claim && protocol != Protocol::CountsOnTheOthersClaim;
                if due && protocol != Protocol::NoSecondLook {
                    next.push(go(Lane::Claiming).taking(me).unlocking(me));
                } else if !others_claim || protocol == Protocol::NoSecondLook {
                    next.push(go(Lane::SawNothing));
                }
                // Else it looks again after a short wait: the state stays.
            }
            Lane::SawNothing => next.push(go(Lane::Waiting)),
            Lane::Waiting => {
                next.push(go(Lane::Awake).unlocking(me));
                if protocol == Protocol::ReconnectsSilently && self.lock == Some(me) {
                    let mut state = *self;
                    state.lock = None;
                    next.push(state);
                }
            }
        }
    }

    fn lock_is_free(&self, protocol: Protocol) -> bool {
        let shared = |inserter: &Inserter| match inserter {
            Inserter::Holds | Inserter::VisibleHolds => protocol != Protocol::SharedLockEndsEarly,
            Inserter::Idle | Inserter::Wrote | Inserter::Calls | Inserter::VisibleCalls => false,
        };
        self.lock.is_none() && !self.inserters.iter().any(shared)
    }

    fn locking(mut self, me: usize) -> State {
        self.lock = Some(me);
        self.called[me] = false;
        self
    }

    fn unlocking(mut self, me: usize) -> State {
        if self.lock == Some(me) {
            self.lock = None;
        }
        self.called[me] = false;
        self
    }

    fn taking(mut self, me: usize) -> State {
        for row in &mut self.rows {
            if *row == Row::Due {
                *row = Row::TakenBy(me);
            }
        }
        self
    }
}

/// How many states can be reached, or the bad one that was.
fn walk(protocol: Protocol) -> Result<usize, State> {
    let mut seen = HashSet::from([State::start()]);
    let mut queue = VecDeque::from([State::start()]);
    while let Some(state) = queue.pop_front() {
        if state.is_bad() {
            return Err(state);
        }
        for next in state.next(protocol) {
            if seen.insert(next) {
                queue.push_back(next);
            }
        }
    }
    Ok(seen.len())
}

#[test]
fn nobody_sleeps_over_a_row_in_any_interleaving() {
    let states = walk(Protocol::Ours).unwrap_or_else(|bad| panic!("slept over a row: {bad:?}"));
    println!("lanes={LANES} inserters={INSERTERS} states={states}");
    assert!(states > 10_000, "{states}: the walk has ended early");
}

#[test]
fn every_mistake_in_the_protocol_is_found_out() {
    for mistake in [
        Protocol::NoSecondLook,
        Protocol::LooksBeforeItLocks,
        Protocol::SleepsWithoutTheLock,
        Protocol::SharedLockEndsEarly,
        Protocol::NotifiesTheWrongOnes,
        Protocol::NotifiesBeforeTheCommit,
        Protocol::ForgetsWordsWhileLooking,
        Protocol::CountsOnTheOthersClaim,
        Protocol::ReconnectsSilently,
    ] {
        assert!(walk(mistake).is_err(), "{mistake:?} is not found out");
    }
}
