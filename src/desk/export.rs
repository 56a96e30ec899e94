//! The messages as a file, for a spreadsheet or a program.

use axum::response::Response;
use serde_json::json;

use super::asked::Turn;
use super::card::{Labels, labels};
use super::csv::{self, Batches, Cells};
use super::messages::{FILE_FILTERS, Wanted, cause};
use super::stream::{BATCH, Broken, MOST, Writer, download};
use super::trouble::Trouble;
use super::visit::{Visit, shown};
use crate::answer::json::{self as objects, VERSION, stamp, stamps};
use crate::outbox::inspect::{self, Notification};
use crate::words::{Voice, say};

pub(super) async fn csv(visit: Visit) -> Result<Response, Trouble> {
    let export = Export::begin(visit).await?;
    csv::file("messages.csv", header(&export.voice), export).await
}

pub(super) async fn json(visit: Visit) -> Result<Response, Trouble> {
    let mut export = Export::begin(visit).await?;
    let mut lines = export.lines().await?;
    let write = async move |writer: Writer| -> Result<(), Broken> {
        let mut piece = format!("{{\"version\": {VERSION}, \"notifications\": [");
        let mut mark = "\n";
        while let Some(some) = lines {
            for (it, _) in &some {
                let object = objects::notification(it, &export.voice);
                piece.push_str(mark);
                piece.push_str(&objects::harmless(&object.to_string()));
                mark = ",\n";
            }
            writer.write(std::mem::take(&mut piece)).await?;
            lines = export.lines().await?;
        }
        let next = json!(export.from.filter(|_| export.is_cut()));
        piece.push_str(&format!("\n], \"next_before\": {next}}}\n"));
        writer.write(piece).await?;
        Ok(())
    };
    let kind = "application/json; charset=utf-8";
    Ok(download(kind, "messages.json", write))
}

struct Export {
    visit: Visit,
    voice: Voice,
    wanted: Wanted,
    /// The last id that was read.
    from: Option<i64>,
    read: usize,
    is_over: bool,
}

impl Export {
    async fn begin(visit: Visit) -> Result<Export, Trouble> {
        let mut tx = visit.desk.lines.read().await?;
        let voice = visit.voice(&mut tx).await?;
        tx.commit().await?;
        let wanted = Wanted::of(&visit, &voice, FILE_FILTERS)?;
        Ok(Export {
            from: wanted.filter.before.map(|id| id.0),
            visit,
            voice,
            wanted,
            read: 0,
            is_over: false,
        })
    }

    /// The next ones by id, after one look: perhaps none yet, and nothing at the end.
    async fn lines(&mut self) -> Result<Option<Vec<(Notification, Labels)>>, Trouble> {
        if self.is_over || self.read >= MOST {
            return Ok(None);
        }
        let room = i64::try_from(MOST - self.read).unwrap_or(BATCH).min(BATCH);
        let mut tx = self.visit.desk.lines.read().await?;
        let turn = self.from.map_or(Turn::Newest, Turn::Before);
        let inspect::Page { hits, looked_to } = self.wanted.hits(&mut tx, turn, room).await?;
        let found = inspect::read(&mut tx, &hits).await?;
        let mut labels = labels(&mut tx, &self.visit, &found).await?;
        tx.commit().await?;
        let is_short = i64::try_from(hits.len()).is_ok_and(|n| n < room);
        self.is_over = is_short && looked_to.is_none();
        self.from = looked_to
            .map(|to| to.0)
            .or(hits.last().map(|hit| hit.id))
            .or(self.from);
        self.read += hits.len();
        let named = |it: Notification| {
            let labels = labels.remove(&it.key.0).unwrap_or_default();
            (it, labels)
        };
        Ok(Some(found.into_iter().map(named).collect()))
    }
}

impl Batches for Export {
    async fn next(&mut self) -> Result<Option<Vec<Cells>>, Trouble> {
        let Some(lines) = self.lines().await? else {
            return Ok(None);
        };
        let cells = lines
            .iter()
            .map(|(it, labels)| cells(it, labels, &self.voice));
        Ok(Some(cells.collect()))
    }

    fn is_cut(&self) -> bool {
        !self.is_over
    }

    fn voice(&self) -> &Voice {
        &self.voice
    }
}

pub(super) fn header(voice: &Voice) -> Cells {
    vec![
        say!(voice, "column.id"),
        say!(voice, "column.status"),
        say!(voice, "column.customer"),
        say!(voice, "desk.export.customer_name"),
        say!(voice, "column.recipient"),
        say!(voice, "desk.export.recipient_name"),
        say!(voice, "desk.export.phone"),
        say!(voice, "desk.asked.event_type"),
        say!(voice, "desk.asked.app"),
        say!(voice, "fact.attempts"),
        say!(voice, "column.cause"),
        say!(voice, "desk.export.code"),
        say!(voice, "desk.export.may_have_arrived"),
        say!(voice, "desk.export.written"),
        say!(voice, "desk.export.settled"),
        say!(voice, "fact.key"),
    ]
}

/// A message's line.
pub(super) fn cells(it: &Notification, labels: &Labels, voice: &Voice) -> Cells {
    let or_nothing = |text: &Option<String>| text.clone().unwrap_or_default();
    vec![
        it.id.to_string(),
        voice.standing_of(it),
        shown(&it.aggregate_id),
        or_nothing(&labels.customer),
        shown(&it.recipient),
        or_nothing(&labels.recipient),
        or_nothing(&labels.phone),
        shown(&it.event_type),
        shown(&it.app),
        it.attempts.to_string(),
        or_nothing(&cause(it, voice)),
        it.errcode.map_or_else(String::new, |code| code.to_string()),
        if it.may_have_arrived {
            say!(voice, "desk.export.yes")
        } else {
            String::new()
        },
        stamp(it.created_at, voice),
        or_nothing(&stamps(it.settled_at, voice)),
        it.key.to_string(),
    ]
}
