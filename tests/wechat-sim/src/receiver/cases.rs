//! The table of `tests/receiver/cases.json`, which the real function is held to as well
//! (`tests/receiver/test/cases.test.js`), so that the two cannot drift apart. A row that can be told of one of
//! them only says so by `"notHere": "why"`, and the number of those is known.

use chrono::{TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Ended, run};
use crate::faults::{Fault, Point, What, When};
use crate::receipts::{State, Version};
use crate::{Settings, Switches, WechatSim, held};

const EVERY_FIELD: [&str; 9] = [
    "ok",
    "state",
    "key",
    "code",
    "message",
    "step",
    "duplicate",
    "msgid",
    "grantsLeft",
];
const OPENID: &str = "oNobodyRealAtAll";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Table {
    base: Map<String, Value>,
    template_id: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    event: Map<String, Value>,
    receipt: Option<Receipt>,
    grants: Option<u32>,
    grants_after: Option<u32>,
    send: Option<Send>,
    /// Given as null: nobody has the recipient's id.
    #[serde(default = "somebody")]
    openid: Option<String>,
    source: Option<String>,
    answer: Map<String, Value>,
    messages: usize,
    after: Option<String>,
    not_here: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Receipt {
    state: String,
    epoch: i64,
    attempt: i64,
    age_ms: i64,
    msgid: Option<String>,
    #[serde(default)]
    code: i32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum Send {
    Errcode(i32),
    ErrorCode(i32),
    Silent(serde::de::IgnoredAny),
}

fn somebody() -> Option<String> {
    Some(OPENID.to_owned())
}

#[tokio::test]
async fn every_row_of_the_table_of_the_real_function() {
    let table: Table = serde_json::from_str(include_str!("../../../receiver/cases.json")).unwrap();
    let (told_of_both, told_of_one): (Vec<&Case>, Vec<&Case>) =
        table.cases.iter().partition(|case| case.not_here.is_none());
    for case in &told_of_both {
        check(&table, case).await;
    }
    assert_eq!(told_of_one.len(), 0, "rows that are not run here");
    assert!(told_of_both.len() >= 80, "only {} rows", told_of_both.len());
}

async fn check(table: &Table, case: &Case) {
    let name = &case.name;
    let mut event = table.base.clone();
    event.insert("sentAt".to_owned(), Utc::now().to_rfc3339().into());
    event.extend(case.event.clone());
    let event = Value::Object(event);
    let key = event["key"].as_str().unwrap_or("").to_owned();

    let sim = furnished(table, case).await;
    let world = &sim.world;
    let source = case.source.as_deref().unwrap_or("wx_http");
    let ended = run(world.clone(), event.clone(), source, fault(case)).await;
    let Ended::Answered(answer) = ended else {
        panic!("{name}: no answer")
    };

    let mut fields: Vec<&str> = answer
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let mut wanted = EVERY_FIELD.to_vec();
    wanted.extend((event["type"] == "ping").then_some("version"));
    wanted.extend((answer["state"] == "answered").then_some("grants"));
    fields.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(fields, wanted, "{name}");
    assert_eq!(answer["key"], key, "{name}");
    for (field, wanted) in &case.answer {
        assert_eq!(answer[field], *wanted, "{name}: {field}: {answer}");
    }
    let messages = sim.ledger().messages().len();
    assert_eq!(messages, case.messages, "{name}: messages");
    let receipts = held(&world.receipts);
    let after = receipts.get(&key).map(|receipt| word(&receipt.state));
    assert_eq!(after, case.after.as_deref(), "{name}: the receipt");
    if case.grants_after.is_some() {
        let left = held(&world.grants).left(OPENID, &table.template_id);
        assert_eq!(left, case.grants_after, "{name}: the ledger");
    }
    let told = format!("{answer} {receipts:?}");
    for private in [OPENID, "李女士"] {
        assert!(!told.contains(private), "{name}: personal data in {told}");
    }
}

async fn furnished(table: &Table, case: &Case) -> WechatSim {
    let mut settings = Settings {
        event_types: Some(vec!["customer_assigned".to_owned()]),
        switches: Switches {
            send_limit_ms: 200,
            ..Switches::default()
        },
        ..Settings::default()
    };
    settings.templates[0].id.clone_from(&table.template_id);
    let sim = WechatSim::start(settings).await.unwrap();
    let recipient = table.base["recipient"].as_str().unwrap();
    sim.set_openid(recipient, case.openid.as_deref());
    // The ledger alone: what WeChat itself counts is another number.
    if let Some(left) = case.grants {
        held(&sim.world.grants).report(OPENID, &table.template_id, left);
    }
    if let Some(receipt) = &case.receipt {
        let version = Version {
            epoch: receipt.epoch,
            attempt: receipt.attempt,
        };
        let at = Utc::now() - TimeDelta::milliseconds(receipt.age_ms);
        let key = table.base["key"].as_str().unwrap();
        held(&sim.world.receipts).furnish(key, state(receipt), version, at);
    }
    sim
}

/// How the send ends, as a script.
fn fault(case: &Case) -> Option<Fault> {
    let (point, what) = match case.send.as_ref()? {
        Send::Errcode(code) | Send::ErrorCode(code) => (Point::Unsent, What::Send(*code)),
        Send::Silent(_) => (Point::Unmarked, What::Slow(crate::PATIENCE)),
    };
    Some(Fault {
        when: When::EveryNotify,
        point,
        what,
    })
}

fn state(receipt: &Receipt) -> State {
    let code = receipt.code;
    match receipt.state.as_str() {
        "sending" => State::Sending,
        "sent" => State::Sent {
            msgid: receipt.msgid.clone(),
        },
        "refused" => State::Refused {
            code,
            message: String::new(),
        },
        "unknown" => State::Unknown { code },
        "sealed" => State::Sealed,
        other => panic!("no such state: {other}"),
    }
}

fn word(state: &State) -> &'static str {
    match state {
        State::Sending => "sending",
        State::Sent { .. } => "sent",
        State::Refused { .. } => "refused",
        State::Unknown { .. } => "unknown",
        State::Sealed => "sealed",
    }
}
