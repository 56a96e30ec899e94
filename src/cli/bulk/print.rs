//! How redrives are printed: a sentence, a line, or an object.

use anyhow::Result;
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::find;
use crate::answer::bulk::{counted, object, sentence};
use crate::answer::json::VERSION;
use crate::cli::out::Form;
use crate::cli::{Desk, Exit};
use crate::outbox::bulk::{self, BulkId, State};
use crate::words::say;

pub(super) async fn status(
    desk: &Desk,
    conn: &mut PgConnection,
    id: Option<BulkId>,
) -> Result<Exit> {
    let found = match id {
        Some(id) => vec![find(desk, conn, id).await?],
        None => bulk::bulks(conn, None, 50).await?,
    };
    let voice = desk.voice(conn).await?;
    match desk.out.form {
        Form::Json => {
            let bulks: Vec<Value> = found.iter().map(|it| object(it, &voice)).collect();
            desk.out
                .json(&json!({"version": VERSION, "bulks": bulks}))?;
        }
        Form::Lines => {
            for it in &found {
                desk.out.row(&[
                    it.id.to_string(),
                    it.state.word().to_owned(),
                    counted(&it.preview),
                    it.redriven.to_string(),
                    it.delivered.to_string(),
                    it.failed.to_string(),
                    it.underway.to_string(),
                    it.refused.to_string(),
                ])?;
            }
        }
        Form::Terminal => {
            if found.is_empty() {
                desk.out.note(&say!(voice, "none.listed"));
            }
            for it in &found {
                desk.out.line(&sentence(it, &voice))?;
            }
            if found.iter().any(|it| it.state == State::Running) {
                desk.out.note(&say!(voice, "bulk.driven"));
            }
        }
    }
    Ok(Exit::Ok)
}
