//! Who may come in, from a file: a line for each, `NAME ROLE PROOF`. A proof is an Argon2 hash of a password, or the
//! SHA-256 of a token of our own making (long and random, so a fast hash keeps it well).
//!
//! The file is read again when it has changed. Whoever is struck out is out with the next request: a session counts
//! only together with the line it was opened by.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use anyhow::{Context, Result};
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngExt as _;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Looks.
    Viewer,
    /// Looks and acts.
    Operator,
}

impl Role {
    pub fn word(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
        }
    }

    fn of(word: &str) -> Option<Role> {
        [Role::Viewer, Role::Operator]
            .into_iter()
            .find(|role| role.word() == word)
    }
}

/// One line of the file.
#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) role: Role,
    proof: String,
}

/// What a token's proof begins with.
const TOKEN: &str = "sha256:";
/// A proof nobody has, to spend the same time on an unknown name: the hash of a random password, thrown away.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$dGhlIGRlc2sgaXMgc2h1dA$JbRVYfYkLXyvVg9d1dWn6gm3VzlZ4E2UaB7CqAOyT0c";

impl User {
    /// Changes with name, role and proof: what a session is bound to.
    pub(super) fn print(&self) -> String {
        let line = format!("{} {} {}", self.name, self.role.word(), self.proof);
        URL_SAFE_NO_PAD.encode(&Sha256::digest(line)[..12])
    }
}

/// The file and what it said last.
pub(super) struct Users {
    path: PathBuf,
    read: Mutex<(Option<SystemTime>, Arc<Vec<User>>)>,
}

impl Users {
    /// Reads the file; every line that is wrong is named.
    pub(super) fn open(path: PathBuf) -> Result<Users> {
        let (at, users) = read(&path)?;
        Ok(Users {
            path,
            read: Mutex::new((at, Arc::new(users))),
        })
    }

    /// Those who may come in now. A file that has become unreadable lets in those of before, and says so in the log.
    pub(super) fn now(&self) -> Arc<Vec<User>> {
        let changed = std::fs::metadata(&self.path)
            .and_then(|file| file.modified())
            .ok();
        let mut known = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 != changed {
            match read(&self.path) {
                Ok((at, users)) => *known = (at, Arc::new(users)),
                Err(cause) => {
                    tracing::error!(
                        error = format!("{cause:#}"),
                        "the desk's users stay as they were"
                    );
                    known.0 = changed;
                }
            }
        }
        known.1.clone()
    }

    /// The user of this name and password. Takes its time, whoever asks: call it off the runtime's thread.
    pub(super) fn with_password(&self, name: &str, password: &str) -> Option<User> {
        let users = self.now();
        let user = users
            .iter()
            .find(|user| user.name == name && !user.proof.starts_with(TOKEN));
        let proof = user.map_or(NOBODY, |user| &user.proof);
        let hash = PasswordHash::new(proof).ok()?;
        let right = Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .is_ok();
        user.filter(|_| right).cloned()
    }

    /// The line that says which password this name has.
    pub(super) fn print_of(&self, name: &str) -> Option<String> {
        let users = self.now();
        let mut named = users.iter().filter(|user| user.name == name);
        named
            .find(|user| !user.proof.starts_with(TOKEN))
            .map(User::print)
    }

    /// The user of this token. Every line is compared, and none breaks off early.
    pub(super) fn with_token(&self, token: &str) -> Option<User> {
        let proof = token_proof(token);
        let mut found = None;
        for user in self.now().iter() {
            if bool::from(user.proof.as_bytes().ct_eq(proof.as_bytes())) {
                found = Some(user.clone());
            }
        }
        found
    }

    /// The user a session was opened for, while the line is still the same.
    pub(super) fn still(&self, name: &str, print: &str) -> Option<User> {
        self.now()
            .iter()
            .find(|user| user.name == name && user.print() == print)
            .cloned()
    }
}

fn token_proof(token: &str) -> String {
    format!("{TOKEN}{}", URL_SAFE_NO_PAD.encode(Sha256::digest(token)))
}

fn read(path: &PathBuf) -> Result<(Option<SystemTime>, Vec<User>)> {
    let about = || format!("OUTBOXD_DESK_USERS: {}", path.display());
    let at = std::fs::metadata(path)
        .and_then(|file| file.modified())
        .ok();
    let text = std::fs::read_to_string(path).with_context(about)?;
    let mut users: Vec<User> = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let user = user(line)
            .filter(|user| users.iter().all(|other| other.name != user.name))
            .with_context(|| {
                format!(
                    "{}, line {}: must be a name of its own, viewer or operator, and what `outboxd desk-password` printed, parted by spaces",
                    about(),
                    n + 1
                )
            })?;
        users.push(user);
    }
    Ok((at, users))
}

fn user(line: &str) -> Option<User> {
    let mut parts = line.split_whitespace();
    let (name, role, proof) = (parts.next()?, parts.next()?, parts.next()?);
    let known = proof.starts_with(TOKEN) || PasswordHash::new(proof).is_ok();
    (known && parts.next().is_none()).then_some(User {
        name: name.to_owned(),
        role: Role::of(role)?,
        proof: proof.to_owned(),
    })
}

/// The line of somebody with a password.
pub fn line_for_password(name: &str, role: Role, password: &str) -> Result<String> {
    let hash = Argon2::default()
        .hash_password(password.as_bytes())
        .map_err(|cause| anyhow::anyhow!("hash the password: {cause}"))?;
    Ok(format!("{name} {} {hash}", role.word()))
}

/// A new token, and the line of whoever bears it.
pub fn line_for_token(name: &str, role: Role) -> (String, String) {
    let token = URL_SAFE_NO_PAD.encode(rand::rng().random::<[u8; 32]>());
    let line = format!("{name} {} {}", role.word(), token_proof(&token));
    (token, line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_name_a_role_and_a_proof() {
        let (_, line) = line_for_token("crm", Role::Viewer);
        assert_eq!(user(&line).unwrap().role, Role::Viewer);
        let line = line_for_password("wang", Role::Operator, "correct horse").unwrap();
        assert_eq!(user(&line).unwrap().name, "wang");
        for wrong in [
            "wang",
            "wang operator",
            "wang boss sha256:x",
            "wang viewer secret",
            "a viewer sha256:x y",
        ] {
            assert!(user(wrong).is_none(), "{wrong}");
        }
        assert!(
            PasswordHash::new(NOBODY).is_ok(),
            "an unknown name costs the same time"
        );
    }

    #[test]
    fn a_session_ends_with_its_line() {
        let line = line_for_password("wang", Role::Viewer, "correct horse").unwrap();
        let viewer = user(&line).unwrap();
        let operator = user(&line.replace("viewer", "operator")).unwrap();
        assert_ne!(viewer.print(), operator.print());
    }
}
