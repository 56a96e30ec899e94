//! The measured client: so many calls, so many of them at once, through reqwest or, as the product, through hyper.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT, CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use reqwest::Url;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::timeout_at;
use tokio_rustls::TlsConnector;

use crate::proc;
use crate::report::say;

const AGENT: &str = concat!("outboxd/", env!("CARGO_PKG_VERSION"));
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
const QUERY: [(&str, &str); 3] = [
    ("access_token", "bench-token-0123456789"),
    ("env", "bench-env"),
    ("name", "quickstartFunctions"),
];

#[derive(Debug, clap::Args)]
pub(crate) struct ClientArgs {
    url: Url,
    library: Library,
    in_flight: u32,
    calls: i64,
    /// The sink's certificate, in hexadecimal.
    #[arg(long)]
    trust: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Library {
    Reqwest,
    Hyper,
}

impl Library {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Library::Reqwest => "reqwest",
            Library::Hyper => "hyper",
        }
    }
}

/// What the calls took.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Used {
    pub(crate) seconds: f64,
    pub(crate) cpu: f64,
    pub(crate) peak_rss: f64,
}

pub(crate) async fn client(args: ClientArgs) -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let trust = args.trust.as_deref().map(certificate).transpose()?;
    let reqwest = through_reqwest(trust.clone())?;
    let tls = trust.map(through_tls).transpose()?;
    let next = Arc::new(AtomicI64::new(0));
    let warm = Arc::new(Barrier::new(args.in_flight as usize + 1));
    let mut slots = JoinSet::new();
    for _ in 0..args.in_flight {
        let mut caller = match args.library {
            Library::Reqwest => Caller::Reqwest(reqwest.clone(), args.url.clone()),
            Library::Hyper => Caller::Hyper(Slot::new(&args.url, tls.clone())?),
        };
        let (next, warm, calls) = (next.clone(), warm.clone(), args.calls);
        slots.spawn(async move {
            // The first call opens the connection; it is not counted.
            caller.post(event(-1)).await?;
            warm.wait().await;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= calls {
                    return anyhow::Ok(());
                }
                caller.post(event(number)).await?;
            }
        });
    }
    tokio::select! {
        _ = warm.wait() => {}
        // None ends by itself before.
        Some(ended) = slots.join_next() => return ended?,
    }
    let me = std::process::id();
    let (cpu, begun) = (proc::cpu(me).own, Instant::now());
    while let Some(slot) = slots.join_next().await {
        slot??;
    }
    let used = Used {
        seconds: begun.elapsed().as_secs_f64(),
        cpu: proc::cpu(me).own - cpu,
        peak_rss: proc::peak_rss(me),
    };
    say(format_args!("{}", serde_json::to_string(&used)?));
    Ok(())
}

enum Caller {
    Reqwest(reqwest::Client, Url),
    Hyper(Slot),
}

impl Caller {
    async fn post(&mut self, body: Vec<u8>) -> Result<()> {
        match self {
            Caller::Reqwest(client, url) => post_reqwest(client, url, body).await,
            Caller::Hyper(slot) => slot.post(body).await,
        }
    }
}

/// About 300 bytes.
fn event(id: i64) -> Vec<u8> {
    format!(
        r#"{{"type":"notify","key":"0b8e5a4e-6f0a-4a54-9c3e-0d5b8f1f7a10","attempt":1,"epoch":1763826761000,"sentAt":"2026-11-22T10:00:00.000Z","eventType":"customer_assigned","recipient":"1042","aggregate":{{"type":"customer","id":"{id}"}},"payload":{{"customerName":"李女士","phone":"13800138000"}},"traceparent":null}}"#
    )
    .into_bytes()
}

fn certificate(hexadecimal: &str) -> Result<CertificateDer<'static>> {
    let byte = |at| u8::from_str_radix(hexadecimal.get(at..at + 2).unwrap_or(""), 16);
    let bytes: Result<Vec<u8>, _> = (0..hexadecimal.len()).step_by(2).map(byte).collect();
    Ok(bytes.context("read the certificate")?.into())
}

/// As a careful user would make it: nothing is followed, repeated or sent elsewhere.
fn through_reqwest(trust: Option<CertificateDer<'static>>) -> Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .user_agent(AGENT)
        .https_only(trust.is_some())
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .no_proxy()
        .connect_timeout(Duration::from_secs(3))
        .pool_idle_timeout(Duration::from_secs(20))
        .tcp_nodelay(true);
    if let Some(trust) = trust {
        builder = builder.tls_certs_only([reqwest::Certificate::from_der(&trust)?]);
    }
    Ok(builder.build()?)
}

async fn post_reqwest(client: &reqwest::Client, base: &Url, body: Vec<u8>) -> Result<()> {
    let deadline = (Instant::now() + CALL_TIMEOUT).into();
    let mut url = base.clone();
    url.set_path("/tcb/invokecloudfunction");
    url.query_pairs_mut().extend_pairs(QUERY);
    let request = client
        .post(url)
        .header(CONTENT_TYPE, "application/json")
        .body(body);
    let mut response = timeout_at(deadline, request.send()).await??;
    ensure!(response.status().is_success(), "{}", response.status());
    let mut answer = Vec::new();
    while let Some(chunk) = timeout_at(deadline, response.chunk()).await?? {
        answer.extend_from_slice(&chunk);
    }
    read(&answer)
}

fn through_tls(trust: CertificateDer<'static>) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(trust)?;
    // It keeps session tickets, so a connection after the first can resume.
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A call slot with a connection of its own, opened again when the other side has closed it.
struct Slot {
    host: String,
    address: String,
    tls: Option<TlsConnector>,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Slot {
    fn new(base: &Url, tls: Option<TlsConnector>) -> Result<Slot> {
        let host = base.host_str().context("no host")?.to_owned();
        let port = base.port_or_known_default().context("no port")?;
        Ok(Slot {
            address: format!("{host}:{port}"),
            host,
            tls,
            connection: None,
        })
    }

    async fn post(&mut self, body: Vec<u8>) -> Result<()> {
        let deadline = (Instant::now() + CALL_TIMEOUT).into();
        let mut connection = match self.connection.take() {
            Some(connection) if !connection.is_closed() => connection,
            _ => timeout_at(deadline, self.connect()).await??,
        };
        connection.ready().await?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(target())
            .header(HOST, &self.address)
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, "*/*")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(body))?;
        let response = timeout_at(deadline, connection.send_request(request)).await??;
        ensure!(response.status().is_success(), "{}", response.status());
        let closes = response.headers().contains_key(CONNECTION);
        let answer = timeout_at(deadline, response.into_body().collect()).await??;
        self.connection = (!closes).then_some(connection);
        read(&answer.to_bytes())
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else {
            return handshake(stream).await;
        };
        let name = ServerName::try_from(self.host.clone())?;
        handshake(tls.connect(name, stream).await?).await
    }
}

async fn handshake(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
) -> Result<SendRequest<Full<Bytes>>> {
    let (send, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(send)
}

/// Made for each call, for the token may have changed.
fn target() -> String {
    let [token, env, name] = QUERY.map(|(name, value)| format!("{name}={value}"));
    format!("/tcb/invokecloudfunction?{token}&{env}&{name}")
}

fn read(answer: &[u8]) -> Result<()> {
    if !answer.starts_with(br#"{"errcode":0"#) {
        bail!("unexpected answer: {}", String::from_utf8_lossy(answer));
    }
    Ok(())
}
