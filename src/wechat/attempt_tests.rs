//! The order of an attempt: ask first, replace a refused token once, never outlive the lease.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use super::event::tests::claim;
use super::testing::{Server, say_function, say_json, say_token};
use super::tests::{asked_again, sent, target, verb, wechat, why};
use crate::delivery::{Attempted, FailureKind, Outcome, Phase, Sealed, Target as _};
use crate::notification::Claim;

const A_FETCH: Duration = Duration::from_millis(20);

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    for (refusals, expected, calls) in [(1, "delivered", 2), (2, "token_still_refused", 2)] {
        let tokens = AtomicUsize::new(0);
        let refused = AtomicUsize::new(0);
        let server = Server::start(move |seen, stream| {
            if seen.is_token() {
                std::thread::sleep(A_FETCH);
                let number = tokens.fetch_add(1, Ordering::SeqCst);
                say_token(stream, &format!("T{number}"), 7200);
            } else if refused.fetch_add(1, Ordering::SeqCst) < refusals {
                say_json(
                    stream,
                    r#"{"errcode":40001,"errmsg":"invalid credential, access_token is invalid or not latest rid: 1"}"#,
                );
            } else {
                say_function(stream, &sent());
            }
        });
        let Attempted { outcome, token } = target(&server).deliver(&claim("{}")).await;
        assert_eq!(why(&outcome), expected, "{outcome:?}");
        assert!(token >= Some(A_FETCH * 2), "{token:?} for two tokens");
        assert_eq!(
            (server.token_calls(), server.function_calls().len()),
            (2, calls)
        );
        if let Outcome::Failed(failure) = outcome {
            assert!(matches!(failure.kind, FailureKind::Outage(_)));
            assert_eq!(
                (failure.errcode, failure.phase),
                (Some(40001), Phase::Answered)
            );
        }
    }
}

/// Only who had to wait for a token says so, also when none came.
#[tokio::test]
async fn an_attempt_tells_how_long_it_waited_for_a_token() {
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let server = Server::start(move |seen, stream| {
        if seen.is_token() {
            let _ = held.lock().unwrap().recv();
            say_token(stream, "T", 7200);
        } else {
            say_function(stream, &sent());
        }
    });
    let target = target(&server);
    let (first, second) = (claim("{}"), claim("{}"));
    let mut waiting = Box::pin(target.deliver(&first));
    let began = std::time::Instant::now();
    let asked = async {
        while server.token_calls() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = &mut waiting => unreachable!("no token came"),
        () = asked => {}
    }
    hold.send(()).unwrap();
    let waited = waiting.await.token.expect("it waited");
    assert!(waited > Duration::ZERO && waited <= began.elapsed());
    assert_eq!(target.deliver(&second).await.token, None);

    let server =
        Server::start(|_, stream| say_json(stream, r#"{"errcode":-1,"errmsg":"system error"}"#));
    let failed = super::tests::target(&server).deliver(&first).await;
    assert_eq!(failed.outcome.phase(), Phase::Token);
    assert!(failed.token.is_some());
}

#[tokio::test]
async fn what_may_have_arrived_is_asked_about_first() {
    for (state, ok, expected, calls) in [
        ("sent", true, "delivered", vec!["inquire"]),
        ("not_seen", true, "delivered", vec!["inquire", "notify"]),
        ("in_progress", false, "in_progress", vec!["inquire"]),
        ("unknown", false, "receiver_unknown", vec!["inquire"]),
        ("sealed", false, "sealed", vec!["inquire"]),
    ] {
        let server = wechat(move |seen, stream| {
            if verb(seen) == "inquire" {
                let key = claim("{}").key.to_string();
                say_function(stream, &json!({"ok": ok, "state": state, "key": key}));
            } else {
                say_function(stream, &sent());
            }
        });
        let outcome = target(&server).deliver(&asked_again()).await.outcome;
        assert_eq!(why(&outcome), expected, "{outcome:?}");
        assert_eq!(
            server.function_calls().iter().map(verb).collect::<Vec<_>>(),
            calls
        );
        if let Outcome::Delivered(receipt) = outcome {
            assert_eq!(receipt.duplicate, state == "sent");
        }
    }
}

#[tokio::test]
async fn no_call_is_begun_that_could_outlive_the_lease() {
    let server = wechat(|_, stream| say_function(stream, &sent()));
    let late = Claim {
        lease: Duration::from_millis(500),
        ..claim("{}")
    };
    let outcome = target(&server).deliver(&late).await.outcome;
    let Outcome::Failed(failure) = &outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(
        (failure.why.key, failure.kind),
        ("deadline_too_short", FailureKind::Throttled)
    );
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn seal_tells_what_the_receiver_says() {
    let key = claim("{}").key.to_string();
    let sealed = json!({"ok": true, "state": "sealed", "key": key});
    let server = wechat(move |_, stream| say_function(stream, &sealed));
    assert!(matches!(
        target(&server).seal(&claim("{}")).await,
        Sealed::NotSent
    ));
    let server = wechat(|_, stream| say_function(stream, &sent()));
    assert!(matches!(
        target(&server).seal(&claim("{}")).await,
        Sealed::Delivered(_)
    ));
}
