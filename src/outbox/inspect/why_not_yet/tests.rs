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
        has_collapse_key: false,
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
        predecessor_gives_way: None,
    }
}

/// Each line adds one hindrance that outweighs all before it.
#[test]
fn of_several_hindrances_the_one_a_claim_meets_first_is_told() {
    let mut facts = due();
    assert_eq!(decide(&facts, None), None, "only its turn");
    type Add = fn(&mut Facts);
    let steps: [(Add, &str); 12] = [
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
        (
            |f| f.cancel_requested_by = Some("wang".to_owned()),
            "cancel_requested",
        ),
        (|f| f.format_version = 2, "newer_format"),
        (|f| f.lease_lives = true, "in_flight"),
    ];
    for (add, expected) in steps {
        add(&mut facts);
        let reason = |newer| decide(&facts, newer).map(|reason| reason.word());
        assert_eq!(reason(None), Some(expected));
        // A newer one outweighs whatever is told below a cancellation.
        let newer = reason(Some(NotificationId(9)));
        match expected {
            "cancel_requested" | "newer_format" | "in_flight" => {
                assert_eq!(newer, Some(expected));
            }
            _ => assert_eq!(newer, Some("superseded"), "{expected}"),
        }
    }
}

/// What a daemon could take is said to lack one; what waits for a person or a time is not.
#[test]
fn only_what_could_be_claimed_can_lack_a_daemon() {
    let since = |facts: &Facts| claimable_since(facts, decide(facts, None).as_ref());
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
    assert_eq!(since(&late), None, "it could not be sent");
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
        decide(&facts, None),
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
    let since = |facts: &Facts| claimable_since(facts, decide(facts, None).as_ref());
    assert_eq!(since(&facts), Some(at(-480)));
    facts.grants_ask_at = Some(at(30));
    assert_eq!(since(&facts), Some(at(150)));
}

/// Of a limit that comes before any attempt nothing is promised, and who waits in vain hears of it at once.
#[test]
fn what_cannot_be_sent_in_time_is_too_late_before_its_limit() {
    let late = |facts: &Facts| match decide(facts, None) {
        Some(WhyNotYet::Expired { at, held }) => Some((at, held)),
        _ => None,
    };
    let retrying = |next, limit| Facts {
        attempts: 1,
        next_attempt_at: Some(at(next)),
        expires_at: Some(at(limit)),
        ..due()
    };
    assert_eq!(late(&retrying(60, 61)), None, "the next one is in time");
    assert_eq!(late(&retrying(60, 60)), Some((at(60), true)));
    assert_eq!(late(&retrying(60, -1)), Some((at(-1), true)), "not due");
    assert_eq!(late(&retrying(-12, -1)), Some((at(-1), false)));
    assert_eq!(late(&retrying(-90, -1)), Some((at(-1), false)));
    assert_eq!(
        late(&retrying(-90, -60)).map(|(_, held)| held),
        Some(false),
        "nobody could settle it before it was written"
    );
    let old = |facts| Facts {
        created_at: at(-900),
        ..facts
    };
    let nobody_came = old(retrying(-90, -60));
    assert_eq!(late(&nobody_came), Some((at(-60), true)));
    let behind = Facts {
        predecessor: Some(7),
        ..retrying(-12, -1)
    };
    assert_eq!(late(&behind), Some((at(-1), true)));
    // The grant may come before.
    let awaiting = Facts {
        awaits_grant: true,
        ..retrying(60, 60)
    };
    assert_eq!(late(&awaiting), None);
}

#[test]
fn a_time_is_promised_only_where_nothing_else_can_hold_it() {
    let eta = |facts: &Facts| decide(facts, None).and_then(|why| why.eta());
    let scheduled = Facts {
        next_attempt_at: Some(at(60)),
        ..due()
    };
    let retrying = Facts {
        attempts: 1,
        ..scheduled.clone()
    };
    for facts in [scheduled, retrying] {
        assert_eq!(eta(&facts), Some(at(60)));
        let behind = Facts {
            predecessor: Some(7),
            ..facts.clone()
        };
        assert_eq!(eta(&behind), None);
        // One row tries then, and whether that succeeds nobody knows.
        for until in [-1, 30] {
            let open = Facts {
                breaker: Some("open".to_owned()),
                breaker_until: Some(at(until)),
                ..facts.clone()
            };
            assert_eq!(eta(&open), None);
        }
    }
}
