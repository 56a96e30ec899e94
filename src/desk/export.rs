//! The messages as a file, for a spreadsheet or a program: exactly what the filters name, masked like the page.
//!
//! Read in short transactions, one batch after the other by id, so that a slow reader holds neither a line nor a snapshot.
//! It stops at [`MOST`], and then says so itself.

use axum::response::Response;
use serde_json::json;

use super::asked::Turn;
use super::card::{Labels, labels};
use super::messages::{Wanted, cause};
use super::stream::{BATCH, Broken, MOST, Writer, download};
use super::trouble::Trouble;
use super::visit::{Visit, shown};
use crate::answer::json::{self as objects, VERSION, stamp, stamps};
use crate::outbox::inspect::{self, Notification};
use crate::words::{Voice, say};

pub(super) async fn csv(visit: Visit) -> Result<Response, Trouble> {
    let (mut export, mut lines) = Export::begin(visit).await?;
    let write = async move |writer: Writer| -> Result<(), Broken> {
        // Spreadsheets take a file without this mark for another encoding.
        writer.write(format!("\u{feff}{}", export.header())).await?;
        while !lines.is_empty() {
            writer
                .write(lines.iter().map(|line| line.csv(&export.voice)).collect())
                .await?;
            lines = export.next().await?;
        }
        if export.is_cut() {
            let said = say!(export.voice, "desk.messages.cut", n = MOST);
            writer.write(csv_line(&[said])).await?;
        }
        Ok(())
    };
    Ok(download("text/csv; charset=utf-8", "messages.csv", write))
}

pub(super) async fn json(visit: Visit) -> Result<Response, Trouble> {
    let (mut export, mut lines) = Export::begin(visit).await?;
    let write = async move |writer: Writer| -> Result<(), Broken> {
        let mut piece = format!("{{\"version\": {VERSION}, \"notifications\": [");
        let mut mark = "\n";
        while !lines.is_empty() {
            for line in &lines {
                let object = objects::notification(&line.it, &export.voice);
                piece.push_str(mark);
                piece.push_str(&objects::harmless(&object.to_string()));
                mark = ",\n";
            }
            writer.write(std::mem::take(&mut piece)).await?;
            lines = export.next().await?;
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

struct Line {
    it: Notification,
    labels: Labels,
}

impl Export {
    /// With its first lines, so that what cannot be read is told on a page, not in half a file.
    async fn begin(visit: Visit) -> Result<(Export, Vec<Line>), Trouble> {
        let mut tx = visit.desk.lines.read().await?;
        let voice = visit.voice(&mut tx).await?;
        tx.commit().await?;
        let wanted = Wanted::of(&visit, &voice)?;
        let mut export = Export {
            from: wanted.filter.before.map(|id| id.0),
            visit,
            voice,
            wanted,
            read: 0,
            is_over: false,
        };
        let lines = export.next().await?;
        Ok((export, lines))
    }

    /// The next lines; none at the end.
    async fn next(&mut self) -> Result<Vec<Line>, Trouble> {
        if self.is_over || self.read >= MOST {
            return Ok(Vec::new());
        }
        let mut tx = self.visit.desk.lines.read().await?;
        let inspect::Page { hits, looked_to } = loop {
            let turn = self.from.map_or(Turn::Newest, Turn::Before);
            let page = self.wanted.hits(&mut tx, turn, BATCH).await?;
            match page.looked_to {
                // Nothing fits so far: on from there.
                Some(to) if page.hits.is_empty() => self.from = Some(to.0),
                _ => break page,
            }
        };
        let found = inspect::read(&mut tx, &hits).await?;
        let mut labels = labels(&mut tx, &self.visit, &found).await?;
        tx.commit().await?;
        let is_short = i64::try_from(hits.len()).is_ok_and(|n| n < BATCH);
        self.is_over = is_short && looked_to.is_none();
        self.from = looked_to
            .map(|to| to.0)
            .or(hits.last().map(|hit| hit.id))
            .or(self.from);
        self.read += hits.len();
        let line = |it: Notification| Line {
            labels: labels.remove(&it.key.0).unwrap_or_default(),
            it,
        };
        Ok(found.into_iter().map(line).collect())
    }

    /// There may be more than a file holds.
    fn is_cut(&self) -> bool {
        !self.is_over
    }

    fn header(&self) -> String {
        let voice = &self.voice;
        csv_line(&[
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
        ])
    }
}

impl Line {
    fn csv(&self, voice: &Voice) -> String {
        let Line { it, labels } = self;
        let or_nothing = |text: &Option<String>| text.clone().unwrap_or_default();
        csv_line(&[
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
        ])
    }
}

/// One line. A cell that a spreadsheet would calculate begins with an apostrophe, which makes it text there.
fn csv_line(cells: &[String]) -> String {
    let cell = |text: &String| {
        // Some look behind the blanks.
        let is_formula = text
            .trim_start()
            .starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
            || text.starts_with(['\t', '\r', '\n']);
        let mark = if is_formula { "'" } else { "" };
        format!("\"{mark}{}\"", text.replace('"', "\"\""))
    };
    let cells: Vec<String> = cells.iter().map(cell).collect();
    format!("{}\r\n", cells.join(","))
}

#[cfg(test)]
mod tests {
    use super::csv_line;

    #[test]
    fn no_cell_is_a_formula_and_none_ends_early() {
        for (cell, expected) in [
            ("李女士", "\"李女士\"\r\n"),
            ("=HYPERLINK(\"x\")", "\"'=HYPERLINK(\"\"x\"\")\"\r\n"),
            ("+86 138****8000", "\"'+86 138****8000\"\r\n"),
            ("-1", "\"'-1\"\r\n"),
            ("@SUM(1)", "\"'@SUM(1)\"\r\n"),
            (" =1", "\"' =1\"\r\n"),
            ("\tx", "\"'\tx\"\r\n"),
            ("\rx", "\"'\rx\"\r\n"),
            ("a,b\nc", "\"a,b\nc\"\r\n"),
            ("1=1", "\"1=1\"\r\n"),
        ] {
            assert_eq!(csv_line(&[cell.to_owned()]), expected);
        }
        assert_eq!(csv_line(&["a".into(), String::new()]), "\"a\",\"\"\r\n");
    }
}
