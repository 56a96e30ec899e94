//! Hostile requests to the desk: in each header, in each field of a form; and its log.

use std::collections::BTreeSet;
use std::process::Stdio;

use reqwest::header::HeaderValue;
use reqwest::{Client, Method, RequestBuilder, redirect};
use sqlx::PgPool;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::html::{Words, assert_knows, words};
use super::{MARK, PLAIN, assert_harmless, encoded, is_harmful, texts};
use crate::desk::{Page, ROWS};
use crate::fleet::{Fleet, signal};
use crate::harness::{number, run};

/// Where the proxy says who it is.
const WHO: &str = "x-forwarded-user";

/// Headers that a browser, a proxy or a foreign site fills. A header takes no controls.
const HEADERS: [&str; 12] = [
    WHO,
    "user-agent",
    "cookie",
    "host",
    "origin",
    "referer",
    "x-forwarded-for",
    "x-forwarded-host",
    "accept-language",
    "authorization",
    "sec-fetch-site",
    "hx-current-url",
];

/// A desk that is a process of its own, behind a proxy that everybody comes through.
struct Served {
    base: String,
    client: Client,
}

impl Served {
    fn ask(&self, method: Method, path: &str, header: &str, text: &str) -> RequestBuilder {
        let value: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_control()).collect();
        let value = match header {
            "cookie" => [
                b"lang=".to_vec(),
                value.clone(),
                b"; theme=".to_vec(),
                value.clone(),
                b"; outboxd_desk=".to_vec(),
                value.clone(),
                b"; outboxd_form=".to_vec(),
                value,
            ]
            .concat(),
            _ => value,
        };
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if header != WHO {
            request = request.header(WHO, "wang");
        }
        request = request.header(header, HeaderValue::from_bytes(&value).unwrap());
        request
    }

    async fn page(&self, request: RequestBuilder, place: &str) -> Page {
        let page = Page::of(request.send().await.unwrap()).await;
        assert!(page.status < 500, "{place}: {}", page.status);
        for (name, value) in &page.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            assert_harmless(place, &value, &[]);
            if name == "location" {
                assert!(
                    value.starts_with('/') && !value.starts_with("//"),
                    "{place}: {value}"
                );
            }
            assert!(
                !value.contains(MARK) || name == "location",
                "{place}: {name}: {value}"
            );
        }
        page
    }
}

fn names(page: &Page) -> BTreeSet<String> {
    page.headers
        .keys()
        .map(|name| name.as_str().to_owned())
        .collect()
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_request_changes_neither_page_nor_log(pool: PgPool) {
    run(&pool, ROWS).await;
    // More than a page of the log.
    run(&pool, "insert into outboxd.audit_log (actor, action, affected) select 'crowd', 'cancel', 1 from generate_series(1, 120)").await;
    for format in ["text", "json"] {
        let mut fleet = Fleet::new(&pool).await;
        fleet
            .set("OUTBOXD_DESK_LISTEN", "127.0.0.1:0")
            .set("OUTBOXD_DESK_PROXY", "127.0.0.1")
            .set("OUTBOXD_DESK_USER_HEADER", "X-Forwarded-User")
            .set("OUTBOXD_DESK_OPERATORS", "*")
            .set("OUTBOXD_LOG", "trace")
            .set("OUTBOXD_LOG_FORMAT", format);
        let mut process = fleet
            .command(&["serve"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut log = Vec::new();
        let base = loop {
            let line = lines.next_line().await.unwrap().expect("it opens");
            let open = line.find("the desk is open on http://127.0.0.1:");
            log.push(line.clone());
            if let Some(at) = open {
                let url = &line[at + "the desk is open on ".len()..];
                let end = url.find(|c: char| !(c.is_ascii_alphanumeric() || "./:".contains(c)));
                break url[..end.unwrap_or(url.len())]
                    .trim_end_matches('/')
                    .to_owned();
            }
        };
        let rest = tokio::spawn(async move {
            let mut rest = Vec::new();
            while let Ok(Some(line)) = lines.next_line().await {
                rest.push(line);
            }
            rest
        });
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy();
        let client = client.build().unwrap();
        headers_and_forms(&Served { base, client }).await;
        signal(&process, "TERM");
        assert_eq!(process.wait().await.unwrap().code(), Some(0));
        log.extend(rest.await.unwrap());
        for line in log {
            assert_harmless("the log", &line, &[]);
            super::lines::is_a_line(&line, format);
        }
    }
    let acted =
        "select count(*) from outboxd.audit_log where action = 'pause' and actor like '%kanari'";
    assert!(number(&pool, acted).await > 1);
    let stored: Vec<String> =
        sqlx::query_scalar("select concat_ws(' ', actor, reason) from outboxd.audit_log")
            .fetch_all(&pool)
            .await
            .unwrap();
    for line in stored {
        assert_harmless("the audit log", &line, &[]);
    }
}

async fn headers_and_forms(desk: &Served) {
    let mut known = Words::new();
    let mut usual = BTreeSet::from(["location", "allow", "connection"].map(str::to_owned));
    let nobody = desk.client.get(format!("{}/", desk.base)).send().await;
    known.extend(words("nobody's", &nobody.unwrap().text().await.unwrap()));
    // Twice, for the second time something stood there before.
    for text in [PLAIN, "plainly"] {
        for (place, page) in asked(desk, text).await {
            known.extend(words(&place, &page.body));
            usual.extend(names(&page));
        }
    }
    for text in texts() {
        for (place, page) in asked(desk, &text).await {
            assert_knows(&known, &place, &page.body);
            assert!(
                names(&page).is_subset(&usual),
                "{place}: {:?}",
                page.headers
            );
        }
    }
}

/// What the desk answers to this text in each header, and in the fields of a form that is sent under its name.
async fn asked(desk: &Served, text: &str) -> Vec<(String, Page)> {
    let mut pages = Vec::new();
    for header in HEADERS {
        let place = format!("{header}: {text:?}");
        let asked = desk.ask(Method::GET, "/messages/1002", header, text);
        pages.push((place.clone(), desk.page(asked, &place).await));
    }
    // A choice leads back to where it was made.
    let choice = format!("/?lang=en&next={}", encoded(text));
    let asked = desk.ask(Method::GET, &choice, "user-agent", PLAIN);
    pages.push((choice.clone(), desk.page(asked, &choice).await));

    // The proxy's name for somebody is taken as it is or not at all.
    let who: String = text.chars().filter(|c| !is_harmful(*c)).collect();
    let form = desk.ask(Method::GET, "/messages/1002/redirect", WHO, &who);
    let form = desk.page(form, "the form").await;
    // The token goes with its cookie.
    let cookie = form.header("set-cookie").split(';').next().unwrap();
    let token = form.hidden("form_token").unwrap();
    let seen = form.hidden("seen").unwrap();
    let handled = "/messages/1002/handled";
    let mark = desk
        .page(desk.ask(Method::GET, handled, WHO, text), handled)
        .await;
    let mark = mark.hidden("seen").unwrap_or_default();
    let nowhere = format!("/messages/{}/resend", encoded(text));
    for (path, fields) in [
        ("/system/pause", vec![("app", "default"), ("reason", text)]),
        ("/system/pause", vec![("app", text), ("reason", "r")]),
        (
            "/messages/1002/redirect",
            vec![("recipient", text), ("reason", "")],
        ),
        (
            "/messages/1002/correct",
            vec![("new_name", text), ("new_value", text), ("reason", " ")],
        ),
        (
            handled,
            vec![("seen", &*mark), ("outcome", text), ("reason", text)],
        ),
        (
            "/bulk/new",
            vec![("why", text), ("since", text), ("cause", text)],
        ),
        (
            "/calls/handled",
            vec![("seen", text), ("outcome", text), ("reason", text)],
        ),
        (nowhere.as_str(), vec![("reason", text)]),
    ] {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        body.extend_pairs([("form_token", &token), ("seen", &seen)]);
        let asked = desk
            .ask(Method::POST, path, WHO, &who)
            .header("cookie", cookie)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.finish());
        let place = format!("{path}: {text:?}");
        let page = desk.page(asked, &place).await;
        assert_ne!(page.status, 403, "{place}: {}", page.body);
        pages.push((place, page));
    }
    for path in ["/audit", "/system"] {
        let place = format!("{path}: {text:?}");
        let asked = desk.ask(Method::GET, path, WHO, &who);
        pages.push((place.clone(), desk.page(asked, &place).await));
    }
    // The next one pauses again.
    let mut body = url::form_urlencoded::Serializer::new(String::new());
    body.extend_pairs([
        ("app", "default"),
        ("reason", text),
        ("form_token", &*token),
    ]);
    let asked = desk
        .ask(Method::POST, "/system/resume", WHO, &who)
        .header("cookie", cookie)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body.finish());
    desk.page(asked, "resume").await.is(303);
    pages
}
