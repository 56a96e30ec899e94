//! `config show` and `config template`.

use anyhow::Result;
use serde_json::{Map, json};

use super::Exit;
use super::json::VERSION;
use super::out::{Form, Out};
use super::seams::{self, Typed};
use crate::words::say;

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

pub(super) fn config(typed: &Typed, args: &ConfigArgs, out: Out) -> Result<Exit> {
    let lang = typed.lang();
    match args.what {
        What::Template => {
            out.line(seams::config_template(lang).trim_end())?;
            Ok(Exit::Ok)
        }
        What::Show => {
            let (rows, wrong) = seams::config_show(typed);
            if out.form == Form::Json {
                let settings: Map<_, _> = rows
                    .into_iter()
                    .map(|row| {
                        (
                            row.setting,
                            json!({"value": row.value, "origin": row.origin}),
                        )
                    })
                    .collect();
                out.json(&json!({"version": VERSION, "settings": settings}))?;
            } else {
                let header = [
                    say!(lang, "column.setting"),
                    say!(lang, "column.value"),
                    say!(lang, "column.origin"),
                ];
                let rows: Vec<_> = rows
                    .into_iter()
                    .map(|row| vec![row.setting, row.value, row.origin])
                    .collect();
                out.table(&header, &rows)?;
            }
            // What is wrong is said beside what was found.
            wrong.map_or(Ok(Exit::Ok), |wrong| Err(wrong.into()))
        }
    }
}
