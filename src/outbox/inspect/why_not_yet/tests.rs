//! Which of several hindrances is told, and which of them a daemon could lift.

use super::*;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000 + seconds, 0).unwrap()
}

fn due() -> Facts {
    Facts {
        id: 1,
        key: Uuid::nil(),
        now: at(0),
        app: "default".to_owned(),
        format_version: 1,
        attempts: 0,
        created_at: at(-12),
        next_attempt_at: Some(at(-12)),
        expires_at: None,
        lease_lives: false,
        lease_until: None,
        lease_epoch: 0,
        leased_by: None,
        cancel_requested_by: None,
        paused_at: None,
        paused_by: None,
        pause_reason: None,
        breaker: Some("closed".to_owned()),
        breaker_until: None,
        breaker_since: None,
        breaker_reason: None,
        breaker_errcode: None,
        last_sentence: None,
        last_errcode: None,
        last_outcome: None,
        last_ended_at: None,
        awaits_grant: false,
        grants_ask_at: None,
        grants_trouble: None,
        predecessor: None,
        predecessor_awaits_grant: None,
    }
}

/// Each line adds one hindrance that outweighs all before it.
#[test]
fn of_several_hindrances_the_one_a_claim_meets_first_is_told() {
    let mut facts = due();
    assert_eq!(decide(&facts), None, "only its turn");
    type Add = fn(&mut Facts);
    let steps: [(Add, &str); 11] = [
        (
            |f| {
                f.lease_until = Some(at(-1));
                f.leased_by = Some("a".to_owned());
            },
            "take_over",
        ),
        (|f| f.predecessor = Some(7), "behind"),
        (|f| f.next_attempt_at = Some(at(60)), "scheduled"),
        (|f| f.attempts = 2, "retry_at"),
        (|f| f.next_attempt_at = None, "on_hold"),
        (|f| f.awaits_grant = true, "awaiting_grant"),
        (
            |f| {
                f.breaker = Some("open".to_owned());
                f.breaker_until = Some(at(300));
            },
            "breaker_open",
        ),
        (
            |f| {
                f.paused_at = Some(at(-5));
                f.paused_by = Some("wang".to_owned());
            },
            "paused",
        ),
        (|f| f.expires_at = Some(at(0)), "expired"),
        (|f| f.format_version = 2, "newer_format"),
        (|f| f.lease_lives = true, "in_flight"),
    ];
    for (add, expected) in steps {
        add(&mut facts);
        let reason = decide(&facts).map(|reason| reason.word());
        assert_eq!(reason, Some(expected));
    }
}

/// What a daemon could take is said to lack one; what waits for a person or a time is not.
#[test]
fn only_what_could_be_claimed_can_lack_a_daemon() {
    let since = |facts: &Facts| claimable_since(facts, decide(facts).as_ref());
    assert_eq!(since(&due()), Some(at(-12)));
    let lapsed = Facts {
        lease_until: Some(at(-5)),
        leased_by: Some("a".to_owned()),
        ..due()
    };
    assert_eq!(since(&lapsed), Some(at(-5)));
    let of_a_clock_set_back = Facts {
        lease_until: Some(at(7200)),
        ..lapsed.clone()
    };
    assert_eq!(since(&of_a_clock_set_back), Some(at(-12)));
    let late = Facts {
        expires_at: Some(at(-100)),
        ..due()
    };
    assert_eq!(since(&late), Some(at(-12)));
    let open = Facts {
        breaker: Some("open".to_owned()),
        breaker_until: Some(at(300)),
        ..due()
    };
    assert!(since(&open).is_some_and(|since| !service::is_too_long(at(0), since)));
    let paused = Facts {
        paused_at: Some(at(-100)),
        paused_by: Some("wang".to_owned()),
        ..due()
    };
    let behind = Facts {
        predecessor: Some(7),
        ..due()
    };
    let newer = Facts {
        format_version: 2,
        ..due()
    };
    for facts in [&paused, &behind, &newer] {
        assert_eq!(since(facts), None);
    }
}

#[test]
fn a_breaker_whose_wait_is_over_is_probing() {
    let facts = Facts {
        breaker: Some("half_open".to_owned()),
        breaker_until: Some(at(-1)),
        ..due()
    };
    assert!(matches!(
        decide(&facts),
        Some(WhyNotYet::BreakerOpen { probing: true, .. })
    ));
}

#[test]
fn a_row_that_waits_for_a_grant_is_unserved_when_nobody_asks() {
    let mut facts = Facts {
        attempts: 1,
        next_attempt_at: None,
        awaits_grant: true,
        last_ended_at: Some(at(-600)),
        ..due()
    };
    let since = |facts: &Facts| claimable_since(facts, decide(facts).as_ref());
    assert_eq!(since(&facts), Some(at(-480)));
    facts.grants_ask_at = Some(at(30));
    assert_eq!(since(&facts), Some(at(150)));
}
