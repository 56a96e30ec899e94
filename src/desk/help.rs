//! What the words mean, whom to ask, which keys there are.

use askama::Template;
use axum::response::Response;
use chrono::DateTime;

use super::page::Frame;
use super::trouble::Trouble;
use super::visit::Visit;
use crate::outbox::inspect::Standing;
use crate::words::{Place, Voice, say};

#[derive(Template)]
#[template(path = "help.html")]
struct HelpPage {
    frame: Frame,
    /// Every standing with what it means.
    standings: Vec<(String, String)>,
    keys: Vec<(&'static str, String)>,
}

pub(super) async fn help(visit: Visit) -> Result<Response, Trouble> {
    let lang = visit.lang;
    let voice = Voice {
        lang,
        place: Place::Desk,
        zone: visit.desk.zone,
        now: DateTime::UNIX_EPOCH,
    };
    let page = HelpPage {
        frame: Frame::new(&visit, say!(lang, "desk.help.title"), "/help"),
        standings: Standing::ALL
            .into_iter()
            .map(|standing| (voice.standing(standing), voice.standing_means(standing)))
            .collect(),
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
    visit.answer(&page, || serde_json::Value::Null)
}
