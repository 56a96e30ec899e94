//! The description of the JSON is true: the real answer of every path, of every status it has, fits its schema; what may be
//! asked for is understood, and what a form sends is what is said to be sent.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::APPS;
use crate::desk::{Desk, Page, ROWS};
use crate::harness::run;

/// One that may have arrived, and a paused app whose breaker is open.
const MORE: &str = "
    update outboxd.notification_delivery set may_have_arrived = true where id = 5010;
    update outboxd.app_state set breaker = 'open', breaker_until = now() + interval '1 hour' where app = 'lab';";

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

/// A program with a token, and the description it has read.
struct Program {
    desk: Desk,
    token: String,
    document: Value,
    strict: Value,
}

impl Program {
    async fn new(pool: &PgPool) -> Program {
        run(pool, ROWS).await;
        run(pool, APPS).await;
        let settings = [("OUTBOXD_DESK_BADGE_SECRET", "0123456789abcdef")];
        let (desk, token) = Desk::with_people(pool, &settings).await;
        let mut program = Program {
            desk,
            token,
            document: Value::Null,
            strict: Value::Null,
        };
        program.document = program.ask("get", "/api/openapi.json", "").await.json();
        let mut strict = program.document.clone();
        closed(&mut strict);
        // Its other fields depend on its kind.
        strict["components"]["schemas"]["WhyNotYet"] =
            program.document["components"]["schemas"]["WhyNotYet"].clone();
        program.strict = strict;
        program
    }

    async fn ask(&self, method: &str, target: &str, body: &str) -> Page {
        let method: Method = method.to_uppercase().parse().unwrap();
        let asked = self
            .desk
            .ask(method, target)
            .bearer_auth(&self.token)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.to_owned());
        Page::of(asked.send().await.unwrap()).await
    }

    /// Asks, and holds the answer to what is said about answers of its status.
    async fn check(
        &self,
        method: &str,
        path: &str,
        target: &str,
        body: &str,
        status: u16,
    ) -> Value {
        let answer = self.ask(method, &format!("/api{target}"), body).await;
        assert_eq!(answer.status, status, "{target} {body}: {}", answer.body);
        let answers = &self.strict["paths"][path][method]["responses"];
        let mut said = answers
            .get(status.to_string())
            .unwrap_or(&answers["default"]);
        if let Some(elsewhere) = said["$ref"].as_str() {
            said = self
                .strict
                .pointer(elsewhere.trim_start_matches('#'))
                .unwrap();
        }
        let kind = answer.header("content-type").split(';').next().unwrap();
        let schema = &said["content"][kind]["schema"];
        assert!(schema.is_object(), "{method} {path} {status} {kind}");
        let answer = match kind {
            "application/json" => answer.json(),
            _ => Value::String(answer.body),
        };
        let mut schema = schema.clone();
        schema["components"] = self.strict["components"].clone();
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let wrong: Vec<String> = validator
            .iter_errors(&answer)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(
            wrong.is_empty(),
            "{target} {status}: {wrong:#?}\n{answer:#}"
        );
        answer
    }

    /// Everything that is described, as `get /path`.
    fn described(&self) -> BTreeSet<String> {
        let paths = self.document["paths"].as_object().unwrap();
        let each = paths.iter().flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| format!("{method} {path}"))
        });
        each.collect()
    }
}

fn plain(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn every_answer_is_as_it_is_described(pool: PgPool) {
    let program = Program::new(&pool).await;
    let mut asked = BTreeSet::new();
    for (method, path, target, body, status) in [
        ("get", "/search", "/search?q=10086", "", 200),
        ("get", "/search", "/search?q=10088", "", 200),
        ("get", "/search", "/search?q=nobody-at-all", "", 200),
        ("get", "/search", "/search?q=", "", 400),
        ("get", "/messages/{name}", "/messages/1002", "", 200),
        ("get", "/messages/{name}", "/messages/1", "", 200),
        ("get", "/messages/{name}", "/messages/no-such", "", 404),
        ("get", "/pulse", "/pulse", "", 200),
        ("get", "/overview", "/overview", "", 200),
        ("get", "/overview", "/overview?app=lab", "", 200),
        ("get", "/overview", "/overview?app=none", "", 404),
        ("get", "/system", "/system", "", 200),
        (
            "post",
            "/system/pause",
            "/system/pause",
            "app=default&reason=quota",
            200,
        ),
        (
            "post",
            "/system/pause",
            "/system/pause",
            "app=default&reason=again",
            200,
        ),
        (
            "post",
            "/system/pause",
            "/system/pause",
            "app=default&reason=",
            400,
        ),
        (
            "post",
            "/system/resume",
            "/system/resume",
            "app=default&reason=back",
            200,
        ),
        (
            "post",
            "/system/resume",
            "/system/resume",
            "app=default&reason=back&now=yes",
            200,
        ),
        (
            "post",
            "/system/resume",
            "/system/resume",
            "app=lab&reason=back&paused_at=",
            409,
        ),
        ("get", "/messages", "/messages", "", 200),
        (
            "get",
            "/messages/export.csv",
            "/messages/export.csv",
            "",
            200,
        ),
        (
            "get",
            "/messages/export.json",
            "/messages/export.json",
            "",
            200,
        ),
        ("get", "/dead", "/dead?period=30d", "", 200),
        ("get", "/dead", "/dead?period=own", "", 400),
        ("get", "/dead/export.csv", "/dead/export.csv", "", 200),
        ("get", "/calls", "/calls", "", 200),
        ("get", "/calls/export.csv", "/calls/export.csv", "", 200),
        ("get", "/audit", "/audit", "", 200),
        ("get", "/audit/export.csv", "/audit/export.csv", "", 200),
        ("get", "/audit/export.json", "/audit/export.json", "", 200),
        (
            "get",
            "/messages/{name}/{act}",
            "/messages/1002/resend",
            "",
            200,
        ),
        (
            "get",
            "/messages/{name}/{act}",
            "/messages/1001/resend",
            "",
            409,
        ),
        (
            "get",
            "/messages/{name}/{act}",
            "/messages/no-such/resend",
            "",
            404,
        ),
        ("get", "/bulk", "/bulk", "", 200),
        (
            "get",
            "/bulk/new",
            "/bulk/new?status=dead&since=30d",
            "",
            200,
        ),
        ("get", "/bulk/new", "/bulk/new?since=soon", "", 422),
        ("get", "/bulk/new", "/bulk/new?status=delivered", "", 422),
        ("post", "/bulk/new", "/bulk/new", "status=dead&why=", 422),
        (
            "post",
            "/bulk/new",
            "/bulk/new",
            "status=dead&since=30d&why=mended",
            200,
        ),
        ("get", "/bulk/{id}", "/bulk/1", "", 200),
        ("get", "/bulk/{id}", "/bulk/99", "", 404),
        (
            "post",
            "/bulk/{id}",
            "/bulk/1",
            "order=start&version=1&count=99",
            422,
        ),
        (
            "post",
            "/bulk/{id}",
            "/bulk/1",
            "order=pause&version=1&reason=no",
            409,
        ),
        ("get", "/help", "/help", "", 200),
        ("get", "/openapi.json", "/openapi.json", "", 200),
        // The badge has tests of its own for what it says.
        (
            "get",
            "/badge/{customer}/{recipient}",
            "/badge/10086/42?expires=1&sig=0",
            "",
            403,
        ),
    ] {
        program.check(method, path, target, body, status).await;
        asked.insert(format!("{method} {path}"));
    }
    // What an act takes comes from an answer before it. Done once, it has changed what was seen.
    let (path, key) = ("/calls/handled", "seen");
    let calls = program.check("get", "/calls", "/calls", "", 200).await;
    let call = &calls["notifications"][0];
    let handled = format!("seen={}&outcome=told&reason=rang", plain(&call[key]));
    program.check("post", path, path, &handled, 200).await;
    asked.insert(format!("post {path}"));
    let path = "/messages/{name}/{act}";
    let target = "/messages/1002/resend";
    let form = program.check("get", path, target, "", 200).await;
    let seen = plain(&form[key]);
    let other = "/messages/1002/handled";
    let form = program.check("get", path, other, "", 200).await;
    let early = plain(&form[key]);
    for (target, body, status) in [
        (target, format!("seen={seen}&reason="), 422),
        (target, format!("seen={seen}&reason=again"), 200),
        (other, format!("seen={early}&reason=rang&outcome=told"), 409),
        (target, "seen=odd&reason=again".to_owned(), 400),
    ] {
        program.check("post", path, target, &body, status).await;
    }
    asked.insert(format!("post {path}"));
    let path = "/bulk/{id}";
    let bulk = program.check("get", path, "/bulk/1", "", 200).await;
    let version = &bulk["bulks"][0]["version"];
    let cancelled = format!("order=cancel&reason=no&version={version}");
    program
        .check("post", path, "/bulk/1", &cancelled, 200)
        .await;
    asked.insert(format!("post {path}"));
    assert_eq!(asked, program.described(), "each of them was asked");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_may_be_asked_for_is_understood_and_nothing_else_is(pool: PgPool) {
    let program = Program::new(&pool).await;
    for (path, methods) in program.document["paths"].as_object().unwrap() {
        let parameters = methods["get"]["parameters"].as_array();
        let filters: Vec<&Value> = parameters
            .into_iter()
            .flatten()
            .filter(|it| it["in"] == "query" && it["required"] == false)
            .collect();
        // A page of the CRM may add what it likes to a badge's address.
        if filters.is_empty() || path.starts_with("/badge/") {
            continue;
        }
        for filter in &filters {
            let name = filter["name"].as_str().unwrap();
            let target = format!("{path}?{name}={}", plain(&filter["example"]));
            program.check("get", path, &target, "", 200).await;
        }
        let made_up = format!("{path}?made_up=1");
        let status = if path == "/bulk/new" { 422 } else { 400 };
        program.check("get", path, &made_up, "", status).await;
    }
}

/// The names in the forms of a page that are sent to this path.
fn names(page: &Page, action: &str) -> BTreeSet<String> {
    let to = format!("action=\"{action}\"");
    let forms = page.body.split("<form ").skip(1).filter(|form| {
        let tag = form.split('>').next().unwrap();
        tag.contains("method=\"post\"") && tag.contains(&to)
    });
    let inputs = forms.flat_map(|form| {
        let form = form.split("</form>").next().unwrap();
        form.split(" name=\"").skip(1)
    });
    let names = inputs.map(|input| match input.split('"').next().unwrap() {
        field if field.starts_with("field:") => "^field:".to_owned(),
        name => name.to_owned(),
    });
    // A program with a token shows none.
    names.filter(|name| name != "form_token").collect()
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_a_form_sends_is_what_is_described(pool: PgPool) {
    let program = Program::new(&pool).await;
    run(&pool, MORE).await;
    let planned = "status=dead&since=30d&why=mended";
    program.ask("post", "/api/bulk/new", planned).await.is(200);
    for (path, pages) in [
        (
            "/messages/{name}/{act}",
            &[
                "/messages/5010/resend",
                "/messages/1/cancel",
                "/messages/1002/handled",
                "/messages/1002/redirect",
                "/messages/1002/correct",
            ][..],
        ),
        ("/calls/handled", &["/calls"]),
        (
            "/bulk/new",
            &[
                "/bulk/new?since=30d&twice=yes&late=yes&cause=template_wrong&app=default&event_type=e&recipient=u10",
            ],
        ),
        ("/bulk/{id}", &["/bulk/1"]),
        ("/system/pause", &["/system"]),
        ("/system/resume", &["/system"]),
    ] {
        let mut sent = BTreeSet::new();
        for here in pages {
            let page = program.ask("get", here, "").await;
            page.is(200);
            // An act's form goes to the message's key.
            let action = match path {
                "/messages/{name}/{act}" => {
                    let (_, rest) = page
                        .body
                        .split_once("<form method=\"post\" action=\"/messages/")
                        .unwrap();
                    format!("/messages/{}", rest.split('"').next().unwrap())
                }
                _ => path.replace("{id}", "1"),
            };
            sent.extend(names(&page, &action));
        }
        let body = &program.document["paths"][path]["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"]
            ["schema"];
        let described: BTreeSet<String> = ["properties", "patternProperties"]
            .iter()
            .filter_map(|kind| body[*kind].as_object())
            .flat_map(|fields| fields.keys().cloned())
            .collect();
        assert_eq!(sent, described, "{path}");
    }
}
