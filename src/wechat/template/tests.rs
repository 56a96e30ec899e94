//! The table that the cloud function is held to, and what a mapping may look like.

use chrono::FixedOffset;
use serde_json::{Value, json};

use super::{Field, Templates, at, page};

const CASES: &str = include_str!("../../../tests/receiver/template-cases.json");

#[test]
fn the_table_of_cases_holds_here_too() {
    let table: Value = serde_json::from_str(CASES).unwrap();
    let offset = i32::try_from(table["utcOffsetMinutes"].as_i64().unwrap()).unwrap();
    let zone = FixedOffset::east_opt(offset * 60).unwrap();
    let cases = table["cases"].as_array().unwrap();
    assert!(cases.len() > 90, "{}", cases.len());
    for case in cases {
        let mut described = case.as_object().unwrap().clone();
        described.insert("from".into(), "payload.given".into());
        let mut event = table["event"].clone();
        event["payload"] = json!({"given": case["value"]});
        let key = format!("{}1", case["type"].as_str().unwrap());
        let field: Field = serde_json::from_value(described.into()).unwrap();
        assert!(field.is_whole(&key), "{case}");
        assert_eq!(field.value(&key, &event, &zone), case["expect"], "{case}");
    }
}

/// What the function wrote for values that a machine made up: `TEMPLATE_DIFF=file` with a line of JSON each,
/// `{"key","field","event","text"}`. See tests/receiver/README.md.
#[test]
fn the_function_writes_the_same() {
    let Some(path) = std::env::var_os("TEMPLATE_DIFF") else {
        return;
    };
    let zone = FixedOffset::east_opt(480 * 60).unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let mut count = 0;
    for line in text.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let field: Field = serde_json::from_value(case["field"].clone()).unwrap();
        let written = field.value(case["key"].as_str().unwrap(), &case["event"], &zone);
        assert_eq!(written, case["text"], "{line}");
        count += 1;
    }
    eprintln!("{count} values, the same on both sides");
}

fn described(fields: Value) -> Result<Templates, String> {
    let mapping = json!({"customer_assigned": {"templateId": "T1", "fields": fields}});
    Templates::read(&mapping.to_string())
}

#[test]
fn the_first_path_that_has_something_to_offer_counts() {
    let event =
        json!({"payload": {"a": {"b": ["", "李"]}, "c": "王"}, "sentAt": "2026-11-22T13:29:17Z"});
    let zone = FixedOffset::east_opt(8 * 3600).unwrap();
    let check = |field: Value, expected: &str| {
        let field: Field = serde_json::from_value(field).unwrap();
        assert_eq!(field.value("thing1", &event, &zone), expected);
    };
    check(json!({"from": "payload.a.b.1"}), "李");
    check(
        json!({"from": ["payload.a.b.0", "payload.none", "payload.c"]}),
        "王",
    );
    check(json!({"from": "payload.a.b.0", "fallback": "某人"}), "某人");
    check(json!({"fallback": "固定"}), "固定");
    check(json!({"from": "payload.c.length"}), "-");
    check(json!({"from": "payload.a.b.length"}), "2");
    check(json!({"from": "payload.a.b.01"}), "-");
    let named: Field =
        serde_json::from_value(json!({"type": "phrase", "fallback": "已分配"})).unwrap();
    assert_eq!(named.value("name2", &event, &zone), "已分配");
    assert_eq!(at(&event, "payload.a.b"), Some(json!(["", "李"])));
}

#[test]
fn a_message_has_everything_but_its_receiver() {
    let mapping = json!({
        "customer_assigned": {"templateId": "T1", "page": "/pages/detail?id={aggregate.id}&n={payload.name}{x}{",
            "fields": {"thing1": {"from": "payload.name"}}},
        "*": {"templateId": "T2", "miniprogramState": "trial", "lang": "en_US", "fields": {}},
    });
    let templates = Templates::read(&mapping.to_string()).unwrap();
    let zone = FixedOffset::east_opt(0).unwrap();
    let event = json!({"eventType": "customer_assigned", "aggregate": {"id": 7}, "payload": {"name": "李 a"}});
    assert_eq!(
        Value::from(templates.fill(&event, &zone).unwrap()),
        json!({"template_id": "T1", "page": "pages/detail?id=7&n=%E6%9D%8E%20a{", "miniprogram_state": "formal",
            "lang": "zh_CN", "data": {"thing1": {"value": "李 a"}}})
    );
    let other = templates
        .fill(&json!({"eventType": "other"}), &zone)
        .unwrap();
    assert_eq!(
        Value::from(other),
        json!({"template_id": "T2", "miniprogram_state": "trial", "lang": "en_US", "data": {}})
    );
    assert!(
        described(json!({}))
            .unwrap()
            .fill(&json!({"eventType": "other"}), &zone)
            .is_none()
    );
    assert_eq!(
        page("a{{payload.n}}", &json!({"payload": {"n": 1}})),
        "a{1}"
    );
}

#[test]
fn a_mapping_that_cannot_work_is_refused_with_its_place() {
    for (mapping, expected) in [
        ("{", "EOF while parsing"),
        ("{}", "it has no template"),
        (r#"{"a":{"templateId":"T"}}"#, "missing field `fields`"),
        (r#"{"a":{"fields":{}}}"#, "a: templateId is missing"),
        (
            r#"{"a":{"templateId":"T","lang":"de","fields":{}}}"#,
            "a: lang must be",
        ),
        (
            r#"{"a":{"templateId":"T","miniprogramState":"x","fields":{}}}"#,
            "a: miniprogramState must be",
        ),
    ] {
        let refused = Templates::read(mapping).unwrap_err();
        assert!(refused.contains(expected), "{refused}");
    }
    for (field, ok) in [
        (json!({"thing1": {}}), true),
        (json!({"thing": {}}), false),
        (json!({"Thing1": {}}), false),
        (json!({"x1": {"type": "thing"}}), true),
        (json!({"x1": {"type": "constructor"}}), false),
        (json!({"enum1": {}}), false),
        (json!({"enum1": {"values": [1]}}), false),
        (json!({"enum1": {"values": ["高"]}}), true),
    ] {
        assert_eq!(described(field.clone()).is_ok(), ok, "{field}");
    }
}
