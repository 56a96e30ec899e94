//! The receiver's receipts: one per key, claimed before the message is sent and marked after it.
//!
//! This is what makes "called at least once" arrive once. A claim that is never marked stays open for
//! ever: whether its message went out is not known here either.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// All receipts, by key.
#[derive(Debug, Default)]
pub(crate) struct Receipts(HashMap<String, Receipt>);

#[derive(Debug, Default)]
struct Receipt {
    state: State,
    sealed: bool,
    highest_epoch: i64,
    calls: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    NotSeen,
    Sending {
        since: Instant,
    },
    Sent {
        msgid: String,
    },
    /// The send step ended in a way that proves nothing.
    Unknown,
}

/// What the receipt says about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Free to be sent.
    NotSeen,
    Sent {
        msgid: String,
    },
    InProgress,
    Unknown,
    Sealed,
    /// A call of a later claim was here before.
    Stale {
        highest_epoch: i64,
    },
}

impl Receipts {
    /// Counts a call of this key; the first is 1.
    pub(crate) fn count_call(&mut self, key: &str) -> u32 {
        let receipt = self.entry(key);
        receipt.calls += 1;
        receipt.calls
    }

    /// How the key stands for a call that would send. The answer of an earlier send comes before the
    /// epoch: a delivered key answers "duplicate" even to a caller whose clock went back.
    pub(crate) fn look(&mut self, key: &str, epoch: i64, old_after: Duration) -> Standing {
        let receipt = self.entry(key);
        let standing = receipt.standing(old_after);
        if matches!(standing, Standing::Sent { .. } | Standing::Sealed) {
            return standing;
        }
        if epoch < receipt.highest_epoch {
            return Standing::Stale {
                highest_epoch: receipt.highest_epoch,
            };
        }
        receipt.highest_epoch = epoch;
        standing
    }

    /// The same question without a wish to send; it changes nothing.
    pub(crate) fn inquire(&self, key: &str, old_after: Duration) -> Standing {
        self.0
            .get(key)
            .map_or(Standing::NotSeen, |receipt| receipt.standing(old_after))
    }

    /// Takes the claim; false when another call was faster.
    pub(crate) fn claim(&mut self, key: &str) -> bool {
        let receipt = self.entry(key);
        let is_free = receipt.state == State::NotSeen && !receipt.sealed;
        if is_free {
            receipt.state = State::Sending {
                since: Instant::now(),
            };
        }
        is_free
    }

    /// The message went out.
    pub(crate) fn mark_sent(&mut self, key: &str, msgid: &str) {
        self.entry(key).state = State::Sent {
            msgid: msgid.to_owned(),
        };
    }

    /// The platform refused, for certain: another call may try.
    pub(crate) fn release(&mut self, key: &str) {
        self.entry(key).state = State::NotSeen;
    }

    /// The send step failed and may have sent.
    pub(crate) fn mark_unknown(&mut self, key: &str) {
        self.entry(key).state = State::Unknown;
    }

    /// Refuses the key from now on, and says how it stood. A send that is under way is not cut off: its
    /// caller is told to ask again.
    pub(crate) fn seal(&mut self, key: &str, epoch: i64, old_after: Duration) -> Standing {
        let standing = self.look(key, epoch, old_after);
        match standing {
            Standing::NotSeen | Standing::Sealed => {
                self.entry(key).sealed = true;
                Standing::Sealed
            }
            Standing::Unknown => {
                self.entry(key).sealed = true;
                Standing::Unknown
            }
            Standing::Sent { .. } | Standing::InProgress | Standing::Stale { .. } => standing,
        }
    }

    /// A message of an earlier run of this simulator.
    pub(crate) fn restore(&mut self, key: &str, msgid: &str) {
        if !key.is_empty() {
            self.mark_sent(key, msgid);
        }
    }

    fn entry(&mut self, key: &str) -> &mut Receipt {
        if !self.0.contains_key(key) {
            self.0.insert(key.to_owned(), Receipt::default());
        }
        self.0.get_mut(key).expect("inserted above")
    }
}

impl Receipt {
    fn standing(&self, old_after: Duration) -> Standing {
        match &self.state {
            State::Sent { msgid } => Standing::Sent {
                msgid: msgid.clone(),
            },
            State::Sending { since } if since.elapsed() < old_after => Standing::InProgress,
            State::Sending { .. } | State::Unknown => Standing::Unknown,
            State::NotSeen if self.sealed => Standing::Sealed,
            State::NotSeen => Standing::NotSeen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Duration = Duration::from_secs(30);

    #[test]
    fn a_key_is_claimed_once_and_a_sent_one_stays_sent() {
        let mut receipts = Receipts::default();
        assert_eq!(receipts.look("k", 5, OLD), Standing::NotSeen);
        assert!(receipts.claim("k"));
        assert!(!receipts.claim("k"));
        assert_eq!(receipts.look("k", 6, OLD), Standing::InProgress);
        assert_eq!(
            receipts.look("k", 6, Duration::ZERO),
            Standing::Unknown,
            "an old claim proves nothing"
        );
        receipts.mark_sent("k", "7");
        let sent = Standing::Sent {
            msgid: "7".to_owned(),
        };
        assert_eq!(
            receipts.look("k", 1, OLD),
            sent,
            "the receipt comes before the epoch"
        );
        assert_eq!(receipts.seal("k", 9, OLD), sent);
    }

    #[test]
    fn a_late_call_of_an_older_claim_is_stale() {
        let mut receipts = Receipts::default();
        receipts.look("k", 5, OLD);
        assert_eq!(
            receipts.look("k", 4, OLD),
            Standing::Stale { highest_epoch: 5 }
        );
        assert_eq!(receipts.look("k", 5, OLD), Standing::NotSeen);
    }

    #[test]
    fn a_sealed_key_is_never_sent() {
        let mut receipts = Receipts::default();
        assert_eq!(receipts.seal("k", 1, OLD), Standing::Sealed);
        assert_eq!(receipts.look("k", 2, OLD), Standing::Sealed);
        assert!(!receipts.claim("k"));
    }

    #[test]
    fn an_unknown_key_stays_unknown_when_sealed() {
        let mut receipts = Receipts::default();
        receipts.claim("k");
        receipts.mark_unknown("k");
        assert_eq!(receipts.seal("k", 1, OLD), Standing::Unknown);
        assert!(!receipts.claim("k"));
    }
}
