//! `/livez`, `/readyz` and `/metrics`, on a port of their own.
//!
//! Alive means that the loops turn (not that the database is there: restarting us would not mend it). Ready means
//! that the database answers, its schema is the one we need, and we are not stopping.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use crate::config::Misplaced;
use crate::config::words::words;
use crate::metrics::Metrics;
use crate::outbox::backlog::backlog;
use crate::outbox::line::{Line, answered};
use crate::outbox::schema;
use crate::port;
use crate::target::AppTarget;

/// A loop that has not turned for this long is stuck: longer than any statement and any back-off of ours.
const STUCK_AFTER: Duration = Duration::from_secs(60);

pub struct Health {
    pub metrics: Arc<Metrics>,
    pub line: Mutex<Line>,
    pub apps: Vec<String>,
    /// The targets of the apps, for what is known about their tokens.
    pub targets: Vec<(String, Arc<AppTarget>)>,
    pub stopping: AtomicBool,
}

/// Serves until the process ends. Returns the address it listens on.
pub async fn serve(listen: SocketAddr, health: Arc<Health>) -> Result<SocketAddr> {
    // A predecessor that is still draining gives the port up in a moment.
    let mut tries = 6;
    let listener = loop {
        tries -= 1;
        match TcpListener::bind(listen).await {
            Ok(listener) => break listener,
            Err(cause) if cause.kind() == ErrorKind::AddrInUse && tries > 0 => {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            Err(cause) => bail!(Misplaced(words!(
                "cannot listen on {listen} for health and metrics: {cause}. Set OUTBOXD_HTTP_LISTEN to another address, or to off",
                "无法在 {listen} 上提供健康检查和指标：{cause}。请把 OUTBOXD_HTTP_LISTEN 改成别的地址，或 off",
            ))),
        }
    };
    let address = listener.local_addr()?;
    let routes = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/healthz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(health);
    tokio::spawn(port::serve(listener, routes, std::future::pending()));
    Ok(address)
}

async fn livez(State(health): State<Arc<Health>>) -> Response {
    match health.metrics.slowest_beat() {
        Some(age) if age > STUCK_AFTER && !health.stopping.load(Ordering::Relaxed) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("stuck: no turn of the loop for {} s\n", age.as_secs()),
        )
            .into_response(),
        _ => "alive\n".into_response(),
    }
}

async fn readyz(State(health): State<Arc<Health>>) -> Response {
    if health.stopping.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    match schema_is_there(&health).await {
        Ok(true) => "ready\n".into_response(),
        Ok(false) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: the schema is missing or behind; run `outboxd migrate`\n",
        )
            .into_response(),
        Err(cause) => {
            tracing::debug!(error = format!("{cause:#}"), "not ready");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "not ready: the database does not answer\n",
            )
                .into_response()
        }
    }
}

async fn schema_is_there(health: &Health) -> Result<bool> {
    let mut line = health.line.lock().await;
    let mut connection = line.take().await?;
    let status =
        tokio::time::timeout(Duration::from_secs(8), schema::status(&mut connection)).await??;
    line.back(connection).await?;
    Ok(status.is_current())
}

async fn metrics(State(health): State<Arc<Health>>) -> Response {
    // The numbers of the service are as of this scrape; without the database, this process's own still come.
    if let Err(cause) = read_backlog(&health).await {
        tracing::debug!(error = format!("{cause:#}"), "the backlog cannot be read");
    }
    for (app, target) in &health.targets {
        if let Some(figures) = target.token_figures() {
            health.metrics.token(app, figures);
        }
    }
    match health.metrics.render() {
        Ok(page) => (
            [(
                header::CONTENT_TYPE,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            )],
            page,
        )
            .into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn read_backlog(health: &Health) -> Result<()> {
    let mut line = health.line.lock().await;
    let mut connection = line.take().await?;
    let backlogs = answered(backlog(&mut connection, &health.apps)).await?;
    line.back(connection).await?;
    health.metrics.backlog(&backlogs);
    Ok(())
}
