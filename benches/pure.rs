//! The daemon's own work on one row, without a database: what it decides, looks up, cleans and signs.
//!
//! The event and the reading of the answer are private to the target, so they are measured through its one public
//! door: a call over loopback to a thread that answers at once, in which the system's share is the largest. The
//! difference between `unsigned` and `signed` is the signature, between `accepted` and `refused` the reading.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use divan::{Bencher, black_box};
use outboxd::catalogue::{self, Origin, Pause, local};
use outboxd::delivery::{
    Failure, FailureKind, Outcome, Phase, Receipt, Target as _, Unknown, clean,
};
use outboxd::notification::{AttemptNo, Claim, Key, LeaseToken, NotificationId};
use outboxd::policy::{Policy, RetrySchedule};
use outboxd::secret::Secret;
use outboxd::wechat::{Alone, WechatSettings, WechatTarget};
use tokio::runtime;
use uuid::Uuid;

fn main() {
    divan::main();
}

const KEY: &str = "0b8e5a4e-6f0a-4a54-9c3e-0d5b8f1f7a10";
const PAYLOAD: &str = r#"{"phone": "13800138000", "source": "mini program", "assignedAt": "2026-11-22 10:00", "customerName": "李女士"}"#;

/// Every way a call can end, and what becomes of its row.
#[divan::bench(args = ["delivered", "unknown", "transient", "throttled", "permanent", "outage"])]
fn decide(bencher: Bencher<'_, '_>, name: &str) {
    let policy = Policy {
        on_unknown: Default::default(),
        await_grant: Default::default(),
        schedule: RetrySchedule(vec![Duration::from_secs(5); 10]),
        call_timeout: Duration::from_secs(10),
    };
    let (claim, outcome) = (claim(), outcome(name));
    bencher.bench(|| black_box(&policy).decide(black_box(&claim), black_box(&outcome), 0.5));
}

/// Whether a claim may be called at all.
#[divan::bench]
fn refuse(bencher: Bencher<'_, '_>) {
    let policy = Policy {
        on_unknown: Default::default(),
        await_grant: Default::default(),
        schedule: RetrySchedule(vec![Duration::from_secs(5); 10]),
        call_timeout: Duration::from_secs(10),
    };
    let claim = claim();
    bencher.bench(|| black_box(&policy).refuse(black_box(&claim)));
}

/// The first entry, one of the last, and a code that nobody has told us about.
#[divan::bench(args = [40001, 43101, 999_999])]
fn lookup(code: i32) -> &'static catalogue::Entry {
    catalogue::lookup(Origin::Send, black_box(code))
}

#[divan::bench]
fn by_key() -> Option<&'static catalogue::Entry> {
    catalogue::by_key(black_box("accepted"))
}

/// What the signature is made over.
#[divan::bench]
fn canonical_json() -> String {
    let event = format!(r#"{{"type":"notify","key":"{KEY}","payload":{PAYLOAD}}}"#);
    serde_json_canonicalizer::pipe(black_box(&event)).expect("this is JSON")
}

#[divan::bench(args = [40, 4000])]
fn clean_text(bencher: Bencher<'_, '_>, length: usize) {
    let text = "invalid credential, access_token is invalid ".repeat(length / 44 + 1);
    bencher.bench(|| clean(black_box(&text)));
}

/// Event, request, answer and its reading, over loopback.
#[divan::bench(args = ["unsigned accepted", "signed accepted", "unsigned refused"])]
fn call(bencher: Bencher<'_, '_>, way: &str) {
    let answer = if way.ends_with("refused") {
        r#"{"errcode":0,"errmsg":"ok","resp_data":"{\"errCode\":43101,\"errMsg\":\"user refuse to accept the msg\"}"}"#
            .to_owned()
    } else {
        format!(
            r#"{{"errcode":0,"errmsg":"ok","resp_data":"{{\"ok\":true,\"state\":\"sent\",\"key\":\"{KEY}\",\"code\":0,\"step\":\"record\",\"duplicate\":false,\"msgid\":null}}"}}"#
        )
    };
    let secret = way
        .starts_with("signed")
        .then(|| "a shared secret".to_owned());
    let target = target(answering(answer), secret.map(Secret::new));
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime of one thread");
    bencher
        .with_inputs(claim)
        .bench_local_values(|claim| runtime.block_on(target.deliver(&claim)));
}

fn target(base_url: String, signing_secret: Option<Secret>) -> WechatTarget {
    let settings = WechatSettings {
        app: "default".to_owned(),
        appid: "wx0123456789abcdef".to_owned(),
        appsecret: Secret::new("0123456789abcdef0123456789abcdef"),
        cloud_env: "bench-env".to_owned(),
        function: "quickstartFunctions".to_owned(),
        base_url,
        call_timeout: Duration::from_secs(10),
        signing_secret,
    };
    WechatTarget::new(settings, Arc::new(Alone)).expect("good settings")
}

/// The address of a thread that gives every call this answer, and every other request a token.
fn answering(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of this machine");
    let address = listener.local_addr().expect("its own address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = converse(&stream, &answer);
        }
    });
    format!("http://{address}")
}

fn converse(mut stream: &TcpStream, answer: &str) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let (mut line, mut length, mut is_call) = (String::new(), 0, false);
        while reader.read_line(&mut line)? > 2 {
            is_call |= line.starts_with("POST /tcb/");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            line.clear();
        }
        if line.is_empty() {
            return Ok(());
        }
        reader.read_exact(&mut vec![0; length])?;
        let token = r#"{"access_token":"bench-token-0123456789","expires_in":7200}"#;
        let body = if is_call { answer } else { token };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all((head + body).as_bytes())?;
    }
}

fn claim() -> Claim {
    Claim {
        id: NotificationId(7),
        place: None,
        key: Key(KEY.parse().expect("this is a UUID")),
        lease_token: LeaseToken(Uuid::nil()),
        attempt: AttemptNo(1),
        spent: 1,
        lapses: 0,
        may_have_arrived: false,
        epoch: 1_772_352_000_123,
        event_type: "customer_assigned".to_owned(),
        aggregate_type: "customer".to_owned(),
        aggregate_id: "10086".to_owned(),
        recipient: "1042".to_owned(),
        payload: PAYLOAD.to_owned(),
        traceparent: None,
        expired: false,
        superseded_by: None,
        cancel_requested: false,
        waited: Duration::ZERO,
        claimed_at: Instant::now(),
        lease: Duration::from_secs(60),
    }
}

fn outcome(name: &str) -> Outcome {
    let failed = |kind| {
        Outcome::Failed(Failure {
            kind,
            phase: Phase::Answered,
            why: catalogue::lookup(Origin::Send, 43101),
            errcode: Some(43101),
            detail: Some("user refuse to accept the msg".to_owned()),
            retry_after: None,
            names_our_key: false,
        })
    };
    match name {
        "delivered" => Outcome::Delivered(Receipt::default()),
        "transient" => failed(FailureKind::Transient),
        "throttled" => failed(FailureKind::Throttled),
        "permanent" => failed(FailureKind::Permanent),
        "outage" => failed(FailureKind::Outage(Pause::For(Duration::from_secs(300)))),
        _ => Outcome::Unknown(Unknown {
            phase: Phase::Sent,
            why: local::TIMED_OUT,
            errcode: None,
            detail: None,
        }),
    }
}
