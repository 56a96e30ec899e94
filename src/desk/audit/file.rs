//! The lines that the filters name, as a file.

use axum::response::Response;
use serde_json::json;

use super::{FILE_FILTERS, Wanted, changes};
use crate::answer::audit::{detail, object};
use crate::answer::json::{VERSION, harmless, stamp};
use crate::desk::asked::Turn;
use crate::desk::csv::{self, Batches, Cells};
use crate::desk::stream::{BATCH, Broken, MOST, Writer, download};
use crate::desk::trouble::Trouble;
use crate::desk::visit::{Visit, shown};
use crate::outbox::inspect::AuditLine;
use crate::words::{Voice, say};

pub(in crate::desk) async fn csv(visit: Visit) -> Result<Response, Trouble> {
    let log = Log::begin(visit).await?;
    let voice = &log.voice;
    let header = vec![
        say!(voice, "column.time"),
        say!(voice, "desk.asked.actor"),
        say!(voice, "desk.asked.action"),
        say!(voice, "desk.asked.app"),
        say!(voice, "column.count"),
        say!(voice, "desk.asked.notification"),
        say!(voice, "column.reason"),
        say!(voice, "desk.export.changes"),
        say!(voice, "column.id"),
    ];
    csv::file("audit.csv", header, log).await
}

pub(in crate::desk) async fn json(visit: Visit) -> Result<Response, Trouble> {
    let mut log = Log::begin(visit).await?;
    let mut lines = log.lines().await?;
    let write = async move |writer: Writer| -> Result<(), Broken> {
        let mut piece = format!("{{\"version\": {VERSION}, \"lines\": [");
        let mut mark = "\n";
        while !lines.is_empty() {
            for line in &lines {
                piece.push_str(mark);
                piece.push_str(&harmless(&object(line, &log.voice).to_string()));
                mark = ",\n";
            }
            writer.write(std::mem::take(&mut piece)).await?;
            lines = log.lines().await?;
        }
        let next = json!(log.from.filter(|_| log.is_cut()));
        piece.push_str(&format!("\n], \"next_before\": {next}}}\n"));
        Ok(writer.write(piece).await?)
    };
    let kind = "application/json; charset=utf-8";
    Ok(download(kind, "audit.json", write))
}

struct Log {
    visit: Visit,
    voice: Voice,
    wanted: Wanted,
    /// The last line that was read.
    from: Option<i64>,
    read: usize,
    is_over: bool,
}

impl Log {
    async fn begin(visit: Visit) -> Result<Log, Trouble> {
        let mut tx = visit.desk.lines.read().await?;
        let voice = visit.voice(&mut tx).await?;
        tx.commit().await?;
        let wanted = Wanted::of(&visit, &voice, FILE_FILTERS)?;
        Ok(Log {
            from: wanted.filter.before,
            visit,
            voice,
            wanted,
            read: 0,
            is_over: false,
        })
    }

    async fn lines(&mut self) -> Result<Vec<AuditLine>, Trouble> {
        if self.is_over || self.read >= MOST {
            return Ok(Vec::new());
        }
        let mut tx = self.visit.desk.lines.read().await?;
        let turn = self.from.map_or(Turn::Newest, Turn::Before);
        let lines = self.wanted.lines(&mut tx, turn, BATCH).await?;
        tx.commit().await?;
        self.is_over = i64::try_from(lines.len()).is_ok_and(|n| n < BATCH);
        self.from = lines.last().map(|line| line.id).or(self.from);
        self.read += lines.len();
        Ok(lines)
    }
}

impl Batches for Log {
    async fn next(&mut self) -> Result<Option<Vec<Cells>>, Trouble> {
        let lines = self.lines().await?;
        let cells = lines.iter().map(|line| cells(line, &self.voice));
        Ok((!lines.is_empty()).then(|| cells.collect()))
    }

    fn is_cut(&self) -> bool {
        !self.is_over
    }

    fn voice(&self) -> &Voice {
        &self.voice
    }
}

fn cells(line: &AuditLine, voice: &Voice) -> Cells {
    let ids: Vec<String> = line.notifications.iter().map(i64::to_string).collect();
    let changes: Vec<String> = changes(&detail(line))
        .into_iter()
        .map(|it| match it.before {
            Some(before) => format!("{}: {before} → {}", it.name, it.after),
            None => format!("{}: {}", it.name, it.after),
        })
        .collect();
    vec![
        stamp(line.at, voice),
        shown(&line.actor),
        voice.action(&line.action),
        line.app.as_deref().map(shown).unwrap_or_default(),
        line.affected.to_string(),
        ids.join(" "),
        line.reason.as_deref().map(shown).unwrap_or_default(),
        changes.join("; "),
        line.id.to_string(),
    ]
}
