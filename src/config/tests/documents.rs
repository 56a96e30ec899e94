//! The template and `docs/configuration*.md` say what the program does.

use std::fs;
use std::path::Path;

use super::{APPID, APPSECRET, Machine, URL};
use crate::config::print::reference;
use crate::config::setting::Scope;
use crate::config::settings::{ALL, serves};
use crate::config::{Config, Lang, TargetKind};

const BEGIN: &str = "<!-- settings: made from src/config/settings.rs, do not edit -->\n";
const END: &str = "<!-- end of settings -->";

#[test]
fn the_documentation_holds_the_table() {
    for (file, lang) in [
        ("docs/configuration.md", Lang::En),
        ("docs/configuration.zh-CN.md", Lang::Zh),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let text = fs::read_to_string(&path).unwrap();
        let (before, rest) = text.split_once(BEGIN).expect("the begin mark");
        let (_, after) = rest.split_once(END).expect("the end mark");
        let right = format!("{before}{BEGIN}{}\n{END}{after}", reference(lang));
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&path, right).unwrap();
        } else {
            assert!(
                text == right,
                "{file} differs from the table of settings; run: UPDATE_DOCS=1 cargo test --lib config"
            );
        }
    }
}

#[test]
fn both_languages_document_the_same() {
    let headings = |lang| {
        let text = reference(lang);
        let count = text.lines().filter(|line| line.starts_with("| `")).count();
        let names = ALL.iter().all(|setting| text.contains(setting.env));
        (count, names)
    };
    assert_eq!(headings(Lang::En), (ALL.len(), true));
    assert_eq!(headings(Lang::Zh), (ALL.len(), true));
}

#[test]
fn the_template_as_it_is_changes_nothing() {
    for lang in [Lang::En, Lang::Zh] {
        let template = Config::template(lang);
        let config = Machine::configured()
            .file("/etc/outboxd/config.toml", &template)
            .config();
        assert_eq!(config.lease.as_secs(), 60);
        assert_eq!(config.apps.len(), 1);
    }
}

#[test]
fn the_template_with_its_lines_uncommented_is_the_defaults() {
    for lang in [Lang::En, Lang::Zh] {
        let template: Vec<String> = Config::template(lang).lines().map(uncomment).collect();
        let template = template
            .join("\n")
            .replacen("\nurl = \"\"", &format!("\nurl = {URL:?}"), 1)
            .replace("appid = \"\"", &format!("appid = {APPID:?}"))
            .replace("appsecret = \"\"", &format!("appsecret = {APPSECRET:?}"))
            .replace("cloud_env = \"\"", "cloud_env = \"cloud1-abc\"")
            .replace("signing_secret = \"\"", "")
            .replace("await_grant = \"\"", "")
            .replace("instance = \"\"", "")
            .replace("journal_dir = \"\"", "")
            .replace("templates = \"\"", "")
            .replace("openid_from = \"\"", "")
            .replace("openid_query = \"\"", "")
            .replace("target_url = \"\"", "")
            .replace("webhook_secret = \"\"", "")
            .replace("allow = \"\"", "")
            .replace("\nurl = \"\"", "")
            .replace("users = \"\"", "")
            .replace("proxy = \"\"", "")
            .replace("user_header = \"\"", "")
            .replace("operators = \"\"", "")
            .replace("\nsecret = \"\"", "")
            .replace("badge_secret = \"\"", "")
            .replace("badge_origins = \"\"", "")
            .replace("on_unknown = \"stop\"", "");
        let machine = Machine::default().file("/etc/outboxd/config.toml", &template);
        let from_file = machine.config();
        let defaults = Machine::configured().config();
        assert_eq!(from_file.warnings, []);
        let values = |config: &Config| -> Vec<(String, String)> {
            let rows = config.describe(lang).into_iter();
            rows.map(|row| (row.setting, row.value)).collect()
        };
        assert_eq!(values(&from_file), values(&defaults));
        for row in from_file.describe(Lang::En) {
            let optional = [
                "OUTBOXD_SIGNING_SECRET",
                "OUTBOXD_AWAIT_GRANT",
                "OUTBOXD_INSTANCE",
                "OUTBOXD_JOURNAL_DIR",
                "OUTBOXD_DESK_URL",
                "OUTBOXD_DESK_USERS",
                "OUTBOXD_DESK_SECRET",
                "OUTBOXD_DESK_PROXY",
                "OUTBOXD_DESK_USER_HEADER",
                "OUTBOXD_DESK_OPERATORS",
                "OUTBOXD_DESK_BADGE_SECRET",
                "OUTBOXD_DESK_BADGE_ORIGINS",
            ];
            let from_default = row.origin == "default";
            assert_eq!(from_default, optional.contains(&&*row.setting), "{row:?}");
        }
    }
}

/// `# key = value` → `key = value`, but for the pointers to files.
fn uncomment(line: &str) -> String {
    let key = |line: &str| {
        let key = line.split_once(" = ").map_or("", |(key, _)| key);
        let lower = |c: char| c.is_ascii_lowercase() || c == '_';
        !key.is_empty() && key.chars().all(lower) && !key.ends_with("_file")
    };
    match line.strip_prefix("# ").filter(|line| key(line)) {
        Some(line) => line.to_owned(),
        None => line.to_owned(),
    }
}

#[test]
fn the_table_has_every_setting_once() {
    for names in [
        ALL.map(|setting| setting.env.to_owned()),
        ALL.map(|setting| setting.path("x")),
    ] {
        let mut unique = names.to_vec();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), ALL.len());
    }
}

#[test]
fn every_setting_is_shown() {
    let rows = Machine::configured().config().describe(Lang::En);
    let shown: Vec<&str> = rows.iter().map(|row| &*row.setting).collect();
    let used = ALL
        .iter()
        .map(|setting| setting.env)
        .filter(|env| serves(env, TargetKind::CloudFunction));
    assert_eq!(shown, used.collect::<Vec<_>>());
    let apps = ALL.iter().filter(|setting| setting.scope == Scope::App);
    assert_eq!(apps.count(), 19);
}
