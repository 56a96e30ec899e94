//! Single words for people: where a notification stands, how far an attempt came, who did what.
//!
//! Pipes and JSON keep the stable English keys; on a terminal the reader's language stands in their place. A
//! key that this version does not know (a newer daemon wrote it) is printed as it is.

use super::{Lang, Voice, say};
use crate::catalogue::{by_key, local};
use crate::delivery::clean;
use crate::notification::Status;
use crate::outbox::inspect::{Match, Notification, Standing};

/// What people do, by the words of the audit log.
pub const ACTIONS: [&str; 16] = [
    "retry",
    "cancel",
    "pause",
    "resume",
    "reveal",
    "late_answer",
    "handle",
    "redirect",
    "correct",
    "bulk_plan",
    "bulk_start",
    "bulk_pause",
    "bulk_resume",
    "bulk_cancel",
    "bulk_stop",
    "bulk_done",
];

impl Voice {
    /// Where it stands. What WeChat accepted is called so: nobody knows more.
    pub fn standing(&self, standing: Standing) -> String {
        match standing {
            Standing::Queued => say!(self, "status.queued"),
            Standing::Scheduled => say!(self, "status.scheduled"),
            Standing::Retrying => say!(self, "status.retrying"),
            Standing::InFlight => say!(self, "status.in_flight"),
            Standing::Held => say!(self, "status.held"),
            Standing::AwaitingGrant => say!(self, "status.awaiting_grant"),
            Standing::Settled(Status::Delivered) => say!(self, "status.delivered"),
            Standing::Settled(Status::Dead) => say!(self, "status.dead"),
            Standing::Settled(Status::Expired) => say!(self, "status.expired"),
            Standing::Settled(Status::Superseded) => say!(self, "status.superseded"),
            Standing::Settled(Status::Cancelled) => say!(self, "status.cancelled"),
        }
    }

    /// What that means, for somebody who sees the word for the first time.
    pub fn standing_means(&self, standing: Standing) -> String {
        match standing {
            Standing::Queued => say!(self, "desk.means.queued"),
            Standing::Scheduled => say!(self, "desk.means.scheduled"),
            Standing::Retrying => say!(self, "desk.means.retrying"),
            Standing::InFlight => say!(self, "desk.means.in_flight"),
            Standing::Held => say!(self, "desk.means.held"),
            Standing::AwaitingGrant => say!(self, "desk.means.awaiting_grant"),
            Standing::Settled(Status::Delivered) => say!(self, "desk.means.delivered"),
            Standing::Settled(Status::Dead) => say!(self, "desk.means.dead"),
            Standing::Settled(Status::Expired) => say!(self, "desk.means.expired"),
            Standing::Settled(Status::Superseded) => say!(self, "desk.means.superseded"),
            Standing::Settled(Status::Cancelled) => say!(self, "desk.means.cancelled"),
        }
    }

    /// The same of a whole notification, for a receiver of one's own took it: of WeChat is said only what WeChat said.
    pub fn standing_of(&self, it: &Notification) -> String {
        if is_taken(it.reason.as_deref()) {
            return say!(self, "status.taken");
        }
        self.standing(it.standing)
    }

    /// What [`Voice::standing_of`] means.
    pub fn means_of(&self, it: &Notification) -> String {
        if is_taken(it.reason.as_deref()) {
            return say!(self, "desk.means.taken");
        }
        self.standing_means(it.standing)
    }

    /// The same for a stored status.
    pub fn status(&self, word: &str) -> String {
        word.parse()
            .map_or_else(|_| clean(word), |standing| self.standing(standing))
    }

    /// How an attempt ended. One that found the function still at work ended nothing.
    pub fn outcome(&self, word: &str, cause: &str) -> String {
        match word {
            "failed" if cause == local::IN_PROGRESS.key => say!(self, "outcome.not_settled"),
            "delivered" if is_taken(Some(cause)) => say!(self, "status.taken"),
            "delivered" => say!(self, "outcome.delivered"),
            "failed" => say!(self, "outcome.failed"),
            "unknown" => say!(self, "outcome.unknown"),
            "released" => say!(self, "outcome.released"),
            other => clean(other),
        }
    }

    /// How far an attempt came.
    pub fn phase(&self, word: &str) -> String {
        match word {
            "not_called" => say!(self, "phase.not_called"),
            "token" => say!(self, "phase.token"),
            "connect" => say!(self, "phase.connect"),
            "sent" => say!(self, "phase.sent"),
            "answered" => say!(self, "phase.answered"),
            "lapsed" => say!(self, "phase.lapsed"),
            other => clean(other),
        }
    }

    /// What a person did.
    pub fn action(&self, word: &str) -> String {
        match word {
            "retry" => say!(self, "action.retry"),
            "cancel" => say!(self, "action.cancel"),
            "pause" => say!(self, "action.pause"),
            "resume" => say!(self, "action.resume"),
            "reveal" => say!(self, "action.reveal"),
            "late_answer" => say!(self, "action.late_answer"),
            "handle" => say!(self, "action.handle"),
            "redirect" => say!(self, "action.redirect"),
            "correct" => say!(self, "action.correct"),
            "bulk_plan" => say!(self, "action.bulk_plan"),
            "bulk_start" => say!(self, "action.bulk_start"),
            "bulk_pause" => say!(self, "action.bulk_pause"),
            "bulk_resume" => say!(self, "action.bulk_resume"),
            "bulk_cancel" => say!(self, "action.bulk_cancel"),
            "bulk_stop" => say!(self, "action.bulk_stop"),
            "bulk_done" => say!(self, "action.bulk_done"),
            other => clean(other),
        }
    }

    /// The field in which a search found its text.
    pub fn field(&self, found: &Match) -> String {
        match found {
            Match::Id => say!(self, "column.id"),
            Match::Key => say!(self, "fact.key"),
            Match::Customer => say!(self, "column.customer"),
            Match::Recipient => say!(self, "column.recipient"),
            Match::DedupeKey => say!(self, "fact.dedupe_key"),
            Match::Payload { field, .. } => clean(field),
        }
    }
}

/// Whether a receiver of one's own accepted it.
pub fn is_taken(reason: Option<&str>) -> bool {
    [local::TAKEN.key, local::TAKEN_EARLIER.key]
        .map(Some)
        .contains(&reason)
}

/// A step of a rehearsed call.
pub fn step(lang: Lang, name: &str) -> String {
    match name {
        "token" => say!(lang, "step.token"),
        "notify" => say!(lang, "step.notify"),
        "inquire" => say!(lang, "step.inquire"),
        "answer" => say!(lang, "step.answer"),
        "openid" => say!(lang, "step.openid"),
        "send" => say!(lang, "step.send"),
        other => clean(other),
    }
}

/// What came of a step: its fixed phrases, and a cause by its sentence. What the other side said stays its own.
pub fn step_said(lang: Lang, said: &str) -> String {
    let key = said.split(',').next().unwrap_or(said);
    match (said, by_key(key)) {
        ("found", _) => say!(lang, "step.found"),
        ("at hand", _) => say!(lang, "step.at_hand"),
        ("fetched", _) => say!(lang, "step.fetched"),
        ("not reached", _) => say!(lang, "step.not_reached"),
        ("no answer in time", _) => say!(lang, "step.no_answer"),
        ("connection lost", _) => say!(lang, "step.lost"),
        (_, Some(entry)) => format!("{}{}", entry.text(lang).0, &said[key.len()..]),
        (_, None) => clean(said),
    }
}

/// How many cells of a terminal a text takes: Chinese takes two a character.
pub fn cells(text: &str) -> usize {
    text.chars()
        .map(|c| if c >= '\u{2e80}' { 2 } else { 1 })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Place;
    use chrono::DateTime;

    fn voice(lang: Lang) -> Voice {
        Voice {
            lang,
            place: Place::Terminal,
            zone: chrono_tz::UTC,
            now: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_terminal_speaks_the_readers_language_and_never_says_delivered() {
        let (zh, en) = (voice(Lang::Zh), voice(Lang::En));
        assert_eq!(en.status("delivered"), "accepted by WeChat");
        assert_eq!(zh.status("delivered"), "微信已接收");
        for standing in Standing::ALL {
            assert!(!zh.standing(standing).is_ascii(), "{standing}");
            assert!(!en.standing(standing).contains('_'), "{standing}");
        }
        for phase in [
            "not_called",
            "token",
            "connect",
            "sent",
            "answered",
            "lapsed",
        ] {
            assert!(!zh.phase(phase).is_ascii(), "{phase}");
        }
        for action in ACTIONS {
            assert!(!zh.action(action).is_ascii(), "{action}");
        }
        for name in ["token", "notify", "inquire", "answer", "openid", "send"] {
            assert!(!step(Lang::Zh, name).is_ascii(), "{name}");
        }
        assert_eq!(zh.status("brand_new"), "brand_new");
    }

    #[test]
    fn an_attempt_that_found_the_function_at_work_settled_nothing() {
        assert_eq!(
            voice(Lang::En).outcome("failed", "in_progress"),
            "not settled"
        );
        assert_eq!(voice(Lang::Zh).outcome("failed", "in_progress"), "未了结");
        assert_eq!(voice(Lang::En).outcome("failed", "http_5xx"), "not sent");
    }

    #[test]
    fn of_wechat_is_said_only_what_wechat_said() {
        let en = voice(Lang::En);
        for (cause, expected) in [
            ("accepted", "accepted by WeChat"),
            ("accepted_duplicate", "accepted by WeChat"),
            ("taken", "accepted by the receiver"),
            ("taken_earlier", "accepted by the receiver"),
        ] {
            assert_eq!(en.outcome("delivered", cause), expected);
        }
    }

    #[test]
    fn a_step_says_its_cause_and_leaves_the_other_sides_words_alone() {
        assert!(step_said(Lang::Zh, "secret_wrong, errcode 40125").ends_with(", errcode 40125"));
        assert!(!step_said(Lang::Zh, "at hand").is_ascii());
        assert_eq!(
            step_said(Lang::Zh, "HTTP 200, 35 bytes"),
            "HTTP 200, 35 bytes"
        );
        assert_eq!(cells("状态 ok"), 7);
    }
}
