//! The page: its files, the state it polls, and the few things a visitor may break.
//!
//! Everything is embedded and comes from this address, so the strictest content policy holds. What the
//! visitor assigns goes to the CRM's own endpoints; here are only the stage's levers.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use outboxd::catalogue::{ENTRIES, Kind};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::sync::Mutex;

use crate::books::Books;
use crate::crm::{self, Owner};
use crate::phones::Phones;
use crate::process::Process;

/// What the page looks at.
#[derive(Clone)]
pub(crate) struct House {
    pub(crate) pool: PgPool,
    pub(crate) phones: Phones,
    pub(crate) daemon: Arc<Process>,
    pub(crate) books: Arc<Mutex<Books>>,
    /// The desk's address, for the page's links.
    pub(crate) desk: Option<String>,
}

pub(crate) fn routes(house: House) -> Router {
    let demo = Router::new()
        .route("/api/demo/state", get(state))
        .route("/api/demo/customers", get(customers))
        .route("/api/demo/words", get(words))
        .route("/api/demo/switch", post(switch))
        .route("/api/demo/phone", post(phone))
        .route("/api/demo/daemon", post(daemon))
        .route("/api/demo/leads", post(leads))
        .with_state(house);
    FILES.iter().fold(demo, |routes, file| {
        routes.route(file.path, get(|| async { file.response() }))
    })
}

struct File {
    path: &'static str,
    kind: &'static str,
    text: &'static str,
}

macro_rules! files {
    ($($path:literal, $kind:literal, $name:literal;)*) => {
        &[$(File { path: $path, kind: $kind, text: include_str!(concat!("page/", $name)) }),*]
    };
}

static FILES: &[File] = files! {
    "/", "text/html; charset=utf-8", "index.html";
    "/style.css", "text/css; charset=utf-8", "style.css";
    "/phone.css", "text/css; charset=utf-8", "phone.css";
    "/app.js", "text/javascript; charset=utf-8", "app.js";
    "/hints.js", "text/javascript; charset=utf-8", "hints.js";
    "/crm.js", "text/javascript; charset=utf-8", "crm.js";
    "/journey.js", "text/javascript; charset=utf-8", "journey.js";
    "/phone.js", "text/javascript; charset=utf-8", "phone.js";
    "/words.js", "text/javascript; charset=utf-8", "words.js";
    "/favicon.svg", "image/svg+xml", "favicon.svg";
};

const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

impl File {
    fn response(&self) -> Response {
        let headers: [(HeaderName, &str); 4] = [
            (header::CONTENT_TYPE, self.kind),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::CACHE_CONTROL, "no-store"),
        ];
        (headers, self.text).into_response()
    }
}

#[derive(Deserialize)]
struct Since {
    /// The newest message the page has.
    #[serde(default)]
    after: u64,
}

/// One poll: the database's part is one statement (`state.sql`), the phones' part what is new.
async fn state(
    State(house): State<House>,
    Query(since): Query<Since>,
) -> Result<Json<Value>, Trouble> {
    let (first_line, counts) = {
        let mut books = house.books.lock().await;
        (books.first_line(), books.turn().await?)
    };
    let mut state: Value = sqlx::query_scalar(include_str!("state.sql"))
        .bind(first_line)
        .fetch_one(&house.pool)
        .await?;
    state["counts"] = json!(counts);
    state["messages"] = json!(house.phones.messages(since.after).await?);
    state["switches"] = house.phones.switches().await?;
    state["refusing"] = json!(house.phones.refusing().await?);
    state["desk"] = json!(house.desk);
    state["daemon"] = json!(house.daemon.health().await);
    Ok(Json(state))
}

/// All customers and all staff; read when the state's `crm` mark changes.
async fn customers(State(house): State<House>) -> Result<Json<Value>, Trouble> {
    let list = sqlx::query_scalar(
        "select jsonb_build_object(
            'staff', (select jsonb_agg(jsonb_build_object('id', id, 'name', name, 'latin', latin, 'quirk', quirk)
                                       order by quirk, latin) from crm.staff),
            'customers', (select jsonb_agg(jsonb_build_object('id', id, 'name', name, 'latin', latin,
                              'phoneTail', right(phone, 4), 'source', source,
                              'owner', assigned_to,
                              'notification', (select l.notification_id from crm.assignment_log l
                                                where l.customer_id = c.id order by l.id desc limit 1)
                              ) order by id) from crm.customer c))",
    )
    .fetch_one(&house.pool)
    .await?;
    Ok(Json(list))
}

/// The sentences behind a notification's `reason`, in both languages, from the daemon's own catalogue, and
/// whether each is about the app as a whole rather than about one call.
async fn words() -> Json<Value> {
    let sentences = ENTRIES.iter().map(|entry| {
        (
            entry.key.to_owned(),
            json!({"zh": entry.zh, "en": entry.en, "outage": matches!(entry.kind, Kind::Outage(_))}),
        )
    });
    Json(Value::Object(sentences.collect()))
}

/// What a visitor may do to the simulated WeChat. Everything else stays with its own tests.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lever {
    down: Option<bool>,
    http_500: Option<bool>,
    latency_ms: Option<u64>,
    revoke_tokens: Option<bool>,
}

async fn switch(
    State(house): State<House>,
    Json(lever): Json<Lever>,
) -> Result<Json<Value>, Trouble> {
    let wishes = [
        ("down", lever.down.map(Value::from)),
        ("http_500", lever.http_500.map(Value::from)),
        (
            "latency_ms",
            lever.latency_ms.map(|ms| Value::from(ms.min(5_000))),
        ),
        ("revoke_tokens", lever.revoke_tokens.map(Value::from)),
    ];
    let change: serde_json::Map<_, _> = wishes
        .into_iter()
        .filter_map(|(name, wish)| Some((name.to_owned(), wish?)))
        .collect();
    house.phones.switch(&Value::Object(change)).await?;
    Ok(Json(house.phones.switches().await?))
}

/// What somebody does on a phone, or everybody on theirs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    whose: Option<String>,
    allows: bool,
}

async fn phone(
    State(house): State<House>,
    Json(choice): Json<Choice>,
) -> Result<Json<Value>, Trouble> {
    // All that is under way, and not only what waits by now: a refusal may be on its way to it.
    let people: Vec<(String, i64)> = sqlx::query_as(
        "select p.id, (select count(*) from outboxd.notification_outbox o where o.recipient = p.id)
           from crm.staff p where p.id = $1 or $1 is null",
    )
    .bind(choice.whose)
    .fetch_all(&house.pool)
    .await?;
    for (person, under_way) in people {
        if choice.allows {
            house.phones.allow(&person, under_way).await?;
        } else {
            house.phones.refuse(&person).await?;
        }
    }
    Ok(Json(json!(house.phones.refusing().await?)))
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Order {
    Kill,
    Start,
}

async fn daemon(
    State(house): State<House>,
    Json(order): Json<Order>,
) -> Result<Json<Value>, Trouble> {
    match order {
        Order::Kill => house.daemon.kill().await?,
        Order::Start => house.daemon.start().await?,
    }
    Ok(Json(json!(house.daemon.health().await)))
}

/// Twenty new customers call in.
async fn leads(State(house): State<House>, Json(()): Json<()>) -> Result<Json<Value>, Trouble> {
    let ids = crm::new_leads(&house.pool, 20, Owner::Nobody).await?;
    Ok(Json(json!({ "customers": ids })))
}

/// Something the stage itself could not do.
struct Trouble(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for Trouble {
    fn from(e: E) -> Self {
        Trouble(e.into())
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let body = json!({"error": {"code": "stage", "message": format!("{:#}", self.0)}});
        (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
    }
}
