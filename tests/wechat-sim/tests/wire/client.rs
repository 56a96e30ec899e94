//! A small HTTP client: one connection per request, and the reply as it came, broken or not.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wechat_sim::{APPID, APPSECRET, Settings, WechatSim};

/// How long a reply may take before it counts as none.
const PATIENCE: Duration = Duration::from_millis(700);

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Got {
    Reply {
        status: u16,
        head: String,
        body: Vec<u8>,
    },
    /// FIN before the end of the head.
    Closed,
    /// The announced length was not reached.
    CutOff,
    Reset,
    /// Not all there in time; what had come.
    Nothing {
        so_far: usize,
    },
    Refused,
}

impl Got {
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        match self {
            Got::Reply { body, .. } => serde_json::from_slice(&body).unwrap(),
            other => panic!("no reply: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn status(&self) -> u16 {
        match self {
            Got::Reply { status, .. } => *status,
            other => panic!("no reply: {other:?}"),
        }
    }

    /// The function's own answer, two parses deep.
    #[track_caller]
    pub(crate) fn answer(self) -> Value {
        let outer = self.json();
        assert_eq!(outer["errcode"], 0, "{outer}");
        serde_json::from_str(outer["resp_data"].as_str().expect("resp_data is a text")).unwrap()
    }
}

/// Sends raw bytes and reads one reply.
pub(crate) async fn raw(address: SocketAddr, request: &[u8], patience: Duration) -> Got {
    let mut stream = match TcpStream::connect(address).await {
        Ok(stream) => stream,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Got::Refused,
        // The listener closed while the connection waited to be accepted.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => return Got::Reset,
        Err(error) => panic!("connect: {error}"),
    };
    if stream.write_all(request).await.is_err() {
        return Got::Reset;
    }
    let mut bytes = Vec::new();
    let done = tokio::time::timeout(patience, async {
        loop {
            if let Some(got) = whole(&bytes) {
                return got;
            }
            match stream.read_buf(&mut bytes).await {
                Ok(0) if bytes.is_empty() => return Got::Closed,
                Ok(0) => return Got::CutOff,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Got::Reset,
                Err(error) => panic!("read: {error}"),
            }
        }
    });
    let done = done.await;
    done.unwrap_or(Got::Nothing {
        so_far: bytes.len(),
    })
}

/// Posts, and reads until this many bytes have come, however long that takes on a busy machine. What came.
pub(crate) async fn post_and_read(
    sim: &WechatSim,
    target: &str,
    body: impl ToString,
    at_least: usize,
) -> Vec<u8> {
    let mut stream = TcpStream::connect(sim.address()).await.unwrap();
    let request = request(target, body);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(wechat_sim::PATIENCE, async {
        while bytes.len() < at_least {
            assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "it ended");
        }
    });
    assert!(read.await.is_ok(), "only {} bytes came", bytes.len());
    bytes
}

fn whole(bytes: &[u8]) -> Option<Got> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let length: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "))?
        .parse()
        .unwrap();
    let body = bytes[end..].to_vec();
    let status = head[9..12].parse().unwrap();
    (body.len() == length).then_some(Got::Reply { status, head, body })
}

pub(crate) async fn get(sim: &WechatSim, target: &str) -> Got {
    let request = format!("GET {target} HTTP/1.1\r\nHost: sim\r\n\r\n");
    raw(sim.address(), request.as_bytes(), PATIENCE).await
}

pub(crate) async fn post(sim: &WechatSim, target: &str, body: impl ToString) -> Got {
    post_within(PATIENCE, sim, target, body).await
}

pub(crate) async fn post_within(
    patience: Duration,
    sim: &WechatSim,
    target: &str,
    body: impl ToString,
) -> Got {
    raw(sim.address(), request(target, body).as_bytes(), patience).await
}

fn request(target: &str, body: impl ToString) -> String {
    let body = body.to_string();
    format!(
        "POST {target} HTTP/1.1\r\nHost: sim\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A simulator and a token that holds.
pub(crate) struct Stage {
    pub(crate) sim: WechatSim,
    pub(crate) token: String,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let sim = WechatSim::start(settings).await.unwrap();
        let body = post(&sim, "/cgi-bin/stable_token", ask(false)).await.json();
        Self {
            sim,
            token: body["access_token"].as_str().unwrap().to_owned(),
        }
    }

    pub(crate) fn invoke_path(&self) -> String {
        format!(
            "/tcb/invokecloudfunction?access_token={}&env=cloud1-demo&name=quickstartFunctions",
            self.token
        )
    }

    pub(crate) async fn invoke(&self, event: Value) -> Got {
        post(&self.sim, &self.invoke_path(), event).await
    }

    pub(crate) async fn notify(&self, key: &str, recipient: &str) -> Got {
        self.invoke(event("notify", key, 1, recipient)).await
    }

    pub(crate) async fn inquire(&self, key: &str, recipient: &str) -> Got {
        self.invoke(event("inquire", key, 1, recipient)).await
    }

    pub(crate) fn messages(&self, key: &str) -> usize {
        self.sim.ledger().messages_of(key).len()
    }
}

/// The body of a `stable_token` request.
pub(crate) fn ask(is_forced: bool) -> Value {
    json!({"grant_type": "client_credential", "appid": APPID, "secret": APPSECRET,
        "force_refresh": is_forced})
}

pub(crate) fn event(kind: &str, key: &str, epoch: i64, recipient: &str) -> Value {
    json!({
        "type": kind, "key": key, "attempt": 1, "epoch": epoch, "sentAt": "2026-01-01T00:00:00Z",
        "eventType": "customer.assigned", "recipient": recipient,
        "aggregate": {"type": "customer", "id": "7"}, "payload": {"customerName": "王女士"},
        "traceparent": null,
    })
}
