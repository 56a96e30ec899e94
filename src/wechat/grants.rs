//! Asking the function's ledger who has allowed messages: one call about many people, for no row in particular.
//!
//! Signed and read like the calls for a notification. It sends nothing, so whatever goes wrong is one cause, and it is
//! asked again later. A function from before this type refuses it as unknown, and the quickstart's own returns nothing:
//! both are too old.

use std::time::Instant;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::event::sign;
use super::reply::{Heard, Said, find, function_said, number};
use super::{WechatTarget, unanswered};
use crate::catalogue::{Entry, Origin, local};
use crate::delivery::{Granted, Pair};
use crate::secret::Secret;

/// How many pairs one call may ask about; the function takes no more.
pub const MOST_ASKED: usize = 50;

impl WechatTarget {
    /// What the ledger has for each pair, in order, `None` where nobody ever counted; or why nobody can tell.
    pub async fn grants(&self, pairs: &[Pair]) -> Result<Vec<Option<Granted>>, &'static Entry> {
        let key = Uuid::new_v4();
        let mut replaced = false;
        loop {
            let deadline = Instant::now() + self.settings.call_timeout;
            let token = match self.tokens.get(deadline).await {
                Ok(handed) => handed.token,
                Err(failure) => return Err(failure.why),
            };
            let secret = self.settings.signing_secret.as_ref();
            let Ok(event) = question(pairs, key, Utc::now(), secret) else {
                return Err(local::PAYLOAD_UNUSABLE);
            };
            let deadline = Instant::now() + self.settings.call_timeout;
            let answer = match self.wire.post(self.uri(&token), event, deadline).await {
                Ok(answer) => answer,
                Err(trouble) => return Err(unanswered(trouble).why()),
            };
            match function_said(&answer, Utc::now()) {
                Said::Object(object) => return told(&object, key, pairs.len()),
                Said::Nothing(Heard::Undefined) => return Err(local::FUNCTION_TOO_OLD),
                Said::Nothing(Heard::Stopped(outcome)) => return Err(outcome.why()),
                Said::Nothing(Heard::Word(_)) => return Err(local::UNREADABLE_ANSWER),
                Said::Nothing(Heard::TokenRefused(_)) => {
                    self.tokens.forget(&token);
                    if std::mem::replace(&mut replaced, true) {
                        return Err(local::TOKEN_STILL_REFUSED);
                    }
                }
            }
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Question<'a> {
    #[serde(rename = "type")]
    verb: &'static str,
    /// Echoed by the answer.
    key: Uuid,
    sent_at: String,
    asked: Vec<One<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct One<'a> {
    recipient: &'a str,
    event_type: &'a str,
}

fn question(
    pairs: &[Pair],
    key: Uuid,
    sent_at: DateTime<Utc>,
    signing_secret: Option<&Secret>,
) -> serde_json::Result<Vec<u8>> {
    let asked = pairs.iter().map(|pair| One {
        recipient: &pair.recipient,
        event_type: &pair.event_type,
    });
    let mut question = Question {
        verb: "grants",
        key,
        sent_at: sent_at.to_rfc3339_opts(SecondsFormat::Millis, true),
        asked: asked.collect(),
        signature: None,
    };
    if let Some(secret) = signing_secret {
        question.signature = Some(sign(secret, &serde_json::to_string(&question)?)?);
    }
    serde_json::to_vec(&question)
}

/// Nothing is a grant but a number, for one who was asked about, in an answer to this very question.
fn told(
    object: &Map<String, Value>,
    key: Uuid,
    asked: usize,
) -> Result<Vec<Option<Granted>>, &'static Entry> {
    if object.get("ok") != Some(&Value::Bool(true)) {
        return Err(match number(object, &["code", "errCode", "errcode"]) {
            Some(code) if code != 0 => find(Origin::BeforeSend, code).0,
            Some(_) | None => local::UNREADABLE_ANSWER,
        });
    }
    let echo = object.get("key").and_then(Value::as_str);
    if echo.and_then(|text| text.parse().ok()) != Some(key) {
        return Err(local::WRONG_KEY_ECHOED);
    }
    match object.get("grants").and_then(Value::as_array) {
        Some(pages) if pages.len() == asked => Ok(pages.iter().map(granted).collect()),
        Some(_) | None => Err(local::UNREADABLE_ANSWER),
    }
}

fn granted(page: &Value) -> Option<Granted> {
    Some(Granted {
        template: page.get("template")?.as_str()?.to_owned(),
        left: u32::try_from(page.get("left")?.as_u64()?).unwrap_or(u32::MAX),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KEY: &str = "0b8e5a4e-6f0a-4a54-9c3e-0d5b8f1f7a10";

    fn heard(answer: Value) -> Result<Vec<Option<(String, u32)>>, &'static str> {
        let told = told(answer.as_object().unwrap(), KEY.parse().unwrap(), 2);
        let short = |it: Granted| (it.template, it.left);
        match told {
            Ok(pages) => Ok(pages.into_iter().map(|page| page.map(short)).collect()),
            Err(entry) => Err(entry.key),
        }
    }

    #[test]
    fn only_a_number_of_this_very_answer_is_a_grant() {
        let answer = |key: &str, pages: Value| json!({"ok": true, "state": "answered", "key": key, "code": 0, "grants": pages});
        let page = |left: Value| json!({"template": "T1", "left": left});
        let two = json!([page(json!(2)), page(json!(null))]);
        assert_eq!(
            heard(answer(KEY, two.clone())),
            Ok(vec![Some(("T1".to_owned(), 2)), None])
        );
        let odd = [json!(-1), json!("3"), json!(1.5), json!(true)];
        for left in odd {
            assert_eq!(
                heard(answer(KEY, json!([page(left.clone()), {}]))),
                Ok(vec![None, None]),
                "{left}"
            );
        }
        assert_eq!(heard(answer("", two.clone())), Err("wrong_key_echoed"));
        assert_eq!(
            heard(answer(&Uuid::nil().to_string(), two)),
            Err("wrong_key_echoed")
        );
        assert_eq!(
            heard(answer(KEY, json!([page(json!(2))]))),
            Err("unreadable_answer"),
            "one is missing"
        );
        assert_eq!(heard(json!({"ok": true})), Err("wrong_key_echoed"));
    }

    #[test]
    fn a_refusal_is_told_by_its_code() {
        let refused = |code: i64| json!({"ok": false, "state": "refused", "key": KEY, "code": code, "step": "check"});
        assert_eq!(heard(refused(1002)), Err("function_too_old"));
        assert_eq!(heard(refused(1003)), Err("signature_refused"));
        assert_eq!(heard(refused(-501_001)), Err("function_database_busy"));
        assert_eq!(heard(json!({"errCode": 43101})), Err("not_subscribed"));
        assert_eq!(heard(json!({"hello": 1})), Err("unreadable_answer"));
    }

    #[test]
    fn a_question_is_signed_like_any_other_event() {
        let pairs = [Pair {
            recipient: "用户-9".to_owned(),
            event_type: "customer.assigned".to_owned(),
        }];
        let at = "2026-03-01T12:00:00.5Z".parse().unwrap();
        let asked = |secret: Option<&Secret>| -> Value {
            serde_json::from_slice(&question(&pairs, KEY.parse().unwrap(), at, secret).unwrap())
                .unwrap()
        };
        let plain = asked(None);
        assert_eq!(
            plain,
            json!({"type": "grants", "key": KEY, "sentAt": "2026-03-01T12:00:00.500Z",
                   "asked": [{"recipient": "用户-9", "eventType": "customer.assigned"}]})
        );
        let secret = Secret::new("共享密钥");
        let signature = sign(&secret, &plain.to_string()).unwrap();
        assert_eq!(asked(Some(&secret))["signature"], json!(signature));
    }
}
