//! The table of settings, printed: as `config show`, as a template, as the documentation's tables.

use super::setting::{Absent, DEFAULT_APP, Scope, Setting};
use super::settings::ALL;
use super::sources::Origin;
use super::words::Words;
use crate::lang::Lang;

/// A setting as it was found.
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) setting: &'static Setting,
    pub(super) app: String,
    pub(super) value: Words,
    pub(super) origin: Origin,
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, value) = (self.setting.name(&self.app), &self.value.en);
        write!(f, "{name} = {value} ({})", self.origin.words().en)
    }
}

/// One line of `config show`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub setting: String,
    pub value: String,
    pub origin: String,
}

/// The settings found, in the order of the table, app by app.
pub(super) fn rows(shown: &[Shown], lang: Lang) -> Vec<Row> {
    let place = |shown: &Shown| ALL.iter().position(|s| s.env == shown.setting.env);
    let section = |shown: &Shown| match shown.setting.scope {
        Scope::App => ALL.iter().position(|s| s.scope == Scope::App),
        Scope::Daemon => place(shown),
    };
    let mut shown: Vec<&Shown> = shown.iter().collect();
    shown.sort_by_key(|shown| (section(shown), shown.app.clone(), place(shown)));
    shown
        .into_iter()
        .map(|shown| Row {
            setting: shown.setting.name(&shown.app),
            value: shown.value.in_lang(lang).to_owned(),
            origin: shown.origin.words().in_lang(lang).to_owned(),
        })
        .collect()
}

/// The table a setting stands in, and its key there.
fn section(setting: &Setting) -> (String, &'static str) {
    match (setting.scope, setting.key.rsplit_once('.')) {
        (Scope::App, _) => (format!("apps.{DEFAULT_APP}"), setting.key),
        (Scope::Daemon, Some((section, key))) => (section.to_owned(), key),
        (Scope::Daemon, None) => (String::new(), setting.key),
    }
}

/// A configuration file in which every setting is explained and commented out.
pub(super) fn template(lang: Lang) -> String {
    let mut text = String::from(match lang {
        Lang::En => {
            "# outboxd reads this file from --config, OUTBOXD_CONFIG or /etc/outboxd/config.toml.\n\
             # Flags, environment variables and .env override it. Commented lines show the defaults.\n"
        }
        Lang::Zh => {
            "# outboxd 从 --config、OUTBOXD_CONFIG 或 /etc/outboxd/config.toml 读取此文件。\n\
             # 命令行参数、环境变量和 .env 优先于它。注释掉的行是默认值。\n"
        }
    });
    // What stands in no section must come first: TOML has no way back out of one.
    let (root, rest): (Vec<&Setting>, Vec<&Setting>) = ALL
        .iter()
        .partition(|setting| section(setting).0.is_empty());
    let mut current = String::new();
    for setting in root.into_iter().chain(rest) {
        let (section, key) = section(setting);
        if section != current {
            text.push_str(&format!("\n[{section}]\n"));
            current = section;
        }
        text.push_str(&entry(setting, key, lang));
    }
    text
}

fn entry(setting: &Setting, key: &str, lang: Lang) -> String {
    let (doc, takes) = (setting.doc.in_lang(lang), setting.kind.takes());
    let takes = takes.in_lang(lang);
    let env = setting.env;
    let mut lines = match lang {
        Lang::En => format!("\n# {doc}\n# Takes {takes}. Variable: {env}\n"),
        Lang::Zh => format!("\n# {doc}\n# 可填：{takes}。环境变量：{env}\n"),
    };
    let line = match &setting.absent {
        Absent::Default(text) => format!("# {key} = {}\n", setting.kind.toml(text)),
        Absent::Refused(_) | Absent::Means(_) => format!("# {key} = \"\"\n"),
    };
    lines.push_str(&line);
    if setting.kind.secret() {
        lines.push_str(&format!("# {key}_file = \"/path/to/{key}\"\n"));
    }
    lines
}

/// The documentation's tables, one for each section of the file.
pub fn reference(lang: Lang) -> String {
    let mut text = String::new();
    let mut current = None;
    for setting in ALL {
        let (name, key) = section(setting);
        if current.as_ref() != Some(&name) {
            text.push_str(&heading(&name, lang));
            current = Some(name);
        }
        text.push_str(&line(setting, key, lang));
    }
    text
}

fn heading(section: &str, lang: Lang) -> String {
    let section = match (section, lang) {
        ("", Lang::En) => "Top of the file".to_owned(),
        ("", Lang::Zh) => "文件开头".to_owned(),
        (section, _) => format!("`[{section}]`"),
    };
    let columns = match lang {
        Lang::En => "| Variable | Key | Default | Takes | Meaning |",
        Lang::Zh => "| 环境变量 | 键 | 默认值 | 可填 | 含义 |",
    };
    format!("\n### {section}\n\n{columns}\n|---|---|---|---|---|\n")
}

fn line(setting: &Setting, key: &str, lang: Lang) -> String {
    let variable = match setting.kind.secret() {
        true => format!("`{0}`, `{0}_FILE`", setting.env),
        false => format!("`{}`", setting.env),
    };
    let default = match (&setting.absent, lang) {
        (Absent::Default(text), _) => format!("`{text}`"),
        (Absent::Means(words), lang) => words.in_lang(lang).to_owned(),
        (Absent::Refused(_), Lang::En) => "needed".to_owned(),
        (Absent::Refused(_), Lang::Zh) => "必填".to_owned(),
    };
    let takes = setting.kind.takes();
    let (takes, doc) = (takes.in_lang(lang), setting.doc.in_lang(lang));
    format!("| {variable} | `{key}` | {default} | {takes} | {doc} |\n")
}
