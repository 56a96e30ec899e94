//! Text that must never be printed: a password, an `AppSecret`, an access token, a connection string.
//!
//! No `Serialize`, and formatting prints `***`: a secret that reaches a log line, an error or a page by accident
//! shows nothing. Whoever needs the text says so with [`Secret::expose`], which a reader can search for.

use std::fmt;
use std::sync::Arc;

/// What stands in the place of a secret wherever people look.
pub const MASK: &str = "***";

#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(Arc::from(text.into()))
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret::new(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn a_secret_prints_nothing() {
        let secret = Secret::new("hunter2");
        assert_eq!(
            format!("{secret:?} {:?} {secret}", Some(&secret)),
            "*** Some(***) ***"
        );
        assert_eq!(secret.expose(), "hunter2");
    }
}
