//! What acts on notifications have in common, and `cancel`.
//!
//! They are named by id or key. Either all that were named are found, or nothing is done. More than one needs a
//! yes, on the terminal or by `--yes`; without a terminal nobody is asked.

use anyhow::Result;
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;

use super::exit::Stop;
use super::out::{Form, safe};
use super::{Desk, Exit};
use crate::answer::Name;
use crate::answer::json::VERSION;
use crate::answer::told::{Told, cancelled};
use crate::outbox::act::By;
use crate::outbox::inspect::{self, Notification};
use crate::outbox::{act, session};
use crate::words::mask::mask;
use crate::words::{Voice, say};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  outboxd cancel 4711 --reason 'assigned by mistake'

One that is being called right now may still be delivered by that call; it is not tried again.
Columns in a pipe: id, result, sentence. Exit code 1 when any was refused.")]
pub(super) struct CancelArgs {
    /// Ids or keys.
    #[arg(required = true, num_args = 1..=1000)]
    ids: Vec<Name>,
    /// Why; kept in the audit log.
    #[arg(long)]
    reason: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Who acts; else the user who typed this.
    #[arg(long)]
    actor: Option<String>,
}

/// Who acts: as typed, else whoever became root by sudo, else user@host.
pub(super) fn by(actor: Option<&str>, reason: Option<&str>) -> By {
    let env = |name| std::env::var(name).ok().filter(|v: &String| !v.is_empty());
    let actor = actor.map(str::to_owned).or_else(|| env("SUDO_USER"));
    let actor = actor.unwrap_or_else(|| {
        let user = env("USER").or_else(|| env("LOGNAME")).unwrap_or_else(uid);
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
            .ok()
            .or_else(|| env("HOSTNAME"))
            .unwrap_or_default();
        format!(
            "{}@{}",
            user,
            if host.trim().is_empty() {
                "unknown"
            } else {
                host.trim()
            }
        )
    });
    By {
        actor: crate::delivery::clean(&actor),
        reason: reason.map(|text| mask(&crate::delivery::clean(text))),
    }
}

/// The user's name where cron, a service manager or a container left no variable: as `/etc/passwd` has it, else
/// the number.
fn uid() -> String {
    use std::os::unix::fs::MetadataExt;
    let Ok(process) = std::fs::metadata("/proc/self") else {
        return "unknown".to_owned();
    };
    let uid = process.uid();
    std::fs::read_to_string("/etc/passwd")
        .ok()
        .and_then(|users| named(&users, uid))
        .unwrap_or_else(|| format!("uid{uid}"))
}

/// The name of a user in the lines of `/etc/passwd`.
fn named(users: &str, uid: u32) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let number = fields.nth(1)?.parse::<u32>().ok()?;
        (number == uid).then(|| name.to_owned())
    })
}

/// The notifications with these names, all of them, in the order named.
pub(super) async fn all(
    conn: &mut PgConnection,
    names: &[Name],
    voice: &Voice,
) -> Result<Vec<Notification>> {
    // The ids in one question: there may be a thousand of them.
    let ids: Vec<i64> = names
        .iter()
        .filter_map(|name| match name {
            Name::Id(id) => Some(*id),
            Name::Key(_) => None,
        })
        .collect();
    let of_ids = inspect::of_ids(&mut *conn, &ids).await?;
    let mut chosen: Vec<Notification> = Vec::new();
    for name in names {
        let found = match name {
            Name::Id(id) => of_ids.iter().filter(|it| it.id.0 == *id).cloned().collect(),
            Name::Key(_) => name.read(&mut *conn).await?,
        };
        let mut found = found.into_iter();
        match (found.next(), found.next()) {
            (None, _) => {
                let sentence = say!(voice, "act.not_found", id = name);
                return Err(Stop::new(Exit::NotFound, sentence).into());
            }
            (Some(_), Some(_)) => {
                let sentence = say!(voice, "act.two_bear_it", id = name);
                return Err(Stop::new(Exit::Failed, sentence).into());
            }
            (Some(it), None) if chosen.iter().any(|c| c.key == it.key) => {}
            (Some(it), None) => chosen.push(it),
        }
    }
    Ok(chosen)
}

/// Asks when there is more than one and nobody said yes.
pub(super) fn consent(
    desk: &Desk,
    question: String,
    count: usize,
    yes: bool,
    voice: &Voice,
) -> Result<()> {
    if yes || count <= 1 {
        return Ok(());
    }
    match desk.out.confirm(&question) {
        Some(true) => Ok(()),
        Some(false) => Err(Stop::new(Exit::Failed, say!(voice, "act.left")).into()),
        None => Err(Stop::new(Exit::Usage, say!(voice, "act.needs_yes", n = count)).into()),
    }
}

pub(super) fn tell(desk: &Desk, told: &[Told]) -> Result<Exit> {
    match desk.out.form {
        Form::Json => {
            let rows: Vec<Value> = told.iter().map(Told::object).collect();
            desk.out
                .json(&json!({"version": VERSION, "results": rows}))?;
        }
        Form::Lines => {
            for t in told {
                desk.out
                    .row(&[t.id.clone(), t.word.to_owned(), t.sentence.clone()])?;
            }
        }
        Form::Terminal => {
            for t in told {
                desk.out.line(&format!("{}  {}", t.id, safe(&t.sentence)))?;
            }
        }
    }
    Ok(if told.iter().any(|t| t.refused) {
        Exit::Failed
    } else {
        Exit::Ok
    })
}

pub(super) async fn cancel(desk: &Desk, args: &CancelArgs) -> Result<Exit> {
    let mut conn = desk.connect().await?;
    let mut tx = session::acting(&mut conn).await?;
    let voice = desk.voice(&mut tx).await?;
    let chosen = all(&mut tx, &args.ids, &voice).await?;
    let n = chosen.len();
    consent(
        desk,
        say!(voice, "act.ask_cancel", n = n),
        n,
        args.yes,
        &voice,
    )?;
    let by = by(args.actor.as_deref(), Some(&args.reason));
    let results = act::cancel(&mut tx, &chosen, &by).await?;
    // What was too late is read again, to say how it ended.
    let ids: Vec<i64> = chosen.iter().map(|it| it.id.0).collect();
    let after = inspect::of_ids(&mut tx, &ids).await?;
    tx.commit().await?;
    let told: Vec<Told> = chosen
        .iter()
        .zip(results)
        .map(|(it, result)| {
            let now = after.iter().find(|a| a.key == it.key).unwrap_or(it);
            cancelled(now, result, &voice)
        })
        .collect();
    tell(desk, &told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_actor_is_whom_one_names_and_cannot_forge_a_line() {
        assert_eq!(by(Some("wang\x1b[2J\nroot"), None).actor, "wang[2J root");
        assert!(!by(None, None).actor.is_empty());
    }

    #[test]
    fn a_user_without_variables_has_a_name_all_the_same() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbroken\ncrm:x:1001:1001::/home/crm:/bin/sh\n";
        assert_eq!(named(users, 1001).as_deref(), Some("crm"));
        assert_eq!(named(users, 7), None);
    }
}
