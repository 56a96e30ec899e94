//! A list as a file for a spreadsheet: exactly what the filters name, masked like the page.
//!
//! Read in short transactions, one batch after the other, so that a slow reader holds neither a line nor a snapshot. It
//! stops at [`MOST`], and then says so itself.

use axum::response::Response;

use super::stream::{Broken, MOST, Writer, download};
use super::trouble::Trouble;
use crate::words::{Voice, say};

/// A line's cells.
pub(super) type Cells = Vec<String>;

/// What a file is read from.
pub(super) trait Batches: Send + 'static {
    /// The next lines, perhaps none yet; nothing at the end, nor after [`MOST`].
    fn next(&mut self) -> impl Future<Output = Result<Option<Vec<Cells>>, Trouble>> + Send;

    /// There may be more than the file holds.
    fn is_cut(&self) -> bool;

    fn voice(&self) -> &Voice;
}

/// The file. Its first lines are read before it begins, so that what cannot be read is told on a page, not in half a file.
pub(super) async fn file(
    name: &str,
    header: Cells,
    mut batches: impl Batches,
) -> Result<Response, Trouble> {
    let mut lines = batches.next().await?;
    let write = async move |writer: Writer| -> Result<(), Broken> {
        // Spreadsheets take a file without this mark for another encoding.
        writer.write(format!("\u{feff}{}", line(&header))).await?;
        while let Some(some) = lines {
            // Also when there are none yet: a reader who has gone is noticed.
            writer.write(some.iter().map(line).collect()).await?;
            lines = batches.next().await?;
        }
        if batches.is_cut() {
            let said = say!(batches.voice(), "desk.messages.cut", n = MOST);
            writer.write(line(&vec![said])).await?;
        }
        Ok(())
    };
    Ok(download("text/csv; charset=utf-8", name, write))
}

/// One line. A cell that a spreadsheet would calculate begins with an apostrophe, which makes it text there.
fn line(cells: &Cells) -> String {
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
    use super::line;

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
            assert_eq!(line(&vec![cell.to_owned()]), expected);
        }
        assert_eq!(line(&vec!["a".into(), String::new()]), "\"a\",\"\"\r\n");
    }
}
