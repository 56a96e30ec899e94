//! HTTP/1.1 by hand: reads one request, writes one reply, and can break off the reply at any byte.
//!
//! A framework would not let us reset a connection after the body was read, stop in the middle of a JSON
//! text or drip one byte a second. Chunked request bodies are not read: WeChat's API refuses them. Its cloud takes
//! them, because an SDK sends them.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cloud;
use crate::keeper::InFlight;

const HEAD_LIMIT: usize = 64 * 1024;
const BODY_LIMIT: usize = 8 * 1024 * 1024;
/// Nobody needs more than this to see that a body has no end.
const ENDLESS_LIMIT: usize = 1024 * 1024 * 1024;
/// A hung call is let go at last, so that a forgotten client does not keep a connection for ever.
const HANG_LIMIT: Duration = Duration::from_secs(120);

/// One request, body included.
#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query as they came.
    pub(crate) target: String,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    /// A `Content-Length` was given (and no chunks); without it `body` is empty.
    pub(crate) is_measured: bool,
    is_chunked: bool,
    pub(crate) has_referer: bool,
    pub(crate) closes: bool,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// A query parameter, decoded; the empty text when it is missing.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value.as_str())
    }

    /// WeChat answers 412 to a POST whose length it is not told.
    pub(crate) fn lacks_length(&self) -> bool {
        self.method == "POST" && !self.is_measured
    }
}

/// A whole HTTP response.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

/// What the client gets to see.
#[derive(Debug)]
pub(crate) enum Reply {
    Whole(Response),
    /// Half the body, then the connection ends.
    Half(Response),
    /// One byte a second; from the status line on, or only the body.
    Dribble {
        response: Response,
        head_too: bool,
    },
    /// A body without end.
    Endless,
    /// RST instead of a reply.
    Reset,
    /// FIN instead of a reply.
    Close,
    /// Neither a reply nor an end.
    Hang,
}

/// A reply, and the call that is in flight until the reply is written.
pub(crate) struct Exchange {
    pub(crate) reply: Reply,
    pub(crate) in_flight: Option<InFlight>,
}

impl From<Reply> for Exchange {
    fn from(reply: Reply) -> Self {
        Self {
            reply,
            in_flight: None,
        }
    }
}

impl Response {
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("Content-Type", content_type.to_owned())],
            body: body.into(),
        }
    }

    fn head(&self) -> String {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        head
    }
}

impl Reply {
    pub(crate) fn json(body: &Value) -> Self {
        Self::Whole(Response::new(
            200,
            "application/json; encoding=utf-8",
            body.to_string(),
        ))
    }

    /// A status without a body, as WeChat's gateway gives it.
    pub(crate) fn status(status: u16) -> Self {
        Self::Whole(Response {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        })
    }
}

/// Reads the next request; `None` when the client has gone or does not speak HTTP. `unread` keeps what
/// came after this request.
pub(crate) async fn read_request(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<Request> {
    let (mut request, head, length) = loop {
        if let Some(parsed) = parse_head(unread)? {
            break parsed;
        }
        if unread.len() > HEAD_LIMIT || stream.read_buf(unread).await.ok()? == 0 {
            return None;
        }
    };
    if request.is_chunked && request.path.starts_with(cloud::PATH) {
        unread.drain(..head);
        request.body = read_chunks(stream, unread).await?;
        return Some(request);
    }
    let Some(length) = length.filter(|&length| length <= BODY_LIMIT) else {
        unread.drain(..head);
        request.closes |= length.is_some();
        return Some(request);
    };
    while unread.len() < head + length {
        if stream.read_buf(unread).await.ok()? == 0 {
            return None;
        }
    }
    request.body = unread[head..head + length].to_vec();
    unread.drain(..head + length);
    Some(request)
}

async fn read_chunks(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let needed = match httparse::parse_chunk_size(unread).ok()? {
            httparse::Status::Partial => unread.len() + 1,
            httparse::Status::Complete((start, size)) => {
                let end = start + usize::try_from(size).ok()?;
                if unread.len() < end + 2 {
                    end + 2
                } else {
                    body.extend_from_slice(&unread[start..end]);
                    unread.drain(..end + 2);
                    if size == 0 {
                        return Some(body);
                    }
                    continue;
                }
            }
        };
        if body.len() + needed > BODY_LIMIT {
            return None;
        }
        while unread.len() < needed {
            if stream.read_buf(unread).await.ok()? == 0 {
                return None;
            }
        }
    }
}

/// `None`: not HTTP. `Some(None)`: not all there yet. Otherwise the request without its body, the length
/// of the head, and the length of the body when it was given.
#[expect(
    clippy::option_option,
    reason = "nonsense and 'more to come' are two answers"
)]
fn parse_head(bytes: &[u8]) -> Option<Option<(Request, usize, Option<usize>)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    let head = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return Some(None),
        Err(_) => return None,
    };
    let (path, query) = parsed.path?.split_once('?').unwrap_or((parsed.path?, ""));
    let mut request = Request {
        method: parsed.method?.to_owned(),
        target: parsed.path?.to_owned(),
        path: path.to_owned(),
        query: form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect(),
        ..Request::default()
    };
    let mut length = None;
    for header in parsed.headers.iter() {
        let value = std::str::from_utf8(header.value).unwrap_or("").trim();
        match header.name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok(),
            "transfer-encoding" => request.is_chunked = true,
            "referer" => request.has_referer = true,
            "connection" => request.closes = value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    request.is_measured = length.is_some() && !request.is_chunked;
    // What follows an unmeasured POST is a body of unknown length: the connection ends with the reply.
    request.closes |= request.lacks_length();
    let length = length.filter(|_| request.is_measured);
    Some(Some((request, head, length)))
}

/// Writes the reply, or what the script makes of it. True when the connection may serve another request.
pub(crate) async fn write_reply(stream: &mut TcpStream, reply: Reply) -> bool {
    match reply {
        Reply::Whole(response) => {
            let mut bytes = response.head().into_bytes();
            bytes.extend_from_slice(&response.body);
            stream.write_all(&bytes).await.is_ok()
        }
        Reply::Half(response) => {
            let mut bytes = response.head().into_bytes();
            bytes.extend_from_slice(&response.body[..response.body.len() / 2]);
            let _ = stream.write_all(&bytes).await;
            false
        }
        Reply::Dribble { response, head_too } => {
            let head = response.head().into_bytes();
            let (at_once, slowly) = if head_too {
                (Vec::new(), [head, response.body].concat())
            } else {
                (head, response.body)
            };
            let _ = stream.write_all(&at_once).await;
            for byte in slowly {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if stream.write_all(&[byte]).await.is_err() {
                    return false;
                }
            }
            true
        }
        Reply::Endless => {
            endless(stream).await;
            false
        }
        Reply::Reset => {
            let _ = stream.set_zero_linger();
            false
        }
        Reply::Close => false,
        Reply::Hang => {
            // Over as soon as the client leaves.
            let _ = tokio::time::timeout(HANG_LIMIT, stream.read(&mut [0])).await;
            false
        }
    }
}

/// Starts like an answer and never ends: a client that gathers the whole body fills its memory.
async fn endless(stream: &mut TcpStream) {
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let start = "{\"errcode\":0,\"errmsg\":\"";
    if stream
        .write_all(format!("{head}{:x}\r\n{start}\r\n", start.len()).as_bytes())
        .await
        .is_err()
    {
        return;
    }
    let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x10000));
    for _ in 0..ENDLESS_LIMIT / 0x10000 {
        if stream.write_all(chunk.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Ends the connection so that a reply already written arrives: unread bytes would turn it into a reset.
pub(crate) async fn close(mut stream: TcpStream) {
    if stream.linger().is_ok_and(|linger| linger.is_some()) {
        return; // A reset was asked for; dropping the stream sends it.
    }
    let _ = stream.shutdown().await;
    let drained = async { while stream.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {} };
    let _ = tokio::time::timeout(Duration::from_secs(1), drained).await;
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        404 => "Not Found",
        412 => "Precondition Failed",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}
