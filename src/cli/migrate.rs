//! `migrate` and its relatives: the schema, brought up to date or shown.

use anyhow::Result;
use serde_json::json;

use super::json::VERSION;
use super::out::{Form, Out};
use super::seams;
use super::{Exit, Setup};
use crate::outbox::schema::SchemaStatus;
use crate::words::say;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  outboxd migrate
  outboxd migrate status        exit code 1 while a migration is missing
  outboxd migrate sql > V7__outboxd.sql
  outboxd migrate roles --print

Any number of these may run at once: the first works, the others wait for it.
Columns in a pipe (migrate, status): version, state, description.")]
pub(super) struct MigrateArgs {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Clone, Copy, Debug, clap::Subcommand)]
enum What {
    /// Shows which migrations are applied.
    Status,
    /// Prints the migrations' SQL, for `TypeORM`, Prisma or Flyway.
    Sql,
    /// Creates roles with the least rights each.
    Roles {
        /// Print the SQL instead of running it.
        #[arg(long)]
        print: bool,
    },
}

/// What needs no database.
pub(super) fn printed(args: &MigrateArgs, out: &Out) -> Option<Result<Exit>> {
    let sql = match args.what {
        Some(What::Sql) => seams::migrate_sql(),
        Some(What::Roles { print: true }) => seams::roles_sql().to_owned(),
        Some(What::Status | What::Roles { print: false }) | None => return None,
    };
    Some(
        out.line(sql.trim_end())
            .map(|()| Exit::Ok)
            .map_err(Into::into),
    )
}

pub(super) async fn migrate(setup: &Setup, args: &MigrateArgs) -> Result<Exit> {
    let mut conn = setup.connect().await?;
    match args.what {
        Some(What::Roles { .. }) => {
            seams::create_roles(&mut conn).await?;
            setup.out.note(&say!(setup.lang, "migrate.roles"));
            Ok(Exit::Ok)
        }
        Some(What::Status) => {
            let status = seams::migrate_status(&mut conn).await?;
            print(setup, &status)?;
            Ok(if status.is_current() {
                Exit::Ok
            } else {
                Exit::Failed
            })
        }
        Some(What::Sql) | None => {
            let status = seams::migrate(&mut conn).await?;
            print(setup, &status)?;
            Ok(Exit::Ok)
        }
    }
}

fn print(setup: &Setup, status: &SchemaStatus) -> Result<()> {
    let missing = status
        .missing
        .iter()
        .map(|(version, what)| (*version, "missing", what.as_str()));
    let newer = status.newer.iter().map(|version| (*version, "newer", ""));
    let ours = |version: &&i64| !status.newer.contains(version);
    let applied = status.applied.iter().filter(ours);
    let mut rows: Vec<(i64, &str, &str)> = applied
        .map(|version| (*version, "applied", ""))
        .chain(missing)
        .chain(newer)
        .collect();
    rows.sort_unstable();
    match setup.out.form {
        Form::Json => setup.out.json(&json!({
            "version": VERSION,
            "current": status.is_current(),
            "migrations": rows.iter()
                .map(|(version, state, what)| json!({"version": version, "state": state, "description": what}))
                .collect::<Vec<_>>(),
        }))?,
        Form::Lines => {
            for (version, state, what) in rows {
                setup.out
                    .row(&[version.to_string(), state.to_owned(), what.to_owned()])?;
            }
        }
        Form::Terminal => {
            for (version, state, what) in rows {
                setup.out
                    .line(format!("{version:04}  {state:<8} {what}").trim_end())?;
            }
            setup.out.note(&if status.is_current() {
                say!(setup.lang, "migrate.current")
            } else {
                say!(setup.lang, "migrate.behind", n = status.missing.len())
            });
        }
    }
    Ok(())
}
