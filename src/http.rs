//! One POST: connect, headers and body under a single deadline, and what came of it.
//!
//! This stands on hyper itself (docs/decisions/0007): no redirects (the token and the body would go to a
//! stranger), no referer (it would carry the token), no proxy from the environment, no decompression, and
//! errors that never name an address. A request is repeated by itself only when its connection closed
//! before the first byte went out.
//! Only a failed DNS look-up, connect or TLS handshake proves that nothing was sent.

pub(crate) mod guard;
mod warm;

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use http_body_util::{BodyExt as _, Full};
pub(crate) use hyper::Uri;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{HeaderMap, Method, Request, Response};
use tokio::time::timeout_at;
use url::Url;

use guard::Reach;
use warm::{Connection, Warm};

/// What is read of an answer; a real one has a few hundred bytes.
pub(crate) const BODY_LIMIT: usize = 64 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const AGENT: HeaderValue = HeaderValue::from_static(concat!("outboxd/", env!("CARGO_PKG_VERSION")));
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The address it may talk to, and the connections to it.
#[derive(Clone)]
pub(crate) struct Wire {
    base: Url,
    host: HeaderValue,
    warm: Arc<Warm>,
}

/// An answer as it came, whatever it says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: Vec<u8>,
    /// There was more than [`BODY_LIMIT`].
    pub(crate) cut: bool,
}

/// No answer. The texts name a kind of trouble, never an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// DNS, connect or TLS: proven not sent.
    NotReached(String),
    /// Not called: the host has no address but internal ones, and is not allowed to.
    Internal,
    /// Sent, or at least begun; no word within the deadline.
    TimedOut,
    /// Sent, or at least begun; the connection broke.
    Lost(String),
}

impl Wire {
    pub(crate) fn new(base_url: &str, call_timeout: Duration) -> anyhow::Result<Wire> {
        Wire::to(checked(base_url)?, Reach::Anywhere, call_timeout)
    }

    /// To an address that others judged; `reach` is judged here, at each connect.
    pub(crate) fn to(base: Url, reach: Reach, call_timeout: Duration) -> anyhow::Result<Wire> {
        let origin = &base[..url::Position::BeforePath];
        // Below the deadline, so that a connect that hangs is still told apart from a call that does.
        let connect_timeout = CONNECT_TIMEOUT.min(call_timeout * 3 / 5);
        let warm = Warm::new(origin.parse()?, reach, connect_timeout)
            .context("build the HTTPS client (are the system's CA certificates installed?)")?;
        let host = &base[url::Position::BeforeHost..url::Position::AfterPort];
        Ok(Wire {
            host: HeaderValue::from_str(host)?,
            base,
            warm: Arc::new(warm),
        })
    }

    /// What a request for `path` asks for: the part of the URL behind the host.
    pub(crate) fn uri(&self, path: &str, query: &[(&str, &str)]) -> Uri {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path()));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let asked = &url[url::Position::BeforePath..];
        asked.parse().expect("what a URL escapes is a URI")
    }

    /// The part of its own URL behind the host.
    pub(crate) fn own_uri(&self) -> Uri {
        let asked = &self.base[url::Position::BeforePath..url::Position::AfterQuery];
        asked.parse().expect("what a URL escapes is a URI")
    }

    /// Sends `body` and reads the answer, all before `deadline`.
    pub(crate) async fn post(
        &self,
        uri: Uri,
        body: Vec<u8>,
        deadline: Instant,
    ) -> Result<Answer, Trouble> {
        self.post_with(uri, HeaderMap::new(), body, deadline).await
    }

    /// The same with headers of the caller's.
    pub(crate) async fn post_with(
        &self,
        uri: Uri,
        headers: HeaderMap,
        body: Vec<u8>,
        deadline: Instant,
    ) -> Result<Answer, Trouble> {
        let mut answer = Answer::default();
        let exchange = self.exchange(uri, headers, body, &mut answer);
        let trouble = match timeout_at(deadline.into(), exchange).await {
            Ok(Ok(())) => return Ok(answer),
            Ok(Err(trouble)) => trouble,
            Err(_elapsed) => Trouble::TimedOut,
        };
        // The status of a refusal says enough, whatever became of its body.
        if matches!(answer.status, 0 | 200..300) {
            Err(trouble)
        } else {
            answer.cut = true;
            Ok(answer)
        }
    }

    async fn exchange(
        &self,
        uri: Uri,
        own: HeaderMap,
        body: Vec<u8>,
        answer: &mut Answer,
    ) -> Result<(), Trouble> {
        let mut request = Request::new(Full::from(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        *headers = own;
        headers.reserve(4); // With the length, which the whole body tells: WeChat refuses chunks (HTTP 412).
        headers.insert(HOST, self.host.clone());
        headers.insert(USER_AGENT, AGENT);
        headers.insert(CONTENT_TYPE, JSON);
        let (response, connection) = self.send(request).await?;
        answer.status = response.status().as_u16();
        answer.retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| lost(&error))?;
            let chunk = frame.data_ref().map_or(&[][..], |data| data);
            let room = BODY_LIMIT - answer.body.len();
            answer
                .body
                .extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                answer.cut = true;
                return Ok(()); // The rest stays unread, so the connection ends here.
            }
        }
        self.warm.keep(connection);
        Ok(())
    }

    /// Sends it on a warm connection or a new one. One that was just being closed gives the request back
    /// unsent, and the next is tried.
    async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, Connection), Trouble> {
        loop {
            let (mut connection, fresh) = match self.warm.take() {
                Some(connection) => (connection, false),
                None => (self.warm.connect().await?, true),
            };
            if connection.ready().await.is_err() && !fresh {
                continue;
            }
            match connection.try_send_request(request).await {
                Ok(response) => return Ok((response, connection)),
                Err(mut refused) => match refused.take_message() {
                    Some(unsent) if !fresh => request = unsent,
                    _ => return Err(lost(refused.error())),
                },
            }
        }
    }
}

fn lost(error: &hyper::Error) -> Trouble {
    Trouble::Lost(causes(error))
}

/// An error with its causes, each text once.
fn causes(error: &dyn Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        if !texts.contains(&text) {
            texts.push(text);
        }
        next = cause.source();
    }
    texts.join(": ")
}

/// https, or http to this very machine for tests and the demo: the URL carries the token.
fn checked(base_url: &str) -> anyhow::Result<Url> {
    let mut url = Url::parse(base_url).context("base_url is not a URL")?;
    if !url.username().is_empty() || url.password().is_some() {
        bail!("base_url must not contain a user name or a password");
    }
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let loopback = host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        "http" => bail!(
            "base_url must be https (got {base_url:?}); plain http is allowed to this machine only"
        ),
        other => bail!("base_url must be https, not {other:?}"),
    }
    if url.query().is_some() || url.fragment().is_some() {
        bail!("base_url must not contain a query or a fragment");
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{path}/"));
    Ok(url)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::{Reach, Trouble, Url, Wire, checked};

    /// The other side hangs up after each answer, as it may: the next call goes over a new connection.
    #[tokio::test]
    async fn a_connection_closed_meanwhile_costs_nothing() {
        const CALLS: u16 = 200;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut seen = Vec::new();
                while !seen.ends_with(b"\r\n\r\n{}") {
                    let mut byte = [0];
                    if stream.read(&mut byte).unwrap() == 0 {
                        return;
                    }
                    seen.push(byte[0]);
                }
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        });
        let wire = Wire::new(&url, Duration::from_secs(5)).unwrap();
        for _ in 0..CALLS {
            let deadline = Instant::now() + Duration::from_secs(5);
            let answer = wire
                .post(wire.uri("x", &[]), b"{}".to_vec(), deadline)
                .await;
            assert_eq!(answer.unwrap().body, b"ok");
            // Until its end has been heard of.
            while let Some(connection) = wire.warm.take() {
                wire.warm.keep(connection);
                tokio::task::yield_now().await;
            }
        }
    }

    /// A name that looks like any other and leads to this machine: nothing is connected to.
    #[tokio::test]
    async fn a_name_that_resolves_inside_is_not_called() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["localhost", "127.0.0.1", "[::ffff:127.0.0.1]", "0x7f.1"] {
            let url: Url = format!("http://{host}:{port}/x?y").parse().unwrap();
            let wire = Wire::to(url, Reach::Public, Duration::from_secs(5)).unwrap();
            assert_eq!(wire.own_uri(), "/x?y");
            let deadline = Instant::now() + Duration::from_secs(5);
            let answer = wire.post(wire.own_uri(), b"{}".to_vec(), deadline).await;
            assert_eq!(answer.unwrap_err(), Trouble::Internal, "{host}");
        }
        assert!(listener.accept().is_err(), "nobody connected");
    }

    #[test]
    fn only_https_or_this_machine() {
        for good in [
            "https://api.weixin.qq.com",
            "https://api.weixin.qq.com/",
            "http://127.0.0.1:8080",
            "http://localhost/x",
            "http://[::1]:9",
        ] {
            assert!(checked(good).is_ok(), "{good}");
        }
        assert_eq!(checked("http://localhost/x").unwrap().path(), "/x/");
        for bad in [
            "http://api.weixin.qq.com",
            "http://127.0.0.1.evil.example",
            "http://localhost.evil.example",
            "ftp://127.0.0.1",
            "api.weixin.qq.com",
            "https://user:pass@api.weixin.qq.com",
            "https://api.weixin.qq.com/?a=b",
        ] {
            assert!(checked(bad).is_err(), "{bad}");
        }
    }
}
