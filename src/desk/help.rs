//! What the words mean, what each error means and whose turn it is then, which keys there are, whom to ask.

use askama::Template;
use axum::response::Response;
use chrono::DateTime;
use serde_json::{Value, json};

use super::page::Frame;
use super::trouble::Trouble;
use super::visit::Visit;
use crate::answer::json::VERSION;
use crate::catalogue::{ENTRIES, Entry, Who};
use crate::outbox::inspect::Standing;
use crate::words::cause::role;
use crate::words::{Lang, Place, Voice, say};

#[derive(Template)]
#[template(path = "help.html")]
struct HelpPage {
    frame: Frame,
    /// Every standing with what it means.
    standings: Vec<(String, String)>,
    terms: Vec<(String, String)>,
    /// Whom to ask, and for what; and the causes that are theirs.
    turns: Vec<Turn>,
    keys: Vec<(&'static str, String)>,
}

/// Whose turn it is.
struct Turn {
    id: &'static str,
    who: &'static str,
    what: String,
    causes: Vec<Cause>,
}

struct Cause {
    key: &'static str,
    /// WeChat's numbers for it.
    codes: String,
    sentence: &'static str,
    next: &'static str,
}

pub(super) async fn help(visit: Visit) -> Result<Response, Trouble> {
    let lang = visit.lang;
    let voice = Voice {
        lang,
        place: Place::Desk,
        zone: visit.desk.zone,
        now: DateTime::UNIX_EPOCH,
    };
    let standing = |standing| (voice.standing(standing), voice.standing_means(standing));
    let page = HelpPage {
        frame: Frame::new(&visit, say!(lang, "desk.help.title"), "/help"),
        standings: Standing::ALL.into_iter().map(standing).collect(),
        terms: terms(lang),
        turns: turns(lang),
        keys: vec![
            ("/", say!(lang, "desk.help.key_search")),
            ("j k", say!(lang, "desk.help.key_move")),
            ("Enter", say!(lang, "desk.help.key_open")),
            ("c", say!(lang, "desk.help.key_copy")),
            ("r", say!(lang, "desk.help.key_act")),
            ("p", say!(lang, "desk.help.key_pause")),
            ("?", say!(lang, "desk.help.key_help")),
        ],
    };
    visit.answer(&page, || object(&voice))
}

fn terms(lang: Lang) -> Vec<(String, String)> {
    vec![
        (
            say!(lang, "desk.help.customer"),
            say!(lang, "desk.help.customer_means"),
        ),
        (
            say!(lang, "desk.help.recipient"),
            say!(lang, "desk.help.recipient_means"),
        ),
        (
            say!(lang, "desk.help.app"),
            say!(lang, "desk.help.app_means"),
        ),
        (
            say!(lang, "desk.help.attempt"),
            say!(lang, "desk.help.attempt_means"),
        ),
        (
            say!(lang, "desk.help.daemon"),
            say!(lang, "desk.help.daemon_means"),
        ),
        (
            say!(lang, "desk.help.function"),
            say!(lang, "desk.help.function_means"),
        ),
        (
            say!(lang, "desk.help.breaker"),
            say!(lang, "desk.help.breaker_means"),
        ),
        (
            say!(lang, "desk.help.permission"),
            say!(lang, "desk.help.permission_means"),
        ),
    ]
}

fn turns(lang: Lang) -> Vec<Turn> {
    let what = |who| match who {
        Who::Recipient => say!(lang, "desk.help.ask_recipient"),
        Who::Support => say!(lang, "desk.help.ask_support"),
        Who::CrmAdmin => say!(lang, "desk.help.ask_crm_admin"),
        Who::Developer => say!(lang, "desk.help.ask_developer"),
        Who::Operator => say!(lang, "desk.help.ask_operator"),
        Who::Nobody => say!(lang, "desk.help.ask_nobody"),
    };
    let turn = |who: Who| Turn {
        id: role(who),
        who: who.word(lang),
        what: what(who),
        causes: ENTRIES
            .iter()
            .filter(|entry| entry.who == who)
            .map(|entry| cause(entry, lang))
            .collect(),
    };
    [
        Who::Recipient,
        Who::Support,
        Who::CrmAdmin,
        Who::Developer,
        Who::Operator,
        Who::Nobody,
    ]
    .map(turn)
    .into()
}

fn cause(entry: &'static Entry, lang: Lang) -> Cause {
    let (sentence, next) = entry.text(lang);
    let mut codes: Vec<i32> = entry
        .codes
        .iter()
        .flat_map(|(_, codes)| *codes)
        .copied()
        .collect();
    codes.sort_unstable();
    codes.dedup();
    let codes: Vec<String> = codes.iter().map(i32::to_string).collect();
    Cause {
        key: entry.key,
        codes: codes.join(" "),
        sentence,
        next,
    }
}

fn object(voice: &Voice) -> Value {
    let standings: Vec<Value> = Standing::ALL
        .iter()
        .map(|it| {
            json!({"status": it.word(), "name": voice.standing(*it), "means": voice.standing_means(*it)})
        })
        .collect();
    let causes: Vec<Value> = ENTRIES
        .iter()
        .map(|entry| {
            let (sentence, next) = entry.text(voice.lang);
            json!({"key": entry.key, "who": role(entry.who), "sentence": sentence, "next": next})
        })
        .collect();
    json!({"version": VERSION, "standings": standings, "causes": causes})
}
