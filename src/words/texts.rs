//! The text files: same keys, same holes, every key used, and which language is picked.

use std::collections::{BTreeMap, BTreeSet};

use super::Lang;

fn env(pairs: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
    move |name| {
        pairs
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, v)| (*v).to_owned())
    }
}

#[test]
fn the_language_is_the_flag_then_our_variable_then_the_locale() {
    let zh = "zh_CN.UTF-8";
    for (flag, pairs, expected, why) in [
        (None, vec![], Lang::En, "nothing set"),
        (None, vec![("LANG", zh)], Lang::Zh, "LANG=zh_CN"),
        (
            None,
            vec![("LC_ALL", "C"), ("LANG", "zh_CN")],
            Lang::En,
            "LC_ALL beats LANG",
        ),
        (
            None,
            vec![("LC_ALL", ""), ("LC_MESSAGES", "zh_TW")],
            Lang::Zh,
            "an empty variable counts as unset",
        ),
        (
            None,
            vec![("OUTBOXD_LANG", "en"), ("LC_ALL", "zh_CN")],
            Lang::En,
            "ours beats the locale",
        ),
        (
            Some(Lang::Zh),
            vec![("OUTBOXD_LANG", "en")],
            Lang::Zh,
            "the flag beats all",
        ),
    ] {
        assert_eq!(Lang::pick(flag, env(&pairs)), expected, "{why}");
    }
}

fn texts(source: &str) -> BTreeMap<String, String> {
    fn flatten(prefix: &str, table: &toml::Table, into: &mut BTreeMap<String, String>) {
        for (name, value) in table {
            let key = if prefix.is_empty() {
                name.clone()
            } else {
                format!("{prefix}.{name}")
            };
            match value {
                toml::Value::Table(inner) => flatten(&key, inner, into),
                toml::Value::String(text) => {
                    into.insert(key, text.clone());
                }
                other => panic!("{key} is not a text: {other:?}"),
            }
        }
    }
    let mut all = BTreeMap::new();
    flatten("", &source.parse::<toml::Table>().unwrap(), &mut all);
    all
}

fn holes(text: &str) -> BTreeSet<&str> {
    text.split("%{")
        .skip(1)
        .map(|rest| rest.split('}').next().unwrap())
        .collect()
}

#[test]
fn both_languages_have_the_same_texts_with_the_same_holes() {
    for (zh, en) in [
        (include_str!("zh.toml"), include_str!("en.toml")),
        (include_str!("desk.zh.toml"), include_str!("desk.en.toml")),
        (include_str!("zh-desk.toml"), include_str!("en-desk.toml")),
    ] {
        same_texts(&texts(zh), &texts(en));
    }
    // What the desk says in other words has the same values to say.
    let (en, desk) = (
        texts(include_str!("en.toml")),
        texts(include_str!("en-desk.toml")),
    );
    for (key, text) in &desk {
        assert!(holes(text).is_subset(&holes(&en[key])), "{key}");
    }
}

fn same_texts(zh: &BTreeMap<String, String>, en: &BTreeMap<String, String>) {
    assert_eq!(zh.keys().collect::<Vec<_>>(), en.keys().collect::<Vec<_>>());
    for (key, text) in zh {
        assert_eq!(holes(text), holes(&en[key]), "{key}");
        assert!(
            !text.trim().is_empty() && !en[key].trim().is_empty(),
            "{key}"
        );
    }
}

/// A text asked for by a key that does not exist would be printed as its key.
#[test]
fn every_text_asked_for_exists_and_none_is_left_over() {
    let mut en = texts(include_str!("en.toml"));
    en.extend(texts(include_str!("desk.en.toml")));
    let mut asked = BTreeSet::new();
    let mut folders = vec![std::path::PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src"
    ))];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs" || e == "html") {
                let source = std::fs::read_to_string(&path).unwrap();
                for word in source.split('"').skip(1) {
                    if en.contains_key(word) {
                        asked.insert(word.to_owned());
                    }
                }
                for key in source.split("frame.t(\"").skip(1) {
                    let key = key.split('"').next().unwrap();
                    assert!(
                        key == "desk.…" || en.contains_key(key),
                        "{}: {key}",
                        path.display()
                    );
                }
                let flat: String = source.split_whitespace().collect();
                for call in flat.split("say!(").skip(1) {
                    let Some(key) = call.split('"').nth(1) else {
                        continue;
                    };
                    let literal = call
                        .split_once(',')
                        .is_some_and(|(_, k)| k.starts_with('"'));
                    assert!(
                        !literal || en.contains_key(key),
                        "{}: {key}",
                        path.display()
                    );
                }
            }
        }
    }
    let left_over: Vec<_> = en.keys().filter(|key| !asked.contains(*key)).collect();
    assert!(left_over.is_empty(), "texts nobody asks for: {left_over:?}");
}
