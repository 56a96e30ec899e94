//! The asking: while notifications wait for the user's permission, the cloud function's ledger is asked who has given it,
//! and as many go on as there are grants.
//!
//! ```text
//! turn (one daemon of the fleet) ▸ ask about up to 50 people ▸ let go, oldest first ▸ done: when to ask again
//! ```
//!
//! The daemon asks, because then nobody has to reach it ([decision 8](../docs/decisions/0008-the-daemon-asks-for-grants.md)). A round of more people than one call holds
//! goes on a second later, behind a call that taught nothing after a longer wait, so that no question that always fails is in
//! the way of the others. Nobody asks while the app is paused or its breaker open. What the ledger promises is an
//! estimate: a row let go in vain is refused again, which puts the ledger right, and waits on.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::catalogue::{Entry, local};
use crate::delivery::Pair;
use crate::outbox::grants::{self, Turn};
use crate::outbox::line::{Line, jittered};
use crate::target::AppTarget;
use crate::wechat::MOST_ASKED;

/// How soon a daemon sees that somebody waits who did not before; `why` relies on it when it says that none is there.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Between the calls of one round.
const GOES_ON_AFTER: Duration = Duration::from_secs(1);
/// After a call that taught nothing, at least.
const TROUBLE_WAIT: Duration = Duration::from_secs(30);
/// A function that does not know the question will not learn it within a minute.
const TOO_OLD_WAIT: Duration = Duration::from_secs(600);

/// One app's asking by one daemon.
pub struct Asker {
    pub app: String,
    pub target: Arc<AppTarget>,
    pub line: Line,
    pub every: Duration,
    /// The longest that one HTTP call takes.
    pub call_timeout: Duration,
    /// Said in the log, so that it is said once.
    pub trouble: Option<&'static Entry>,
    /// How many notifications it has made due.
    pub gone: u64,
}

/// What comes after an asking.
enum Next {
    /// More people are to be asked about in this round.
    GoOn,
    AskAgainIn(Duration),
}

impl Asker {
    /// Asks for ever.
    pub async fn run(mut self) {
        loop {
            let wait = match self.step().await {
                Next::GoOn => GOES_ON_AFTER,
                Next::AskAgainIn(wait) => wait,
            };
            // One idle connection less in between.
            self.line.close().await;
            sleep(jittered(wait)).await;
        }
    }

    /// One whole round, for a daemon that ends when nothing is due. How many notifications it has made due.
    pub async fn round(mut self) -> u64 {
        while matches!(self.step().await, Next::GoOn) {
            sleep(GOES_ON_AFTER).await;
        }
        self.line.close().await;
        self.gone
    }

    /// Asks if it is this daemon's turn.
    async fn step(&mut self) -> Next {
        self.ask().await.unwrap_or_else(|cause| {
            warn!(
                app = self.app,
                error = format!("{cause:#}"),
                "cannot look who waits for the user's permission"
            );
            Next::AskAgainIn(self.every.min(LOOK_EVERY))
        })
    }

    async fn ask(&mut self) -> Result<Next> {
        // A token and a call, each perhaps twice.
        let asking_takes = self.call_timeout * 4 + Duration::from_secs(5);
        let (pairs, more) =
            match grants::turn(&mut self.line, &self.app, MOST_ASKED, asking_takes).await? {
                Turn::NobodyWaits => return Ok(Next::AskAgainIn(self.every.min(LOOK_EVERY))),
                Turn::Later(wait) => {
                    let wait = wait.unwrap_or(LOOK_EVERY);
                    return Ok(Next::AskAgainIn(wait.min(self.every)));
                }
                Turn::Ask { pairs, more } => (pairs, more),
            };
        self.let_overtaken_go(&pairs).await;
        let told = match pairs.is_empty() {
            true => Some(Ok(Vec::new())),
            false => self.target.grants(&pairs).await,
        };
        let trouble = match told {
            Some(Ok(granted)) => {
                let gone = grants::let_go(&mut self.line, &self.app, &pairs, &granted).await?;
                self.gone += gone;
                if gone > 0 {
                    info!(
                        app = self.app,
                        gone, "users have allowed messages: {gone} notifications go on"
                    );
                }
                None
            }
            Some(Err(trouble)) => Some(trouble),
            None => {
                // The target is one that nobody can ask, chosen since these began to wait.
                let gone = grants::let_all_go(&mut self.line, &self.app).await?;
                self.gone += gone;
                warn!(
                    app = self.app,
                    gone,
                    "this target cannot be asked for grants: {gone} notifications that waited are called"
                );
                None
            }
        };
        let wait = match trouble {
            // Over by the time this daemon comes back.
            None if more => GOES_ON_AFTER / 2,
            None => self.every,
            Some(trouble) if trouble.key == local::FUNCTION_TOO_OLD.key => {
                self.every.max(TOO_OLD_WAIT)
            }
            Some(_) => self.every.max(TROUBLE_WAIT),
        };
        let behind = pairs.last().filter(|_| more);
        let standing = grants::done(&mut self.line, &self.app, wait, behind, trouble).await?;
        self.tell(trouble, standing.is_some());
        Ok(match (behind, trouble) {
            (Some(_), None) => Next::GoOn,
            // Somebody may put the time forward.
            (None, _) | (_, Some(_)) => Next::AskAgainIn(wait.min(self.every)),
        })
    }

    /// Tidying up: without it they wait on as they did, and the asking is worth more.
    async fn let_overtaken_go(&mut self, pairs: &[Pair]) {
        match grants::let_overtaken_go(&mut self.line, &self.app, pairs).await {
            Ok(gone) => self.gone += gone,
            Err(cause) => warn!(
                app = self.app,
                error = format!("{cause:#}"),
                "overtaken notifications wait on"
            ),
        }
    }

    /// A trouble is told when it comes and when it goes, which is when a whole round has met none.
    fn tell(&mut self, trouble: Option<&'static Entry>, stands: bool) {
        let before = self.trouble.map(|entry| entry.key);
        match trouble {
            Some(entry) if before != Some(entry.key) => {
                warn!(
                    app = self.app,
                    reason = entry.key,
                    "the function cannot be asked who has allowed messages; notifications wait on: {} ({})",
                    entry.en,
                    entry.next_en
                );
            }
            None if before.is_some() && !stands => {
                info!(
                    app = self.app,
                    "the function tells again who has allowed messages"
                );
            }
            Some(_) | None => {}
        }
        self.trouble = trouble.or(self.trouble.filter(|_| stands));
    }
}
