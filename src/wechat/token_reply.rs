//! What the token endpoint answered. Pure.
//!
//! Success and failure both come with HTTP 200: a body with `access_token`, or one with `errcode`.
//! Whatever it says, no notification was sent, so every failure here is certain.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::function::text;
use super::reply::{CONFIG, Unfit, excerpt, find, number, parse, retry_after};
use crate::catalogue::{Entry, Kind, Origin, local, lookup};
use crate::delivery::{Failure, FailureKind, Phase};
use crate::http::{Answer, Trouble};
use crate::secret::Secret;

/// A token and how long it lives, counted from before the request.
#[derive(Clone, Debug)]
pub(crate) struct Fresh {
    pub(crate) token: Secret,
    pub(crate) life: Duration,
}

/// A token may live this long if the answer does not say (the shortest WeChat hands out).
const LIFE_UNSAID: u64 = 300;
const LIFE_MOST: u64 = 7200;

pub(crate) fn read(answer: &Answer, now: DateTime<Utc>) -> Result<Fresh, Failure> {
    let retry_after = retry_after(answer, now);
    if !(200..300).contains(&answer.status) {
        let detail = Some(format!("HTTP {} {}", answer.status, excerpt(&answer.body)));
        let unfit = Unfit {
            errcode: None,
            detail,
            retry_after,
        };
        // 5xx: their trouble, and nothing was sent. The rest is ours to repair.
        return Err(match lookup(Origin::Http, i32::from(answer.status)) {
            entry if entry.kind == Kind::Unknown => failure(local::TOKEN_UNREACHABLE, unfit),
            entry => failure(entry, unfit),
        });
    }
    let unreadable = || {
        let detail = Some(excerpt(&answer.body));
        failure(
            local::TOKEN_UNREADABLE,
            Unfit {
                detail,
                ..Unfit::default()
            },
        )
    };
    let body = match parse(&answer.body) {
        Some(Value::Object(body)) if !answer.cut => body,
        _ => return Err(unreadable()),
    };
    match number(&body, &["errcode", "errCode"]) {
        None | Some(0) => {}
        Some(code) => {
            let (entry, errcode) = find(Origin::Token, code);
            return Err(failure(
                entry,
                Unfit {
                    errcode,
                    detail: text(&body),
                    retry_after,
                },
            ));
        }
    }
    let token = match body.get("access_token").and_then(Value::as_str) {
        Some(token) if plausible(token) => Secret::new(token),
        // No excerpt: whatever stands there might be half a token.
        _ => return Err(failure(local::TOKEN_UNREADABLE, Unfit::default())),
    };
    let seconds = number(&body, &["expires_in"]).map_or(LIFE_UNSAID, |said| {
        u64::try_from(said).unwrap_or(0).clamp(1, LIFE_MOST)
    });
    Ok(Fresh {
        token,
        life: Duration::from_secs(seconds),
    })
}

/// No answer at all: whatever happened to the request, no notification was sent.
pub(crate) fn unanswered(trouble: Trouble) -> Failure {
    let detail = match trouble {
        Trouble::NotReached(detail) | Trouble::Lost(detail) => detail,
        Trouble::Internal => String::from("internal address"),
        Trouble::TimedOut => String::from("no answer in time"),
    };
    failure(
        local::TOKEN_UNREACHABLE,
        Unfit {
            detail: Some(detail),
            ..Unfit::default()
        },
    )
}

pub(crate) fn failure(why: &'static Entry, unfit: Unfit) -> Failure {
    let Unfit {
        errcode,
        detail,
        retry_after,
    } = unfit;
    let kind = match why.kind {
        Kind::Outage(pause) => FailureKind::Outage(pause),
        Kind::Throttled => FailureKind::Throttled,
        Kind::Transient => FailureKind::Transient,
        Kind::Permanent => FailureKind::Permanent,
        Kind::TokenRefused => FailureKind::Outage(CONFIG),
        Kind::Unreachable | Kind::Unknown | Kind::Delivered => FailureKind::Unreachable,
    };
    Failure {
        kind,
        phase: Phase::Token,
        why,
        errcode,
        detail,
        retry_after,
        names_our_key: false,
    }
}

fn plausible(token: &str) -> bool {
    (1..=4096).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::Utc;

    use super::{Answer, read};
    use crate::catalogue::Pause;
    use crate::delivery::FailureKind::{Outage, Throttled, Unreachable};
    use crate::delivery::Phase;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            body: body.as_bytes().to_vec(),
            ..Answer::default()
        }
    }

    #[test]
    fn a_token_with_its_life() {
        let cases = [
            (r#"{"access_token":"T","expires_in":7200}"#, 7200),
            (r#"{"access_token":"T","expires_in":300}"#, 300),
            (r#"{"access_token":"T","expires_in":"60"}"#, 60),
            (r#"{"access_token":"T","expires_in":0}"#, 1),
            (r#"{"access_token":"T","expires_in":-5}"#, 1),
            (r#"{"access_token":"T","expires_in":999999999}"#, 7200),
            (r#"{"access_token":"T"}"#, 300),
            (r#"{"errcode":0,"access_token":"T","expires_in":2}"#, 2),
        ];
        for (body, life) in cases {
            let fresh = read(&answer(200, body), Utc::now()).unwrap();
            assert_eq!(fresh.token.expose(), "T");
            assert_eq!(fresh.life, Duration::from_secs(life), "{body}");
        }
    }

    #[test]
    fn no_token_and_why() {
        let config = Outage(Pause::For(Duration::from_secs(300)));
        let cases = [
            (
                200,
                r#"{"errcode":40125,"errmsg":"invalid appsecret"}"#,
                config,
                "secret_wrong",
            ),
            (
                200,
                r#"{"errcode":"40164","errmsg":"invalid ip 1.2.3.4"}"#,
                config,
                "ip_not_allowed",
            ),
            (
                200,
                r#"{"errcode":-1,"errmsg":"system error"}"#,
                Throttled,
                "token_busy",
            ),
            (
                200,
                r#"{"errcode":45009}"#,
                Outage(Pause::UntilTomorrow),
                "token_quota",
            ),
            (200, r#"{"errcode":123456}"#, config, "token_unknown_code"),
            (
                200,
                r#"{"errcode":123456789012}"#,
                config,
                "token_unknown_code",
            ),
            (
                200,
                r#"{"access_token":""}"#,
                Unreachable,
                "token_unreadable",
            ),
            (
                200,
                r#"{"access_token":"a\nb"}"#,
                Unreachable,
                "token_unreadable",
            ),
            (
                200,
                r#"{"access_token":7}"#,
                Unreachable,
                "token_unreadable",
            ),
            (200, "<html>", Unreachable, "token_unreadable"),
            (200, "", Unreachable, "token_unreadable"),
            (502, "<html>", Unreachable, "token_unreachable"),
            (412, "", config, "http_4xx"),
            (302, "", config, "redirected"),
            (429, "", Throttled, "http_429"),
        ];
        for (status, body, kind, key) in cases {
            let failure = read(&answer(status, body), Utc::now()).unwrap_err();
            assert_eq!(
                (failure.kind, failure.why.key, failure.phase),
                (kind, key, Phase::Token),
                "{body}"
            );
        }
    }
}
