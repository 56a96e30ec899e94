//! Names nobody knows: in the file they are mistakes, in the environment only doubts, for an environment
//! has other authors too. Each comes with the nearest name we know.

use std::collections::BTreeMap;

use super::Needs;
use super::kind::Wrong;
use super::report::Finding;
use super::setting::DEFAULT_APP;
use super::settings::ALL;
use super::sources::Origin;
use super::words::{Words, nearest, words};

/// Kubernetes describes a service called `outboxd` to every pod in variables of these names.
const KUBERNETES: [&str; 2] = ["OUTBOXD_SERVICE_", "OUTBOXD_PORT"];

/// Whether a variable is ours, or is meant to be.
pub(super) fn concerns_us(name: &str) -> bool {
    name.starts_with("OUTBOXD_")
        || name.starts_with("PG")
        || known_variables().any(|known| known == name)
        || mistyped(name).is_some()
}

fn known_variables() -> impl Iterator<Item = String> {
    let of_settings = ALL.iter().flat_map(|setting| {
        let file = setting
            .kind
            .secret()
            .then(|| format!("{}_FILE", setting.env));
        [
            Some(setting.env.to_owned()),
            setting.also.map(str::to_owned),
            file,
        ]
    });
    of_settings.flatten().chain(["OUTBOXD_CONFIG".to_owned()])
}

/// The setting an unknown `MINIPROGRAM_*` means; the CRM may well have others of that prefix.
fn mistyped(name: &str) -> Option<String> {
    let known: Vec<String> = known_variables().collect();
    let near = nearest(name, known.iter().map(String::as_str))?;
    name.starts_with("MINIPROGRAM_").then(|| near.to_owned())
}

/// Which commands cannot do without the setting of a variable.
pub(super) fn needs(variable: &str) -> Needs {
    let name = variable.strip_suffix("_FILE").unwrap_or(variable);
    match ALL.iter().find(|setting| setting.env == name) {
        Some(setting) => setting.needs,
        None if name.starts_with("PG") => Needs::Database,
        None => Needs::Everything,
    }
}

/// Doubts about variables that look like ours.
pub(super) fn variables(
    env: &BTreeMap<String, String>,
    dotenv: &BTreeMap<String, (String, usize)>,
) -> Vec<Finding> {
    let known: Vec<String> = known_variables().collect();
    let from_env = env
        .keys()
        .map(|name| (name, Origin::Variable(name.clone())));
    let from_dotenv = dotenv
        .iter()
        .map(|(name, (_, line))| (name, Origin::Dotenv { line: *line }));
    from_env
        .chain(from_dotenv)
        .filter(|(name, _)| !known.contains(name))
        .filter(|(name, _)| !KUBERNETES.iter().any(|prefix| name.starts_with(prefix)))
        .filter(|(name, _)| name.starts_with("OUTBOXD_") || mistyped(name).is_some())
        .map(|(name, origin)| {
            let near = nearest(name, known.iter().map(String::as_str));
            Finding::new(name, Some(origin), no_setting(near))
        })
        .collect()
}

/// Mistakes among the keys of the file.
pub(super) fn keys(path: &str, file: &toml::Table) -> Vec<Finding> {
    let mut found = Vec::new();
    for (key, value) in file {
        match (key.as_str(), value) {
            ("apps", toml::Value::Table(apps)) => {
                for (app, value) in apps {
                    check(path, &format!("apps.{app}"), value, app, &mut found);
                }
            }
            _ => check(path, key, value, DEFAULT_APP, &mut found),
        }
    }
    found
}

/// Descends into sections we know; whatever is neither section nor key is a mistake.
fn check(path: &str, key: &str, value: &toml::Value, app: &str, found: &mut Vec<Finding>) {
    let known = known_keys(app);
    if known.iter().any(|known| known == key) {
        return;
    }
    let origin = || {
        Some(Origin::File {
            path: path.to_owned(),
            key: key.to_owned(),
        })
    };
    let section = format!("{key}.");
    match value {
        toml::Value::Table(inner) if known.iter().any(|known| known.starts_with(&section)) => {
            for (name, value) in inner {
                check(path, &format!("{section}{name}"), value, app, found);
            }
        }
        _ if known.iter().any(|known| known.starts_with(&section)) || key == "apps" => {
            let wrong = Wrong {
                reason: Words::new("is a section, not a value", "是一个小节，不是值"),
                way_out: words!("write [{key}] on a line of its own", "请单独写一行 [{key}]"),
            };
            found.push(Finding::new(key, origin(), wrong));
        }
        _ => found.push(Finding::new(
            key,
            origin(),
            no_setting(near_key(key, &known)),
        )),
    }
}

fn known_keys(app: &str) -> Vec<String> {
    let keys = ALL.iter().flat_map(|setting| {
        let key = setting.path(app);
        let file = setting.kind.secret().then(|| format!("{key}_file"));
        [Some(key), file]
    });
    keys.flatten().collect()
}

/// The key most like the typed one: as a whole, else by its last word, which may stand in a wrong section
/// or carry the name of the variable.
fn near_key<'a>(key: &str, known: &'a [String]) -> Option<&'a str> {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_lowercase();
    let typed = last(key);
    let same_word = known.iter().find(|known| last(known) == typed);
    let variable = ALL
        .iter()
        .position(|setting| setting.env.to_lowercase() == typed)
        .map(|index| ALL[index].key);
    let of_variable = variable.and_then(|key| known.iter().find(|known| known.ends_with(key)));
    if let Some(known) = same_word.or(of_variable) {
        return Some(known);
    }
    let words: Vec<String> = known.iter().map(|known| last(known)).collect();
    nearest(key, known.iter().map(String::as_str)).or_else(|| {
        let near = nearest(&typed, words.iter().map(String::as_str))?;
        let index = words.iter().position(|word| word == near)?;
        Some(known[index].as_str())
    })
}

fn no_setting(near: Option<&str>) -> Wrong {
    Wrong {
        reason: Words::new("is not a setting", "不是已知的设置"),
        way_out: match near {
            Some(near) => words!("did you mean {near}?", "是不是 {near}？"),
            None => Words::new(
                "remove it; `outboxd config template` lists every setting",
                "请删除；`outboxd config template` 会列出全部设置",
            ),
        },
    }
}
