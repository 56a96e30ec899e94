//! The sources laid over one another: flag > environment > `.env` > systemd credential > file.
//!
//! [`Layers::find`] answers for one setting which text counts and who said it. What the text means is
//! not its business.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::dotenv::{self, Dotenv};
use super::kind::{Kind, Wrong};
use super::report::Finding;
use super::setting::{DEFAULT_APP, Scope, Setting};
use super::sources::{FileText, Origin, Sources};
use super::words::{Words, words};
use super::{Needs, unknown};

/// Read when neither flag nor variable names a file.
pub const DEFAULT_FILE: &str = "/etc/outboxd/config.toml";

/// The text that counts, and who said it.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) text: String,
    pub(super) origin: Origin,
    /// The file it stands in may be read by every user of the machine.
    pub(super) open_file: Option<String>,
}

/// A source that spoke and could not be understood.
pub(super) struct Garbled {
    pub(super) origin: Origin,
    pub(super) wrong: Wrong,
}

fn garbled<T>(origin: Origin, wrong: Wrong) -> Result<T, Box<Garbled>> {
    Err(Box::new(Garbled { origin, wrong }))
}

pub(super) struct Layers<'a> {
    sources: &'a Sources,
    dotenv: BTreeMap<String, (String, usize)>,
    dotenv_open: bool,
    path: String,
    file: toml::Table,
    file_open: bool,
    /// Found while reading the sources, with the lightest need that makes each a mistake.
    pub(super) mistakes: Vec<(Needs, Finding)>,
    pub(super) warnings: Vec<Finding>,
}

impl<'a> Layers<'a> {
    pub(super) fn of(sources: &'a Sources) -> Self {
        let mut layers = Self {
            sources,
            dotenv: BTreeMap::new(),
            dotenv_open: false,
            path: String::new(),
            file: toml::Table::new(),
            file_open: false,
            mistakes: Vec::new(),
            warnings: Vec::new(),
        };
        layers.read_dotenv();
        layers.read_file();
        let doubts = unknown::variables(&sources.env, &layers.dotenv);
        layers.warnings.extend(doubts);
        for mistake in unknown::keys(&layers.path, &layers.file) {
            layers.mistakes.push((Needs::Everything, mistake));
        }
        layers
    }

    fn read_dotenv(&mut self) {
        match (self.sources.read_file)(Path::new(".env")) {
            Ok(FileText { text, open_to_all }) => {
                let Dotenv {
                    values,
                    mistakes,
                    warnings,
                } = dotenv::parse(&text, unknown::concerns_us);
                self.dotenv = values;
                self.dotenv_open = open_to_all;
                self.mistakes.extend(
                    mistakes
                        .into_iter()
                        .map(|m| (unknown::needs(&m.setting), m)),
                );
                self.warnings.extend(warnings);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self
                .warnings
                .push(Finding::new(".env", None, unreadable(&error))),
        }
    }

    fn read_file(&mut self) {
        let flag = self.sources.flags.get("config");
        let named = flag
            .map(|path| (path.clone(), Origin::Flag("config".into())))
            .or_else(|| {
                self.variable("OUTBOXD_CONFIG")
                    .map(|found| (found.text, found.origin))
            });
        let (path, asked) = match named {
            Some((path, origin)) => (path, Some(origin)),
            None => (DEFAULT_FILE.to_owned(), None),
        };
        let read = (self.sources.read_file)(Path::new(&path));
        self.path = path;
        let text = match (read, asked) {
            (Ok(file), _) => {
                self.file_open = file.open_to_all;
                file.text
            }
            (Err(error), None) if error.kind() == io::ErrorKind::NotFound => return,
            (Err(error), asked) => {
                // A file nobody named may belong to the daemon's user alone; support can do without.
                let needs = match asked {
                    Some(_) => Needs::Database,
                    None => Needs::Everything,
                };
                let finding = Finding::new(self.path.clone(), asked, unreadable(&error));
                return self.mistakes.push((needs, finding));
            }
        };
        match text.parse() {
            Ok(table) => self.file = table,
            Err(error) => {
                let finding = Finding::new(self.path.clone(), None, not_toml(&text, &error));
                self.mistakes.push((Needs::Database, finding));
            }
        }
    }

    /// The apps of the file, by name. An empty section, as the template leaves it, is no app.
    pub(super) fn apps(&self) -> impl Iterator<Item = &str> {
        let apps = self.file.get("apps").and_then(toml::Value::as_table);
        let empty = |app: &toml::Value| app.as_table().is_some_and(toml::Table::is_empty);
        apps.into_iter()
            .flatten()
            .filter(move |(_, app)| !empty(app))
            .map(|(name, _)| name.as_str())
    }

    pub(super) fn file_origin(&self, key: &str) -> Origin {
        Origin::File {
            path: self.path.clone(),
            key: key.to_owned(),
        }
    }

    /// A variable of the environment, else of `.env`.
    pub(super) fn variable(&self, name: &str) -> Option<Found> {
        self.environment(name).or_else(|| self.dotenv(name))
    }

    /// The text that counts for a setting.
    pub(super) fn find(&self, setting: &Setting, app: &str) -> Result<Option<Found>, Box<Garbled>> {
        if setting.scope == Scope::Daemon || app == DEFAULT_APP {
            if let Some(found) = self.flag(setting) {
                return Ok(Some(found));
            }
            let environment = |name: &str| self.environment(name);
            if let Some(found) = self.in_variables(setting, environment)? {
                return Ok(Some(found));
            }
            if let Some(found) = self.in_variables(setting, |name| self.dotenv(name))? {
                return Ok(Some(found));
            }
        }
        if let Some(found) = self.in_credential(setting, app)? {
            return Ok(Some(found));
        }
        self.in_file(setting, app)
    }

    fn flag(&self, setting: &Setting) -> Option<Found> {
        let name = setting.flag()?;
        let text = self.sources.flags.get(name)?.trim().to_owned();
        Some(Found::new(text, Origin::Flag(name.to_owned())))
    }

    fn environment(&self, name: &str) -> Option<Found> {
        let text = self.sources.variable(name)?.to_owned();
        Some(Found::new(text, Origin::Variable(name.to_owned())))
    }

    fn dotenv(&self, name: &str) -> Option<Found> {
        let (text, line) = self.dotenv.get(name)?;
        Some(Found {
            text: text.clone(),
            origin: Origin::Dotenv { line: *line },
            open_file: self.dotenv_open.then(|| ".env".to_owned()),
        })
    }

    fn in_variables(
        &self,
        setting: &Setting,
        variable: impl Fn(&str) -> Option<Found>,
    ) -> Result<Option<Found>, Box<Garbled>> {
        let plain = setting
            .also
            .and_then(&variable)
            .or_else(|| variable(setting.env));
        let pointer = format!("{}_FILE", setting.env);
        let named = setting.kind.secret().then(|| variable(&pointer)).flatten();
        self.either(plain, named, &pointer)
    }

    fn in_file(&self, setting: &Setting, app: &str) -> Result<Option<Found>, Box<Garbled>> {
        let path = setting.path(app);
        let pointer = format!("{path}_file");
        let plain = self.entry(&path, &setting.kind)?;
        let named = match setting.kind.secret() {
            true => self.entry(&pointer, &setting.kind)?,
            false => None,
        };
        self.either(plain, named, &pointer)
    }

    /// The value itself, or the file it is in; both at once would be a riddle.
    fn either(
        &self,
        plain: Option<Found>,
        named: Option<Found>,
        pointer: &str,
    ) -> Result<Option<Found>, Box<Garbled>> {
        match (plain, named) {
            (None, None) => Ok(None),
            (Some(found), None) => Ok(Some(found)),
            (None, Some(file)) => {
                let origin = Origin::NamedBy(pointer.to_owned());
                self.secret_file(&file.text, origin).map(Some)
            }
            (Some(_), Some(file)) => garbled(
                file.origin,
                Wrong {
                    reason: words!("is given together with {pointer}", "与 {pointer} 同时出现"),
                    way_out: words!(
                        "keep one: {pointer} is the safer",
                        "请只保留一个：{pointer} 更安全",
                    ),
                },
            ),
        }
    }

    fn in_credential(&self, setting: &Setting, app: &str) -> Result<Option<Found>, Box<Garbled>> {
        let (Some(directory), Some(name)) = (
            self.sources.variable("CREDENTIALS_DIRECTORY"),
            setting.credential(app),
        ) else {
            return Ok(None);
        };
        let path = Path::new(directory).join(&name);
        match (self.sources.read_file)(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            _ => self
                .secret_file(&path.to_string_lossy(), Origin::Credential(name))
                .map(Some),
        }
    }

    fn secret_file(&self, path: &str, origin: Origin) -> Result<Found, Box<Garbled>> {
        match (self.sources.read_file)(Path::new(path)) {
            Ok(FileText { text, open_to_all }) => {
                // Editors end a file with one line break; any further one is not ours to guess about.
                let text = text.strip_suffix('\n').unwrap_or(&text);
                let text = text.strip_suffix('\r').unwrap_or(text).to_owned();
                let open_file = open_to_all.then(|| path.to_owned());
                Ok(Found {
                    text,
                    origin,
                    open_file,
                })
            }
            Err(error) => garbled(
                origin,
                Wrong {
                    reason: words!(
                        "is in the file {path}, which cannot be read",
                        "所在的文件 {path} 无法读取"
                    ),
                    ..unreadable(&error)
                },
            ),
        }
    }

    /// The text of a key in the file.
    fn entry(&self, path: &str, kind: &dyn Kind) -> Result<Option<Found>, Box<Garbled>> {
        let mut steps = path.split('.');
        let first = steps.next().and_then(|step| self.file.get(step));
        let Some(value) = steps.fold(first, |value, step| value?.get(step)) else {
            return Ok(None);
        };
        let origin = self.file_origin(path);
        match text_of(value, kind) {
            Some(text) => Ok(Some(Found {
                text: text.trim().to_owned(),
                origin,
                open_file: self.file_open.then(|| self.path.clone()),
            })),
            None => garbled(
                origin,
                Wrong {
                    reason: Words::new("is not a single value", "不是单个值"),
                    way_out: Words::new("write key = \"value\"", "请写成 键 = \"值\""),
                },
            ),
        }
    }
}

impl Found {
    fn new(text: String, origin: Origin) -> Self {
        Self {
            text,
            origin,
            open_file: None,
        }
    }
}

/// A TOML value in the one grammar all sources share.
fn text_of(value: &toml::Value, kind: &dyn Kind) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Array(items) if kind.list() => {
            let items: Option<Vec<String>> = items.iter().map(|i| text_of(i, kind)).collect();
            items.map(|items| items.join(" "))
        }
        toml::Value::Array(_) | toml::Value::Table(_) | toml::Value::Datetime(_) => None,
    }
}

fn unreadable(error: &io::Error) -> Wrong {
    let said = error.to_string();
    let way_out = match error.kind() {
        io::ErrorKind::NotFound => Words::new("check the path", "请检查路径"),
        io::ErrorKind::PermissionDenied => Words::new(
            "let the user outboxd runs as read it",
            "请让运行 outboxd 的用户有权读取",
        ),
        _ => words!("the system says: {said}", "系统提示：{said}"),
    };
    Wrong {
        reason: words!("cannot be read: {said}", "无法读取：{said}"),
        way_out,
    }
}

/// The message without the source line, in which a secret may stand.
fn not_toml(text: &str, error: &toml::de::Error) -> Wrong {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = text.as_bytes()[..start]
        .iter()
        .filter(|b| **b == b'\n')
        .count()
        + 1;
    let said = error.message().replace('\n', "; ");
    Wrong {
        reason: words!(
            "is not TOML at line {line}: {said}",
            "第 {line} 行不是 TOML：{said}"
        ),
        way_out: Words::new(
            "text needs quotes: key = \"value\"; `outboxd config template` prints a model",
            "文字要加引号：键 = \"值\"；`outboxd config template` 会输出样例",
        ),
    }
}
