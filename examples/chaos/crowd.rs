//! The people of the run. What goes wrong with a call stands in the recipient's name (`tests/wechat-sim/src/faults.rs`);
//! what may become of such a notification stands beside it here, and is what the verdict holds the tables to.

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// What a truthful end of a notification is, besides being shown as "may have arrived".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The person takes messages and gets this one.
    Message,
    /// Nobody gets anything.
    Nothing,
    /// As long as it is told as it is.
    Either,
}

/// One in ten has a misfortune.
const SHARE: f64 = 0.1;

/// How likely beside the others, the name, the fate. The cut at five seconds and the waits are a fifth of real life,
/// as all times of the run are.
const MISFORTUNES: &[(u32, &str, Fate)] = &[
    // The receiver is killed at every step.
    (8, "once-unsent-scf-430", Fate::Message),
    (2, "once-claimed-scf-430", Fate::Either),
    (2, "once-unmarked-scf-430", Fate::Either),
    (8, "once-sent-scf-430", Fate::Message),
    // It throws; the form changes all the time.
    (8, "once-unsent-throw", Fate::Message),
    (8, "once-sent-throw", Fate::Message),
    // The reply is lost, and then that of the question, and of many more.
    (20, "once-lost-reply", Fate::Message),
    (10, "once-reset-after-body", Fate::Message),
    (10, "once-half-json", Fate::Message),
    (8, "once-reset-unsent", Fate::Message),
    (10, "twice-lost-reply", Fate::Message),
    // Cut off; the function goes on behind it.
    (8, "once-sent-slow-1400ms", Fate::Message),
    (4, "once-claimed-slow-1400ms", Fate::Message),
    // Cut off, and then killed at its own limit before it sends.
    (2, "once-claimed-slow-60s", Fate::Either),
    (2, "once-unmarked-slow-60s", Fate::Either),
    // No answer at first; when it is called again the person takes no messages any more. "Dead" is true once sealed.
    (6, GONE, Fate::Nothing),
    // WeChat refuses.
    (10, "fail-43101", Fate::Nothing),
    (4, "no-openid", Fate::Nothing),
    (8, "once-fail-43108", Fate::Message),
];

/// Whoever takes no messages, without a name that says so.
pub(crate) const GONE: &str = "once-reset-unsent@gone";

/// No attempt gets an answer, and the seal has the last word; or not even that. Few of them, and early: they are the
/// oldest due whenever the breaker is open, so they are its probes, and each holds up everybody.
const STUBBORN: &[(u32, &str, Fate)] = &[
    (1, "first-6-lost-reply", Fate::Either),
    (1, "first-6-reset-unsent", Fate::Either),
    (1, "reset-unsent", Fate::Nothing),
    (1, "always-lost-reply", Fate::Either),
];
const STUBBORN_SHARE: f64 = 0.001;

/// A recipient; `progress` is how much of the crowd has come, of 1.
pub(crate) fn somebody(rng: &mut StdRng, progress: f64) -> String {
    let number: u32 = rng.random_range(0..100_000);
    if progress < 0.2 && rng.random_bool(STUBBORN_SHARE) {
        let (_, name, _) = STUBBORN[rng.random_range(0..STUBBORN.len())];
        return format!("{name}.{number}");
    }
    if !rng.random_bool(SHARE) {
        return format!("staff-{number}");
    }
    let (_, name, _) = MISFORTUNES
        .choose_weighted(rng, |(weight, ..)| *weight)
        .expect("weights that are not all zero");
    format!("{name}.{number}")
}

pub(crate) fn fate_of(recipient: &str) -> Fate {
    let name = recipient.split('.').next().unwrap_or("");
    MISFORTUNES
        .iter()
        .chain(STUBBORN)
        .find(|(_, misfortune, _)| *misfortune == name)
        .map_or(Fate::Message, |(.., fate)| *fate)
}
