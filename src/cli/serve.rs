//! `serve` and `desk-password`: the desk, and the people who may come in.

use std::io::{ErrorKind, IsTerminal as _, Read as _};

use anyhow::{Context as _, Result};
use tokio::sync::watch;

use super::Exit;
use super::exit::Stop;
use super::out::Out;
use super::settings::Typed;
use crate::config::{Config, Needs};
use crate::daemon;
use crate::desk::{self, Role};
use crate::words::{Lang, say};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  outboxd serve                on http://127.0.0.1:9091/, for this machine's people, without a login
  outboxd serve --read-only    to look and not to act

For others, name a file of users in OUTBOXD_DESK_USERS; its lines are made by `outboxd desk-password`.")]
pub(super) struct ServeArgs {
    /// Everybody may look and nobody act.
    #[arg(long)]
    read_only: bool,
}

pub(super) async fn serve(typed: &Typed, args: &ServeArgs, out: Out) -> Result<Exit> {
    let config = typed.load(Needs::Desk, out)?;
    daemon::log_to_stderr(&config.log);
    let stop = daemon::stop_by_signal()?;
    open(&config, args.read_only, stop).await?.ended().await;
    Ok(Exit::Ok)
}

/// Opens the desk and says where.
pub(super) async fn open(
    config: &Config,
    read_only: bool,
    stop: watch::Receiver<bool>,
) -> Result<desk::Open> {
    let open = desk::open(config, read_only, stop).await?;
    tracing::info!(address = %open.address, "the desk is open on {}", open.url);
    Ok(open)
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  outboxd desk-password wang --role operator            asks for the password; prints the line
  outboxd desk-password crm --token                     a token for programs, with its line

Add the line to the file that OUTBOXD_DESK_USERS names. In a pipe the password is read from standard
input. A token is printed once, on standard error; send it as: Authorization: Bearer TOKEN")]
pub(super) struct PasswordArgs {
    /// The person's name, or the program's; no spaces.
    #[arg(value_parser = name)]
    name: String,
    /// What they may do.
    #[arg(long, value_enum, default_value = "viewer")]
    role: Role,
    /// Make a token for a program instead.
    #[arg(long)]
    token: bool,
}

fn name(typed: &str) -> Result<String, String> {
    let odd = typed.chars().any(|c| c.is_whitespace() || c.is_control());
    if typed.is_empty() || odd || typed.starts_with('#') || typed.chars().count() > 80 {
        return Err(
            "a name has no spaces, does not begin with #, and has at most 80 characters".to_owned(),
        );
    }
    Ok(typed.to_owned())
}

/// Shorter ones are guessed.
const SHORTEST: usize = 10;

pub(super) fn password(args: &PasswordArgs, lang: Lang, out: Out) -> Result<Exit> {
    if args.token {
        let (token, line) = desk::line_for_token(&args.name, args.role);
        out.note(&say!(lang, "desk_password.token", token = token));
        out.line(&line)?;
        return Ok(Exit::Ok);
    }
    let password = typed_password(&args.name, lang)?;
    out.line(&desk::line_for_password(&args.name, args.role, &password)?)?;
    Ok(Exit::Ok)
}

/// Asked for twice on a terminal, without showing it; the first line of standard input otherwise.
fn typed_password(name: &str, lang: Lang) -> Result<String> {
    let on_terminal = std::io::stdin().is_terminal();
    let password = if on_terminal {
        asked(&say!(lang, "desk_password.ask", name = name), lang)?
    } else {
        let mut text = String::new();
        std::io::stdin()
            .take(64 * 1024)
            .read_to_string(&mut text)
            .context("read the password from standard input")?;
        text.lines().next().unwrap_or_default().to_owned()
    };
    if password.chars().count() < SHORTEST {
        let sentence = say!(lang, "desk_password.short", n = SHORTEST);
        return Err(Stop::new(Exit::Usage, sentence).into());
    }
    // Nobody sees a slip of the finger.
    if on_terminal && asked(&say!(lang, "desk_password.again"), lang)? != password {
        let sentence = say!(lang, "desk_password.differ");
        return Err(Stop::new(Exit::Usage, sentence).into());
    }
    Ok(password)
}

/// Without showing it.
fn asked(question: &str, lang: Lang) -> Result<String> {
    match rpassword::prompt_password(question) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            let sentence = say!(lang, "desk_password.none");
            Err(Stop::new(Exit::Usage, sentence).into())
        }
        answer => answer.context("read the password"),
    }
}
