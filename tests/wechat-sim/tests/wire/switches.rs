//! What can be changed while it runs, from inside and through the control paths.

use std::time::Duration;

use serde_json::json;
use wechat_sim::{Settings, WechatSim};

use crate::client::{Got, Stage, ask, event, get, post, raw};

#[tokio::test]
async fn a_closed_listener_refuses_and_opens_on_the_same_port() {
    let stage = Stage::new().await;
    assert_eq!(
        stage.notify("k", "zhang").await.answer()["duplicate"],
        false
    );
    stage.sim.stop().await;
    assert_eq!(stage.notify("k", "zhang").await, Got::Refused);
    stage.sim.restart().await;
    assert_eq!(
        stage.notify("k", "zhang").await.answer()["duplicate"],
        true,
        "receipts and tokens live on"
    );

    let address = stage.sim.address();
    post(&stage.sim, "/sim/switch", json!({"closed_for_ms": 200}))
        .await
        .json();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let got = raw(
            address,
            b"GET /sim/summary HTTP/1.1\r\n\r\n",
            Duration::from_secs(1),
        )
        .await;
        let is_open = matches!(got, Got::Reply { .. });
        if seen.last() != Some(&is_open) {
            seen.push(is_open);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(seen, [true, false, true]);
}

#[tokio::test]
async fn switches_act_on_everybody() {
    let stage = Stage::new().await;
    let sim = &stage.sim;
    let switch = async |change: serde_json::Value| post(sim, "/sim/switch", change).await.json();
    switch(json!({"refuse_all": true})).await;
    assert_eq!(stage.notify("a", "zhang").await.answer()["code"], 43101);
    switch(json!({"reset": true, "down": true})).await;
    assert_eq!(stage.notify("a", "zhang").await, Got::Closed);
    switch(json!({"reset": true, "http_500": true})).await;
    assert_eq!(stage.notify("a", "zhang").await.status(), 500);
    assert_eq!(
        post(sim, "/cgi-bin/stable_token", ask(false))
            .await
            .status(),
        500
    );
    switch(json!({"reset": true, "quota_left": 1})).await;
    assert_eq!(stage.notify("e", "zhang").await.answer()["state"], "sent");
    assert_eq!(stage.notify("b", "zhang").await.json()["errcode"], 45009);
    switch(json!({"reset": true, "everyone": "outer-n501005"})).await;
    assert_eq!(stage.notify("b", "zhang").await.json()["errcode"], -501_005);
    switch(json!({"reset": true, "receipts_off": true})).await;
    stage.notify("c", "zhang").await;
    stage.notify("c", "zhang").await;
    assert_eq!(sim.ledger().twice(), ["c"]);
    switch(json!({"reset": true, "revoke_tokens": true})).await;
    assert_eq!(stage.notify("d", "zhang").await.json()["errcode"], 40001);

    let refused = post(sim, "/sim/switch", json!({"refuse_al": true, "down": true})).await;
    assert_eq!(refused.status(), 400);
    assert_eq!(
        get(sim, "/sim/switches").await.json()["down"],
        false,
        "nothing of it was switched"
    );
}

#[tokio::test]
async fn the_control_paths_show_the_ledger() {
    let stage = Stage::new().await;
    post(
        &stage.sim,
        "/sim/grants",
        json!({"recipient": "li", "n": 1}),
    )
    .await;
    assert_eq!(
        get(&stage.sim, "/sim/grants").await.json(),
        json!({"li": 1})
    );
    for key in ["a", "b", "b"] {
        stage.notify(key, "zhang").await;
    }
    stage.notify("c", "li").await;
    stage.notify("d", "li").await;
    let list = get(&stage.sim, "/sim/messages?after=1").await.json();
    assert_eq!(list["messages"].as_array().unwrap().len(), 2);
    let message = &list["messages"][0];
    assert_eq!(
        (&message["seq"], &message["key"], &message["recipient"]),
        (&json!(2), &json!("b"), &json!("zhang"))
    );
    assert!(message["msgid"].is_string());
    let calls = get(&stage.sim, "/sim/calls?after=3").await.json();
    assert_eq!(calls["by_key"], json!({"a": 1, "b": 2, "c": 1, "d": 1}));
    assert_eq!(calls["list"][1]["answered"], "refused 43101");
    let summary = get(&stage.sim, "/sim/summary").await.json();
    for (name, value) in [
        ("calls", 5),
        ("messages", 3),
        ("keys", 3),
        ("twice", 0),
        ("token_calls", 1),
        ("max_concurrent", 1),
    ] {
        assert_eq!(summary[name], value, "{name}");
    }
    assert_eq!(get(&stage.sim, "/sim/nothing").await.status(), 404);
}

#[tokio::test]
async fn a_call_in_flight_can_be_waited_for() {
    let stage = Stage::new().await;
    let call = async { stage.notify("k", "slow-200ms").await.answer()["state"].clone() };
    let seen = async {
        stage
            .sim
            .wait_for(|ledger| ledger.in_flight() == 1)
            .await
            .unwrap();
        let ledger = stage.sim.ledger();
        (
            ledger.calls_of("k")[0].answered.clone(),
            ledger.messages().len(),
        )
    };
    let (state, seen) = tokio::join!(call, seen);
    assert_eq!((state, seen), (json!("sent"), (None, 0)));
    stage
        .sim
        .wait_for(|ledger| ledger.in_flight() == 0)
        .await
        .unwrap();
    let waited = stage
        .sim
        .wait_for_within(Duration::from_millis(10), |ledger| {
            ledger.messages().len() == 2
        })
        .await;
    assert!(waited.is_err());
}

#[tokio::test]
async fn a_referer_is_noticed() {
    let stage = Stage::new().await;
    let request = format!(
        "GET {} HTTP/1.1\r\nReferer: http://crm\r\n\r\n",
        stage.invoke_path()
    );
    raw(
        stage.sim.address(),
        request.as_bytes(),
        Duration::from_secs(1),
    )
    .await;
    assert_eq!(stage.sim.ledger().referers(), 1);
}

#[tokio::test]
async fn receipts_outlive_the_process_in_the_ledger_file() {
    let file = std::env::temp_dir().join(format!("wechat-sim-{}.jsonl", std::process::id()));
    let settings = Settings {
        ledger: Some(file.clone()),
        ..Settings::default()
    };
    let stage = Stage::with(settings.clone()).await;
    stage.notify("a", "zhang").await;
    drop(stage);
    // A kill in the middle of a line.
    let mut text = std::fs::read_to_string(&file).unwrap();
    text.push_str("{\"seq\":2,\"key\":\"b");
    std::fs::write(&file, text).unwrap();

    let stage = Stage::with(settings.clone()).await;
    assert_eq!(stage.notify("a", "zhang").await.answer()["duplicate"], true);
    stage.notify("c", "zhang").await;
    drop(stage);
    let stage = Stage::with(settings).await;
    let keys: Vec<_> = stage
        .sim
        .ledger()
        .messages()
        .iter()
        .map(|m| (m.seq, m.key.clone()))
        .collect();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(keys, [(1, "a".to_owned()), (2, "c".to_owned())]);
}

#[tokio::test]
async fn it_listens_on_loopback_only() {
    let open = Settings {
        listen: ([0, 0, 0, 0], 0).into(),
        ..Settings::default()
    };
    assert!(WechatSim::start(open).await.is_err());
}

#[tokio::test]
async fn one_connection_serves_many_calls() {
    let stage = Stage::new().await;
    let mut requests = String::new();
    for n in 0..3 {
        let body = event("notify", &format!("k{n}"), 1, "zhang").to_string();
        let path = stage.invoke_path();
        requests += &format!(
            "POST {path} HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
    }
    let mut stream = tokio::net::TcpStream::connect(stage.sim.address())
        .await
        .unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, requests.as_bytes())
        .await
        .unwrap();
    stage
        .sim
        .wait_for(|ledger| ledger.messages().len() == 3 && ledger.in_flight() == 0)
        .await
        .unwrap();
}
