//! `migrate`: brings the schema up to date, or shows what that means.

use anyhow::Result;
use serde_json::json;

use super::database::At;
use super::out::{Form, Out};
use super::settings::Typed;
use super::{Exit, database};
use crate::answer::json::VERSION;
use crate::config::Needs;
use crate::outbox::schema::{self, SchemaStatus};
use crate::words::{Lang, say};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  outboxd migrate                        needs a direct connection and the right to create a schema
  outboxd migrate status                 exit code 1 while anything is missing
  outboxd migrate sql > V1__outboxd.sql  for those who migrate with another tool
  outboxd migrate roles                  create the roles and grant them the least they need

Any number of these may run at once.")]
pub(super) struct MigrateArgs {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Clone, Copy, Debug, clap::Subcommand)]
enum What {
    /// Shows which migrations are applied; exit code 1 while any is missing.
    Status,
    /// Prints the migrations' SQL, for Flyway, `TypeORM` or Prisma.
    Sql,
    /// Creates the roles `outboxd_daemon`, `_crm`, `_support`, `_desk` and `_admin` with the least rights.
    Roles {
        /// Only print the SQL.
        #[arg(long)]
        print: bool,
    },
}

pub(super) async fn migrate(
    typed: &Typed,
    args: &MigrateArgs,
    lang: Lang,
    out: Out,
) -> Result<Exit> {
    match args.what {
        Some(What::Sql) => out.line(schema::sql().trim_end())?,
        Some(What::Roles { print: true }) => out.line(schema::ROLES.trim_end())?,
        Some(What::Roles { print: false }) => {
            let mut connection =
                database::connect(&typed.load(Needs::Database, out)?.into(), lang).await?;
            schema::create_roles(&mut connection).await?;
            out.note(&say!(lang, "migrate.roles"));
        }
        Some(What::Status) => {
            let mut connection =
                database::connect(&typed.load(Needs::Database, out)?.into(), lang).await?;
            return report(&schema::status(&mut connection).await?, None, lang, out);
        }
        None => {
            let mut connection =
                database::connect(&typed.load(Needs::Database, out)?.into(), lang).await?;
            let schema::Migrated { before, after } = schema::migrate(&mut connection).await?;
            let made = Made {
                missed: before.missing,
                place: At::of(typed, None).place(lang),
            };
            return report(&after, Some(&made), lang, out);
        }
    }
    Ok(Exit::Ok)
}

/// What a migration found missing, and where.
struct Made {
    missed: Vec<(i64, String)>,
    place: String,
}

fn report(status: &SchemaStatus, made: Option<&Made>, lang: Lang, out: Out) -> Result<Exit> {
    // Applied just now, by us or by another `migrate` that was faster.
    let new: Vec<&(i64, String)> = made
        .iter()
        .flat_map(|made| &made.missed)
        .filter(|(version, _)| status.applied.contains(version))
        .collect();
    let is_new = |version: i64| new.iter().any(|(it, _)| *it == version);
    let missing: Vec<String> = status
        .missing
        .iter()
        .map(|(version, name)| format!("{version:04} {name}"))
        .collect();
    match out.form {
        Form::Json => out.json(&json!({
            "version": VERSION, "current": status.is_current(), "applied": status.applied,
            "applied_now": new.iter().map(|(version, _)| version).collect::<Vec<_>>(), "missing": missing, "newer": status.newer,
        }))?,
        Form::Lines => {
            for version in &status.applied {
                // After `migrate` the word tells what it did from what was there.
                let word = match made {
                    Some(_) if !is_new(*version) => "present",
                    Some(_) | None => "applied",
                };
                out.row(&[format!("{version:04}"), word.to_owned()])?;
            }
            for (version, _) in &status.missing {
                out.row(&[format!("{version:04}"), "missing".to_owned()])?;
            }
        }
        Form::Terminal => {
            let n = status.applied.len();
            out.line(&match made {
                _ if !status.is_current() => {
                    say!(lang, "migrate.behind", missing = missing.join(", "))
                }
                None => say!(lang, "migrate.current", n = n),
                Some(made) if new.is_empty() => {
                    say!(lang, "migrate.there", place = made.place, n = n)
                }
                Some(made) => {
                    let applied: Vec<String> = new
                        .iter()
                        .map(|(version, name)| format!("{version:04} {name}"))
                        .collect();
                    say!(
                        lang,
                        "migrate.applied",
                        place = made.place,
                        applied = applied.join(", "),
                        n = n
                    )
                }
            })?;
            if !status.newer.is_empty() {
                out.line(&say!(lang, "migrate.newer", n = status.newer.len()))?;
            }
        }
    }
    Ok(if status.is_current() {
        Exit::Ok
    } else {
        Exit::Failed
    })
}
