//! The `.env` file of the working directory: usually the CRM's own, so most of it is none of our business.
//!
//! dotenvy reads it; this adds the line numbers and what its silence would hide. A foreign line that
//! cannot be read is no mistake of ours; one of our own settings on such a line is. A `$` outside single
//! quotes is replaced by dotenvy and left alone by Node's dotenv, so a password with one is pointed out.

use std::collections::BTreeMap;

use super::kind::Wrong;
use super::report::Finding;
use super::sources::Origin;
use super::words::{Words, words};

/// What `.env` gives: name → value and line. The last of several lines counts, as in Node's dotenv.
#[derive(Default)]
pub(super) struct Dotenv {
    pub(super) values: BTreeMap<String, (String, usize)>,
    pub(super) mistakes: Vec<Finding>,
    pub(super) warnings: Vec<Finding>,
}

/// Reads the text of a `.env`; `ours` tells which names matter.
pub(super) fn parse(text: &str, ours: impl Fn(&str) -> bool) -> Dotenv {
    let text = text.trim_start_matches('\u{feff}');
    let mut read: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in dotenvy::from_read_iter(text.as_bytes()).flatten() {
        read.entry(name).or_default().push(value);
    }
    let mut lines: BTreeMap<&str, Vec<(usize, &str)>> = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        if let Some((name, value)) = assignment(line).filter(|(name, _)| ours(name)) {
            lines.entry(name).or_default().push((index + 1, value));
        }
    }
    let mut dotenv = Dotenv::default();
    for (name, places) in lines {
        let values = read.remove(name).unwrap_or_default();
        let Some(&(line, written)) = places.last() else {
            continue;
        };
        let at = Some(Origin::Dotenv { line });
        match values.last() {
            Some(value) if values.len() == places.len() => {
                if replaces_dollar(written) {
                    dotenv.warnings.push(Finding::new(name, at, dollar()));
                }
                let value = value.trim().to_owned();
                if !value.is_empty() {
                    dotenv.values.insert(name.to_owned(), (value, line));
                }
            }
            _ => dotenv
                .mistakes
                .push(Finding::new(name, at, unreadable(name))),
        }
        if let [.., (earlier, _), (line, _)] = places[..] {
            let at = Some(Origin::Dotenv { line });
            dotenv.warnings.push(Finding::new(name, at, twice(earlier)));
        }
    }
    dotenv
}

/// `export NAME = value` → its two sides.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start();
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=')?;
    Some((name.trim(), value.trim()))
}

fn replaces_dollar(written: &str) -> bool {
    !written.starts_with('\'') && written.replace("\\$", "").contains('$')
}

fn dollar() -> Wrong {
    Wrong {
        reason: Words::new(
            "has a $ in it, which .env replaces by a variable's value",
            "含有 $，在 .env 里会被替换成变量的值",
        ),
        way_out: Words::new(
            "if the $ is meant as it stands, put the value in single quotes",
            "如果 $ 就是原文，请给值加单引号",
        ),
    }
}

fn unreadable(name: &str) -> Wrong {
    Wrong {
        reason: Words::new("cannot be read", "无法读取"),
        way_out: words!(
            "write {name}='value'; a value with spaces or # needs the quotes",
            "请写成 {name}='值'；值里有空格或 # 时必须加引号"
        ),
    }
}

fn twice(earlier: usize) -> Wrong {
    Wrong {
        reason: words!(
            "also stands on line {earlier}; this later line counts",
            "在第 {earlier} 行也写过；以后面这一行为准"
        ),
        way_out: Words::new("remove one of the two", "请删去其中一行"),
    }
}
