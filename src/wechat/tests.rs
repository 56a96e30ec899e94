//! What only a wire can show: what goes out, what a broken connection means, and that nothing leaks.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::event::tests::claim;
use super::testing::{Seen, Server, say, say_function, say_json, say_token};
use super::{Alone, Trouble, WechatSettings, WechatTarget, Wire};
use crate::delivery::{FailureKind, Outcome, Phase, Sealed, Target as _};
use crate::notification::Claim;
use crate::secret::Secret;

pub(crate) const TOKEN: &str = "80_token-canary";
const SECRET: &str = "appsecret-canary";
const SIGNING: &str = "signing-canary";
const OPENID: &str = "oCANARY-1234567890_abcdefghi";

fn settings(base_url: String) -> WechatSettings {
    WechatSettings {
        app: String::from("crm"),
        appid: String::from("wx1"),
        appsecret: Secret::new(SECRET),
        cloud_env: String::from("env/1 &x"),
        function: String::from("quickstartFunctions"),
        base_url,
        call_timeout: Duration::from_secs(5),
        signing_secret: Some(Secret::new(SIGNING)),
    }
}

pub(crate) fn target(server: &Server) -> WechatTarget {
    WechatTarget::new(settings(server.url()), Arc::new(Alone)).unwrap()
}

/// One that does not wait long, for servers that never come to an end.
fn hasty(server: &Server) -> WechatTarget {
    // Long enough for a token on a busy machine; the answers below take longer still.
    let call_timeout = Duration::from_millis(1500);
    let settings = WechatSettings {
        call_timeout,
        ..settings(server.url())
    };
    WechatTarget::new(settings, Arc::new(Alone)).unwrap()
}

/// Hands out the token and leaves the call of the function to `answer`.
pub(crate) fn wechat(answer: impl Fn(&Seen, &mut TcpStream) + Send + Sync + 'static) -> Server {
    Server::start(move |seen, stream| {
        if seen.is_token() {
            say_token(stream, TOKEN, 7200);
        } else {
            answer(seen, stream);
        }
    })
}

pub(crate) fn sent() -> Value {
    json!({"ok": true, "state": "sent", "key": claim("{}").key.to_string(), "msgid": "7"})
}

pub(crate) fn asked_again() -> Claim {
    Claim {
        may_have_arrived: true,
        ..claim("{}")
    }
}

pub(crate) fn verb(seen: &Seen) -> String {
    let event: Value = serde_json::from_str(&seen.body).unwrap();
    event["type"].as_str().unwrap().to_owned()
}

pub(crate) fn why(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered(_) => "delivered",
        Outcome::Failed(failure) => failure.why.key,
        Outcome::Unknown(unknown) => unknown.why.key,
    }
}

#[tokio::test]
async fn a_delivery_as_wechat_wants_it() {
    let server = wechat(|_, stream| say_function(stream, &sent()));
    let target = target(&server);
    let outcome = target.deliver(&claim(r#"{"n": 1.10}"#)).await.outcome;
    let Outcome::Delivered(receipt) = &outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(
        (receipt.msgid.as_deref(), receipt.duplicate),
        (Some("7"), false)
    );
    let call = &server.function_calls()[0];
    let line = call.head.lines().next().unwrap();
    assert_eq!(
        line,
        "POST /tcb/invokecloudfunction?access_token=80_token-canary&env=env%2F1+%26x&name=quickstartFunctions HTTP/1.1"
    );
    for call in server.seen() {
        assert_eq!(
            call.header("content-length"),
            Some(call.body.len().to_string().as_str())
        );
        for absent in [
            "transfer-encoding",
            "referer",
            "accept-encoding",
            "cookie",
            "authorization",
        ] {
            assert_eq!(call.header(absent), None, "{absent}");
        }
    }
    assert!(call.body.contains(r#""payload":{"n": 1.10}"#));
    assert!(call.body.contains(r#""signature":""#));
    assert_eq!(target.token_figures().fetches, 1);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    for status in [
        "301 Moved",
        "302 Found",
        "303 See Other",
        "307 Temporary",
        "308 Permanent",
    ] {
        let stranger = Server::start(|_, stream| say_function(stream, &sent()));
        let location = format!("Location: {}/elsewhere\r\n", stranger.url());
        let server = wechat(move |_, stream| say(stream, status, &location, ""));
        let outcome = target(&server).deliver(&claim("{}")).await.outcome;
        assert_eq!(why(&outcome), "redirected", "{outcome:?}");
        assert!(
            matches!(&outcome, Outcome::Failed(failure) if matches!(failure.kind, FailureKind::Outage(_)))
        );
        assert!(stranger.seen().is_empty());
    }
}

/// A way of breaking off, by what it proves. Everything after the first byte proves nothing.
#[tokio::test]
async fn whatever_happens_after_the_call_is_unknown() {
    type Break = fn(&Seen, &mut TcpStream);
    let cases: [(&str, &str, Break); 7] = [
        ("closed at once", "connection_lost", |_, _| {}),
        ("closed in the head", "connection_lost", |_, stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConte");
        }),
        ("closed in the body", "connection_lost", |_, stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{");
        }),
        ("no HTTP at all", "connection_lost", |_, stream| {
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\n");
        }),
        ("silence", "timed_out", |_, _| {
            thread::sleep(Duration::from_secs(5))
        }),
        ("dribbled head", "timed_out", |_, stream| {
            for byte in b"HTTP/1.1 200 OK\r\nX-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".iter() {
                let _ = stream.write_all(&[*byte]);
                thread::sleep(Duration::from_millis(100));
            }
        }),
        ("dribbled body", "timed_out", |_, stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
            for _ in 0..60 {
                let _ = stream.write_all(b" ");
                thread::sleep(Duration::from_millis(100));
            }
        }),
    ];
    let mut running = tokio::task::JoinSet::new();
    for (name, expected, act) in cases {
        running.spawn(async move {
            let server = wechat(act);
            let target = hasty(&server);
            let started = Instant::now();
            let outcome = target.deliver(&claim("{}")).await.outcome;
            assert!(
                started.elapsed() < Duration::from_secs(4),
                "{name} took {:?}",
                started.elapsed()
            );
            let Outcome::Unknown(unknown) = &outcome else {
                panic!("{name}: {outcome:?}")
            };
            assert_eq!(
                (unknown.why.key, unknown.phase),
                (expected, Phase::Sent),
                "{name}"
            );
            // The question that follows says no more.
            let outcome = target.deliver(&asked_again()).await.outcome;
            assert!(
                matches!(outcome, Outcome::Unknown(_)),
                "{name}: {outcome:?}"
            );
            assert!(matches!(target.seal(&claim("{}")).await, Sealed::Unknown));
            let verbs: Vec<_> = server.function_calls().iter().map(verb).collect();
            assert_eq!(verbs, ["notify", "inquire", "seal"], "{name}");
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
}

#[tokio::test]
async fn only_connect_and_tls_prove_that_nothing_was_sent() {
    // One connection for the token; then the port is closed.
    let server = Server::start_for(1, |_, stream| say_token(stream, TOKEN, 7200));
    let target = target(&server);
    target
        .tokens
        .get(Instant::now() + Duration::from_secs(1))
        .await
        .unwrap();
    let outcome = target.deliver(&claim("{}")).await.outcome;
    let Outcome::Failed(failure) = &outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(
        (failure.kind, failure.phase),
        (FailureKind::Unreachable, Phase::Connect)
    );
    assert_eq!(failure.why.key, "not_reached_dns_connect_tls");

    // Servers that speak no TLS, or nothing at all: the handshake fails before the token leaves.
    for silence in [Duration::ZERO, Duration::from_secs(2)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            thread::sleep(silence);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        });
        let wire = Wire::new(&url, Duration::from_secs(1)).unwrap();
        let started = Instant::now();
        let deadline = started + Duration::from_secs(1);
        let posted = wire
            .post(wire.uri("x", &[]), b"{}".to_vec(), deadline)
            .await;
        assert!(matches!(posted, Err(Trouble::NotReached(_))), "{posted:?}");
        assert!(started.elapsed() < Duration::from_millis(900));
    }
}

/// A server that read a little and reset the connection may as well have read it all.
#[tokio::test]
async fn a_reset_proves_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 16]);
        // Closed with unread bytes, the kernel sends a reset.
    });
    let wire = Wire::new(&url, Duration::from_secs(1)).unwrap();
    let body = vec![b' '; 60_000];
    let posted = wire
        .post(
            wire.uri("x", &[]),
            body,
            Instant::now() + Duration::from_secs(1),
        )
        .await;
    assert!(matches!(posted, Err(Trouble::Lost(_))), "{posted:?}");
}

#[tokio::test]
async fn an_endless_body_is_cut() {
    let server = wechat(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunk = format!("1000\r\n{}\r\n", " ".repeat(4096));
        while stream.write_all(chunk.as_bytes()).is_ok() {}
    });
    let outcome = target(&server).deliver(&claim("{}")).await.outcome;
    assert_eq!(why(&outcome), "unreadable_answer");
    // The status of a refusal is enough, even if its body breaks off.
    let server = wechat(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 412 Precondition\r\nContent-Length: 500\r\n\r\nno");
    });
    assert_eq!(
        why(&target(&server).deliver(&claim("{}")).await.outcome),
        "http_4xx"
    );
}

type Answering = Box<dyn Fn(&Seen, &mut TcpStream) + Send + Sync>;

/// Servers that quote everything back, in every place from which text is kept.
#[tokio::test]
async fn nothing_secret_is_ever_told() {
    let quote = |seen: &Seen| format!("{} {} {TOKEN} {OPENID} 13812345678", seen.head, seen.body);
    let cases: Vec<Answering> = vec![
        Box::new(move |seen, stream| say(stream, "502 Bad", "", &quote(seen))),
        Box::new(move |seen, stream| say(stream, "404 No", "", &quote(seen))),
        Box::new(move |seen, stream| say(stream, "200 OK", "", &quote(seen))),
        Box::new(move |seen, stream| {
            say_json(
                stream,
                &json!({"errcode": -501007, "errmsg": quote(seen)}).to_string(),
            )
        }),
        Box::new(move |seen, stream| {
            say_json(
                stream,
                &json!({"errcode": 42001, "errmsg": quote(seen)}).to_string(),
            )
        }),
        Box::new(move |seen, stream| {
            say_function(stream, &json!({"errCode": 40003, "errMsg": quote(seen)}))
        }),
        Box::new(move |seen, stream| {
            say_function(
                stream,
                &json!({"errorCode": 1, "statusCode": 430, "errorMessage": quote(seen)}),
            );
        }),
        Box::new(|_, _| {}),
        Box::new(|_, _| thread::sleep(Duration::from_secs(2))),
    ];
    for (number, case) in cases.into_iter().enumerate() {
        let server = wechat(case);
        let target = hasty(&server);
        let rehearsal = target.rehearse(&claim("{}")).await;
        let told = format!(
            "{target:?} {rehearsal:?} {:#?}",
            target.seal(&claim("{}")).await
        );
        for canary in ["canary", "CANARY", "13812345678", "access_token=8"] {
            assert!(
                !told.contains(canary),
                "case {number} tells {canary}: {told}"
            );
        }
        assert!(rehearsal.steps.len() >= 2, "{rehearsal:?}");
    }
    let closed = Server::start_for(0, |_, _| {});
    let told = format!("{:?}", target(&closed).rehearse(&claim("{}")).await);
    assert!(
        !told.contains("canary") && !told.contains("http://"),
        "{told}"
    );
}

#[test]
fn bad_settings_stop_the_start() {
    let good = || settings(String::from("https://api.weixin.qq.com"));
    let bad = [
        WechatSettings {
            appid: String::new(),
            ..good()
        },
        WechatSettings {
            cloud_env: String::from(" prod"),
            ..good()
        },
        WechatSettings {
            appsecret: Secret::new(""),
            ..good()
        },
        WechatSettings {
            signing_secret: Some(Secret::new("")),
            ..good()
        },
        WechatSettings {
            call_timeout: Duration::ZERO,
            ..good()
        },
        WechatSettings {
            base_url: String::from("http://api.weixin.qq.com"),
            ..good()
        },
    ];
    assert!(WechatTarget::new(good(), Arc::new(Alone)).is_ok());
    for settings in bad {
        let error = WechatTarget::new(settings, Arc::new(Alone)).unwrap_err();
        assert!(!format!("{error:?}").contains("canary"));
    }
}
