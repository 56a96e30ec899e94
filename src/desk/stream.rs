//! A download that is written while it is read: no line to the database is held for a slow reader, nothing is gathered.
//!
//! What breaks off in the middle ends as a broken download, never as one that looks whole.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use tokio::sync::mpsc;

use super::trouble::Trouble;

/// Rows at most in one download: a list, not a copy of the database.
pub(super) const MOST: usize = 10_000;
/// Rows in one statement.
pub(super) const BATCH: i64 = 500;

type Piece = Result<String, std::io::Error>;

/// Where the pieces go.
pub(super) struct Writer(mpsc::Sender<Piece>);

/// The reader has gone.
pub(super) struct Gone;

impl Writer {
    /// Waits for a reader who is slower.
    pub(super) async fn write(&self, piece: String) -> Result<(), Gone> {
        self.0.send(Ok(piece)).await.map_err(|_| Gone)
    }
}

pub(super) enum Broken {
    Gone,
    Trouble(Trouble),
}

impl From<Gone> for Broken {
    fn from(Gone: Gone) -> Broken {
        Broken::Gone
    }
}

impl From<Trouble> for Broken {
    fn from(trouble: Trouble) -> Broken {
        Broken::Trouble(trouble)
    }
}

impl From<sqlx::Error> for Broken {
    fn from(error: sqlx::Error) -> Broken {
        Broken::Trouble(error.into())
    }
}

/// The response, while `write` goes on.
pub(super) fn download<F>(
    kind: &'static str,
    name: &str,
    write: impl FnOnce(Writer) -> F,
) -> Response
where
    F: Future<Output = Result<(), Broken>> + Send + 'static,
{
    let (sender, pieces) = mpsc::channel(2);
    let written = write(Writer(sender.clone()));
    tokio::spawn(async move {
        match tokio::spawn(written).await {
            Ok(Ok(()) | Err(Broken::Gone)) => return,
            Ok(Err(Broken::Trouble(trouble))) => tracing::warn!(?trouble, "an export broke off"),
            Err(panic) => tracing::error!(%panic, "an export broke off"),
        }
        let broken = std::io::Error::other("the export broke off");
        let _ = sender.send(Err(broken)).await;
    });
    let headers = [
        (CONTENT_TYPE, kind.to_owned()),
        (
            CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}\""),
        ),
    ];
    (headers, Body::from_stream(Pieces(pieces))).into_response()
}

struct Pieces(mpsc::Receiver<Piece>);

impl futures_core::Stream for Pieces {
    type Item = Piece;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        self.0.poll_recv(context)
    }
}
