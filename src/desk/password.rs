//! A name and a password, typed into the form or shown with a program's every request.
//!
//! A password is dear to compare, on purpose: one at a time, and only so many tries a minute. One that was right is
//! remembered for the address it came from, as a salted hash and as long as the process lives: shown again it costs
//! neither. The first wrong one from there forgets it, so that nobody guesses any quicker for it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::HeaderMap;
use rand::RngExt as _;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;

use super::Desk;
use super::limit::Logins;
use super::trouble::Trouble;
use super::users::{User, Users};
use super::visit::Visit;
use super::who::{Means, Person, basic};

/// Whose it is. `next` is where to go once it is right.
pub(super) async fn user(
    visit: &Visit,
    name: &str,
    password: String,
    next: &str,
) -> Result<User, Trouble> {
    let (desk, address) = (visit.desk.clone(), visit.address);
    let Some(users) = &visit.desk.door.users else {
        return Err(Trouble::NoPage);
    };
    let whose = (name.trim().to_owned(), address);
    let known = || desk.passwords.known(users, &whose, &password);
    if let Some(user) = known() {
        return Ok(user);
    }
    let turn = desk.passwords.at_once.clone().acquire_owned().await;
    // Of many requests at once the first is compared, and the others have waited for it.
    if let Some(user) = known() {
        return Ok(user);
    }
    if !desk.passwords.tries.may_try(&whose.0, address) {
        tracing::warn!(%address, "too many tries to log in to the desk");
        return Err(Trouble::TooOften(next.to_owned()));
    }
    let compared = tokio::task::spawn_blocking(move || {
        // Goes on, and takes its turn, even when nobody waits for it any more.
        let _turn = turn;
        compare(&desk, whose, &password)
    });
    compared.await.map_err(anyhow::Error::from)?.ok_or_else(|| {
        tracing::warn!(%address, "a wrong name or password at the desk");
        Trouble::WrongPassword(next.to_owned())
    })
}

fn compare(desk: &Desk, whose: Whose, password: &str) -> Option<User> {
    let user = desk
        .door
        .users
        .as_ref()?
        .with_password(&whose.0, password)?;
    desk.passwords.remember(whose, &user, password);
    Some(user)
}

/// Who it is by the name and the password in the request itself, where nothing else says so.
pub(super) async fn in_request(
    visit: &Visit,
    headers: &HeaderMap,
) -> Result<Option<Person>, Trouble> {
    if visit.desk.door.users.is_none() {
        return Ok(None);
    }
    let Some((name, password)) = basic(headers) else {
        return Ok(None);
    };
    match user(visit, &name, password, visit.page()).await {
        Ok(user) => Ok(Some(Person::of(user, Means::Password))),
        // It may be for a proxy that asks for one of its own, and the page has the form.
        Err(Trouble::WrongPassword(_)) if !visit.json => Ok(None),
        Err(trouble) => Err(trouble),
    }
}

/// A name, and where it comes from.
type Whose = (String, IpAddr);

pub(super) struct Passwords {
    tries: Logins,
    /// Not so dear that pages wait.
    at_once: Arc<Semaphore>,
    right: Mutex<HashMap<Whose, Right>>,
    salt: [u8; 32],
}

/// That a password was right for this line of the file ([`User::print`]).
struct Right {
    print: String,
    hash: [u8; 32],
}

impl Passwords {
    pub(super) fn new() -> Passwords {
        Passwords {
            tries: Logins::new(),
            at_once: Arc::new(Semaphore::new(1)),
            right: Mutex::default(),
            salt: rand::rng().random(),
        }
    }

    fn known(&self, users: &Users, whose: &Whose, password: &str) -> Option<User> {
        let mut right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        let known = right.get(whose)?;
        if bool::from(known.hash.ct_eq(&self.hash(password))) {
            return users.still(&whose.0, &known.print);
        }
        right.remove(whose);
        None
    }

    fn remember(&self, whose: Whose, user: &User, password: &str) {
        const MANY: usize = 1000;
        let (print, hash) = (user.print(), self.hash(password));
        let mut right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        if right.len() >= MANY {
            right.clear();
        }
        right.insert(whose, Right { print, hash });
    }

    fn hash(&self, password: &str) -> [u8; 32] {
        let hash = Sha256::new_with_prefix(self.salt);
        hash.chain_update(password).finalize().into()
    }
}
