//! The steps of a rehearsed attempt, for `send-test`. Off in ordinary deliveries, where it costs nothing.

use std::time::{Duration, Instant};

use super::credential::Handed;
use super::event::Verb;
use super::reply::Heard;
use crate::delivery::{Failure, Outcome};
use crate::http::{Answer, Trouble};

/// An attempt with its steps.
#[derive(Debug)]
pub struct Rehearsal {
    pub steps: Vec<Step>,
    pub outcome: Outcome,
}

/// One step: `token`, `notify`, `inquire`, `answer`; what came of it, and how long it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub name: &'static str,
    pub said: String,
    pub took: Duration,
}

/// Collects steps, or nothing.
pub(crate) struct Trace(Option<Vec<Step>>);

impl Trace {
    pub(crate) fn on() -> Trace {
        Trace(Some(Vec::new()))
    }

    pub(crate) fn off() -> Trace {
        Trace(None)
    }

    pub(crate) fn into_steps(self) -> Vec<Step> {
        self.0.unwrap_or_default()
    }

    pub(crate) fn token(&mut self, started: Instant, handed: &Result<Handed, Failure>) {
        self.push("token", started, || match handed {
            Ok(Handed { cached: true, .. }) => String::from("at hand"),
            Ok(Handed { cached: false, .. }) => String::from("fetched"),
            Err(failure) => code(failure.why.key, failure.errcode),
        });
    }

    pub(crate) fn http(
        &mut self,
        verb: Verb,
        started: Instant,
        answered: &Result<Answer, Trouble>,
    ) {
        self.push(verb.word(), started, || match answered {
            Ok(answer) => format!("HTTP {}, {} bytes", answer.status, answer.body.len()),
            Err(Trouble::NotReached(_)) => String::from("not reached"),
            Err(Trouble::TimedOut) => String::from("no answer in time"),
            Err(Trouble::Lost(_)) => String::from("connection lost"),
        });
    }

    pub(crate) fn heard(&mut self, heard: &Heard) {
        self.push("answer", Instant::now(), || match heard {
            Heard::TokenRefused(unfit) => code("token_refused", unfit.errcode),
            Heard::Stopped(Outcome::Failed(failure)) => code(failure.why.key, failure.errcode),
            Heard::Stopped(Outcome::Unknown(unknown)) => code(unknown.why.key, unknown.errcode),
            Heard::Stopped(Outcome::Delivered(_)) => String::from("errcode 0"),
            Heard::Undefined => String::from("errcode 0, the function returned nothing"),
            Heard::Word(word) => format!("errcode 0, {word}"),
        });
    }

    fn push(&mut self, name: &'static str, started: Instant, said: impl FnOnce() -> String) {
        if let Some(steps) = &mut self.0 {
            steps.push(Step {
                name,
                said: said(),
                took: started.elapsed(),
            });
        }
    }
}

fn code(key: &str, errcode: Option<i32>) -> String {
    match errcode {
        Some(errcode) => format!("{key}, errcode {errcode}"),
        None => key.to_owned(),
    }
}
