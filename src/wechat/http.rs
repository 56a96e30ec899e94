//! One POST to WeChat: connect, headers and body under a single deadline, and what came of it.
//!
//! Everything that could surprise is off: redirects (the token and the body would go to a stranger),
//! referer (it would carry the token), proxies from the environment, retries, decompression. Errors are
//! an enum of our own, for those of the client print the URL and with it the token.
//! Only a failed DNS look-up, connect or TLS handshake proves that nothing was sent.

use std::error::Error as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
pub(crate) use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response};
use tokio::time::timeout_at;

/// What is read of an answer; a real one has a few hundred bytes.
pub(crate) const BODY_LIMIT: usize = 64 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Shorter than any gateway keeps an idle connection, so that a call seldom meets one just being closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// The client and the address it may talk to.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    client: Client,
    base: Url,
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
    /// Sent, or at least begun; no word within the deadline.
    TimedOut,
    /// Sent, or at least begun; the connection broke.
    Lost(String),
}

impl Wire {
    pub(crate) fn new(base_url: &str, call_timeout: Duration) -> anyhow::Result<Wire> {
        let base = checked(base_url)?;
        // Somebody else in the process may have chosen a provider before; then that one serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(concat!("outboxd/", env!("CARGO_PKG_VERSION")))
            .https_only(base.scheme() == "https")
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .no_proxy()
            // Below the deadline, so that a connect that hangs is still told apart from a call that does.
            .connect_timeout(CONNECT_TIMEOUT.min(call_timeout * 3 / 5))
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| anyhow::anyhow!("{}", sources(&error.without_url())))
            .context("build the HTTPS client (are the system's CA certificates installed?)")?;
        Ok(Wire { client, base })
    }

    pub(crate) fn url(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path()));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Sends `body` and reads the answer, all before `deadline`.
    pub(crate) async fn post(
        &self,
        url: Url,
        body: Vec<u8>,
        deadline: Instant,
    ) -> Result<Answer, Trouble> {
        // A whole body, not a stream: WeChat refuses chunked requests (HTTP 412).
        let request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        let response = match timeout_at(deadline.into(), request.send()).await {
            Err(_elapsed) => return Err(Trouble::TimedOut),
            Ok(Err(error)) => return Err(trouble(error)),
            Ok(Ok(response)) => response,
        };
        read(response, deadline).await
    }
}

async fn read(mut response: Response, deadline: Instant) -> Result<Answer, Trouble> {
    let mut answer = Answer {
        status: response.status().as_u16(),
        retry_after: response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned),
        ..Answer::default()
    };
    let trouble = loop {
        match timeout_at(deadline.into(), response.chunk()).await {
            Err(_elapsed) => break Trouble::TimedOut,
            Ok(Err(error)) => break trouble(error),
            Ok(Ok(None)) => return Ok(answer),
            Ok(Ok(Some(chunk))) => {
                let room = BODY_LIMIT - answer.body.len();
                answer
                    .body
                    .extend_from_slice(&chunk[..chunk.len().min(room)]);
                if chunk.len() > room {
                    answer.cut = true;
                    return Ok(answer);
                }
            }
        }
    };
    // The status of a refusal says enough, whatever became of its body.
    if (200..300).contains(&answer.status) {
        Err(trouble)
    } else {
        answer.cut = true;
        Ok(answer)
    }
}

fn trouble(error: reqwest::Error) -> Trouble {
    let error = error.without_url();
    if error.is_connect() {
        Trouble::NotReached(sources(&error))
    } else if error.is_timeout() {
        Trouble::TimedOut
    } else {
        Trouble::Lost(sources(&error))
    }
}

/// The causes below the client's own error, whose text would repeat the request.
fn sources(error: &reqwest::Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !texts.contains(&text) {
            texts.push(text);
        }
        source = cause.source();
    }
    if texts.is_empty() {
        texts.push(error.to_string());
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
    use super::checked;

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
