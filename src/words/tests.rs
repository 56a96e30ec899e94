//! What the verdicts say, state by state, in both languages.

mod unsent;

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use uuid::Uuid;

use super::verdict::Beside;
use super::{Lang, Place, Voice};
use crate::catalogue::Who;
use crate::notification::{Key, NotificationId, Status};
use crate::outbox::inspect::{Act, Capped, Link, Links, Mark, Notification, Standing, WhyNotYet};

fn voice(lang: Lang) -> Voice {
    Voice {
        lang,
        place: Place::Terminal,
        zone: chrono_tz::Asia::Shanghai,
        now: Utc.with_ymd_and_hms(2026, 11, 22, 2, 5, 0).unwrap(),
    }
}

fn ago(seconds: i64) -> DateTime<Utc> {
    voice(Lang::En).now - TimeDelta::seconds(seconds)
}

fn notification(standing: Standing) -> Notification {
    Notification {
        id: NotificationId(7),
        key: Key(Uuid::nil()),
        app: "default".to_owned(),
        event_type: "customer_assigned".to_owned(),
        aggregate_type: "customer".to_owned(),
        aggregate_id: "10086".to_owned(),
        recipient: "staff7".to_owned(),
        standing,
        reason: None,
        errcode: None,
        attempts: 1,
        may_have_arrived: false,
        msgid: None,
        created_at: ago(200),
        created_by: "crm".to_owned(),
        next_attempt_at: None,
        expires_at: None,
        settled_at: standing.is_settled().then(|| ago(149)),
        settled_by: Some("daemon-a".to_owned()),
        last_attempt_at: Some(ago(149)),
        last_reason: None,
        last_errcode: None,
        last_latency_ms: None,
        dedupe_key: None,
    }
}

fn dead(reason: &str, errcode: Option<i32>) -> Notification {
    Notification {
        reason: Some(reason.to_owned()),
        errcode,
        ..notification(Standing::Settled(Status::Dead))
    }
}

#[test]
fn accepted_is_never_called_received() {
    let it = Notification {
        reason: Some("accepted".to_owned()),
        last_latency_ms: Some(412),
        ..notification(Standing::Settled(Status::Delivered))
    };
    let zh = voice(Lang::Zh).verdict(&it, None, &Beside::default());
    assert_eq!(
        zh.happened,
        "微信已接收：10:02:31（2 分钟前），第 1 次，用时 0.4 秒。是否弹出由用户的微信设置决定。"
    );
    let en = voice(Lang::En).verdict(&it, None, &Beside::default());
    assert_eq!(
        en.happened,
        "Accepted by WeChat at 10:02:31 (2 min ago), attempt 1, in 0.4 s. \
         Whether it pops up is the person's own setting."
    );
    assert_eq!((en.who, en.doubt), (Who::Nobody, None));
}

#[test]
fn a_refusal_names_its_cause_its_code_and_whose_turn_it_is() {
    let said = voice(Lang::En).verdict(
        &dead("not_subscribed", Some(43101)),
        None,
        &Beside::default(),
    );
    assert!(said.happened.contains("[43101]"), "{}", said.happened);
    assert_eq!(said.who, Who::Recipient);
    assert!(
        said.next.ends_with("`outboxd retry 7 --reason '…'`."),
        "{}",
        said.next
    );
}

#[test]
fn spent_attempts_tell_the_cause_of_the_last_one() {
    let it = Notification {
        last_reason: Some("http_5xx".to_owned()),
        ..dead("attempts_spent", None)
    };
    let said = voice(Lang::En).verdict(&it, None, &Beside::default());
    assert!(
        said.happened
            .contains("the last time: WeChat's server failed"),
        "{}",
        said.happened
    );
}

/// Whatever became of it: in doubt it is said so, apart, and nothing claims that it was not sent.
#[test]
fn a_doubt_is_its_own_sentence_and_not_sent_is_not_said() {
    for status in [
        Status::Dead,
        Status::Expired,
        Status::Superseded,
        Status::Cancelled,
    ] {
        for (limit, lang) in [
            (None, Lang::En),
            (Some(ago(10)), Lang::En),
            (None, Lang::Zh),
        ] {
            let it = Notification {
                may_have_arrived: true,
                expires_at: limit,
                ..notification(Standing::Settled(status))
            };
            let said = voice(lang).verdict(&it, None, &Beside::default());
            let doubt = said.doubt.unwrap();
            assert!(
                doubt.contains("may have arrived") || doubt.contains("可能已收到"),
                "{doubt}"
            );
            assert!(!said.happened.contains("Not sent"), "{}", said.happened);
            assert!(!said.happened.contains("未发送"), "{}", said.happened);
        }
    }
}

/// Whoever took back the newer one has made this one the news again, unless another stands in its place.
#[test]
fn a_superseded_one_is_somebodys_turn_when_no_newer_one_counts() {
    let it = notification(Standing::Settled(Status::Superseded));
    let id = NotificationId(8);
    let newer = Links {
        newer: Some(id),
        ..Links::default()
    };
    let later = Links {
        later: Some(Link {
            id,
            key: it.key,
            at: ago(1),
            by: "wang".to_owned(),
        }),
        ..Links::default()
    };
    for (links, who, next) in [
        (Links::default(), Who::Support, "retry"),
        (newer, Who::Nobody, "newer"),
        (later, Who::Nobody, "8"),
    ] {
        let beside = Beside {
            links,
            ..Beside::default()
        };
        let said = voice(Lang::En).verdict(&it, None, &beside);
        assert_eq!(said.who, who);
        assert!(said.next.contains(next), "{}", said.next);
    }
}

#[test]
fn a_cancelled_one_names_who_and_why_without_obeying_them() {
    let act = Act {
        at: ago(150),
        actor: "王某\u{1b}[2J".to_owned(),
        action: "cancel".to_owned(),
        reason: Some("分配错误".to_owned()),
        affected: 1,
        answer: None,
        before: None,
        after: None,
    };
    let it = notification(Standing::Settled(Status::Cancelled));
    let beside = Beside {
        cancelled: Some(act),
        ..Beside::default()
    };
    let said = voice(Lang::Zh).verdict(&it, None, &beside);
    assert_eq!(
        said.happened,
        "由 王某[2J 于 10:02:31（2 分钟前）取消，原因：分配错误。"
    );
}

#[test]
fn a_cause_of_a_newer_version_is_printed_and_goes_to_support() {
    let said = voice(Lang::En).verdict(&dead("brand_new", None), None, &Beside::default());
    assert!(said.happened.contains("“brand_new”"), "{}", said.happened);
    assert_eq!(said.who, Who::Support);
}

#[test]
fn what_waits_says_why_whose_turn_and_until_when() {
    let until = ago(-240);
    let queued = |eta| WhyNotYet::Queued {
        since: ago(90),
        ahead: Capped::of(1001, 1000),
        eta,
    };
    for (why, sentence, who, eta) in [
        (
            queued(Some(until)),
            "Queued for 1 min, 1000+ ahead of it.",
            Who::Nobody,
            Some(until),
        ),
        (
            WhyNotYet::Queued {
                since: ago(90),
                ahead: Capped { n: 0, more: true },
                eta: None,
            },
            "Queued for 1 min, behind very many; how many of them are ahead of it was not counted.",
            Who::Nobody,
            None,
        ),
        (
            queued(None),
            "Queued for 1 min, 1000+ ahead of it.",
            Who::Nobody,
            None,
        ),
        (
            WhyNotYet::Unserved {
                since: ago(130),
                others: Vec::new(),
            },
            "No daemon serves the app default: this could have been sent for 2 min, and nothing of that \
             app was attempted in the last minute.",
            Who::Operator,
            None,
        ),
        (
            WhyNotYet::RetryAt {
                at: until,
                attempt: 3,
                reason: Some("http_429".to_owned()),
                errcode: None,
                unknown: false,
                behind: None,
            },
            "Attempt 3 did not succeed: Too many requests; goes on a little later. \
             The next one starts at 10:09:00 (in 4 min).",
            Who::Nobody,
            Some(until),
        ),
        (
            WhyNotYet::Paused {
                by: "wang".to_owned(),
                since: ago(60),
                reason: None,
            },
            "Held back: wang paused app default at 10:04:00 (1 min ago): no reason given.",
            Who::Operator,
            None,
        ),
        (
            WhyNotYet::BreakerOpen {
                until,
                since: None,
                reason: Some("secret_wrong".to_owned()),
                errcode: Some(40125),
                probing: false,
            },
            "Held back with all of its app: The AppSecret is wrong; nothing is lost \
             [40125]. One row tries again at 10:09:00 (in 4 min).",
            Who::Operator,
            None,
        ),
        (
            WhyNotYet::Behind {
                awaits_grant: false,
                gives_way: false,
                id: NotificationId(6),
            },
            "Waits for notification 6, which comes first in the same order.",
            Who::Support,
            None,
        ),
    ] {
        let it = notification(Standing::Queued);
        let said = voice(Lang::En).verdict(&it, Some(&why), &Beside::default());
        assert_eq!(said.happened, sentence);
        assert_eq!((said.who, said.eta), (who, eta), "{sentence}");
    }
}

#[test]
fn an_app_nobody_serves_is_looked_for_in_its_name_when_others_are_served() {
    let it = notification(Standing::Queued);
    let why = |others: &[&str]| WhyNotYet::Unserved {
        since: ago(130),
        others: others.iter().map(|&app| app.to_owned()).collect(),
    };
    let alone = voice(Lang::En).verdict(&it, Some(&why(&[])), &Beside::default());
    assert!(alone.next.contains("`outboxd run`"), "{}", alone.next);
    let beside = voice(Lang::En).verdict(&it, Some(&why(&["sales", "shop"])), &Beside::default());
    assert!(
        beside.next.contains("sales, shop") && beside.next.contains("is the name default right?"),
        "{}",
        beside.next
    );
    let zh = voice(Lang::Zh).verdict(&it, Some(&why(&["sales", "shop"])), &Beside::default());
    assert!(zh.next.contains("sales、shop"), "{}", zh.next);
    assert!(
        zh.happened.starts_with("没有守护进程在处理应用 default"),
        "{}",
        zh.happened
    );
}

/// Where somebody mends a secret or a setting, they are told that they need not wait.
#[test]
fn what_a_person_mends_can_be_tried_at_once() {
    for (lang, cause, at_once) in [
        (Lang::En, "secret_wrong", true),
        (Lang::Zh, "environment_wrong", true),
        (Lang::En, "function_not_found", true),
        (Lang::En, "minute_limit", false),
        (Lang::En, "http_5xx", false),
    ] {
        let (_, next) = voice(lang).breaker_remedy(Some(cause), "default");
        assert_eq!(
            next.contains("`outboxd resume default --now --reason '…'`"),
            at_once,
            "{next}"
        );
    }
}

/// `stats` and `why` send what came too late to the same person.
#[test]
fn what_came_too_late_is_supports_turn_everywhere() {
    let it = Notification {
        reason: Some("expired".to_owned()),
        ..notification(Standing::Settled(Status::Expired))
    };
    let said = voice(Lang::En).verdict(&it, None, &Beside::default());
    let (who, next) = voice(Lang::En).settled_remedy("expired", Some("expired"));
    assert_eq!((said.who, who), (Who::Support, Who::Support));
    assert!(next.starts_with("Where it still matters"), "{next}");
    assert!(
        said.next.starts_with("If it still matters"),
        "{}",
        said.next
    );
}

/// What somebody has done about it comes before what could be done.
#[test]
fn what_was_done_by_hand_is_said_and_whose_turn_it_is_then() {
    let it = dead("not_subscribed", Some(43101));
    let mark = |outcome: &str| Beside {
        links: Links {
            handled: Some(Mark {
                outcome: outcome.to_owned(),
                at: ago(60),
                by: "wang".to_owned(),
            }),
            ..Links::default()
        },
        ..Beside::default()
    };
    let replaced = Beside {
        links: Links {
            later: Some(Link {
                id: NotificationId(8),
                key: Key(Uuid::nil()),
                at: ago(60),
                by: "wang".to_owned(),
            }),
            ..mark("told").links
        },
        ..Beside::default()
    };
    for (beside, who, next) in [
        (mark("told"), Who::Nobody, "wang told the person by phone"),
        (mark("not_needed"), Who::Nobody, "nobody has to know"),
        (
            mark("not_reached"),
            Who::Recipient,
            "reached nobody. The person taps",
        ),
        (
            mark("of a newer version"),
            Who::Recipient,
            "The person taps",
        ),
        (
            replaced,
            Who::Nobody,
            "wang wrote notification 8 in its place",
        ),
    ] {
        let said = voice(Lang::En).verdict(&it, None, &beside);
        assert_eq!(said.who, who, "{}", said.next);
        assert!(said.next.contains(next), "{}", said.next);
        let offered = said.next.contains("outboxd retry");
        assert_eq!(offered, who != Who::Nobody, "{}", said.next);
    }
}
