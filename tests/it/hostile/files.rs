//! What programs and spreadsheets read: JSON and CSV.

use reqwest::Method;
use sqlx::PgPool;

use super::{MARK, assert_harmless, encoded, fill, texts};
use crate::desk::Desk;

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn no_cell_is_calculated_and_no_line_is_broken(pool: PgPool) {
    let desk = Desk::open(&pool, &[]).await;
    for (n, text) in (1..).zip(texts()) {
        fill(&pool, n, &text).await;
    }
    // So many cells have a mark in each file, for each text.
    for (path, marks) in [
        ("/messages/export.csv", 10),
        // Every other one has a successor.
        ("/calls/export.csv", 2),
        ("/dead/export.csv", 1),
        ("/audit/export.csv", 1),
    ] {
        let file = desk.get(path).await;
        let lines = cells(file.body.trim_start_matches('\u{feff}'));
        for line in &lines {
            assert_eq!(line.len(), lines[0].len(), "{line:?}");
            for cell in line {
                assert_harmless("the file", cell, &[]);
                // What a spreadsheet may strip before it looks.
                let first = cell.trim_start().chars().next();
                let is_formula = first.is_some_and(|c| "=+-@＝＋－＠".contains(c));
                assert!(!is_formula, "{cell:?}");
            }
        }
        if path.starts_with("/messages") {
            assert_eq!(lines.len(), 1 + 2 * texts().len());
        }
        let marked = lines.iter().flatten().filter(|cell| cell.contains(MARK));
        assert!(marked.count() >= marks * texts().len(), "{path}");
    }
}

/// A file's lines and cells, as RFC 4180 has them: every cell in quotes.
fn cells(file: &str) -> Vec<Vec<String>> {
    let mut lines = vec![vec![]];
    let mut rest = file;
    while let Some(cell) = rest.strip_prefix('"') {
        let mut value = String::new();
        let mut characters = cell.char_indices().peekable();
        let end = loop {
            match characters.next().expect("a cell has an end") {
                (_, '"') if characters.next_if(|(_, c)| *c == '"').is_some() => value.push('"'),
                (at, '"') => break at + 1,
                (_, c) => value.push(c),
            }
        };
        lines.last_mut().unwrap().push(value);
        rest = &cell[end..];
        if let Some(next) = rest.strip_prefix("\r\n") {
            lines.push(Vec::new());
            rest = next;
        } else {
            rest = rest.strip_prefix(',').expect("another cell");
        }
    }
    assert_eq!((rest, lines.pop()), ("", Some(vec![])));
    lines
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn an_object_is_an_object_and_does_nothing_to_a_terminal(pool: PgPool) {
    let desk = Desk::open(&pool, &[]).await;
    for (n, text) in (1..).zip(texts()) {
        fill(&pool, n, &text).await;
    }
    let mut paths: Vec<String> = [
        "messages", "dead", "calls", "audit", "bulk", "bulk/new", "overview", "system", "pulse",
        "help",
    ]
    .map(|path| format!("/api/{path}"))
    .to_vec();
    paths.extend([
        "/messages/export.json".to_owned(),
        "/audit/export.json".to_owned(),
    ]);
    for (n, text) in (1..).zip(texts()) {
        let text = encoded(&text);
        paths.extend([
            format!("/api/messages/{}", 1000 + n),
            format!("/api/messages/{}", 2000 + n),
            format!("/api/messages/{}/correct", 2000 + n),
            format!("/api/messages/{text}"),
            format!("/api/search?q={text}"),
            format!("/api/messages?recipient={text}&status={text}"),
            format!("/api/audit?actor={text}"),
            format!("/api/bulk/new?cause={text}&since={text}"),
            format!("/api/badge/{text}/{text}?expires=1&sig={text}"),
        ]);
    }
    for path in paths {
        let page = desk.get(&path).await;
        assert_ne!(page.status, 500, "{path}");
        assert_eq!(
            page.header("content-type"),
            "application/json; charset=utf-8",
            "{path}"
        );
        assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
        assert!(page.json().is_object(), "{path}");
        assert_harmless(&path, &page.body, &['\n']);
    }
    let listed = desk.ask(Method::GET, "/api/messages").send().await.unwrap();
    assert!(listed.text().await.unwrap().contains(MARK));
}
