//! The sink: WeChat's stand-in on loopback. It takes a token request and the cloud function's calls, answers each
//! event as the function does, after a set time, and remembers what came when.
//!
//! It lives on a thread of its own with one connection handler and nothing else, so that it costs little and what it
//! costs can be told apart.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Notify, oneshot};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::HandshakeKind;

use crate::proc;

/// Without one more call for this long, a run is broken.
const PATIENCE: Duration = Duration::from_secs(30);

const TOKEN: &str = r#"{"access_token":"bench-token-0123456789","expires_in":7200}"#;

/// One call of the cloud function.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// The event's aggregate, by which rows are numbered here.
    pub(crate) id: i64,
    /// Its arrival, in µs since 1970.
    pub(crate) at_us: i64,
}

pub(crate) struct Sink {
    pub(crate) url: String,
    shared: Arc<Shared>,
    thread: i32,
    stop: Option<oneshot::Sender<()>>,
    handle: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    calls: Mutex<Calls>,
    reached: Notify,
    answers_after_us: AtomicU64,
    /// A connection is closed after that many calls; 0: never.
    calls_per_connection: AtomicU64,
    full_handshakes: AtomicU64,
    resumed_handshakes: AtomicU64,
}

#[derive(Default)]
struct Calls {
    seen: Vec<Call>,
    /// At which number somebody wants to be told.
    awaited: usize,
}

impl Sink {
    pub(crate) async fn start(tls: Option<TlsAcceptor>) -> Result<Sink> {
        let shared = Arc::new(Shared::default());
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = oneshot::channel();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let handle = std::thread::Builder::new().name("sink".to_owned()).spawn({
            let shared = shared.clone();
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                let Ok(runtime) = runtime else { return };
                runtime.block_on(async {
                    let Ok(listener) = listen() else {
                        return;
                    };
                    let thread = rustix::thread::gettid().as_raw_nonzero().get();
                    let _ = tell.send((thread, listener.local_addr()));
                    tokio::select! {
                        () = serve(listener, tls, shared) => {}
                        _ = stopped => {}
                    }
                });
            }
        })?;
        let (thread, address) = told.await.context("the sink did not start")?;
        Ok(Sink {
            url: format!("{scheme}://{}", address?),
            shared,
            thread,
            stop: Some(stop),
            handle: Some(handle),
        })
    }

    /// Forgets what came, and answers from now on after this time.
    pub(crate) fn reset(&self, answers_after: Duration) {
        *self.calls() = Calls::default();
        let us = u64::try_from(answers_after.as_micros()).unwrap_or(u64::MAX);
        self.shared.answers_after_us.store(us, Ordering::Relaxed);
    }

    pub(crate) fn close_after(&self, calls: u64) {
        self.shared
            .calls_per_connection
            .store(calls, Ordering::Relaxed);
    }

    /// Full and resumed TLS handshakes since the last question.
    pub(crate) fn take_handshakes(&self) -> (u64, u64) {
        (
            self.shared.full_handshakes.swap(0, Ordering::Relaxed),
            self.shared.resumed_handshakes.swap(0, Ordering::Relaxed),
        )
    }

    pub(crate) fn count(&self) -> usize {
        self.calls().seen.len()
    }

    pub(crate) fn seen(&self) -> Vec<Call> {
        self.calls().seen.clone()
    }

    /// Returns at the n-th call, and fails when they have dried up before.
    pub(crate) async fn reached(&self, n: usize) -> Result<()> {
        let mut before = None;
        loop {
            let reached = self.shared.reached.notified();
            {
                let mut calls = self.calls();
                if calls.seen.len() >= n {
                    return Ok(());
                }
                calls.awaited = n;
            }
            if timeout(PATIENCE, reached).await.is_err() {
                let count = self.count();
                if before == Some(count) {
                    bail!("the daemon stands still: {count} of {n} calls have come");
                }
                before = Some(count);
            }
        }
    }

    pub(crate) fn cpu(&self) -> f64 {
        proc::cpu_of_thread(self.thread)
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.shared.calls()
    }
}

impl Shared {
    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(handle) = self.handle.take() {
            let _ = handle.join();
        }
    }
}

/// With room for as many connections at once as there are slots: with the usual 128, some of 256 would be dropped and
/// try again a second later, and that second would look like the daemon's.
fn listen() -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    socket.listen(4096)
}

async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (shared, tls) = (shared.clone(), tls.clone());
        tokio::spawn(async move {
            let Some(tls) = tls else {
                return converse(stream, shared).await;
            };
            if let Ok(stream) = tls.accept(stream).await {
                let handshakes = match stream.get_ref().1.handshake_kind() {
                    Some(HandshakeKind::Resumed) => &shared.resumed_handshakes,
                    _ => &shared.full_handshakes,
                };
                handshakes.fetch_add(1, Ordering::Relaxed);
                converse(stream, shared).await;
            }
        });
    }
}

/// One connection, to its end.
async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, shared: Arc<Shared>) {
    let calls = AtomicU64::new(0);
    let answer = service_fn(|request| answer(request, &shared, &calls));
    let _ = http1::Builder::new()
        .pipeline_flush(true)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}

async fn answer(
    request: Request<Incoming>,
    shared: &Shared,
    calls: &AtomicU64,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let at_us = now_us();
    match request.uri().path() {
        "/tcb/invokecloudfunction" => {}
        "/cgi-bin/stable_token" | "/cgi-bin/token" => return Ok(json(TOKEN.to_owned())),
        _ => return Ok(refusal(StatusCode::NOT_FOUND)),
    }
    let Ok(body) = request.into_body().collect().await else {
        return Ok(refusal(StatusCode::BAD_REQUEST));
    };
    let body = body.to_bytes();
    let Ok(event) = serde_json::from_slice::<Event<'_>>(&body) else {
        return Ok(refusal(StatusCode::BAD_REQUEST));
    };
    let Ok(id) = event.aggregate.id.parse() else {
        return Ok(refusal(StatusCode::BAD_REQUEST));
    };
    {
        let mut calls = shared.calls();
        calls.seen.push(Call { id, at_us });
        if calls.seen.len() == calls.awaited {
            shared.reached.notify_waiters();
        }
    }
    let wait = shared.answers_after_us.load(Ordering::Relaxed);
    if wait > 0 {
        sleep(Duration::from_micros(wait)).await;
    }
    let mut answer = json(sent(event.key));
    let limit = shared.calls_per_connection.load(Ordering::Relaxed);
    if limit > 0 && calls.fetch_add(1, Ordering::Relaxed) + 1 >= limit {
        let close = HeaderValue::from_static("close");
        answer.headers_mut().insert(CONNECTION, close);
    }
    Ok(answer)
}

/// What is read of an event.
#[derive(Deserialize)]
struct Event<'a> {
    key: &'a str,
    #[serde(borrow)]
    aggregate: Aggregate<'a>,
}

#[derive(Deserialize)]
struct Aggregate<'a> {
    id: &'a str,
}

/// The cloud function's good answer to the event with this key, wrapped as WeChat wraps it.
fn sent(key: &str) -> String {
    format!(
        r#"{{"errcode":0,"errmsg":"ok","resp_data":"{{\"ok\":true,\"state\":\"sent\",\"key\":\"{key}\",\"code\":0,\"message\":\"ok\",\"step\":\"record\",\"duplicate\":false,\"msgid\":null,\"grantsLeft\":null}}"}}"#
    )
}

fn json(text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn refusal(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
