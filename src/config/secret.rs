//! Text that must never be printed.
//!
//! No `Display`, no `Serialize`, and `Debug` prints `***`: a secret that reaches a log line, an error or a
//! page by accident shows nothing. Whoever needs the text says so with [`Secret::expose`], which a reader
//! can search for.

use std::fmt;

/// What stands in the place of a secret wherever people look.
pub const MASK: &str = "***";

/// A password, an `AppSecret`, a signing key, a connection string.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
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
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "*** Some(***)");
        assert_eq!(secret.expose(), "hunter2");
    }
}
