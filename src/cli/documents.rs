//! The pages say what the program does: the READMEs agree with each other, every link leads somewhere, every
//! variable is a setting, and every `outboxd …` in a code block is taken by the command line as it stands.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use super::Cli;
use crate::config::settings::ALL;

/// Pages that exist in one language only.
const ENGLISH_ONLY: [&str; 2] = ["CHANGELOG.md", "examples/demo/README.md"];

/// Variables of other parts that pages may name.
const OTHERS: [&str; 2] = ["OUTBOXD_CONFIG", "OUTBOXD_TEST_CLUSTER"];

struct Page {
    /// From the top of the checkout.
    name: String,
    text: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn page(name: &str) -> Page {
    let text = fs::read_to_string(root().join(name));
    Page {
        text: text.unwrap_or_else(|e| panic!("{name}: {e}")),
        name: name.to_owned(),
    }
}

/// The READMEs, the changelog, `docs/` with its folders, and the demo's page.
fn pages() -> Vec<Page> {
    let mut names: Vec<String> = ["README.md", "README.zh-CN.md", "CHANGELOG.md"]
        .into_iter()
        .chain(["examples/demo/README.md"])
        .map(str::to_owned)
        .collect();
    let mut folders = vec![PathBuf::from("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "md") {
                names.push(path.to_string_lossy().into_owned());
            }
        }
    }
    names.iter().map(|name| page(name)).collect()
}

impl Page {
    /// Lines with the language of the code block they stand in; the fences themselves are left out.
    fn lines(&self) -> Vec<(Option<&str>, &str)> {
        let mut inside = None;
        let mut lines = Vec::new();
        for line in self.text.lines() {
            match (line.trim_start().strip_prefix("```"), inside) {
                (Some(language), None) => inside = Some(language),
                (Some(_), Some(_)) => inside = None,
                (None, _) => lines.push((inside, line)),
            }
        }
        assert!(inside.is_none(), "{}: a code block has no end", self.name);
        lines
    }

    fn headings(&self) -> Vec<&str> {
        let outside = self
            .lines()
            .into_iter()
            .filter(|(block, _)| block.is_none());
        outside
            .map(|(_, line)| line)
            .filter(|line| line.starts_with('#'))
            .collect()
    }

    fn levels(&self) -> Vec<usize> {
        self.headings()
            .iter()
            .map(|line| line.chars().take_while(|c| *c == '#').count())
            .collect()
    }

    fn code(&self) -> Vec<(&str, &str)> {
        self.lines()
            .into_iter()
            .filter_map(|(block, line)| Some((block?, line)))
            .collect()
    }

    /// The names GitHub gives to its headings.
    fn anchors(&self) -> BTreeSet<String> {
        let kept = |c: char| c.is_alphanumeric() || c == ' ' || c == '-' || c == '_';
        self.headings()
            .iter()
            .map(|line| {
                let text = line.trim_start_matches('#').trim().to_lowercase();
                text.chars().filter(|c| kept(*c)).collect::<String>()
            })
            .map(|text| text.replace(' ', "-"))
            .collect()
    }

    /// The targets of links and pictures that lead to files of ours.
    fn links(&self) -> Vec<String> {
        let mut links = Vec::new();
        for (block, line) in self.lines() {
            if block.is_none() {
                for part in line.split("](").skip(1) {
                    links.extend(part.split_once(')').map(|(target, _)| target.to_owned()));
                }
            }
        }
        links.retain(|target| !target.contains("://") && !target.starts_with("mailto:"));
        links
    }
}

#[test]
fn both_readmes_have_the_same_headings_and_code() {
    let (en, zh) = (page("README.md"), page("README.zh-CN.md"));
    assert_eq!(en.levels(), zh.levels(), "headings");
    assert_eq!(en.code(), zh.code(), "code blocks");
    assert!(en.text.starts_with("[中文](README.zh-CN.md)"));
    assert!(zh.text.starts_with("[English](README.md)"));
}

#[test]
fn every_page_stands_in_both_languages_with_the_same_headings() {
    for en in pages() {
        if en.name.ends_with(".zh-CN.md") || ENGLISH_ONLY.contains(&en.name.as_str()) {
            continue;
        }
        if en.name.starts_with("docs/decisions/") {
            continue; // For those who change the program.
        }
        let zh = page(&en.name.replace(".md", ".zh-CN.md"));
        assert_eq!(en.levels(), zh.levels(), "{}: headings", en.name);
        assert_eq!(en.code().len(), zh.code().len(), "{}: code", en.name);
    }
}

#[test]
fn every_link_leads_somewhere() {
    for from in pages() {
        for link in from.links() {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let folder = Path::new(&from.name).parent().unwrap();
            let name = if file.is_empty() {
                from.name.clone()
            } else {
                folder.join(file).to_string_lossy().into_owned()
            };
            let there = root().join(&name);
            assert!(there.exists(), "{}: {link} leads nowhere", from.name);
            assert!(
                anchor.is_empty() || page(&name).anchors().contains(anchor),
                "{}: {link}: no such heading",
                from.name
            );
        }
    }
}

#[test]
fn every_variable_is_a_setting() {
    let known = |name: &str| {
        let bare = name.strip_suffix("_FILE").unwrap_or(name);
        ALL.iter()
            .any(|s| s.env == name || (s.env == bare && s.kind.secret()))
            || OTHERS.contains(&name)
    };
    for page in pages() {
        let word = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        for name in page.text.split(|c| !word(c)) {
            let ours = name.starts_with("OUTBOXD_") || name.starts_with("MINIPROGRAM_");
            // `OUTBOXD_*` is no name.
            let whole = !name.ends_with('_');
            assert!(
                !(ours && whole) || known(name),
                "{}: there is no setting {name}",
                page.name
            );
        }
    }
}

#[test]
fn every_command_is_taken_as_it_stands() {
    let mut tried = 0;
    for page in pages() {
        for (language, line) in page.code() {
            if language != "sh" && language != "sql" {
                continue;
            }
            for command in commands(line) {
                let said = Cli::try_parse_from(&command).err().map(|e| e.kind());
                let fine = matches!(
                    said,
                    None | Some(ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
                );
                assert!(fine, "{}: {line}\n{said:?}", page.name);
                tried += 1;
            }
        }
    }
    assert!(tried > 20, "only {tried} commands were found");
}

#[test]
fn every_verb_in_running_text_exists() {
    let verbs = Cli::command();
    for page in pages() {
        for (block, line) in page.lines() {
            let spans = line.split('`').skip(1).step_by(2);
            for span in spans.filter(|_| block.is_none()) {
                let mut words = span.split(' ');
                if words.next() != Some("outboxd") {
                    continue;
                }
                if let Some(verb) = words.next().filter(|word| !word.starts_with('-')) {
                    let there = verbs.find_subcommand(verb).is_some();
                    assert!(there, "{}: `{span}`", page.name);
                }
            }
        }
    }
}

/// The calls of outboxd in a line of shell: what stands between pipes, up to a comment or a redirection.
fn commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word = String::new();
    let mut quote = None;
    let mut began = false;
    for c in line.chars().chain([' ']) {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => word.push(c),
            (None, '\'' | '"') => (quote, began) = (Some(c), true),
            (None, '#') if word.is_empty() => break,
            (None, ' ') => {
                if began || !word.is_empty() {
                    commands
                        .last_mut()
                        .expect("never empty")
                        .push(std::mem::take(&mut word));
                }
                began = false;
            }
            (None, '|' | '>' | '&' | ';') => {
                if !word.is_empty() {
                    commands
                        .last_mut()
                        .expect("never empty")
                        .push(std::mem::take(&mut word));
                }
                commands.push(Vec::new());
            }
            (None, _) => word.push(c),
        }
    }
    commands
        .into_iter()
        .filter_map(|words| {
            let at = words
                .iter()
                .position(|word| word == "outboxd" || word.ends_with("/outboxd"))?;
            // `VARIABLE=value outboxd …` and `sudo outboxd …` call it; `systemctl stop outboxd` does not.
            let ahead = words[..at].iter().all(|word| {
                word.contains('=') || ["sudo", "-u", "-E", "exec"].contains(&word.as_str())
            });
            ahead.then(|| words[at..].to_vec())
        })
        .collect()
}
