//! The steps of a rehearsed attempt, for `send-test`. Of an ordinary one only how long it waited for a token.

use std::time::{Duration, Instant};

use super::credential::Handed;
use super::reply::Heard;
use crate::catalogue::local;
use crate::delivery::{Failure, Outcome};
use crate::http::{Answer, Trouble};
use crate::secret::Secret;

/// An attempt with its steps.
#[derive(Debug)]
pub struct Rehearsal {
    pub steps: Vec<Step>,
    pub outcome: Outcome,
}

/// One step: `openid`, `token`, `notify`, `inquire`, `send`, `answer`; what came of it, and how long it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub name: &'static str,
    pub said: String,
    pub took: Duration,
}

/// Collects steps, or no more than what everybody is told.
#[derive(Default)]
pub(crate) struct Trace {
    steps: Option<Vec<Step>>,
    waited_for_a_token: Option<Duration>,
}

impl Trace {
    pub(crate) fn on() -> Trace {
        Trace {
            steps: Some(Vec::new()),
            ..Trace::default()
        }
    }

    pub(crate) fn off() -> Trace {
        Trace::default()
    }

    pub(crate) fn into_steps(self) -> Vec<Step> {
        self.steps.unwrap_or_default()
    }

    /// For all that had to be fetched: another one is, where the first one is refused.
    pub(crate) fn waited_for_a_token(&self) -> Option<Duration> {
        self.waited_for_a_token
    }

    pub(crate) fn token(&mut self, started: Instant, handed: &Result<Handed, Failure>) {
        if !matches!(handed, Ok(Handed { cached: true, .. })) {
            *self.waited_for_a_token.get_or_insert_default() += started.elapsed();
        }
        self.push("token", started, || match handed {
            Ok(Handed { cached: true, .. }) => String::from("at hand"),
            Ok(Handed { cached: false, .. }) => String::from("fetched"),
            Err(failure) => code(failure.why.key, failure.errcode),
        });
    }

    /// Whether there is one; never which.
    pub(crate) fn openid(&mut self, started: Instant, found: &Result<Option<Secret>, Heard>) {
        self.push("openid", started, || match found {
            Ok(Some(_)) => String::from("found"),
            Ok(None) => code(local::NO_OPENID.key, None),
            Err(Heard::Stopped(outcome)) => code(outcome.why().key, outcome.errcode()),
            Err(_) => String::from("none"),
        });
    }

    pub(crate) fn http(
        &mut self,
        name: &'static str,
        started: Instant,
        answered: &Result<Answer, Trouble>,
    ) {
        self.push(name, started, || match answered {
            Ok(answer) => format!("HTTP {}, {} bytes", answer.status, answer.body.len()),
            Err(Trouble::NotReached(_) | Trouble::Internal) => String::from("not reached"),
            Err(Trouble::TimedOut) => String::from("no answer in time"),
            Err(Trouble::Lost(_)) => String::from("connection lost"),
        });
    }

    pub(crate) fn heard(&mut self, heard: &Heard) {
        self.push("answer", Instant::now(), || match heard {
            Heard::TokenRefused(unfit) => code("token_refused", unfit.errcode),
            Heard::Stopped(Outcome::Failed(failure)) => code(failure.why.key, failure.errcode),
            Heard::Stopped(Outcome::Unknown(unknown)) => code(unknown.why.key, unknown.errcode),
            Heard::Stopped(Outcome::Delivered(receipt)) => code(receipt.why().key, None),
            Heard::Undefined => String::from("errcode 0, the function returned nothing"),
            Heard::Word(word) => format!("errcode 0, {word}"),
        });
    }

    fn push(&mut self, name: &'static str, started: Instant, said: impl FnOnce() -> String) {
        if let Some(steps) = &mut self.steps {
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
