//! The description of the JSON is true: the real answer of every path fits its schema, and so does trouble.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::APPS;
use crate::desk::{Desk, ROWS};
use crate::harness::run;

/// Without this a schema that forgets a field would fit everything.
fn closed(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            let open =
                object.get("properties").is_some() && !object.contains_key("additionalProperties");
            object.values_mut().for_each(closed);
            if open {
                object.insert("unevaluatedProperties".to_owned(), json!(false));
            }
        }
        Value::Array(all) => all.iter_mut().for_each(closed),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn fits(document: &Value, schema: &Value, answer: &Value, path: &str) {
    let mut schema = schema.clone();
    schema["components"] = document["components"].clone();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let wrong: Vec<String> = validator
        .iter_errors(answer)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(wrong.is_empty(), "{path}: {wrong:#?}\n{answer:#}");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn every_answer_is_as_it_is_described(pool: PgPool) {
    run(&pool, ROWS).await;
    run(&pool, APPS).await;
    let settings = [("OUTBOXD_DESK_BADGE_SECRET", "0123456789abcdef")];
    let (desk, token) = Desk::with_people(&pool, &settings).await;
    let ask = async |method: Method, path: &str, body: &str| {
        let asked = desk
            .ask(method, &format!("/api{path}"))
            .bearer_auth(&token)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.to_owned());
        let answer = asked.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        let answer: Value =
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}: {text}"));
        (status, answer)
    };
    let (_, document) = ask(Method::GET, "/openapi.json", "").await;
    let mut strict = document.clone();
    closed(&mut strict);
    // Its other fields depend on its kind.
    strict["components"]["schemas"]["WhyNotYet"] =
        document["components"]["schemas"]["WhyNotYet"].clone();

    let mut asked = std::collections::BTreeSet::new();
    for (path, method, target, body) in [
        ("/search", "get", "/search?q=10086", ""),
        ("/search", "get", "/search?q=10088", ""),
        ("/search", "get", "/search?q=nobody-at-all", ""),
        ("/messages/{name}", "get", "/messages/1002", ""),
        ("/messages/{name}", "get", "/messages/1", ""),
        ("/pulse", "get", "/pulse", ""),
        ("/overview", "get", "/overview", ""),
        ("/overview", "get", "/overview?app=lab", ""),
        ("/system", "get", "/system", ""),
        (
            "/system/pause",
            "post",
            "/system/pause",
            "app=default&reason=quota",
        ),
        (
            "/system/pause",
            "post",
            "/system/pause",
            "app=default&reason=again",
        ),
        (
            "/system/resume",
            "post",
            "/system/resume",
            "app=default&reason=back",
        ),
        (
            "/system/resume",
            "post",
            "/system/resume",
            "app=default&reason=back&now=yes",
        ),
        ("/messages", "get", "/messages", ""),
        ("/dead", "get", "/dead?period=30d", ""),
        ("/calls", "get", "/calls", ""),
        ("/audit", "get", "/audit", ""),
        ("/messages/{name}/{act}", "get", "/messages/1002/resend", ""),
        ("/bulk", "get", "/bulk", ""),
        ("/bulk/new", "get", "/bulk/new?status=dead&since=30d", ""),
        (
            "/bulk/new",
            "post",
            "/bulk/new",
            "status=dead&since=30d&why=mended",
        ),
        ("/bulk/{id}", "get", "/bulk/1", ""),
        ("/help", "get", "/help", ""),
        ("/openapi.json", "get", "/openapi.json", ""),
    ] {
        let method_name = method.to_uppercase().parse().unwrap();
        let (status, answer) = ask(method_name, target, body).await;
        assert_eq!(status, 200, "{target}: {answer:#}");
        let answers = &strict["paths"][path][method]["responses"];
        fits(
            &strict,
            &answers["200"]["content"]["application/json"]["schema"],
            &answer,
            target,
        );
        asked.insert(format!("{method} {path}"));
    }
    // What an act takes comes from an answer before it.
    let plain = |value: &Value| {
        let text = value.as_str().unwrap();
        url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>()
    };
    let (_, calls) = ask(Method::GET, "/calls", "").await;
    let call = &calls["notifications"][0];
    let handled = format!("seen={}&outcome=told&reason=rang", plain(&call["seen"]));
    let act = format!("/messages/{}/resend", call["key"].as_str().unwrap());
    let (_, form) = ask(Method::GET, &act, "").await;
    let resent = format!("seen={}&reason=again", plain(&form["seen"]));
    let (_, bulk) = ask(Method::GET, "/bulk/1", "").await;
    let cancelled = format!(
        "order=cancel&reason=no&version={}",
        bulk["bulks"][0]["version"]
    );
    for (path, target, body) in [
        ("/messages/{name}/{act}", act.as_str(), resent),
        ("/calls/handled", "/calls/handled", handled),
        ("/bulk/{id}", "/bulk/1", cancelled),
        (
            "/system/resume",
            "/system/resume",
            "app=lab&reason=back&paused_at=".to_owned(),
        ),
    ] {
        let (status, answer) = ask(Method::POST, target, &body).await;
        assert!([200, 409].contains(&status), "{target}: {answer:#}");
        let answers = &strict["paths"][path]["post"]["responses"];
        let schema = &answers[status.to_string()]["content"]["application/json"]["schema"];
        fits(&strict, schema, &answer, target);
        asked.insert(format!("post {path}"));
    }
    // The badge has tests of its own for what it says.
    let expires = chrono::Utc::now().timestamp() + 60;
    let (status, answer) = ask(
        Method::GET,
        &format!("/badge/10086/42?expires={expires}&sig=0"),
        "",
    )
    .await;
    assert_eq!((status, answer["error"].as_str()), (403, Some("forged")));
    let trouble = &strict["components"]["schemas"]["Trouble"];
    fits(&strict, trouble, &answer, "badge");
    asked.insert("get /badge/{customer}/{recipient}".to_owned());
    let (status, answer) = ask(Method::GET, "/messages/no-such", "").await;
    assert_eq!(status, 404);
    fits(&strict, trouble, &answer, "trouble");

    let described: std::collections::BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods
                .as_object()
                .unwrap()
                .keys()
                .map(move |method| format!("{method} {path}"))
        })
        .collect();
    assert_eq!(asked, described, "each of them was asked");
}
