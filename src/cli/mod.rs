//! The command line: what can be typed, and which verb answers it.
//!
//! Support asks `why`, `find`, `show`, `list`, `stats`, `phone` and `audit`; an operator acts with `retry`, `bulk`, `handled`,
//! `redirect`, `correct`, `cancel`, `pause` and `resume`; `run` and `migrate` are the daemon's. The verbs call the same
//! functions as the desk. Data goes to standard output, words to standard error (`out`); how it all ends stands in `exit`.

mod act;
mod audit;
mod bulk;
mod card;
mod config;
mod database;
#[cfg(test)]
mod documents;
mod errors;
mod exit;
mod gate;
mod hand;
mod list;
mod migrate;
mod out;
mod rehearse;
mod retry;
mod run;
mod serve;
mod settings;
mod show;
mod since;
mod stats;
mod why;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use sqlx::postgres::PgConnection;

pub use exit::Exit;

use crate::config::Needs;
use crate::outbox::inspect;
use crate::words::{Lang, Place, Voice};
use database::At;
use out::{Colour, Out};
use settings::{Settings, Typed};

const EXAMPLES: &str = "\
Examples:
  outboxd why 10086                      was the news about 10086 accepted? if not, why?
  outboxd find 李女士                    a name, a phone number's tail, a recipient, an id
  outboxd show 4711                      everything that happened to notification 4711
  outboxd list --status dead --since 24h what was given up since yesterday
  outboxd retry 4711 --reason 'she tapped allow'
  outboxd pause default --reason 'template under review'

Exit codes:
  0 ok   1 failed, or a check found something   2 usage   3 not found
  4 bad configuration   5 database or WeChat unreachable   130/143 ended at once by a second signal

On a terminal the output is for people; in a pipe it is tab-separated lines without a header, in a
stable order of columns (each verb's --help names them); with --json it is one object.";

/// What may stand before or behind every verb.
const EVERYWHERE: &str = "Everywhere";

/// Delivers a CRM's notification outbox through a WeChat cloud function, and explains every row.
#[derive(Debug, Parser)]
#[command(name = "outboxd", version, arg_required_else_help = true, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    /// The configuration file.
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The CRM's PostgreSQL; else the environment variable `DATABASE_URL`.
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "URL")]
    database_url: Option<String>,
    /// The language of sentences; else `OUTBOXD_LANG`, else the locale.
    #[arg(long, global = true, help_heading = EVERYWHERE, value_enum)]
    lang: Option<Lang>,
    /// One JSON object instead of tables.
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    json: bool,
    /// Whether to colour; `NO_COLOR` is heeded.
    #[arg(
        long = "color",
        global = true,
        help_heading = EVERYWHERE,
        value_enum,
        default_value = "auto",
        value_name = "WHEN"
    )]
    colour: Colour,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Delivers: claims rows, calls the cloud function, records what happened.
    Run(run::RunArgs),
    /// Opens the desk: the pages on which support asks and operators act.
    Serve(serve::ServeArgs),
    /// Makes the line that lets somebody into the desk.
    DeskPassword(serve::PasswordArgs),
    /// Brings the schema up to date, or shows what that means.
    Migrate(migrate::MigrateArgs),
    /// Says of each notification about a customer what happened, whose turn it is and what to do.
    Why(why::WhyArgs),
    /// Finds notifications by whatever is known: id, key, customer, recipient, name, phone number's tail.
    Find(why::FindArgs),
    /// Shows one notification's whole life.
    Show(show::ShowArgs),
    /// Lists notifications, newest first.
    List(list::ListArgs),
    /// Sends notifications again.
    Retry(retry::RetryArgs),
    /// Takes notifications back that have not been sent.
    Cancel(act::CancelArgs),
    /// Sends many again, a little at a time, and stops before it does harm.
    Bulk(bulk::BulkArgs),
    /// Lists the people to tell another way: given up or expired, and not dealt with.
    Phone(hand::PhoneArgs),
    /// Notes that somebody was told another way, or need not be told.
    Handled(hand::HandledArgs),
    /// Sends the same news to someone else.
    Redirect(hand::RedirectArgs),
    /// Sends it with another payload.
    Correct(hand::CorrectArgs),
    /// Stops claiming for one app, on the whole fleet at once.
    Pause(gate::PauseArgs),
    /// Claims again for a paused app.
    Resume(gate::ResumeArgs),
    /// Shows what waits, what was given up, and the last hour against the targets.
    Stats(stats::StatsArgs),
    /// Shows who did what, and why.
    Audit(audit::AuditArgs),
    /// Makes one real call and prints it step by step.
    SendTest(rehearse::SendTestArgs),
    /// Shows the settings with their origin, or a template to start from.
    Config(config::ConfigArgs),
    /// Prints the catalogue of causes: what it means, who acts, what to do.
    Errors(errors::ErrorsArgs),
}

impl Verb {
    /// The role whose rights it takes; `None` is the schema's owner.
    fn needs(&self) -> Option<&'static str> {
        match self {
            Verb::Run(_) => Some("outboxd_daemon"),
            // Payloads are for those who act.
            Verb::Show(args) if args.payload => Some("outboxd_admin"),
            Verb::Why(_)
            | Verb::Find(_)
            | Verb::Show(_)
            | Verb::List(_)
            | Verb::Stats(_)
            | Verb::Serve(_)
            | Verb::DeskPassword(_)
            | Verb::Phone(_)
            | Verb::Audit(_)
            | Verb::Config(_)
            | Verb::Errors(_) => Some("outboxd_support"),
            Verb::Bulk(args) if matches!(args.what, bulk::What::Status { .. }) => {
                Some("outboxd_support")
            }
            Verb::Retry(_)
            | Verb::Cancel(_)
            | Verb::Bulk(_)
            | Verb::Handled(_)
            | Verb::Redirect(_)
            | Verb::Correct(_)
            | Verb::Pause(_)
            | Verb::Resume(_)
            | Verb::SendTest(_) => Some("outboxd_admin"),
            Verb::Migrate(_) => None,
        }
    }
}

/// What every verb for people has in hand.
struct Desk {
    typed: Typed,
    settings: Settings,
    lang: Lang,
    out: Out,
}

impl Desk {
    async fn connect(&self) -> Result<PgConnection> {
        database::connect(&self.settings, self.lang).await
    }

    /// The voice of this moment, on the database's clock.
    async fn voice(&self, conn: &mut PgConnection) -> Result<Voice> {
        Ok(Voice {
            lang: self.lang,
            place: Place::Terminal,
            zone: self.settings.zone,
            now: inspect::now(conn).await?,
        })
    }
}

/// The whole program, from what was typed to the exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(help_or_error) => {
            // Also a printed help can meet a reader who went away.
            let _ = help_or_error.print();
            return match help_or_error.exit_code() {
                0 => Exit::Ok.into(),
                _ => Exit::Usage.into(),
            };
        }
    };
    let lang = Lang::pick(cli.lang, |name| std::env::var(name).ok());
    let out = Out::new(cli.json, cli.colour);
    let (typed, needs) = (Typed::of(&cli), cli.verb.needs());
    let ended = crate::daemon::runtime()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(answer(cli, lang, out)));
    match ended {
        Ok(exit) => exit.into(),
        Err(error) => {
            let at = At::of(&typed, needs);
            let (exit, sentence) = exit::explain(&error, lang, &at);
            if let Some(sentence) = sentence {
                out.note(&format!("outboxd: {sentence}"));
            }
            exit.into()
        }
    }
}

async fn answer(cli: Cli, lang: Lang, out: Out) -> Result<Exit> {
    let typed = Typed::of(&cli);
    let desk = || -> Result<Desk> {
        Ok(Desk {
            settings: typed.load(Needs::Database, out)?.into(),
            typed: typed.clone(),
            lang,
            out,
        })
    };
    match cli.verb {
        Verb::Run(args) => run::run(&typed, &args, out).await,
        Verb::Serve(args) => serve::serve(&typed, &args, out).await,
        Verb::DeskPassword(args) => serve::password(&args, lang, out),
        Verb::Migrate(args) => migrate::migrate(&typed, &args, lang, out).await,
        Verb::Why(args) => why::why(&desk()?, &args).await,
        Verb::Find(args) => why::find(&desk()?, &args).await,
        Verb::Show(args) => show::show(&desk()?, &args).await,
        Verb::List(args) => list::list(&desk()?, &args).await,
        Verb::Retry(args) => retry::retry(&desk()?, &args).await,
        Verb::Cancel(args) => act::cancel(&desk()?, &args).await,
        Verb::Bulk(args) => bulk::bulk(&desk()?, &args).await,
        Verb::Phone(args) => hand::phone(&desk()?, &args).await,
        Verb::Handled(args) => hand::handled(&desk()?, &args).await,
        Verb::Redirect(args) => hand::redirect(&desk()?, &args).await,
        Verb::Correct(args) => hand::correct(&desk()?, &args).await,
        Verb::Pause(args) => gate::pause(&desk()?, &args).await,
        Verb::Resume(args) => gate::resume(&desk()?, &args).await,
        Verb::Stats(args) => stats::stats(&desk()?, &args).await,
        Verb::Audit(args) => audit::audit(&desk()?, &args).await,
        Verb::SendTest(args) => rehearse::send_test(&desk()?, &args).await,
        Verb::Config(args) => config::config(&typed, &args, lang, out),
        Verb::Errors(args) => errors::errors(&args, lang, out),
    }
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
