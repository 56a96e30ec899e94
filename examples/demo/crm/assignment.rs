//! The transaction every endpoint ends in: lock the customers, assign them, enqueue one notification for
//! each, write the ledger. All of it happens, or nothing.
//!
//! Only outboxd's public contract is touched: its two functions, and the view
//! `notification_delivery_status`.

use axum::Json;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};

use super::{Answer, Refusal, Request, Via};

/// The assignment and its notifications, in one transaction: all of it happens, or nothing.
pub(super) async fn assign(pool: &PgPool, via: Via, request: Request) -> Answer {
    let mut tx = pool.begin().await?;
    let staff = staff_name(&mut tx, &request.assigned_to).await?;
    let found = lock_customers(&mut tx, via, &request).await?;
    // In a list of fifty some may be theirs already: they stay, and nobody is told twice.
    let (unchanged, customers): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|c| c.assigned_to.as_ref() == Some(&request.assigned_to));
    let notifications: Vec<Value> = customers
        .iter()
        .map(|c| notification(c, &request, &staff))
        .collect();

    sqlx::query("update crm.customer set assigned_to = $2, assignments = assignments + 1 where id = any($1)")
        .bind(ids(&customers))
        .bind(&request.assigned_to)
        .execute(&mut *tx)
        .await?;
    let queued = match notifications.as_slice() {
        [one] => vec![enqueue_one(&mut tx, one).await?],
        many => enqueue_many(&mut tx, many).await?,
    };
    let assigned = write_ledger(&mut tx, via, &request, &customers, &queued).await?;
    tx.commit().await?;
    Ok(Json(Assigned {
        committed_at: Utc::now(),
        assigned,
        unchanged: ids(&unchanged),
    }))
}

/// A customer under this transaction's lock.
#[derive(sqlx::FromRow)]
struct Customer {
    id: i64,
    name: String,
    phone: String,
    source: String,
    assigned_to: Option<String>,
    assignments: i32,
}

fn ids(customers: &[Customer]) -> Vec<i64> {
    customers.iter().map(|c| c.id).collect()
}

async fn staff_name(tx: &mut PgConnection, id: &str) -> Result<String, Refusal> {
    sqlx::query_scalar("select name from crm.staff where id = $1")
        .bind(id)
        .fetch_optional(tx)
        .await?
        .ok_or_else(|| {
            Refusal::new(
                422,
                "staff_unknown",
                format!("Nobody on the staff has the id \"{id}\"."),
            )
        })
}

/// Locks in the order of the ids, so that two batches cannot wait for each other.
async fn lock_customers(
    tx: &mut PgConnection,
    via: Via,
    request: &Request,
) -> Result<Vec<Customer>, Refusal> {
    let found: Vec<Customer> = sqlx::query_as(
        "select id, name, phone, source, assigned_to, assignments from crm.customer
          where id = any($1) order by id for update",
    )
    .bind(&request.customer_ids)
    .fetch_all(tx)
    .await?;

    if let Some(id) = request
        .customer_ids
        .iter()
        .find(|id| found.iter().all(|c| c.id != **id))
    {
        return Err(Refusal::new(
            404,
            "customer_unknown",
            format!("There is no customer {id}; nobody was assigned."),
        ));
    }
    for c in &found {
        match &c.assigned_to {
            Some(owner) if via == Via::PublicPool => {
                return Err(Refusal::new(
                    409,
                    "not_in_pool",
                    format!(
                        "Customer {} has left the public pool: {owner} was faster. Nobody was assigned.",
                        c.id
                    ),
                ));
            }
            Some(owner) if via != Via::Batch && *owner == request.assigned_to => {
                return Err(Refusal::new(
                    409,
                    "already_assigned",
                    format!(
                        "Customer {} belongs to {owner} already. Nobody was assigned.",
                        c.id
                    ),
                ));
            }
            Some(_) | None => {}
        }
    }
    Ok(found)
}

/// What the salesperson will read, and how the notification behaves in the queue: repeated requests for
/// the same assignment are one notification (`dedupe_key`), news about one customer keeps its order
/// (`order_key`), and older news not yet sent is overtaken by newer (`collapse_key`).
fn notification(customer: &Customer, request: &Request, staff: &str) -> Value {
    let news_of = format!("customer:{}", customer.id);
    json!({
        "event_type": "customer_assigned",
        "recipient": request.assigned_to,
        "aggregate_id": customer.id.to_string(),
        "payload": {
            "customerId": customer.id.to_string(),
            "customerName": customer.name,
            "customerPhone": customer.phone,
            "source": customer.source,
            "assignedTo": staff,
            "assignedBy": request.assigned_by,
            "reason": request.reason,
            "assignedAt": Utc::now().to_rfc3339(),
        },
        "dedupe_key": format!("{news_of}:assignment:{}", customer.assignments + 1),
        "order_key": news_of,
        "collapse_key": news_of,
        "created_by": "crm",
    })
}

/// The first door: one call, named parameters.
async fn enqueue_one(tx: &mut PgConnection, n: &Value) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "select outboxd.enqueue_notification(
                    event_type => $1 ->> 'event_type', recipient => $1 ->> 'recipient',
                    aggregate_id => $1 ->> 'aggregate_id', payload => $1 -> 'payload',
                    dedupe_key => $1 ->> 'dedupe_key', order_key => $1 ->> 'order_key',
                    collapse_key => $1 ->> 'collapse_key', created_by => $1 ->> 'created_by')",
    )
    .bind(n)
    .fetch_one(tx)
    .await
}

/// The same for many: one round trip, ids in the order given.
async fn enqueue_many(tx: &mut PgConnection, many: &[Value]) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar("select outboxd.enqueue_notifications($1)")
        .bind(json!(many))
        .fetch_all(tx)
        .await
}

/// One line of the ledger, and of the answer.
#[derive(Debug, Clone, Serialize, Deserialize, sqlx::FromRow)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Line {
    pub(crate) assignment: i64,
    pub(crate) customer_id: i64,
    pub(crate) notification_id: i64,
    pub(crate) notification_key: uuid::Uuid,
}

async fn write_ledger(
    tx: &mut PgConnection,
    via: Via,
    request: &Request,
    customers: &[Customer],
    queued: &[i64],
) -> sqlx::Result<Vec<Line>> {
    sqlx::query_as(
        "insert into crm.assignment_log
                (customer_id, assigned_from, assigned_to, assigned_by, reason, via, notification_id, notification_key)
         select a.customer_id, a.assigned_from, $4, $5, $6, $7, s.id, s.key
           from unnest($1::bigint[], $2::text[], $3::bigint[]) as a(customer_id, assigned_from, notification_id)
           join outboxd.notification_delivery_status s on s.id = a.notification_id
         returning id as assignment, customer_id, notification_id, notification_key",
    )
    .bind(ids(customers))
    .bind(customers.iter().map(|c| c.assigned_to.clone()).collect::<Vec<_>>())
    .bind(queued)
    .bind(&request.assigned_to)
    .bind(request.assigned_by.as_deref().unwrap_or("crm"))
    .bind(&request.reason)
    .bind(via.as_str())
    .fetch_all(tx)
    .await
}

/// What the CRM answers: when the transaction had committed, by its own clock, and what is in the ledger.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Assigned {
    pub(crate) committed_at: DateTime<Utc>,
    pub(crate) assigned: Vec<Line>,
    /// Customers of a batch who belonged to this person already.
    pub(crate) unchanged: Vec<i64>,
}
