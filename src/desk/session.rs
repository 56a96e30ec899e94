//! The desk's cookies: who has logged in, and the seed of each form's token. Signed, so that nobody makes one up, and
//! any desk with the same secret takes them. All that is kept here are the sessions that somebody ended.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cookie::{Cookie, CookieJar, Key, SameSite};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

use super::users::User;
use crate::secret::Secret;

/// A session ends after a working day, whatever happens in it.
pub(super) const SESSION_SECONDS: i64 = 12 * 3600;
const SESSION: &str = "outboxd_desk";
const SEED: &str = "outboxd_form";

/// What signs.
pub(super) struct Keys {
    cookies: Key,
    forms: [u8; 32],
    /// The sessions that somebody logged out of, until they would have run out: a copied cookie opens nothing.
    ended: Mutex<HashMap<String, i64>>,
}

/// What a session's cookie says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) name: String,
    /// Of the user's line ([`User::print`]).
    pub(super) print: String,
    /// Unix seconds.
    pub(super) since: i64,
    /// One of its own.
    id: String,
}

impl Keys {
    pub(super) fn new(secret: Option<&Secret>) -> Keys {
        let master: [u8; 32] = match secret {
            Some(secret) => Sha256::digest(secret.expose()).into(),
            None => rand::rng().random(),
        };
        let forms = Sha256::new_with_prefix(b"forms").chain_update(master);
        Keys {
            cookies: Key::derive_from(&master),
            forms: forms.finalize().into(),
            ended: Mutex::default(),
        }
    }

    /// The session of a request, if it carries one of ours that has neither run out nor been ended.
    pub(super) fn session(&self, headers: &HeaderMap, now: i64) -> Option<Session> {
        let value = self.signed(headers, SESSION)?;
        let text = URL_SAFE_NO_PAD.decode(value).ok()?;
        let session: Session = serde_json::from_slice(&text).ok()?;
        let lasts = (0..SESSION_SECONDS).contains(&(now - session.since));
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        (lasts && !ended.contains_key(&session.id)).then_some(session)
    }

    pub(super) fn open_session(&self, user: &User, now: i64) -> Cookie<'static> {
        let session = Session {
            name: user.name.clone(),
            print: user.print(),
            since: now,
            id: random(),
        };
        // JSON has characters that a cookie may not have.
        let value = serde_json::to_vec(&session).unwrap_or_default();
        let mut cookie = self.sign(SESSION, URL_SAFE_NO_PAD.encode(value));
        cookie.set_max_age(cookie::time::Duration::seconds(SESSION_SECONDS));
        cookie
    }

    /// From now on nobody has this request's session; its cookie is taken back.
    pub(super) fn end_session(&self, headers: &HeaderMap, now: i64) -> Cookie<'static> {
        if let Some(session) = self.session(headers, now) {
            let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            ended.retain(|_, until| *until > now);
            ended.insert(session.id, session.since + SESSION_SECONDS);
        }
        let mut cookie = Cookie::new(SESSION, "");
        cookie.set_max_age(cookie::time::Duration::ZERO);
        cookie
    }

    pub(super) fn seed(&self, headers: &HeaderMap) -> Option<String> {
        self.signed(headers, SEED)
    }

    /// A new seed, with its cookie.
    pub(super) fn new_seed(&self) -> (String, Cookie<'static>) {
        let seed = random();
        (seed.clone(), self.sign(SEED, seed))
    }

    /// The token of this browser's forms while this person uses it.
    pub(super) fn form_token(&self, seed: &str, person: &str) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(&self.forms).map(|mac| {
            let mac = mac.chain_update(seed).chain_update([0]);
            mac.chain_update(person).finalize().into_bytes()
        });
        mac.map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
            .unwrap_or_default()
    }

    pub(super) fn is_form_token(&self, given: &str, seed: &str, person: &str) -> bool {
        let right = self.form_token(seed, person);
        !right.is_empty() && bool::from(given.as_bytes().ct_eq(right.as_bytes()))
    }

    fn signed(&self, headers: &HeaderMap, name: &str) -> Option<String> {
        let mut jar = CookieJar::new();
        for header in headers.get_all(COOKIE) {
            for cookie in Cookie::split_parse(header.to_str().ok()?).flatten() {
                if cookie.name() == name {
                    jar.add_original(cookie.into_owned());
                }
            }
        }
        let cookie = jar.signed(&self.cookies).get(name)?;
        let value = cookie.value().strip_prefix(name)?.strip_prefix('.')?;
        Some(value.to_owned())
    }

    /// The signature is over the value alone, so the name stands in it.
    fn sign(&self, name: &'static str, value: String) -> Cookie<'static> {
        let value = format!("{name}.{value}");
        let mut jar = CookieJar::new();
        jar.signed_mut(&self.cookies).add(Cookie::new(name, value));
        jar.get(name)
            .cloned()
            .unwrap_or_else(|| Cookie::new(name, ""))
    }
}

/// What nobody guesses.
fn random() -> String {
    URL_SAFE_NO_PAD.encode(rand::rng().random::<[u8; 16]>())
}

/// A choice of the reader's that is no secret: language, theme.
pub(super) fn choice(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|text| Cookie::split_parse(text.to_owned()).flatten())
        .find(|cookie| cookie.name() == name)
        .map(|cookie| cookie.value().to_owned())
}

/// As it goes out: for this desk's paths, not for scripts, and over https only where people come by https.
pub(super) fn dressed(mut cookie: Cookie<'static>, prefix: &str, secure: bool) -> String {
    cookie.set_path(format!("{prefix}/"));
    cookie.set_http_only(true);
    // Not `Strict`: a link in the CRM is to open the desk for whoever is in. Lax cookies come along with links only, and
    // no link changes anything.
    cookie.set_same_site(SameSite::Lax);
    cookie.set_secure(secure);
    cookie.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn bearing(cookie: &Cookie<'_>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let text = cookie.stripped().to_string();
        headers.insert(COOKIE, HeaderValue::from_str(&text).unwrap());
        headers
    }

    #[test]
    fn only_our_own_signature_counts_and_only_for_a_day() {
        let keys = Keys::new(Some(&Secret::new("one of sixteen characters")));
        let other = Keys::new(None);
        let (seed, cookie) = keys.new_seed();
        assert_eq!(keys.seed(&bearing(&cookie)), Some(seed.clone()));
        assert_eq!(other.seed(&bearing(&cookie)), None);
        assert!(keys.is_form_token(&keys.form_token(&seed, "wang"), &seed, "wang"));
        assert!(!keys.is_form_token(&keys.form_token(&seed, "wang"), &seed, "li"));
        assert!(!keys.is_form_token("", &seed, "wang"));

        let session = r#"{"name":"wang","print":"p","since":1000,"id":"i"}"#;
        let cookie = keys.sign(SESSION, URL_SAFE_NO_PAD.encode(session));
        let headers = bearing(&cookie);
        assert!(keys.session(&headers, 1000 + SESSION_SECONDS - 1).is_some());
        assert!(keys.session(&headers, 1000 + SESSION_SECONDS).is_none());
        assert!(keys.session(&headers, 999).is_none());
        assert!(other.session(&headers, 1001).is_none());
        // Under another name the signature is another.
        let mut moved = cookie.clone();
        moved.set_name(SEED);
        assert_eq!(keys.seed(&bearing(&moved)), None);
    }
}
