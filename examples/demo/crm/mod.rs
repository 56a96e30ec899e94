//! The reference CRM: the four founding endpoints over three tables of its own.
//!
//! It shows what a CRM has to do and no more: make the assignment and call `outboxd.enqueue_notification`
//! in the same transaction. Nothing here waits for WeChat, retries, or knows a token; if the transaction
//! commits, the notification exists, and if it rolls back, it never did. The endpoints stand here, the
//! transaction in [`assignment`].

mod assignment;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{patch, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use sqlx::PgPool;

pub(crate) use assignment::Assigned;
use assignment::assign;

/// The one on the staff who allows no messages at first.
pub(crate) const REFUSES: &str = "zhou-ting";

/// One transaction carries at most this many assignments.
const LARGEST_BATCH: usize = 500;

/// Makes the CRM's tables and, in an empty database, its people and customers.
pub(crate) async fn set_up(pool: &PgPool) -> anyhow::Result<()> {
    sqlx::raw_sql(include_str!("crm.sql")).execute(pool).await?;
    let (customers,): (i64,) = sqlx::query_as("select count(*) from crm.customer")
        .fetch_one(pool)
        .await?;
    if customers == 0 {
        new_leads(pool, 150, Owner::Somebody).await?;
        new_leads(pool, 60, Owner::Nobody).await?;
    }
    Ok(())
}

/// To whom fresh customers belong.
#[derive(Clone, Copy)]
pub(crate) enum Owner {
    Somebody,
    Nobody,
}

/// Customers call in from nowhere.
pub(crate) async fn new_leads(pool: &PgPool, count: i32, owner: Owner) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar(include_str!("leads.sql"))
        .bind(count)
        .bind(matches!(owner, Owner::Somebody))
        .fetch_all(pool)
        .await
}

/// The four founding endpoints, at their exact paths.
pub(crate) fn routes(pool: PgPool) -> Router {
    Router::new()
        .route(
            "/api/customers/miniprogram/{id}/assign",
            patch(assign_in_mini_program),
        )
        .route("/api/customers/{id}/assign", patch(assign_on_the_web))
        .route("/api/customers/batch-assign", post(assign_batch))
        .route("/api/customers/public-pool/assign", post(assign_from_pool))
        .with_state(pool)
}

/// What the assigning person sends. Unknown fields are refused: a typo must not lose a reason.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Request {
    #[serde(default)]
    customer_ids: Vec<i64>,
    assigned_to: String,
    assigned_by: Option<String>,
    reason: Option<String>,
}

/// Where an assignment was made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Via {
    MiniProgram,
    Web,
    Batch,
    PublicPool,
}

impl Via {
    fn as_str(self) -> &'static str {
        match self {
            Via::MiniProgram => "miniprogram",
            Via::Web => "web",
            Via::Batch => "batch",
            Via::PublicPool => "public-pool",
        }
    }
}

async fn assign_in_mini_program(pool: State<PgPool>, id: Path<String>, body: String) -> Answer {
    assign_one(&pool, Via::MiniProgram, &id, &body).await
}

async fn assign_on_the_web(pool: State<PgPool>, id: Path<String>, body: String) -> Answer {
    assign_one(&pool, Via::Web, &id, &body).await
}

async fn assign_batch(pool: State<PgPool>, body: String) -> Answer {
    assign_many(&pool, Via::Batch, &body).await
}

async fn assign_from_pool(pool: State<PgPool>, body: String) -> Answer {
    assign_many(&pool, Via::PublicPool, &body).await
}

async fn assign_one(pool: &PgPool, via: Via, id: &str, body: &str) -> Answer {
    let mut request = parse(body)?;
    let Ok(id) = id.parse() else {
        return Err(Refusal::new(
            422,
            "bad_request",
            format!("\"{id}\" is not a customer id: a whole number is expected."),
        ));
    };
    if !request.customer_ids.is_empty() {
        return Err(Refusal::new(
            422,
            "bad_request",
            "This address names its one customer; leave customerIds out.",
        ));
    }
    request.customer_ids.push(id);
    assign(pool, via, request).await
}

async fn assign_many(pool: &PgPool, via: Via, body: &str) -> Answer {
    let mut request = parse(body)?;
    request.customer_ids.sort_unstable();
    request.customer_ids.dedup();
    match request.customer_ids.len() {
        0 => Err(Refusal::new(
            422,
            "batch_empty",
            "customerIds names nobody; at least one customer is needed.",
        )),
        1..=LARGEST_BATCH => assign(pool, via, request).await,
        n => Err(Refusal::new(
            422,
            "batch_too_large",
            format!("{n} customers are too many for one transaction; at most {LARGEST_BATCH}."),
        )),
    }
}

fn parse(body: &str) -> Result<Request, Refusal> {
    serde_json::from_str(body)
        .map_err(|e| Refusal::new(400, "bad_request", format!("The body cannot be read: {e}.")))
}

type Answer = Result<Json<Assigned>, Refusal>;

/// A request the CRM does not carry out, in a sentence.
struct Refusal {
    status: u16,
    code: &'static str,
    message: String,
}

impl Refusal {
    fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Refusal {
            status,
            code,
            message: message.into(),
        }
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(e: sqlx::Error) -> Self {
        Refusal::new(
            503,
            "database",
            format!("The database did not carry this out, nothing was assigned: {e}."),
        )
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (
            status,
            Json(json!({"error": {"code": self.code, "message": self.message}})),
        )
            .into_response()
    }
}
