//! What every test needs: a database's lines, rows to work on, and the numbers to compare.

use std::time::Duration;

use outboxd::config::Pooler;
use outboxd::outbox::claim::{Claimer, Reach};
use outboxd::outbox::line::Database;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(crate) const LEASE: Duration = Duration::from_secs(30);

/// The lines a daemon would use on this test's database.
pub(crate) fn database(pool: &PgPool) -> Database {
    Database::new(
        PgConnectOptions::clone(&pool.connect_options()),
        Pooler::None,
    )
}

pub(crate) fn claimer(pool: &PgPool, daemon: &str) -> Claimer {
    Claimer::new(database(pool).line(), "default", daemon, LEASE)
}

/// Enqueues by the function, the way a CRM does.
pub(crate) async fn enqueue(pool: &PgPool, recipient: &str, customer: &str) -> i64 {
    sqlx::query_scalar(
        "select outboxd.enqueue_notification('customer_assigned', $1, $2, '{\"name\": \"张三\"}')",
    )
    .bind(recipient)
    .bind(customer)
    .fetch_one(pool)
    .await
    .unwrap()
}

pub(crate) async fn number(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

pub(crate) async fn run(pool: &PgPool, sql: &'static str) {
    sqlx::raw_sql(sql).execute(pool).await.unwrap();
}

/// Moves every lease into the past, as if time had passed.
pub(crate) async fn lapse_leases(pool: &PgPool) {
    run(pool, "update outboxd.notification_outbox set lease_until = now() - interval '1 second' where lease_until is not null").await;
}

pub(crate) async fn ids_of(claimer: &mut Claimer, slots: usize) -> Vec<i64> {
    claimer.sweep_next();
    let mut ids: Vec<i64> = claimer
        .claim(Reach::Due(slots))
        .await
        .unwrap()
        .iter()
        .map(|c| c.id.0)
        .collect();
    ids.sort_unstable();
    ids
}

/// Waits until the count is no longer zero; polled, because only the database knows.
pub(crate) async fn appears(pool: &PgPool, count: &'static str) {
    let give_up = tokio::time::Instant::now() + Duration::from_secs(60);
    while number(pool, count).await == 0 {
        assert!(
            tokio::time::Instant::now() < give_up,
            "not within a minute: {count}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Roles belong to the whole server, and another test may be making them at the same moment.
pub(crate) async fn create_roles(pool: &PgPool) {
    let mut conn = pool.acquire().await.unwrap();
    for _ in 0..5 {
        if outboxd::outbox::schema::create_roles(&mut conn)
            .await
            .is_ok()
        {
            return;
        }
    }
    outboxd::outbox::schema::create_roles(&mut conn)
        .await
        .unwrap();
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Status and body of a path of a health port.
pub(crate) async fn got(address: &str, path: &str) -> (u16, String) {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}
