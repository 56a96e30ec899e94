//! The CRM's word on a recipient's openid: one query of the operator's, on a connection of its own.
//!
//! It runs in a read-only transaction with a short time limit, so that it can neither change nor hold anything, and
//! never between claim and record. An error is told by its code; only what the server says about the query itself
//! (a table, a column, a right) is kept in words, for values may stand in the rest.

use std::future::Future;
use std::pin::Pin;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Executor as _, Row as _};
use tokio::sync::Mutex;

use super::line::{Line, answered};
use crate::delivery::{FindOpenid, LookupFailed};
use crate::secret::Secret;

/// Begins what nothing can be written in.
const READ_ONLY: &str =
    "set transaction read only; set local statement_timeout = 2000; set local lock_timeout = 500";

pub struct OpenidQuery {
    line: Mutex<Line>,
    sql: String,
}

impl OpenidQuery {
    pub fn new(line: Line, query: &str) -> OpenidQuery {
        // As a part of a query, so that it is one statement and its value is text. The line break ends a comment.
        let sql = format!(
            "-- outboxd openid\nselect found.openid::text from (\n{query}\n) as found(openid) limit 1"
        );
        OpenidQuery {
            line: Mutex::new(line),
            sql,
        }
    }

    /// Lets the server plan the query, for nobody and without running it: a wrong table, column or right shows here
    /// instead of at the first row.
    pub async fn try_out(&self) -> Result<(), LookupFailed> {
        let plan = format!("explain {}", self.sql);
        self.run(&plan, None)
            .await
            .map(drop)
            .map_err(|failed| told(&failed))
    }

    async fn ask(&self, recipient: &str) -> anyhow::Result<Option<Secret>> {
        let row = self.run(&self.sql, Some(recipient)).await?;
        let openid: Option<String> = match row {
            Some(row) => row.try_get(0)?,
            None => None,
        };
        Ok(openid.map(Secret::new))
    }

    /// In a transaction of its own in which nothing can be written.
    async fn run(&self, sql: &str, recipient: Option<&str>) -> anyhow::Result<Option<PgRow>> {
        let mut line = self.line.lock().await;
        let mut held = line.take().await?;
        // Behind a transaction pooler the line has begun one already.
        if !held.is_in_transaction() {
            answered(held.execute("begin")).await?;
        }
        answered(held.execute(READ_ONLY)).await?;
        let query = sqlx::query(AssertSqlSafe(sql.to_owned())).bind(recipient);
        let row = answered(held.fetch_optional(query)).await?;
        if !held.is_in_transaction() {
            answered(held.execute("commit")).await?;
        }
        line.back(held).await?;
        Ok(row)
    }
}

impl FindOpenid for OpenidQuery {
    fn openid<'a>(
        &'a self,
        recipient: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Secret>, LookupFailed>> + Send + 'a>> {
        Box::pin(async move { self.ask(recipient).await.map_err(|failed| told(&failed)) })
    }
}

/// Why it did not run, without a value.
fn told(failed: &anyhow::Error) -> LookupFailed {
    match failed.downcast_ref::<sqlx::Error>() {
        Some(sqlx::Error::Database(said)) => {
            let code = said.code().unwrap_or_default().into_owned();
            match code.get(..2) {
                // Syntax and rights: the message names tables and columns.
                Some("42") => LookupFailed::Wrong(format!("{code}: {}", said.message())),
                // It would write, or a value does not fit a type.
                Some("25" | "22" | "0A") => LookupFailed::Wrong(code),
                Some(_) | None => LookupFailed::Away(code),
            }
        }
        Some(_) | None => LookupFailed::Away("no connection".to_owned()),
    }
}
