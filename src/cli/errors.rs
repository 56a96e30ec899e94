//! `errors`: the catalogue, as a table or as the page in the documentation.

use std::fmt::Write;

use anyhow::Result;
use serde_json::{Value, json};

use super::Exit;
use super::out::{Form, Out};
use crate::answer::json::VERSION;
use crate::catalogue::{self, ENTRIES, Entry, Kind, Origin};
use crate::words::cause::role;
use crate::words::{Lang, say};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  outboxd errors
  outboxd errors 43101          every cause that bears this code
  outboxd errors --markdown --lang zh > docs/errors.zh-CN.md

Columns in a pipe: cause, codes, kind, who acts, sentence, what to do.")]
pub(super) struct ErrorsArgs {
    /// Only causes with this code, or of this name.
    cause: Option<String>,
    /// The whole catalogue as a Markdown table.
    #[arg(long, conflicts_with = "cause")]
    markdown: bool,
}

pub(super) fn errors(args: &ErrorsArgs, lang: Lang, out: Out) -> Result<Exit> {
    let entries: Vec<&Entry> = ENTRIES
        .iter()
        .filter(|entry| {
            args.cause
                .as_deref()
                .is_none_or(|cause| bears(entry, cause))
        })
        .collect();
    if entries.is_empty() {
        out.note(&say!(lang, "none.cause"));
        return Ok(Exit::NotFound);
    }
    let header = [
        say!(lang, "column.key"),
        say!(lang, "column.codes"),
        say!(lang, "column.kind"),
        say!(lang, "column.who"),
        say!(lang, "column.sentence"),
        say!(lang, "column.next"),
    ];
    if args.markdown {
        out.line(catalogue::to_markdown(lang).trim_end())?;
    } else if out.form == Form::Json {
        let objects: Vec<Value> = entries.iter().map(|entry| object(entry, lang)).collect();
        out.json(&json!({"version": VERSION, "causes": objects}))?;
    } else {
        let rows: Vec<Vec<String>> = entries
            .iter()
            .map(|entry| cells(entry, lang, out.form).to_vec())
            .collect();
        out.table(&header, &rows)?;
    }
    Ok(Exit::Ok)
}

fn bears(entry: &Entry, cause: &str) -> bool {
    entry.key == cause
        || cause
            .parse::<i32>()
            .is_ok_and(|code| entry.codes.iter().any(|(_, codes)| codes.contains(&code)))
}

fn cells(entry: &Entry, lang: Lang, form: Form) -> [String; 6] {
    let people = form == Form::Terminal;
    let mut codes = String::new();
    for (origin, numbers) in entry.codes {
        let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        let comma = if codes.is_empty() { "" } else { "; " };
        let place = if people {
            origin.word(lang)
        } else {
            place(*origin)
        };
        // Writing to a String cannot fail.
        let _ = write!(codes, "{comma}{place} {}", numbers.join(" "));
    }
    let (kind, who) = if people {
        (entry.kind.word(lang), entry.who.word(lang))
    } else {
        (kind(entry.kind), role(entry.who))
    };
    let (sentence, next) = entry.text(lang);
    [entry.key, &codes, kind, who, sentence, next].map(str::to_owned)
}

fn object(entry: &Entry, lang: Lang) -> Value {
    let (sentence, next) = entry.text(lang);
    let codes: Vec<Value> = entry
        .codes
        .iter()
        .map(|(origin, numbers)| json!({"where": place(*origin), "codes": numbers}))
        .collect();
    json!({
        "key": entry.key,
        "codes": codes,
        "kind": kind(entry.kind),
        "who": role(entry.who),
        "sentence": sentence,
        "next": next,
    })
}

/// The word for where a code was read.
fn place(origin: Origin) -> &'static str {
    match origin {
        Origin::Token => "token",
        Origin::Outer => "outer",
        Origin::BeforeSend => "before_send",
        Origin::Send => "send",
        Origin::Runtime => "runtime",
        Origin::Http => "http",
        Origin::Direct => "direct",
        Origin::Receiver => "receiver",
        Origin::Local => "local",
    }
}

/// The word for what a code means for the notification.
fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Delivered => "delivered",
        Kind::Transient => "transient",
        Kind::Throttled => "throttled",
        Kind::Unreachable => "unreachable",
        Kind::Permanent => "permanent",
        Kind::Outage(_) => "outage",
        Kind::Unknown => "unknown",
        Kind::TokenRefused => "token_refused",
    }
}
