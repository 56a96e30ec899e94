//! `POST /cgi-bin/message/subscribe/send`, called without the cloud function.

use serde_json::{Value, json};

use crate::client::{Got, Stage, post};

fn message(openid: &str) -> Value {
    json!({"touser": openid, "template_id": "TMPL_ASSIGNED", "miniprogram_state": "formal", "lang": "zh_CN",
        "data": {"thing1": {"value": "王女士"}, "thing2": {"value": "已分配"}, "time3": {"value": "15:01"}}})
}

async fn send(stage: &Stage, message: &Value) -> Got {
    post(
        &stage.sim,
        &format!(
            "/cgi-bin/message/subscribe/send?access_token={}",
            stage.token
        ),
        message,
    )
    .await
}

#[tokio::test]
async fn a_message_is_accepted_with_a_number_no_double_can_hold() {
    let stage = Stage::new().await;
    let sent = send(&stage, &message("o-zhang")).await.json();
    assert_eq!(sent["errcode"], 0);
    assert!(sent["msgid"].as_u64().unwrap() > 1 << 53);
    let ledger = stage.sim.ledger();
    assert_eq!(
        ledger.messages_to("zhang")[0].msgid,
        sent["msgid"].to_string()
    );
    assert_eq!((ledger.direct_sends(), ledger.twice().len()), (1, 0));
}

#[tokio::test]
async fn a_bad_message_says_what_is_wrong() {
    let stage = Stage::new().await;
    let with = |field: &str, value: Value| {
        let mut message = message("o-zhang");
        message[field] = value;
        message
    };
    let mut long = message("o-zhang");
    long["data"]["thing1"]["value"] = "字".repeat(21).into();
    for (message, expected) in [
        (with("touser", "stranger".into()), 40003),
        (with("template_id", "TMPL_OTHER".into()), 40037),
        (with("page", "/pages/a".into()), 41030),
        (with("data", "{\"thing1\":1}".into()), 47003),
        (long, 47003),
        (message("o-fail-45168"), 45168),
    ] {
        assert_eq!(
            send(&stage, &message).await.json()["errcode"],
            expected,
            "{message}"
        );
    }
    let refused = send(&stage, &with("data", json!({}))).await.json();
    let text = refused["errmsg"].as_str().unwrap();
    assert!(
        text.starts_with("argument invalid! data.thing1.value is empty rid: "),
        "{text}"
    );
}

#[tokio::test]
async fn a_lost_reply_hides_a_message_that_went_out() {
    let stage = Stage::new().await;
    stage.sim.set_grants("li", 1);
    assert_eq!(send(&stage, &message("o-li")).await.json()["errcode"], 0);
    assert_eq!(
        send(&stage, &message("o-li")).await.json()["errcode"],
        43101
    );
    assert_eq!(send(&stage, &message("o-lost-reply")).await, Got::Closed);
    assert_eq!(send(&stage, &message("o-http-500")).await.status(), 500);
    let ledger = stage.sim.ledger();
    assert_eq!(
        (
            ledger.messages_to("lost-reply").len(),
            ledger.messages_to("http-500").len()
        ),
        (1, 0)
    );
}
