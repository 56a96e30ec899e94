//! What became of an act, for whoever asked for it: a stable word, a sentence, and whether it was refused. The command
//! line and the desk say the same.

use serde_json::{Value, json};

use crate::notification::Status;
use crate::outbox::act::{Cancelled, HandOutcome, Handled, Replaced, Retried};
use crate::outbox::inspect::{Notification, Standing};
use crate::words::mask::safe;
use crate::words::{Voice, say};

/// What became of one notification.
pub(crate) struct Told {
    pub(crate) id: String,
    pub(crate) word: &'static str,
    pub(crate) sentence: String,
    pub(crate) refused: bool,
}

impl Told {
    fn of(it: &Notification, (word, sentence, refused): (&'static str, String, bool)) -> Told {
        Told {
            id: it.id.to_string(),
            word,
            sentence,
            refused,
        }
    }

    pub(crate) fn object(&self) -> Value {
        json!({"id": self.id.parse::<i64>().ok(), "result": self.word, "sentence": self.sentence})
    }
}

pub(crate) fn retried(it: &Notification, result: Retried, voice: &Voice) -> Told {
    let told = match result {
        Retried::Revived if it.may_have_arrived => {
            ("revived", say!(voice, "retry.revived_in_doubt"), false)
        }
        Retried::Revived => ("revived", say!(voice, "retry.revived"), false),
        Retried::RevivedWithoutLimit => ("revived", say!(voice, "retry.without_limit"), false),
        Retried::BroughtForward => ("brought_forward", say!(voice, "retry.forward"), false),
        Retried::ForwardWithoutLimit => (
            "brought_forward",
            say!(voice, "retry.forward_without_limit"),
            false,
        ),
        Retried::GivesWay => ("gives_way", say!(voice, "retry.gives_way"), false),
        Retried::DueAlready => ("already_due", say!(voice, "retry.due", id = it.id), false),
        Retried::InFlight => ("in_flight", say!(voice, "retry.in_flight"), true),
        Retried::Delivered => {
            let status = voice.standing_of(it);
            (
                "delivered",
                say!(voice, "retry.delivered", status = status),
                true,
            )
        }
        Retried::Superseded => ("superseded", say!(voice, "retry.superseded"), true),
        Retried::MayHaveArrived => ("may_have_arrived", say!(voice, "retry.in_doubt"), true),
        Retried::DedupeTaken => ("dedupe_taken", say!(voice, "retry.dedupe_taken"), true),
        Retried::Gone => ("moved", say!(voice, "act.moved", id = it.id), true),
    };
    Told::of(it, told)
}

pub(crate) fn cancelled(it: &Notification, result: Cancelled, voice: &Voice) -> Told {
    let told = match (result, it.standing) {
        (Cancelled::Done, _) => ("cancelled", say!(voice, "cancel.done"), false),
        (Cancelled::DoneInDoubt, _) => ("cancelled", say!(voice, "cancel.in_doubt"), false),
        (Cancelled::Requested, _) => ("requested", say!(voice, "cancel.requested"), false),
        (Cancelled::RequestedAlready, _) => {
            ("already_requested", say!(voice, "cancel.already"), false)
        }
        (Cancelled::TooLate, Standing::Settled(Status::Cancelled)) => {
            ("already_cancelled", say!(voice, "cancel.already"), false)
        }
        (Cancelled::TooLate, Standing::Settled(Status::Delivered)) => {
            let by = voice.standing_of(it);
            (
                "delivered",
                say!(voice, "cancel.delivered", status = by),
                true,
            )
        }
        (Cancelled::TooLate, Standing::Settled(status)) => (
            status.word(),
            say!(voice, "cancel.settled", status = voice.standing_of(it)),
            true,
        ),
        (Cancelled::TooLate, _) => ("moved", say!(voice, "act.moved", id = it.id), true),
    };
    Told::of(it, told)
}

/// `outcome` is what was to be noted.
pub(crate) fn handled(
    it: &Notification,
    result: &Handled,
    outcome: HandOutcome,
    voice: &Voice,
) -> Told {
    let told = match result {
        Handled::Done => ("noted", say!(voice, "hand.done"), false),
        Handled::Already {
            by,
            at,
            outcome: noted,
        } if noted != outcome.word() => (
            "noted_otherwise",
            say!(voice, "hand.otherwise", by = safe(by), at = voice.when(*at)),
            true,
        ),
        Handled::Already { by, at, .. } => (
            "already_noted",
            say!(voice, "hand.already", by = safe(by), at = voice.when(*at)),
            false,
        ),
        Handled::Replaced { by, new } => (
            "replaced",
            say!(voice, "hand.replaced", by = safe(by), id = new),
            true,
        ),
        Handled::NothingToHandle(it) => (
            "nothing_to_handle",
            say!(voice, "hand.nothing", status = voice.standing_of(it)),
            true,
        ),
        Handled::Moved(_) | Handled::Missing => return moved(it, voice),
    };
    Told::of(it, told)
}

pub(crate) fn replaced(it: &Notification, result: &Replaced, voice: &Voice) -> Told {
    let told = match result {
        Replaced::Done { new, superseded } => {
            let mut sentence = match superseded {
                true => say!(voice, "hand.superseded", id = new),
                false => say!(voice, "hand.written", id = new),
            };
            if it.expires_at.is_some_and(|limit| limit <= voice.now) {
                sentence.push_str(&say!(voice, "hand.without_limit"));
            }
            if it.keeps_its_time(voice.now) {
                sentence.push_str(&match it.next_attempt_at {
                    Some(at) => say!(voice, "hand.keeps_time", at = voice.when(at)),
                    None => say!(voice, "hand.keeps_hold"),
                });
            }
            ("written", sentence, false)
        }
        Replaced::Already { by, new } => (
            "already_written",
            say!(voice, "hand.replaced", by = safe(by), id = new),
            true,
        ),
        Replaced::InFlight => ("in_flight", say!(voice, "retry.in_flight"), true),
        Replaced::Superseded(newer) => ("superseded", say!(voice, "hand.newer", id = newer), true),
        Replaced::NoChange => ("no_change", say!(voice, "hand.no_change", id = it.id), true),
        Replaced::Moved(_) | Replaced::Missing => return moved(it, voice),
    };
    Told::of(it, told)
}

/// It is no longer what was seen.
pub(crate) fn moved(it: &Notification, voice: &Voice) -> Told {
    Told::of(it, ("moved", say!(voice, "act.moved", id = it.id), true))
}
