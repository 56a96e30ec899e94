//! Exit codes, and the one place where an error becomes a sentence and a code.
//!
//! The codes are documented and stable; a supervisor does not restart on 2 and 4. No message carries the
//! database's URL: what connects is named by host and database only.

use std::io;
use std::process::ExitCode;

use super::database::At;
use crate::config::{Misplaced, Refused};
use crate::delivery::clean;
use crate::words::{Lang, say};

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Ok,
    /// It failed, or a check found something.
    Failed,
    /// It was asked wrongly.
    Usage,
    /// There is no such notification.
    NotFound,
    /// The configuration is wrong.
    BadConfig,
    /// The database or WeChat cannot be reached.
    Unreachable,
    /// A signal ended it.
    Signal(u8),
}

impl Exit {
    pub fn code(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::NotFound => 3,
            Exit::BadConfig => 4,
            Exit::Unreachable => 5,
            Exit::Signal(number) => 128_u8.saturating_add(number),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// An ending that has its sentence already: `Err(Stop::new(Exit::NotFound, …))?`.
#[derive(Debug)]
pub(super) struct Stop {
    pub(super) exit: Exit,
    pub(super) sentence: String,
}

impl Stop {
    pub(super) fn new(exit: Exit, sentence: impl Into<String>) -> Stop {
        Stop {
            exit,
            sentence: sentence.into(),
        }
    }
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for Stop {}

/// What an error ends the program with, and what is said about it. A reader who went away
/// (`outboxd list | head`) is no error and hears nothing.
pub(super) fn explain(error: &anyhow::Error, lang: Lang, at: &At) -> (Exit, Option<String>) {
    for cause in error.chain() {
        if let Some(stop) = cause.downcast_ref::<Stop>() {
            let lines: Vec<String> = stop.sentence.lines().map(clean).collect();
            return (stop.exit, Some(lines.join("\n")));
        }
        if let Some(refused) = cause.downcast_ref::<Refused>() {
            return (Exit::BadConfig, Some(refused.to_string()));
        }
        if let Some(misplaced) = cause.downcast_ref::<Misplaced>() {
            return (Exit::BadConfig, Some(clean(misplaced.0.in_lang(lang))));
        }
        if let Some(io) = cause.downcast_ref::<io::Error>()
            && io.kind() == io::ErrorKind::BrokenPipe
            && error.chain().all(|c| !c.is::<sqlx::Error>())
        {
            return (Exit::Ok, None);
        }
        if cause.is::<tokio::time::error::Elapsed>() {
            return (Exit::Unreachable, Some(clean(&format!("{error:#}"))));
        }
        if let Some(sql) = cause.downcast_ref::<sqlx::Error>() {
            let (exit, sentence) = database(sql, lang, at);
            return (exit, Some(sentence));
        }
    }
    (Exit::Failed, Some(clean(&format!("{error:#}"))))
}

fn database(error: &sqlx::Error, lang: Lang, at: &At) -> (Exit, String) {
    let (place, role) = (at.place(lang), at.role.as_str());
    // The message alone: the error's own text adds where in PostgreSQL's source it arose.
    let what = clean(&match error {
        sqlx::Error::Database(database) => database.message().to_owned(),
        other => other.to_string(),
    });
    let sqlstate = match error {
        sqlx::Error::Database(database) => database.code().unwrap_or_default().into_owned(),
        sqlx::Error::Configuration(_) => {
            return (
                Exit::BadConfig,
                say!(lang, "error.database_url", what = what),
            );
        }
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed => {
            return (
                Exit::Unreachable,
                say!(lang, "error.unreachable", place = place, what = what),
            );
        }
        _ => String::new(),
    };
    match sqlstate.as_str() {
        // Undefined table, function or schema.
        "42P01" | "42883" | "3F000" | "42703" => {
            (Exit::Failed, say!(lang, "error.no_schema", place = place))
        }
        "42501" => (
            Exit::Failed,
            match at.needs {
                Some(needs) => say!(
                    lang,
                    "error.no_right",
                    role = role,
                    place = place,
                    what = what,
                    needs = needs
                ),
                None => say!(
                    lang,
                    "error.no_right_owner",
                    role = role,
                    place = place,
                    what = what
                ),
            },
        ),
        "57014" => (Exit::Failed, say!(lang, "error.too_slow")),
        "55P03" | "40P01" => (Exit::Failed, say!(lang, "error.busy")),
        "25006" => (Exit::Failed, say!(lang, "error.read_only", place = place)),
        // Nothing of these gets better by itself: no such database, wrong password, unknown role.
        "3D000" => (
            Exit::BadConfig,
            say!(
                lang,
                "error.no_database",
                database = at.database,
                server = at.server
            ),
        ),
        "28P01" | "28000" => (
            Exit::BadConfig,
            say!(lang, "error.login", place = place, role = role, what = what),
        ),
        // Shutting down, starting up, too many connections.
        code if code.starts_with("57P") || code.starts_with("08") || code.starts_with("53") => (
            Exit::Unreachable,
            say!(lang, "error.unreachable", place = place, what = what),
        ),
        _ => (
            Exit::Failed,
            say!(lang, "error.database", place = place, what = what),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_the_documented_ones() {
        for (exit, code) in [
            (Exit::Ok, 0),
            (Exit::Failed, 1),
            (Exit::Usage, 2),
            (Exit::NotFound, 3),
            (Exit::BadConfig, 4),
            (Exit::Unreachable, 5),
            (Exit::Signal(2), 130),
            (Exit::Signal(15), 143),
        ] {
            assert_eq!(exit.code(), code, "{exit:?}");
        }
    }

    #[test]
    fn errors_end_in_the_code_of_their_kind() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let piped = || io::Error::from(io::ErrorKind::BrokenPipe);
        for (error, exit, silent) in [
            (anyhow::anyhow!("odd"), Exit::Failed, false),
            (
                Stop::new(Exit::NotFound, "none").into(),
                Exit::NotFound,
                false,
            ),
            (
                anyhow::Error::from(Stop::new(Exit::BadConfig, "zone")).context("read settings"),
                Exit::BadConfig,
                false,
            ),
            (sqlx::Error::Io(refused()).into(), Exit::Unreachable, false),
            // The database went away while we spoke to it; that is not our reader.
            (sqlx::Error::Io(piped()).into(), Exit::Unreachable, false),
            (
                anyhow::Error::from(piped()).context("write"),
                Exit::Ok,
                true,
            ),
            (
                sqlx::Error::Configuration("bad port".into()).into(),
                Exit::BadConfig,
                false,
            ),
        ] {
            let (found, sentence) = explain(&error, Lang::En, &At::default());
            assert_eq!(found, exit, "{error:#}");
            assert_eq!(sentence.is_none(), silent, "{error:#}");
        }
    }
}
