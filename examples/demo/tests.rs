//! The stage as a visitor meets it: what waits goes when its person allows it, and the desk says why it waited.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::{ConnectOptions, PgPool};
use tokio::time::sleep;
use wechat_sim::deployment::Function;

use crate::stage::Stage;
use crate::{Args, crm};

const PATIENCE: Duration = Duration::from_secs(30);

async fn stage(pool: &PgPool, once: bool) -> Stage {
    let args = Args {
        database_url: pool.connect_options().to_url_lossy().to_string(),
        outboxd: None,
        once,
        seed: None,
        port: 0,
        function: Function::Sim,
    };
    Stage::put_up(&args).await.unwrap()
}

async fn get(stage: &Stage, url: &str) -> String {
    let answer = stage.http.get(url).send().await.unwrap();
    assert!(answer.status().is_success(), "{url}: {}", answer.status());
    answer.text().await.unwrap()
}

async fn state(stage: &Stage) -> Value {
    let state = get(stage, &format!("{}/api/demo/state", stage.url())).await;
    serde_json::from_str(&state).unwrap()
}

async fn send(stage: &Stage, method: reqwest::Method, path: &str, body: Value) {
    let request = stage
        .http
        .request(method, format!("{}{path}", stage.url()))
        .header("content-type", "application/json")
        .body(body.to_string());
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
}

/// Polls as the page does, until its newest row has this status.
async fn newest_becomes(stage: &Stage, status: &str) -> Value {
    let begun = Instant::now();
    loop {
        let state = state(stage).await;
        if state["rows"][0]["status"] == status {
            return state;
        }
        assert!(begun.elapsed() < PATIENCE, "not {status}: {state}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[sqlx::test(migrations = false)]
async fn a_refused_message_waits_for_a_tap_and_the_desk_says_so(pool: PgPool) {
    use reqwest::Method;

    let stage = stage(&pool, false).await;
    let to = json!({"assignedTo": crm::REFUSES, "assignedBy": "visitor"});
    send(&stage, Method::PATCH, "/api/customers/3/assign", to).await;
    let waits = newest_becomes(&stage, "awaiting_grant").await;
    assert_eq!(waits["refusing"], json!([crm::REFUSES]));
    assert_eq!(
        (&waits["waiting"]["awaiting"], &waits["counts"]["messages"]),
        (&json!(1), &json!(0))
    );

    // What the page's links lead to.
    let desk = waits["desk"].as_str().unwrap();
    let message = &waits["rows"][0]["notification"];
    let page = get(&stage, &format!("{desk}/api/messages/{message}")).await;
    assert!(page.contains("awaiting_grant"), "{page}");

    let tap = json!({"whose": crm::REFUSES, "allows": true});
    send(&stage, Method::POST, "/api/demo/phone", tap).await;
    let gone = newest_becomes(&stage, "delivered").await;
    assert_eq!(gone["refusing"], json!([]));
    assert_eq!(gone["counts"]["messages"], 1);

    // Taken down, nothing is left that answers.
    let (desk, http) = (desk.to_owned(), stage.http.clone());
    std::fs::remove_file(stage.take_down().await.unwrap()).unwrap();
    assert!(http.get(&desk).send().await.is_err());
}

#[sqlx::test(migrations = false)]
async fn the_scripted_run_has_no_desk_and_a_refusal_is_an_end(pool: PgPool) {
    let stage = stage(&pool, true).await;
    let to = json!({"assignedTo": crm::REFUSES, "assignedBy": "script"});
    send(
        &stage,
        reqwest::Method::PATCH,
        "/api/customers/3/assign",
        to,
    )
    .await;
    let settled = newest_becomes(&stage, "dead").await;
    assert_eq!(
        (&settled["desk"], &settled["rows"][0]["errcode"]),
        (&Value::Null, &json!(43101))
    );
    std::fs::remove_file(stage.take_down().await.unwrap()).unwrap();
}
