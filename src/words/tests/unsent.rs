//! Nobody is promised that something is sent which will not be, nor that somebody is asked whom nobody can ask.

use super::*;
use crate::words::verdict::Verdict;

fn retry(reason: &str, behind: Option<NotificationId>) -> WhyNotYet {
    WhyNotYet::RetryAt {
        at: ago(-240),
        attempt: 3,
        reason: Some(reason.to_owned()),
        errcode: None,
        unknown: reason != "http_429",
        behind,
    }
}

fn told(lang: Lang, it: &Notification, why: &WhyNotYet) -> Verdict {
    voice(lang).verdict(it, Some(why), &Beside::default())
}

#[test]
fn what_will_not_be_sent_is_not_said_to_go_on() {
    let newer = NotificationId(8);
    let expired = |at| WhyNotYet::Expired { at, held: true };
    for (why, who) in [
        (WhyNotYet::Superseded { by: newer }, Who::Nobody),
        (
            WhyNotYet::CancelRequested {
                by: "wang".to_owned(),
            },
            Who::Nobody,
        ),
        (expired(ago(5)), Who::Support),
        (expired(ago(-5)), Who::Support),
    ] {
        for may_have_arrived in [false, true] {
            let it = Notification {
                may_have_arrived,
                last_reason: Some("http_5xx".to_owned()),
                ..notification(Standing::Retrying)
            };
            let en = told(Lang::En, &it, &why);
            let all = format!("{} {} {:?}", en.happened, en.next, en.doubt);
            assert!(
                all.contains("not be sent") || all.contains("not sent") || all.contains("no other"),
                "{all}"
            );
            assert!(
                !all.contains("goes on") && !all.contains("starts at") && !all.contains("is asked"),
                "{all}"
            );
            assert_eq!((en.who, en.eta), (who, None), "{all}");
            assert_eq!(en.doubt.is_some(), may_have_arrived);
            let zh = told(Lang::Zh, &it, &why);
            let all = format!("{} {} {:?}", zh.happened, zh.next, zh.doubt);
            assert!(all.contains("不会再发"), "{all}");
            assert!(!all.contains("自动继续") && !all.contains("询问"), "{all}");
        }
    }
}

/// What failed is told with the limit, and before it a person can still have it tried.
#[test]
fn a_limit_that_comes_first_is_told_with_the_last_failure() {
    let it = Notification {
        last_reason: Some("http_429".to_owned()),
        ..notification(Standing::Retrying)
    };
    let why = WhyNotYet::Expired {
        at: ago(-240),
        held: true,
    };
    let said = told(Lang::En, &it, &why);
    assert_eq!(
        said.happened,
        "Attempt 1 did not succeed: Too many requests; goes on a little later. No other is due before its \
         time limit, 10:09:00 (in 4 min): it is not sent any more."
    );
    assert!(
        said.next.contains("`outboxd retry 7 --reason"),
        "{}",
        said.next
    );
    let untried = Notification { attempts: 0, ..it };
    let said = told(Lang::En, &untried, &why);
    assert!(
        said.happened.starts_with("It is due only after"),
        "{said:?}"
    );
}

/// Where `on_unknown` is `resend`, nobody is asked.
#[test]
fn only_who_can_be_asked_is_said_to_be_asked() {
    let it = notification(Standing::Retrying);
    let asked = told(Lang::En, &it, &retry("timed_out", None)).happened;
    assert!(asked.contains("the receiver is asked"), "{asked}");
    for lang in [Lang::En, Lang::Zh] {
        let resent = told(lang, &it, &retry("unanswered_resent", None)).happened;
        assert!(
            !resent.contains("is asked") && !resent.contains("询问"),
            "{resent}"
        );
    }
    // Of the whole row: no target is known here, so both cases are told.
    let it = Notification {
        may_have_arrived: true,
        ..it
    };
    let doubt = told(Lang::En, &it, &retry("http_429", None)).doubt;
    assert!(doubt.is_some_and(|doubt| doubt.contains("told twice")));
    let doubt = told(Lang::Zh, &it, &retry("http_429", None)).doubt;
    assert!(doubt.is_some_and(|doubt| doubt.contains("可能收到两次")));
}

#[test]
fn a_time_behind_another_one_is_no_promise() {
    let it = notification(Standing::Retrying);
    let said = told(Lang::En, &it, &retry("http_429", Some(NotificationId(6))));
    assert!(
        said.happened.ends_with(
            "And not before notification 6, which comes first in the same order, is settled."
        ),
        "{}",
        said.happened
    );
    assert_eq!(said.eta, None);
    assert!(told(Lang::En, &it, &retry("http_429", None)).eta.is_some());
}

/// The newer one waits for the older one, which it replaces; that must not lead in a circle.
#[test]
fn who_waits_for_one_it_has_replaced_is_told_how_to_go_at_once() {
    let why = WhyNotYet::Behind {
        id: NotificationId(6),
        awaits_grant: false,
        gives_way: true,
    };
    let said = told(Lang::En, &notification(Standing::Queued), &why);
    assert!(
        said.next.contains("`outboxd retry 6 --reason"),
        "{}",
        said.next
    );
    assert!(said.happened.contains("gives way"), "{}", said.happened);
}
