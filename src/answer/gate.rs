//! What a pause or a resume did: a word for machines, and a sentence.

use super::json::stamp;
use crate::outbox::act::{Paused, Resumed};
use crate::words::mask::safe;
use crate::words::{Voice, say};

pub(crate) fn paused(done: &Paused, app: &str, voice: &Voice) -> (&'static str, String) {
    let app = safe(app);
    match done {
        Paused::Done { .. } => ("paused", say!(voice, "pause.done", app = app)),
        Paused::Already(pause) => {
            let (by, since) = (safe(&pause.by), voice.when(pause.since));
            let reason = safe(&voice.given(pause.reason.as_deref()));
            let sentence = say!(
                voice,
                "pause.already",
                app = app,
                by = by,
                since = since,
                reason = reason
            );
            ("already_paused", sentence)
        }
    }
}

pub(crate) fn resumed(done: &Resumed, app: &str, voice: &Voice) -> (&'static str, String) {
    let app = safe(app);
    let (word, mut sentence) = match &done.paused {
        Some((by, since)) => {
            let (by, since) = (safe(by), voice.when(*since));
            let sentence = say!(voice, "resume.done", app = app, by = by, since = since);
            ("resumed", sentence)
        }
        None if done.closed => ("closed", String::new()),
        None => ("not_paused", say!(voice, "resume.not_paused", app = app)),
    };
    if done.closed {
        sentence.push_str(&say!(voice, "resume.closed", app = app));
    }
    if let Some(until) = done.still_open {
        let at = stamp(until, voice);
        let until = voice.when(until);
        sentence.push_str(&say!(voice, "resume.still_open", until = until, at = at));
    }
    (word, sentence.trim_start().to_owned())
}
