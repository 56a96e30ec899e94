//! The signature of a call, by Standard Webhooks: HMAC-SHA-256 over `id.timestamp.body`. Pure.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Signs with one secret; prints nothing of it.
#[derive(Clone)]
pub struct Signer(Hmac<Sha256>);

impl Signer {
    /// From `whsec_` and the base64 of 24 to 64 bytes.
    pub fn new(secret: &str) -> Option<Signer> {
        let key = BASE64_STANDARD
            .decode(secret.strip_prefix("whsec_")?)
            .ok()?;
        let long_enough = (24..=64).contains(&key.len());
        let mac = Hmac::new_from_slice(&key).expect("HMAC takes a key of any length");
        long_enough.then_some(Signer(mac))
    }

    /// The value of `webhook-signature`.
    pub(super) fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mut mac = self.0.clone();
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::Signer;

    /// The example of the Standard Webhooks libraries.
    #[test]
    fn signs_as_the_standard_does() {
        let signer = Signer::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        assert_eq!(
            signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        assert_eq!(format!("{signer:?}"), "Signer(***)");
    }

    #[test]
    fn a_secret_has_its_form() {
        for wrong in [
            "",
            "whsec_",
            "whsec_c2hvcnQ=",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_not base64",
        ] {
            assert!(Signer::new(wrong).is_none(), "{wrong}");
        }
    }
}
