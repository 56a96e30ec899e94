//! The one place that writes: data to standard output, words to standard error.
//!
//! On a terminal data is a table or a card; in a pipe it is tab-separated lines in a stable column order,
//! without a header; with `--json` it is one object. Text from outside is cleaned and masked here, so that
//! no cell can move the cursor, reverse the line or show a phone number. A reader who goes away ends the
//! program quietly: `writeln!` reports it, where `println!` would panic.

use std::io::{self, IsTerminal, Write};

use comfy_table::{Cell, ContentArrangement, LineStyle, Table, TableStyle};
use serde::Serialize;

pub(super) use crate::answer::Tone;
use crate::answer::json::harmless;
pub(super) use crate::words::mask::safe;

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Colour {
    Auto,
    Always,
    Never,
}

/// The form data takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Tables and cards.
    Terminal,
    /// Tab-separated lines.
    Lines,
    /// One object.
    Json,
}

/// Where output goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Out {
    pub(super) form: Form,
    colours: bool,
}

/// One rule below the header, and air.
const RULED: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// No terminal for people is narrower than this; and how wide one is taken to be that does not say.
const NARROWEST: u16 = 20;
const WIDTH_UNKNOWN: u16 = 120;

impl Out {
    pub(super) fn new(json: bool, colour: Colour) -> Out {
        let terminal = io::stdout().is_terminal();
        Out {
            form: match (json, terminal) {
                (true, _) => Form::Json,
                (false, true) => Form::Terminal,
                (false, false) => Form::Lines,
            },
            colours: match colour {
                Colour::Always => true,
                Colour::Never => false,
                Colour::Auto => {
                    terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                }
            },
        }
    }

    /// One line of data.
    pub(super) fn line(&self, text: &str) -> io::Result<()> {
        writeln!(io::stdout().lock(), "{text}")
    }

    /// One tab-separated line. Cells lose their tabs and line ends on the way.
    pub(super) fn row(&self, cells: &[String]) -> io::Result<()> {
        let cells: Vec<String> = cells.iter().map(|cell| safe(cell)).collect();
        self.line(&cells.join("\t"))
    }

    /// A table for a terminal, or the same rows as lines.
    pub(super) fn table(&self, header: &[String], rows: &[Vec<String>]) -> io::Result<()> {
        if self.form != Form::Terminal {
            return rows.iter().try_for_each(|row| self.row(row));
        }
        let mut table = Table::new();
        table
            .load_style(RULED)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_header(header.iter().map(Cell::new));
        // A terminal that does not know its width says 0, and would get one letter a line.
        if table.width().is_some_and(|width| width < NARROWEST) {
            table.set_width(WIDTH_UNKNOWN);
        }
        for row in rows {
            table.add_row(row.iter().map(|cell| Cell::new(safe(cell))));
        }
        self.line(&table.to_string())
    }

    /// One JSON object. What a terminal could obey is escaped, which leaves the values exact.
    pub(super) fn json(&self, value: &impl Serialize) -> anyhow::Result<()> {
        Ok(self.line(&harmless(&serde_json::to_string_pretty(value)?))?)
    }

    /// Words, to standard error. That nobody reads them stops nothing.
    pub(super) fn note(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Asks on the terminal; `None` when there is none to ask.
    pub(super) fn confirm(&self, question: &str) -> Option<bool> {
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return None;
        }
        let mut stderr = io::stderr().lock();
        write!(stderr, "{question} [y/N] ").ok()?;
        stderr.flush().ok()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).ok()?;
        Some(matches!(answer.trim(), "y" | "Y" | "yes" | "是"))
    }

    /// Colours a piece of text, where colours are wanted.
    pub(super) fn paint(&self, tone: Tone, text: &str) -> String {
        if !self.colours {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => 32,
            Tone::Waiting => 33,
            Tone::Bad => 31,
            Tone::Quiet => 2,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_moves_the_cursor_or_shows_a_phone_number() {
        assert_eq!(
            safe("a\x1b[2Jb\tc\u{202e}d 13800138000"),
            "a[2Jb c d 138****8000".replace("c d", "cd")
        );
    }
}
