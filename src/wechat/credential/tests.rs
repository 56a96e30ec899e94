use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::super::testing::{Server, say_json, say_token};
use super::{Alone, Fleet, Handed, Pending, TokenCache};
use crate::delivery::{Failure, FailureKind, Phase};
use crate::http::Wire;
use crate::secret::Secret;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Gives leave and counts how often it was asked.
#[derive(Default)]
struct Leave(AtomicUsize);

impl Fleet for Leave {
    fn may_force_refresh<'a>(&'a self, app: &'a str) -> Pending<'a, bool> {
        assert_eq!(app, "crm");
        self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::ready(true))
    }

    fn token_fetched<'a>(&'a self, _app: &'a str, _life: Duration) -> Pending<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}

fn cache(server: &Server, fleet: Arc<dyn Fleet>) -> Arc<TokenCache> {
    let wire = Wire::new(&server.url(), TIMEOUT).unwrap();
    let secret = Secret::new("appsecret-canary");
    Arc::new(TokenCache::new("crm", "wx1", secret, wire, TIMEOUT, fleet))
}

async fn get(cache: &TokenCache) -> Result<Handed, Failure> {
    cache.get(Instant::now() + TIMEOUT).await
}

async fn token(cache: &TokenCache) -> String {
    get(cache).await.unwrap().token.expose().to_owned()
}

/// A server that hands out `T1`, `T2`, … with each call.
fn counting(expires_in: u64) -> Server {
    let count = AtomicUsize::new(0);
    Server::start(move |_, stream| {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        say_token(stream, &format!("T{number}"), expires_in);
    })
}

#[tokio::test]
async fn fifty_callers_share_one_fetch() {
    let server = Server::start(|_, stream| {
        thread::sleep(Duration::from_millis(100));
        say_token(stream, "T", 7200);
    });
    let cache = cache(&server, Arc::new(Alone));
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let cache = Arc::clone(&cache);
            tokio::spawn(async move { token(&cache).await })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), "T");
    }
    assert_eq!(server.token_calls(), 1);
    assert!(get(&cache).await.unwrap().cached);
    assert_eq!((cache.fetches(), cache.failures()), (1, 0));
    let left = cache.expires_at().unwrap() - Instant::now();
    assert!(left > Duration::from_secs(7100) && left < Duration::from_secs(7200));
    let request: serde_json::Value = serde_json::from_str(&server.seen()[0].body).unwrap();
    assert_eq!(
        request,
        serde_json::json!({"grant_type": "client_credential", "appid": "wx1", "secret": "appsecret-canary", "force_refresh": false})
    );
}

/// Never done with a note, and counts them.
#[derive(Default)]
struct Dumb(AtomicUsize);

impl Fleet for Dumb {
    fn may_force_refresh<'a>(&'a self, _app: &'a str) -> Pending<'a, bool> {
        Box::pin(std::future::ready(false))
    }

    fn token_fetched<'a>(&'a self, _app: &'a str, life: Duration) -> Pending<'a, ()> {
        assert!(life > Duration::from_secs(7100), "{life:?}");
        self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_note_that_never_ends_delays_nobody() {
    let calls = AtomicUsize::new(0);
    let server = Server::start(
        move |_, stream| match calls.fetch_add(1, Ordering::SeqCst) {
            1 => say_json(stream, r#"{"errcode":-1,"errmsg":"busy"}"#),
            n => say_token(stream, &format!("T{n}"), 7200),
        },
    );
    let fleet = Arc::new(Dumb::default());
    let cache = cache(&server, Arc::clone(&fleet) as Arc<dyn Fleet>);
    let began = Instant::now();
    let first = get(&cache).await.unwrap().token;
    cache.forget(&first);
    assert!(get(&cache).await.is_err());
    assert_eq!(token(&cache).await, "T2");
    // The notes are given up after a call's time each.
    assert!(began.elapsed() < TIMEOUT, "{:?}", began.elapsed());
    while fleet.0.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!((cache.fetches(), cache.failures()), (2, 1));
    assert_eq!(fleet.0.load(Ordering::SeqCst), 2, "a failure is no token");
}

#[tokio::test]
async fn a_leading_caller_that_goes_away_takes_nothing_with_it() {
    let server = Server::start(|_, stream| {
        thread::sleep(Duration::from_millis(150));
        say_token(stream, "T", 7200);
    });
    let cache = cache(&server, Arc::new(Alone));
    let leader = {
        let cache = Arc::clone(&cache);
        tokio::spawn(async move { token(&cache).await })
    };
    while server.token_calls() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    assert_eq!(token(&cache).await, "T");
    assert_eq!(server.token_calls(), 1);
}

#[tokio::test]
async fn only_the_refused_token_is_forgotten() {
    let server = counting(7200);
    let cache = cache(&server, Arc::new(Alone));
    assert_eq!(token(&cache).await, "T1");
    cache.forget(&Secret::new("T0"));
    assert_eq!(token(&cache).await, "T1");
    cache.forget(&Secret::new("T1"));
    assert_eq!(token(&cache).await, "T2");
    // Forty attempts that used the first one come late.
    cache.forget(&Secret::new("T1"));
    assert_eq!(token(&cache).await, "T2");
    assert_eq!(server.token_calls(), 2);
}

/// Hands out `T1` until a forced refresh.
fn sticky() -> Server {
    let forced = AtomicUsize::new(0);
    Server::start(move |seen, stream| {
        if seen.body.contains(r#""force_refresh":true"#) {
            forced.fetch_add(1, Ordering::SeqCst);
        }
        say_token(
            stream,
            &format!("T{}", forced.load(Ordering::SeqCst) + 1),
            7200,
        );
    })
}

#[tokio::test]
async fn the_same_string_again_is_forced_with_leave() {
    let server = sticky();
    let leave = Arc::new(Leave::default());
    let cache = cache(&server, Arc::clone(&leave) as Arc<dyn Fleet>);
    assert_eq!(token(&cache).await, "T1");
    assert_eq!(leave.0.load(Ordering::SeqCst), 0);
    cache.forget(&Secret::new("T1"));
    assert_eq!(token(&cache).await, "T2");
    assert_eq!(leave.0.load(Ordering::SeqCst), 1);
    let modes: Vec<bool> = server
        .seen()
        .iter()
        .map(|seen| seen.body.contains("true"))
        .collect();
    assert_eq!(modes, [false, false, true]);
}

#[tokio::test]
async fn without_leave_the_app_pauses_and_the_next_row_tries_the_token_again() {
    let server = sticky();
    let cache = cache(&server, Arc::new(Alone));
    assert_eq!(token(&cache).await, "T1");
    cache.forget(&Secret::new("T1"));
    let failure = get(&cache).await.unwrap_err();
    assert_eq!(
        (failure.why.key, failure.phase),
        ("token_still_refused", Phase::Token)
    );
    assert!(matches!(failure.kind, FailureKind::Outage(_)));
    assert!(server.seen().iter().all(|seen| !seen.body.contains("true")));
    assert_eq!(token(&cache).await, "T1");
}

#[tokio::test]
async fn a_token_is_renewed_ahead_of_its_end_without_making_anybody_wait() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_, stream| {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        if number > 1 {
            thread::sleep(Duration::from_millis(200));
        }
        say_token(stream, &format!("T{number}"), 3);
    });
    let cache = cache(&server, Arc::new(Alone));
    assert_eq!(token(&cache).await, "T1");
    // Two thirds of three seconds.
    tokio::time::sleep(Duration::from_millis(2050)).await;
    let started = Instant::now();
    let handed = get(&cache).await.unwrap();
    assert_eq!((handed.token.expose(), handed.cached), ("T1", true));
    assert!(started.elapsed() < Duration::from_millis(100));
    while token(&cache).await == "T1" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(server.token_calls(), 2);
}

#[tokio::test]
async fn a_renewal_that_fails_costs_nothing_before_the_end() {
    let count = AtomicUsize::new(0);
    let server = Server::start(
        move |_, stream| match count.fetch_add(1, Ordering::SeqCst) {
            0 => say_token(stream, "T1", 3),
            _ => say_json(
                stream,
                r#"{"errcode":45009,"errmsg":"reach max api daily quota limit"}"#,
            ),
        },
    );
    let cache = cache(&server, Arc::new(Alone));
    assert_eq!(token(&cache).await, "T1");
    tokio::time::sleep(Duration::from_millis(2050)).await;
    for _ in 0..20 {
        assert_eq!(token(&cache).await, "T1");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!((server.token_calls(), cache.failures()), (2, 1));
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(get(&cache).await.unwrap_err().why.key, "token_quota");
}

#[tokio::test]
async fn no_answer_is_a_failure_that_sent_nothing_and_tells_no_secret() {
    let silent = Server::start(|_, _| thread::sleep(Duration::from_secs(3)));
    let cache_of_silent = cache(&silent, Arc::new(Alone));
    let failure = cache_of_silent
        .get(Instant::now() + Duration::from_millis(100))
        .await
        .unwrap_err();
    assert_eq!(
        (failure.kind, failure.phase),
        (FailureKind::Unreachable, Phase::Token)
    );

    let closed = Server::start_for(0, |_, _| {});
    let failure = get(&cache(&closed, Arc::new(Alone))).await.unwrap_err();
    assert_eq!(
        (failure.kind, failure.why.key),
        (FailureKind::Unreachable, "token_unreachable")
    );

    // A server that quotes the request back at us.
    let echo = Server::start(|seen, stream| say_json(stream, &format!("<html>{}", seen.body)));
    let failure = get(&cache(&echo, Arc::new(Alone))).await.unwrap_err();
    assert_eq!(failure.why.key, "token_unreadable");
    assert!(!format!("{failure:?}").contains("canary"), "{failure:?}");
}
