//! To whom a badge opens: whoever has an address that the CRM signed, for as long as it says, and not too often.

use std::net::IpAddr;
use std::num::NonZeroU32;

use axum::http::StatusCode;
use governor::clock::DefaultClock;
use governor::state::keyed::HashMapStateStore;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use serde_json::json;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::lang::Lang;
use crate::secret::Secret;
use crate::words::say;

/// An address that is good for ever would be one nobody can take back.
const LONGEST: i64 = 24 * 3600;
/// From one address in a second, and from everybody: a list of customers shows many at once.
const FROM_ONE: NonZeroU32 = NonZeroU32::new(50).expect("fifty");
const FROM_ALL: NonZeroU32 = NonZeroU32::new(200).expect("two hundred");

pub(super) struct Door {
    secret: Secret,
    addresses: RateLimiter<IpAddr, HashMapStateStore<IpAddr>, DefaultClock>,
    all: DefaultDirectRateLimiter,
}

#[derive(Deserialize)]
pub(in crate::desk) struct Signed {
    expires: i64,
    sig: String,
    /// The language of the CRM's page; else the browser's.
    pub(super) lang: Option<String>,
}

/// Why there is no answer.
#[derive(Clone, Copy)]
pub(super) enum Refused {
    Forged,
    Expired,
    TooLong,
    TooOften,
    Away,
}

impl Door {
    pub(super) fn new(secret: Secret) -> Door {
        Door {
            secret,
            addresses: RateLimiter::hashmap(Quota::per_second(FROM_ONE)),
            all: RateLimiter::direct(Quota::per_second(FROM_ALL)),
        }
    }

    /// Whether this address opens this badge to whoever comes from there.
    pub(super) fn admit(
        &self,
        from: IpAddr,
        customer: &str,
        recipient: &str,
        signed: &Signed,
    ) -> Result<(), Refused> {
        let right = signature(&self.secret, customer, recipient, signed.expires);
        if !bool::from(right.as_bytes().ct_eq(signed.sig.as_bytes())) {
            return Err(Refused::Forged);
        }
        match signed.expires - chrono::Utc::now().timestamp() {
            ..=0 => return Err(Refused::Expired),
            1..=LONGEST => {}
            _ => return Err(Refused::TooLong),
        }
        // Counted behind the signature: whoever cannot sign takes no turn from those who can.
        self.addresses.retain_recent();
        if self.addresses.check_key(&from).is_err() || self.all.check().is_err() {
            return Err(Refused::TooOften);
        }
        Ok(())
    }
}

/// What the CRM signs with.
fn signature(secret: &Secret, customer: &str, recipient: &str, expires: i64) -> String {
    let signed = json!([customer, recipient, expires]).to_string();
    let mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
        .expect("HMAC takes a key of any length");
    let bytes = mac.chain_update(signed).finalize().into_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Refused {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Refused::Forged | Refused::Expired | Refused::TooLong => StatusCode::FORBIDDEN,
            Refused::TooOften => StatusCode::TOO_MANY_REQUESTS,
            Refused::Away => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Refused::Forged => "forged",
            Refused::Expired => "expired",
            Refused::TooLong => "too_long",
            Refused::TooOften => "too_often",
            Refused::Away => "away",
        }
    }

    pub(super) fn said(self, lang: Lang) -> (String, String) {
        match self {
            Refused::Forged => (
                say!(lang, "desk.badge.forged"),
                say!(lang, "desk.badge.forged_next"),
            ),
            Refused::Expired => (
                say!(lang, "desk.badge.expired"),
                say!(lang, "desk.badge.expired_next"),
            ),
            Refused::TooLong => (
                say!(lang, "desk.badge.too_long"),
                say!(lang, "desk.badge.too_long_next"),
            ),
            Refused::TooOften | Refused::Away => (
                say!(lang, "desk.badge.away"),
                say!(lang, "desk.badge.away_next"),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the lines of TypeScript in docs/desk.md make of the same.
    #[test]
    fn the_signature_is_the_one_the_documentation_signs() {
        let secret = Secret::new("0123456789abcdef");
        assert_eq!(
            signature(&secret, "10086", "42", 1_795_354_157),
            "c9498a89ae2d27b83365540d8b252d1c9ef929389107b78d7202185f6dfaddba"
        );
        assert_ne!(
            signature(&secret, "a", "b,c", 1),
            signature(&secret, "a,b", "c", 1)
        );
    }

    #[test]
    fn what_is_forged_takes_no_turn_from_what_is_signed() {
        let secret = Secret::new("0123456789abcdef");
        let expires = chrono::Utc::now().timestamp() + 60;
        let door = Door::new(secret.clone());
        let here = [127, 0, 0, 1].into();
        let mut signed = Signed {
            expires,
            sig: "forged".to_owned(),
            lang: None,
        };
        for _ in 0..1000 {
            let forged = door.admit(here, "10086", "42", &signed);
            assert!(matches!(forged, Err(Refused::Forged)));
        }
        signed.sig = signature(&secret, "10086", "42", expires);
        assert!(door.admit(here, "10086", "42", &signed).is_ok());
    }
}
