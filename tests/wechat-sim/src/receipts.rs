//! The receiver's receipts: one per key, claimed before the message is sent and marked after it.
//!
//! This is what makes "called at least once" arrive once. The transitions are those of the real function
//! (`cloudfunctions/quickstartFunctions/receipts.js`), and so is the way they are made: each names the state it
//! starts from, so of two calls only one gets it.
//!
//! ```text
//! (none) ──claim──▶ sending ──▶ sent | refused | unknown        refused ──claim──▶ sending
//! (none), refused ──seal──▶ sealed
//! ```
//!
//! A claim that is never marked stays open for ever: whether its message went out is not known here either.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};

/// All receipts, by key.
#[derive(Debug, Default)]
pub(crate) struct Receipts {
    kept: HashMap<String, Receipt>,
    calls: HashMap<String, u32>,
    claims: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Receipt {
    pub(crate) state: State,
    pub(crate) version: Version,
    /// The number of the claim that wrote it; that of a stranger's is 0.
    pub(crate) by: u64,
    pub(crate) at: DateTime<Utc>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Sending,
    Sent {
        msgid: Option<String>,
    },
    /// The platform's own word that it did not send.
    Refused {
        code: i32,
        message: String,
    },
    /// The send step ended in a way that proves nothing.
    Unknown {
        code: i32,
    },
    Sealed,
}

/// Which claim of outboxd's a call belongs to; a later one is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) epoch: i64,
    pub(crate) attempt: i64,
}

/// How a key stands for whoever asks about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    NotSeen,
    InProgress,
    Sent {
        msgid: Option<String>,
    },
    Refused {
        code: i32,
        message: String,
    },
    Unknown {
        code: i32,
    },
    Sealed,
    /// A call of a later claim was here before.
    Stale {
        epoch: i64,
    },
}

/// What stands against sending, or the leave to claim what was seen.
pub(crate) enum Look {
    Hindered(Standing),
    Free(Seen),
}

/// The receipt that a claim may replace: none, or the refusal of this claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen(Option<u64>);

impl Receipts {
    /// Counts a call of this key; the first is 1.
    pub(crate) fn count_call(&mut self, key: &str) -> u32 {
        if !self.calls.contains_key(key) {
            self.calls.insert(key.to_owned(), 0);
        }
        let calls = self.calls.get_mut(key).expect("inserted above");
        *calls += 1;
        *calls
    }

    /// How the key stands for a call that would send. The answer of an earlier send comes before the
    /// epoch: a delivered key answers "duplicate" even to a caller whose clock went back.
    pub(crate) fn look(&self, key: &str, call: Version, old_after: Duration) -> Look {
        let Some(receipt) = self.kept.get(key) else {
            return Look::Free(Seen(None));
        };
        let standing = receipt.standing(old_after);
        if matches!(standing, Standing::Sent { .. } | Standing::Sealed) {
            return Look::Hindered(standing);
        }
        match (call.cmp(&receipt.version), &receipt.state) {
            (Ordering::Less, _) => Look::Hindered(receipt.stale()),
            // The claim that was refused may not try again, for it was told; a newer one may.
            (Ordering::Greater, State::Refused { .. }) => Look::Free(Seen(Some(receipt.by))),
            (Ordering::Equal | Ordering::Greater, _) => Look::Hindered(standing),
        }
    }

    /// The same question without a wish to send; it changes nothing.
    pub(crate) fn inquire(&self, key: &str, old_after: Duration) -> Standing {
        self.kept
            .get(key)
            .map_or(Standing::NotSeen, |receipt| receipt.standing(old_after))
    }

    /// Takes the claim: its number, or none when another call was faster.
    pub(crate) fn claim(&mut self, key: &str, seen: Seen, call: Version) -> Option<u64> {
        self.write(key, seen, call, State::Sending)
    }

    /// Writes how a claim ended.
    pub(crate) fn mark(&mut self, key: &str, by: u64, end: State) {
        let ours = self.kept.get_mut(key);
        if let Some(receipt) =
            ours.filter(|receipt| receipt.by == by && receipt.state == State::Sending)
        {
            receipt.state = end;
            receipt.at = Utc::now();
        }
    }

    /// Refuses the key from now on, and says how it stood. A send that is under way is not cut off, and one
    /// that may have happened is not denied.
    pub(crate) fn seal(&mut self, key: &str, call: Version, old_after: Duration) -> Standing {
        let seen = match self.kept.get(key) {
            None => Seen(None),
            Some(receipt) => {
                let standing = receipt.standing(old_after);
                if matches!(standing, Standing::Sent { .. } | Standing::Sealed) {
                    return standing;
                }
                if call < receipt.version {
                    return receipt.stale();
                }
                if !matches!(receipt.state, State::Refused { .. }) {
                    return standing;
                }
                Seen(Some(receipt.by))
            }
        };
        self.write(key, seen, call, State::Sealed);
        Standing::Sealed
    }

    /// A message of an earlier run of this simulator.
    pub(crate) fn restore(&mut self, key: &str, msgid: &str) {
        let state = State::Sent {
            msgid: Some(msgid.to_owned()),
        };
        let version = Version {
            epoch: 0,
            attempt: 0,
        };
        if !key.is_empty() {
            self.furnish(key, state, version, Utc::now());
        }
    }

    /// A receipt that somebody else wrote.
    pub(crate) fn furnish(&mut self, key: &str, state: State, version: Version, at: DateTime<Utc>) {
        let receipt = Receipt {
            state,
            version,
            by: 0,
            at,
        };
        self.kept.insert(key.to_owned(), receipt);
    }

    fn write(&mut self, key: &str, seen: Seen, call: Version, state: State) -> Option<u64> {
        let is_free = match self.kept.get(key) {
            None => seen == Seen(None),
            Some(receipt) => {
                seen == Seen(Some(receipt.by)) && matches!(receipt.state, State::Refused { .. })
            }
        };
        if !is_free {
            return None;
        }
        self.claims += 1;
        let receipt = Receipt {
            state,
            version: call,
            by: self.claims,
            at: Utc::now(),
        };
        self.kept.insert(key.to_owned(), receipt);
        Some(self.claims)
    }

    #[cfg(test)]
    pub(crate) fn get(&self, key: &str) -> Option<&Receipt> {
        self.kept.get(key)
    }
}

impl Receipt {
    fn standing(&self, old_after: Duration) -> Standing {
        match self.state.clone() {
            State::Sending => {
                let age = Utc::now().signed_duration_since(self.at);
                // A time ahead of ours is young.
                if age.to_std().unwrap_or_default() < old_after {
                    Standing::InProgress
                } else {
                    Standing::Unknown { code: 0 }
                }
            }
            State::Sent { msgid } => Standing::Sent { msgid },
            State::Refused { code, message } => Standing::Refused { code, message },
            State::Unknown { code } => Standing::Unknown { code },
            State::Sealed => Standing::Sealed,
        }
    }

    fn stale(&self) -> Standing {
        Standing::Stale {
            epoch: self.version.epoch,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Duration = Duration::from_secs(30);

    fn version(epoch: i64) -> Version {
        Version { epoch, attempt: 1 }
    }

    /// Whether a claim may be tried, and if not, why.
    #[track_caller]
    fn free(receipts: &Receipts, epoch: i64) -> Seen {
        match receipts.look("k", version(epoch), OLD) {
            Look::Free(seen) => seen,
            Look::Hindered(standing) => panic!("{standing:?}"),
        }
    }

    /// The table in `tests/receiver/cases.json` says the rest; this is the race that a table cannot show.
    #[test]
    fn of_two_calls_that_saw_the_same_one_gets_the_claim() {
        let mut receipts = Receipts::default();
        let seen = free(&receipts, 1);
        let first = receipts.claim("k", seen, version(1)).unwrap();
        assert_eq!(receipts.claim("k", seen, version(2)), None);
        let refused = State::Refused {
            code: 43108,
            message: String::new(),
        };
        receipts.mark("k", first, refused.clone());
        let seen = free(&receipts, 2);
        let second = receipts.claim("k", seen, version(2)).unwrap();
        assert_eq!(receipts.claim("k", seen, version(3)), None);
        receipts.mark("k", first, State::Sealed);
        assert_eq!(
            receipts.get("k").unwrap().state,
            State::Sending,
            "a claim that is over marks nothing"
        );
        receipts.mark("k", second, refused);
        assert_eq!(receipts.seal("k", version(2), OLD), Standing::Sealed);
        assert_eq!(receipts.claim("k", seen, version(4)), None);
    }
}
