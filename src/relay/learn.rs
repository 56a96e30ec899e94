//! What finished calls and the gate teach the loop: whether the target is well, and how wide the lane may be.

use anyhow::Result;
use tokio::task::JoinError;
use tracing::{error, info, warn};

use super::Relay;
use super::pace::Pace;
use crate::catalogue::{Entry, Pause};
use crate::delivery::Target;
use crate::outbox::state;
use crate::policy::{self, Health};
use crate::step::Stepped;

impl<T: Target> Relay<T> {
    /// Says in the log that the gate was shut or opened, by whomever.
    pub(super) fn tell_gate(&self, pace: &mut Pace, shut: bool) {
        if shut != pace.shut {
            pace.shut = shut;
            if shut {
                info!(
                    app = self.app,
                    "{} is held: paused, or its breaker is open; `outboxd stats` says why, `outboxd resume {} --now --reason '…'` tries at once",
                    self.app,
                    self.app
                );
            } else {
                info!(app = self.app, "{} is claimed again", self.app);
            }
        }
    }

    /// What a finished call teaches about the target.
    pub(super) async fn learn(
        &mut self,
        pace: &mut Pace,
        done: Result<(bool, Stepped), JoinError>,
    ) {
        // Its row may be back with a new due time, which the last look could not know.
        if pace.undisturbed() {
            pace.within(self.poll_idle);
        }
        let (probe, Stepped { health, why }) = match done {
            Ok(done) => done,
            Err(cause) => {
                // Its lease lapses, and the row comes back with one lapse more.
                error!(app = self.app, error = %cause, "an attempt broke off");
                return;
            }
        };
        let said = match (health, why) {
            (Health::Good, _) => {
                pace.silent = 0;
                pace.doubtful = false;
                pace.width = (pace.width * 2).min(self.slots);
                if !probe {
                    return;
                }
                pace.hungry = true;
                state::close_breaker(self.claimer.line(), &self.app)
                    .await
                    .map(|closed| {
                        if closed {
                            info!(
                                app = self.app,
                                "the breaker is closed: the target answers again"
                            );
                        }
                    })
            }
            (Health::Silent, Some((why, errcode))) => {
                pace.silent += 1;
                if !probe && pace.silent < policy::BREAKER_AFTER {
                    return;
                }
                self.open(pace, Pause::For(policy::BREAKER_PAUSE), why, errcode)
                    .await
            }
            (Health::Doubtful(_), Some(_))
                if !probe && !std::mem::replace(&mut pace.doubtful, true) =>
            {
                return;
            }
            (Health::Broken(pause) | Health::Doubtful(pause), Some((why, errcode))) => {
                self.open(pace, pause, why, errcode).await
            }
            (Health::Neutral | Health::Silent | Health::Broken(_) | Health::Doubtful(_), _) => {
                if !probe {
                    return;
                }
                state::return_probe(self.claimer.line(), &self.app).await
            }
        };
        if let Err(cause) = said {
            warn!(
                app = self.app,
                error = format!("{cause:#}"),
                "the app's state could not be written"
            );
        }
    }

    async fn open(
        &mut self,
        pace: &mut Pace,
        pause: Pause,
        why: &'static Entry,
        errcode: Option<i32>,
    ) -> Result<()> {
        pace.width = 1;
        pace.silent = 0;
        if state::open_breaker(self.claimer.line(), &self.app, pause, why, errcode).await? {
            warn!(
                app = self.app,
                reason = why.key,
                errcode,
                "the breaker is open: {} ({})",
                why.en,
                why.next_en
            );
        }
        Ok(())
    }
}
