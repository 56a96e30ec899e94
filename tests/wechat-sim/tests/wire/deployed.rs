//! The real cloud function behind the simulated platform: what it promises must hold through every part of the way,
//! and be what the played one promises.
//!
//! It needs Node and the packages that `.ci/node ready` fetches; without them these tests say so and pass, unless
//! `OUTBOXD_TEST_NODE=required`.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use wechat_sim::{NO_OPENID, PATIENCE, Settings, deployment};

use crate::client::{Stage, event, post_within};

const SDKS: [&str; 4] = ["2.4.0", "2.6.3", "3.0.4", "4.0.2"];

/// A stage whose function is deployed with this SDK; `None` where it cannot be.
async fn deployed(sdk: &str) -> Option<Stage> {
    let deployed = deployment::for_test(Some(sdk))?;
    Some(
        Stage::with(Settings {
            deployed,
            ..Settings::default()
        })
        .await,
    )
}

async fn call(stage: &Stage, kind: &str, key: &str, epoch: i64, recipient: &str) -> Value {
    let event = event(kind, key, epoch, recipient);
    post_within(PATIENCE, &stage.sim, &stage.invoke_path(), event)
        .await
        .json()
}

async fn answer(stage: &Stage, kind: &str, key: &str, epoch: i64, recipient: &str) -> Value {
    let outer = call(stage, kind, key, epoch, recipient).await;
    serde_json::from_str(outer["resp_data"].as_str().expect("resp_data is a text")).unwrap()
}

#[tokio::test]
async fn a_notification_reaches_the_phone_once() {
    for sdk in SDKS {
        let Some(stage) = deployed(sdk).await else {
            return;
        };
        let first = answer(&stage, "notify", "k", 1, "zhang").await;
        assert_eq!(
            (&first["state"], &first["duplicate"], &first["key"]),
            (&json!("sent"), &json!(false), &json!("k")),
            "{sdk}: {first}"
        );
        let second = answer(&stage, "notify", "k", 2, "zhang").await;
        assert_eq!(
            (&second["state"], &second["duplicate"], &second["msgid"]),
            (&json!("sent"), &json!(true), &first["msgid"]),
            "{sdk}: {second}"
        );
        let ledger = stage.sim.ledger();
        let [message] = ledger.messages_of("k")[..] else {
            panic!("{sdk}: one message")
        };
        assert_eq!(message.openid, "o-zhang");
        assert_eq!(message.data["thing1"]["value"], "王女士");
        assert_eq!(message.data["time3"]["value"], "2026年1月1日 08:00");
        let exact = (sdk != "2.4.0").then_some(message.msgid.as_str());
        assert_eq!(first["msgid"].as_str(), exact, "{sdk}");
        for (kind, expected) in [("inquire", "sent"), ("seal", "sent"), ("ping", "not_seen")] {
            assert_eq!(
                answer(&stage, kind, "k", 3, "zhang").await["state"],
                expected
            );
        }
        assert_eq!(
            answer(&stage, "seal", "new", 1, "zhang").await["state"],
            "sealed"
        );
        assert_eq!(
            answer(&stage, "notify", "new", 2, "zhang").await["state"],
            "sealed"
        );
        assert_eq!(answer(&stage, "dance", "k", 1, "zhang").await["code"], 1002);
        assert_eq!(stage.sim.ledger().messages().len(), 1);
    }
}

#[tokio::test]
async fn what_the_platform_says_is_passed_on_with_its_step() {
    let Some(stage) = deployed("3.0.4").await else {
        return;
    };
    for (recipient, state, code, step) in [
        ("fail-43101", "refused", 43101, "send"),
        ("fail-47003", "refused", 47003, "send"),
        ("fail-n604101", "refused", -604_101, "send"),
        ("fail-n604102", "unknown", -604_102, "send"),
        ("fail-n501001", "unknown", -501_001, "send"),
        ("no-openid", "refused", NO_OPENID, "lookup"),
        ("lookup-fail-n502001", "refused", -502_001, "lookup"),
    ] {
        let told = answer(&stage, "notify", recipient, 1, recipient).await;
        assert_eq!(
            (&told["state"], &told["code"], &told["step"]),
            (&json!(state), &json!(code), &json!(step)),
            "{recipient}: {told}"
        );
    }
    assert_eq!(stage.sim.ledger().messages().len(), 0);
}

/// The instance is killed in the middle; the next call is served by another one and finds the receipt.
#[tokio::test]
async fn a_function_that_dies_sends_no_second_message() {
    let Some(stage) = deployed("3.0.4").await else {
        return;
    };
    for (recipient, messages, then) in [
        ("once-unsent-scf-430", 0, "not_seen"),
        ("once-claimed-scf-430", 0, "in_progress"),
        ("once-unmarked-scf-430", 1, "in_progress"),
        ("once-sent-scf-430", 1, "sent"),
    ] {
        let died = call(&stage, "notify", recipient, 1, recipient).await;
        assert!(
            died["resp_data"].as_str().unwrap().contains("430"),
            "{died}"
        );
        let told = answer(&stage, "inquire", recipient, 2, recipient).await;
        assert_eq!(told["state"], then, "{recipient}: {told}");
        assert_eq!(stage.messages(recipient), messages, "{recipient}");
        let again = answer(&stage, "notify", recipient, 2, recipient).await;
        let arrived = usize::from(then == "not_seen") + messages;
        assert_eq!(stage.messages(recipient), arrived, "{recipient}: {again}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_calls_of_one_key_at_once_send_one_message() {
    let Some(stage) = deployed("3.0.4").await else {
        return;
    };
    let stage = Arc::new(stage);
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        let stage = Arc::clone(&stage);
        calls.spawn(async move { answer(&stage, "notify", "k", 1, "zhang").await });
    }
    let mut sent = 0;
    while let Some(told) = calls.join_next().await {
        let told = told.unwrap();
        let state = told["state"].as_str().unwrap();
        assert!(state == "sent" || state == "in_progress", "{told}");
        sent += usize::from(state == "sent" && told["duplicate"] == false);
    }
    assert_eq!((sent, stage.messages("k")), (1, 1));
}
