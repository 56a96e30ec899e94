//! `config show` and `config template`.

use anyhow::Result;
use serde_json::{Map, json};

use super::Exit;
use super::out::{Form, Out};
use super::settings::Typed;
use crate::answer::json::VERSION;
use crate::config::setting::Absent;
use crate::config::settings::ALL;
use crate::config::{Config, Needs};
use crate::secret::MASK;
use crate::words::{Lang, say};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  outboxd config show
  outboxd config template > /etc/outboxd/config.toml")]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Copy, Debug, clap::Subcommand)]
enum What {
    /// Every setting with its value and where it came from; secrets are hidden.
    Show,
    /// A commented configuration file with every default.
    Template,
}

/// Whether the setting of this name holds nothing but a secret. (The database's address is shown without its
/// password.)
fn is_secret(name: &str) -> bool {
    ALL.iter().any(|setting| {
        let of_app = format!(".{}", setting.key);
        setting.kind.secret()
            && matches!(setting.absent, Absent::Means(_))
            && (name == setting.env || name.ends_with(&of_app))
    })
}

pub(super) fn config(typed: &Typed, args: &ConfigArgs, lang: Lang, out: Out) -> Result<Exit> {
    match args.what {
        What::Template => out.line(Config::template(lang).trim_end())?,
        What::Show => {
            // A wrong value is easier to find beside the right ones: they are shown in any case.
            let (rows, refused) = match typed.load(Needs::Everything, out) {
                Ok(config) => (config.describe(lang), None),
                Err(refused) => (refused.describe(lang), Some(refused)),
            };
            let settings: Vec<[String; 3]> = rows
                .into_iter()
                .map(|row| [row.setting, row.value, row.origin])
                .collect();
            if out.form == Form::Json {
                let settings: Map<_, _> = settings
                    .into_iter()
                    .map(|[name, value, origin]| {
                        // A script asks whether it is there; the words for that it is not are for people.
                        let value = (value == MASK || !is_secret(&name)).then_some(value);
                        (name, json!({"value": value, "origin": origin}))
                    })
                    .collect();
                out.json(&json!({"version": VERSION, "settings": settings}))?;
            } else {
                let header = [
                    say!(lang, "column.setting"),
                    say!(lang, "column.value"),
                    say!(lang, "column.origin"),
                ];
                let rows: Vec<_> = settings.into_iter().map(|row| row.to_vec()).collect();
                out.table(&header, &rows)?;
            }
            if let Some(refused) = refused {
                return Err(refused.into());
            }
        }
    }
    Ok(Exit::Ok)
}
