//! The access token: fetched once for everybody, renewed ahead of time, forgotten when refused.
//!
//! `stable_token` in normal mode hands every caller the same token, so daemons do not push each other
//! out. One fetch runs at a time, in a task of its own: a caller that goes away takes nothing with it.
//! While a token is good it is handed out at once, also during its renewal; a renewal that fails costs
//! nothing before the old token's end. Only the very token that was refused is forgotten. When WeChat
//! then answers with the same string, fetching again is useless; a forced refresh, which kills the token
//! of everybody, is made only with the leave of the [`Fleet`].

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::Utc;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{timeout, timeout_at};

use super::reply::Unfit;
use super::scrub::scrub;
use super::token_reply::{self, Fresh};
use crate::catalogue::local;
use crate::delivery::Failure;
use crate::http::Wire;
use crate::secret::Secret;

/// What all daemons of an app share about its token; the implementation keeps it in the database.
pub trait Fleet: Send + Sync + 'static {
    /// Leave to force a refresh, given once for the whole fleet: at least 30 s apart, at most 20 a day. A `true` is spent
    /// whether or not it is used.
    fn may_force_refresh<'a>(&'a self, app: &'a str) -> Pending<'a, bool>;

    /// A token was fetched, to be used for so long. Told for people who look; nothing waits for it.
    fn token_fetched<'a>(&'a self, app: &'a str, life: Duration) -> Pending<'a, ()>;
}

pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Never forces and tells nobody: for tools that must not disturb running daemons, such as `send-test`.
#[derive(Clone, Copy, Debug)]
pub struct Alone;

impl Fleet for Alone {
    fn may_force_refresh<'a>(&'a self, _app: &'a str) -> Pending<'a, bool> {
        Box::pin(std::future::ready(false))
    }

    fn token_fetched<'a>(&'a self, _app: &'a str, _life: Duration) -> Pending<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// The token of one app.
pub(crate) struct TokenCache {
    inner: Arc<Inner>,
}

struct Inner {
    app: String,
    appid: String,
    appsecret: Secret,
    wire: Wire,
    call_timeout: Duration,
    fleet: Arc<dyn Fleet>,
    state: Mutex<State>,
    fetches: AtomicU64,
    failures: AtomicU64,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    /// The token refused last; a fetch that brings it again has brought nothing.
    refused: Option<Secret>,
    flight: Option<watch::Receiver<Landing>>,
}

struct Held {
    token: Secret,
    refresh_at: Instant,
    expires_at: Instant,
}

type Landing = Option<Result<Secret, Failure>>;

/// A token, and whether it was at hand.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) token: Secret,
    pub(crate) cached: bool,
}

/// After a renewal that failed, with the old token still good.
const RENEW_AGAIN: Duration = Duration::from_secs(10);

impl TokenCache {
    pub(crate) fn new(
        app: &str,
        appid: &str,
        appsecret: Secret,
        wire: Wire,
        call_timeout: Duration,
        fleet: Arc<dyn Fleet>,
    ) -> TokenCache {
        TokenCache {
            inner: Arc::new(Inner {
                app: app.to_owned(),
                appid: appid.to_owned(),
                appsecret,
                wire,
                call_timeout,
                fleet,
                state: Mutex::default(),
                fetches: AtomicU64::new(0),
                failures: AtomicU64::new(0),
            }),
        }
    }

    /// The token at hand, or the one that is being fetched, waited for until `deadline`.
    pub(crate) async fn get(&self, deadline: Instant) -> Result<Handed, Failure> {
        let mut landing = {
            let mut state = self.inner.lock();
            let now = Instant::now();
            match &state.held {
                Some(held) if now < held.expires_at => {
                    let token = held.token.clone();
                    if now >= held.refresh_at {
                        self.fly(&mut state);
                    }
                    return Ok(Handed {
                        token,
                        cached: true,
                    });
                }
                Some(_) | None => self.fly(&mut state),
            }
        };
        let landed = timeout_at(deadline.into(), landing.wait_for(Option::is_some)).await;
        match landed {
            Ok(Ok(value)) => match &*value {
                Some(Ok(token)) => Ok(Handed {
                    token: token.clone(),
                    cached: false,
                }),
                Some(Err(failure)) => Err(failure.clone()),
                None => Err(unreachable("the token fetch ended without a result")),
            },
            Ok(Err(_gone)) => Err(unreachable("the token fetch was given up")),
            Err(_elapsed) => Err(unreachable("no token in time")),
        }
    }

    /// Forgets this token, if it is the one at hand: WeChat refused it.
    pub(crate) fn forget(&self, token: &Secret) {
        let mut state = self.inner.lock();
        if state.held.as_ref().is_some_and(|held| held.token == *token) {
            state.held = None;
            state.refused = Some(token.clone());
        }
    }

    /// Successful fetches since the start.
    pub(crate) fn fetches(&self) -> u64 {
        self.inner.fetches.load(Ordering::Relaxed)
    }

    /// Failed fetches since the start.
    pub(crate) fn failures(&self) -> u64 {
        self.inner.failures.load(Ordering::Relaxed)
    }

    /// When the token at hand ends.
    pub(crate) fn expires_at(&self) -> Option<Instant> {
        self.inner.lock().held.as_ref().map(|held| held.expires_at)
    }

    /// Joins the fetch under way or starts one.
    fn fly(&self, state: &mut State) -> watch::Receiver<Landing> {
        if let Some(flight) = &state.flight
            // A sender that is gone without a word belongs to a task that died.
            && flight.has_changed().is_ok()
        {
            return flight.clone();
        }
        let (sender, receiver) = watch::channel(None);
        state.flight = Some(receiver.clone());
        let inner = Arc::clone(&self.inner);
        tokio::spawn(async move {
            let landed = inner.refresh().await;
            let life = inner.land(&landed);
            let _ = sender.send(Some(landed));
            if let Some(life) = life {
                let _ = timeout(
                    inner.call_timeout,
                    inner.fleet.token_fetched(&inner.app, life),
                )
                .await;
            }
        });
        receiver
    }
}

impl Inner {
    /// Nothing here panics while the lock is held, and the state is whole between any two statements.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn refresh(&self) -> Result<Secret, Failure> {
        if let Some(token) = self.fetch_and_keep(false).await? {
            return Ok(token);
        }
        let allowed = timeout(self.call_timeout, self.fleet.may_force_refresh(&self.app))
            .await
            .unwrap_or(false);
        if allowed {
            tracing::warn!(
                app = self.app,
                "WeChat keeps handing out a refused token; forcing a refresh"
            );
            if let Some(token) = self.fetch_and_keep(true).await? {
                return Ok(token);
            }
        } else if let Some(token) = self.fetch_and_keep(false).await? {
            // Leave is refused within seconds of another daemon's forced refresh: then there is a new one.
            return Ok(token);
        }
        // The app pauses now. The row that probes later may try the token again: should the refusal have
        // been a passing one, nothing else would ever find out.
        self.lock().refused = None;
        let detail = Some(String::from("WeChat hands out the token it refused"));
        Err(token_reply::failure(
            local::TOKEN_STILL_REFUSED,
            Unfit {
                detail,
                ..Unfit::default()
            },
        ))
    }

    /// Fetches and keeps a token; `None` if it is the refused one.
    async fn fetch_and_keep(&self, force: bool) -> Result<Option<Secret>, Failure> {
        let before = Instant::now();
        let Fresh { token, life } = self.fetch(force, before + self.call_timeout).await?;
        let mut state = self.lock();
        if state.refused.as_ref() == Some(&token) {
            return Ok(None);
        }
        state.held = Some(Held::new(token.clone(), before, life));
        Ok(Some(token))
    }

    async fn fetch(&self, force: bool, deadline: Instant) -> Result<Fresh, Failure> {
        #[derive(Serialize)]
        struct Request<'a> {
            grant_type: &'a str,
            appid: &'a str,
            secret: &'a str,
            force_refresh: bool,
        }
        let request = Request {
            grant_type: "client_credential",
            appid: &self.appid,
            secret: self.appsecret.expose(),
            force_refresh: force,
        };
        let body = serde_json::to_vec(&request).expect("plain text always encodes");
        let fetched = match self
            .wire
            .post(self.wire.uri("cgi-bin/stable_token", &[]), body, deadline)
            .await
        {
            Ok(answer) => token_reply::read(&answer, Utc::now()),
            Err(trouble) => Err(token_reply::unanswered(trouble)),
        };
        fetched.map_err(|failure| Failure {
            detail: failure
                .detail
                .and_then(|detail| scrub(&detail, &[&self.appsecret])),
            ..failure
        })
    }

    /// Says for how long the token is used that was fetched.
    fn land(&self, landed: &Result<Secret, Failure>) -> Option<Duration> {
        let mut state = self.lock();
        state.flight = None;
        match landed {
            Ok(_) => {
                self.fetches.fetch_add(1, Ordering::Relaxed);
                let end = state.held.as_ref()?.expires_at;
                Some(end.saturating_duration_since(Instant::now()))
            }
            Err(failure) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                // Nobody waits for a renewal, so nobody else would tell; other failures are an outcome.
                if let Some(held) = &mut state.held {
                    held.refresh_at = Instant::now() + RENEW_AGAIN;
                    tracing::warn!(
                        app = self.app,
                        why = failure.why.key,
                        errcode = failure.errcode,
                        "the access token could not be renewed yet",
                    );
                }
                None
            }
        }
    }
}

impl Held {
    /// Renewed three minutes before its end (WeChat hands out the next one from five minutes before), or
    /// after two thirds of a short life; not used in its last moments.
    fn new(token: Secret, before: Instant, life: Duration) -> Held {
        let margin = Duration::from_secs(180).min(life / 3);
        let last = Duration::from_secs(5).min(life / 10);
        Held {
            token,
            refresh_at: before + (life - margin),
            expires_at: before + (life - last),
        }
    }
}

fn unreachable(detail: &str) -> Failure {
    let detail = Some(detail.to_owned());
    token_reply::failure(
        local::TOKEN_UNREACHABLE,
        Unfit {
            detail,
            ..Unfit::default()
        },
    )
}

#[cfg(test)]
mod tests;
