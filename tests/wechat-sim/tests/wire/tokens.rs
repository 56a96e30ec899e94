//! The rules of the two token endpoints.

use std::time::Duration;

use serde_json::json;
use wechat_sim::{APPID, APPSECRET, Settings, TokenAnswer};

use crate::client::{Got, Stage, ask, get, post, raw};

const STABLE: &str = "/cgi-bin/stable_token";

fn plain() -> String {
    format!("/cgi-bin/token?grant_type=client_credential&appid={APPID}&secret={APPSECRET}")
}

async fn outer(stage: &Stage, token: &str) -> i64 {
    let path = format!(
        "/tcb/invokecloudfunction?access_token={token}&env=cloud1-demo&name=quickstartFunctions"
    );
    let event = json!({"type": "ping"});
    post(&stage.sim, &path, event).await.json()["errcode"]
        .as_i64()
        .unwrap()
}

#[tokio::test]
async fn normal_mode_gives_the_same_token_and_force_mode_another() {
    let stage = Stage::new().await;
    let again = post(&stage.sim, STABLE, ask(false)).await.json();
    assert_eq!(again["access_token"], stage.token.as_str());
    assert!(again["expires_in"].as_u64().unwrap() >= 7190);
    assert!(again.get("errcode").is_none());

    let forced = post(&stage.sim, STABLE, ask(true)).await.json();
    assert_ne!(forced["access_token"], stage.token.as_str());
    assert_eq!(outer(&stage, &stage.token).await, 40001);
    assert_eq!(
        outer(&stage, forced["access_token"].as_str().unwrap()).await,
        0
    );
    let soon = post(&stage.sim, STABLE, ask(true)).await.json();
    assert_eq!(
        soon["access_token"], forced["access_token"],
        "30 s must lie between two forced refreshes"
    );
    let calls = stage.sim.ledger();
    assert_eq!(calls.token_calls().len(), 4);
    assert!(calls.token_calls()[3].is_forced);
}

#[tokio::test]
async fn the_two_kinds_of_token_are_separate() {
    let stage = Stage::new().await;
    let first = get(&stage.sim, &plain()).await.json()["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    let second = get(&stage.sim, &plain()).await.json()["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_ne!(first, second);
    for token in [&first, &second, &stage.token] {
        assert_eq!(
            outer(&stage, token).await,
            0,
            "the old one lives on for five minutes"
        );
    }
}

#[tokio::test]
async fn a_short_life_ends_with_42001() {
    let life = Duration::from_millis(200);
    let stage = Stage::with(Settings {
        token_lifetime: life,
        ..Settings::default()
    })
    .await;
    assert_eq!(outer(&stage, &stage.token).await, 0);
    tokio::time::sleep(life).await;
    assert_eq!(outer(&stage, &stage.token).await, 42001);
    assert_eq!(outer(&stage, "made-up").await, 40014);
    assert_eq!(outer(&stage, "").await, 41001);
}

#[tokio::test]
async fn a_bad_request_says_what_is_wrong() {
    let stage = Stage::new().await;
    let without = |field: &str| {
        let mut body = ask(false);
        body.as_object_mut().unwrap().remove(field);
        body
    };
    let with = |field: &str, value: &str| {
        let mut body = ask(false);
        body[field] = value.into();
        body
    };
    for (body, expected) in [
        (without("appid"), 41002),
        (without("secret"), 41004),
        (with("grant_type", "password"), 40002),
        (with("appid", "wx-other"), 40013),
        (with("secret", "guess"), 40125),
        (json!([]), 47001),
    ] {
        let got = post(&stage.sim, STABLE, &body).await;
        assert_eq!(got.status(), 200);
        let got = got.json();
        assert_eq!(got["errcode"], expected, "{body}");
        assert!(got["errmsg"].as_str().unwrap().contains(" rid: "), "{got}");
    }
    assert_eq!(get(&stage.sim, STABLE).await.json()["errcode"], 43002);
    assert_eq!(
        post(&stage.sim, "/cgi-bin/token", ask(false)).await.json()["errcode"],
        41002
    );
}

#[tokio::test]
async fn a_body_of_unknown_length_gets_412() {
    let stage = Stage::new().await;
    for path in [
        STABLE,
        &stage.invoke_path(),
        "/cgi-bin/message/subscribe/send",
    ] {
        for header in ["Transfer-Encoding: chunked\r\n", ""] {
            let request =
                format!("POST {path} HTTP/1.1\r\nHost: sim\r\n{header}\r\n2\r\n{{}}\r\n0\r\n\r\n");
            let got = raw(
                stage.sim.address(),
                request.as_bytes(),
                Duration::from_secs(2),
            )
            .await;
            assert!(
                matches!(got, Got::Reply { status: 412, ref body, .. } if body.is_empty()),
                "{got:?}"
            );
        }
    }
}

#[tokio::test]
async fn the_next_answers_can_be_scripted() {
    let stage = Stage::new().await;
    let codes = [40164, 45009, 45011, 89503, -1];
    stage.sim.switches().set(|switches| {
        switches
            .next_token_answers
            .extend(codes.map(TokenAnswer::Code));
        switches
            .next_token_answers
            .push_back(TokenAnswer::Fault("http-500".to_owned()));
        switches
            .next_token_answers
            .push_back(TokenAnswer::Fault("hang".to_owned()));
    });
    for code in codes {
        assert_eq!(
            post(&stage.sim, STABLE, ask(false)).await.json()["errcode"],
            code
        );
    }
    assert_eq!(post(&stage.sim, STABLE, ask(false)).await.status(), 500);
    assert_eq!(
        post(&stage.sim, STABLE, ask(false)).await,
        Got::Nothing { so_far: 0 }
    );
    assert_eq!(
        post(&stage.sim, STABLE, ask(false)).await.json()["access_token"],
        stage.token.as_str()
    );

    stage
        .sim
        .switches()
        .set(|switches| switches.token_calls_per_minute = 0);
    assert_eq!(
        post(&stage.sim, STABLE, ask(false)).await.json()["errcode"],
        45011
    );
    stage
        .sim
        .switches()
        .set(|switches| switches.token_calls_per_day = 0);
    assert_eq!(
        post(&stage.sim, STABLE, ask(false)).await.json()["errcode"],
        45009
    );
    stage
        .sim
        .switches()
        .set(|switches| switches.wrong_secret = true);
    assert_eq!(
        post(&stage.sim, STABLE, ask(false)).await.json()["errcode"],
        40125
    );
}

#[tokio::test]
async fn a_revoked_token_is_replaced_and_a_poisoned_one_only_by_force() {
    let stage = Stage::new().await;
    stage.sim.revoke_tokens();
    assert_eq!(outer(&stage, &stage.token).await, 40001);
    let fresh = post(&stage.sim, STABLE, ask(false)).await.json()["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(outer(&stage, &fresh).await, 0);

    stage.sim.poison_token();
    assert_eq!(outer(&stage, &fresh).await, 40001);
    assert_eq!(
        post(&stage.sim, STABLE, ask(false)).await.json()["access_token"],
        fresh.as_str()
    );
    let forced = post(&stage.sim, STABLE, ask(true)).await.json();
    assert_eq!(
        outer(&stage, forced["access_token"].as_str().unwrap()).await,
        0
    );

    stage.sim.expire_tokens();
    assert_eq!(
        outer(&stage, forced["access_token"].as_str().unwrap()).await,
        42001
    );
    assert!(stage.sim.ledger().tokens().contains(&fresh.as_str()));
}
