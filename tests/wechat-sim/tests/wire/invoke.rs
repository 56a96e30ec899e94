//! What the platform checks, and the receiver's promise: one message per key.

use std::time::Duration;

use chrono::Utc;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use wechat_sim::{BAD_SIGNATURE, NO_OPENID, Settings, UNKNOWN_TYPE};

use crate::client::{Stage, event, get, post, post_within};

#[tokio::test]
async fn the_platform_checks_the_request_before_it_runs_anything() {
    let stage = Stage::new().await;
    let path = |env: &str, name: &str| {
        format!(
            "/tcb/invokecloudfunction?access_token={}&env={env}&name={name}",
            stage.token
        )
    };
    let good = path("cloud1-demo", "quickstartFunctions");
    for (path, body, expected) in [
        (path("cloud1-other", "quickstartFunctions"), "{}", -501_000),
        (path("cloud1-demo", "other"), "{}", -501_000),
        (
            "/tcb/invokecloudfunction?access_token=".to_owned() + &stage.token,
            "{}",
            -501_007,
        ),
        (good.clone(), "", 44002),
        (good.clone(), "type=notify", -501_007),
        (good.clone(), "[]", -501_007),
    ] {
        let got = post(&stage.sim, &path, body).await.json();
        assert_eq!(got["errcode"], expected, "{body}: {got}");
        assert!(got.get("resp_data").is_none());
    }
    assert_eq!(get(&stage.sim, &good).await.json()["errcode"], 43002);
    assert_eq!(stage.sim.ledger().messages().len(), 0);
}

#[tokio::test]
async fn a_notification_reaches_the_phone_once() {
    let stage = Stage::new().await;
    let first = stage.notify("k", "zhang").await.answer();
    let second = stage.notify("k", "zhang").await.answer();
    assert_eq!(
        (&first["ok"], &first["state"], &first["duplicate"]),
        (&json!(true), &json!("sent"), &json!(false))
    );
    assert_eq!(
        (&second["ok"], &second["state"], &second["duplicate"]),
        (&json!(true), &json!("sent"), &json!(true))
    );
    assert_eq!(first["msgid"], second["msgid"]);
    assert!(first["msgid"].as_str().unwrap().parse::<u64>().unwrap() > 1 << 53);
    assert_eq!(
        (&first["key"], &first["code"], &first["grantsLeft"]),
        (&json!("k"), &json!(0), &Value::Null)
    );

    let ledger = stage.sim.ledger();
    let [message] = ledger.messages_of("k")[..] else {
        panic!("one message")
    };
    assert_eq!(
        (message.openid.as_str(), message.aggregate_id.as_str()),
        ("o-zhang", "7")
    );
    assert_eq!(message.data["thing1"]["value"], "王女士");
    assert_eq!(message.data["time3"]["value"], "2026年1月1日 08:00");
    let answered: Vec<_> = ledger
        .calls_of("k")
        .iter()
        .map(|call| call.answered.as_deref())
        .collect();
    assert_eq!(answered, [Some("sent"), Some("sent before")]);
    assert!(ledger.twice().is_empty());
}

#[tokio::test]
async fn inquire_tells_and_seal_refuses() {
    let stage = Stage::new().await;
    let state = async |kind, key, epoch| {
        stage
            .invoke(event(kind, key, epoch, "zhang"))
            .await
            .answer()["state"]
            .clone()
    };
    assert_eq!(state("inquire", "a", 5).await, "not_seen");
    assert_eq!(state("notify", "a", 5).await, "sent");
    assert_eq!(state("inquire", "a", 5).await, "sent");
    assert_eq!(state("seal", "a", 6).await, "sent");

    assert_eq!(state("seal", "b", 5).await, "sealed");
    assert_eq!(state("notify", "b", 6).await, "sealed");
    assert_eq!(state("inquire", "b", 6).await, "sealed");
    assert_eq!(stage.messages("b"), 0);

    stage.sim.set_grants("zhang", 0);
    assert_eq!(state("notify", "c", 5).await, "refused");
    assert_eq!(state("notify", "c", 4).await, "stale");
    stage.sim.set_grants("zhang", 1);
    assert_eq!(
        state("notify", "c", 5).await,
        "refused",
        "the claim that was refused hears it again"
    );
    assert_eq!(state("inquire", "c", 6).await, "refused");
    assert_eq!(state("notify", "c", 6).await, "sent");
    assert_eq!(
        state("notify", "a", 1).await,
        "sent",
        "the receipt comes before the epoch"
    );
}

#[tokio::test]
async fn permissions_are_spent_one_by_one() {
    let stage = Stage::new().await;
    stage.sim.set_grants("li", 1);
    assert_eq!(stage.notify("a", "li").await.answer()["grantsLeft"], 0);
    let refused = stage.notify("b", "li").await.answer();
    assert_eq!(
        (&refused["code"], &refused["step"]),
        (&json!(43101), &json!("send"))
    );
    stage.sim.set_openid("wang", None);
    let unknown = stage.notify("c", "wang").await.answer();
    assert_eq!(
        (&unknown["code"], &unknown["step"]),
        (&json!(NO_OPENID), &json!("lookup"))
    );
}

#[tokio::test]
async fn two_calls_at_once_send_once_and_two_messages_at_once_meet() {
    let stage = Stage::new().await;
    stage.sim.switches().set(|switches| switches.send_ms = 100);
    let (one, two) = tokio::join!(stage.notify("k", "zhang"), stage.notify("k", "zhang"));
    let mut states = [
        one.answer()["state"].to_string(),
        two.answer()["state"].to_string(),
    ];
    states.sort();
    assert_eq!(states, ["\"in_progress\"", "\"sent\""]);

    let (one, two) = tokio::join!(stage.notify("a", "zhang"), stage.notify("b", "zhang"));
    let mut codes = [one.answer()["code"].as_i64(), two.answer()["code"].as_i64()];
    codes.sort();
    assert_eq!(codes, [Some(0), Some(43108)]);
    assert!(stage.sim.ledger().max_concurrent() >= 2);
}

#[tokio::test]
async fn an_unknown_type_is_answered_clearly() {
    let stage = Stage::new().await;
    let answer = stage
        .invoke(event("resend", "k", 1, "zhang"))
        .await
        .answer();
    assert_eq!(
        (&answer["state"], &answer["code"]),
        (&json!("refused"), &json!(UNKNOWN_TYPE))
    );
    assert_eq!(
        stage.invoke(json!({"type": "ping"})).await.answer()["ok"],
        true
    );
}

#[tokio::test]
async fn the_signature_covers_everything_but_itself() {
    let secret = "shared";
    let stage = Stage::with(Settings {
        signing_secret: Some(secret.to_owned()),
        ..Settings::default()
    })
    .await;
    let signed = |mut event: Value| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(&serde_json_canonicalizer::to_vec(&event).unwrap());
        let hex: String = mac
            .finalize()
            .into_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        event["signature"] = hex.into();
        event
    };
    let mut good = event("notify", "k", 1, "zhang");
    good["sentAt"] = Utc::now().to_rfc3339().into();
    let mut forged = signed(good.clone());
    forged["recipient"] = "li".into();
    let mut old = good.clone();
    old["sentAt"] = (Utc::now() - chrono::TimeDelta::seconds(301))
        .to_rfc3339()
        .into();

    for bad in [good.clone(), forged, signed(old)] {
        let answer = stage.invoke(bad).await.answer();
        assert_eq!(
            (&answer["code"], &answer["step"]),
            (&json!(BAD_SIGNATURE), &json!("check")),
            "{answer}"
        );
    }
    assert_eq!(stage.invoke(signed(good)).await.answer()["state"], "sent");
}

#[tokio::test]
async fn a_slow_function_is_killed_at_its_timeout_and_cut_at_the_trigger() {
    let stage = Stage::new().await;
    stage
        .sim
        .switches()
        .set(|switches| switches.function_timeout_ms = 100);
    let killed = stage.notify("killed", "slow-300ms").await.json();
    assert_eq!(killed["errcode"], -504_003);
    assert_eq!(
        stage.inquire("killed", "slow-300ms").await.answer()["state"],
        "in_progress"
    );
    stage
        .sim
        .switches()
        .set(|switches| switches.claim_old_after_ms = 0);
    assert_eq!(
        stage.inquire("killed", "slow-300ms").await.answer()["state"],
        "unknown"
    );
    assert_eq!(stage.messages("killed"), 0);

    stage.sim.switches().set(|switches| {
        switches.function_timeout_ms = 3_000;
        switches.http_cut_ms = 100;
    });
    assert_eq!(
        stage.notify("cut", "slow-300ms").await.json()["errcode"],
        -504_003
    );
    stage
        .sim
        .wait_for(|ledger| ledger.messages_of("cut").len() == 1)
        .await
        .unwrap();

    stage
        .sim
        .switches()
        .set(|switches| switches.runs_on_after_cut = false);
    assert_eq!(
        stage.notify("stopped", "slow-300ms").await.json()["errcode"],
        -504_003
    );
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(stage.messages("stopped"), 0);

    stage.sim.switches().reset();
    let path = stage.invoke_path();
    let slow = event("notify", "slow", 1, "slow-800ms@zhang");
    let answer = post_within(Duration::from_secs(3), &stage.sim, &path, slow)
        .await
        .answer();
    assert_eq!(answer["state"], "sent");
}

#[tokio::test]
async fn an_odd_payload_is_still_an_event() {
    let stage = Stage::new().await;
    let deep = "[".repeat(3_000) + &"]".repeat(3_000);
    let long = "1".to_owned() + &"0".repeat(400);
    for (key, odd) in [("deep", deep), ("long", long)] {
        let event = event("notify", key, 1, "zhang")
            .to_string()
            .replace("\"王女士\"", &odd);
        let answer = post(&stage.sim, &stage.invoke_path(), event).await.answer();
        assert_eq!(answer["state"], "sent", "{key}");
    }
    assert_eq!(
        stage.invoke("no event".into()).await.json()["errcode"],
        -501_007
    );
}
