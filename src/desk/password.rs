//! A name and a password, typed into the form or shown with a program's every request.
//!
//! A password is dear to compare, on purpose: one at a time, and only so many tries a minute. One that was right is
//! remembered for the address it came from, as a salted hash and as long as the process lives: shown again it costs
//! neither. The first wrong one from there forgets it, so that nobody guesses any quicker for it. The last one that was
//! wrong is remembered likewise: a browser goes on showing what it showed a proxy, and that is no guess.

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
    if let Some(Some(user)) = known() {
        return Ok(user);
    }
    let turn = desk.passwords.at_once.clone().acquire_owned().await;
    // Of many requests at once the first is compared, and the others have waited for it.
    if let Some(Some(user)) = known() {
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
    let users = desk.door.users.as_ref()?;
    let user = users.with_password(&whose.0, password);
    let print = match &user {
        Some(user) => Some(user.print()),
        None => users.print_of(&whose.0),
    };
    desk.passwords
        .remember(whose, user.is_some(), print, password);
    user
}

/// Who it is by the name and the password in the request itself, where nothing else says so.
pub(super) async fn in_request(
    visit: &Visit,
    headers: &HeaderMap,
) -> Result<Option<Person>, Trouble> {
    let Some(users) = &visit.desk.door.users else {
        return Ok(None);
    };
    let Some((name, password)) = basic(headers) else {
        return Ok(None);
    };
    let whose = (name.trim().to_owned(), visit.address);
    let told = match visit.desk.passwords.known(users, &whose, &password) {
        Some(None) => Err(Trouble::WrongPassword(visit.page().to_owned())),
        _ => user(visit, &name, password, visit.page()).await,
    };
    match told {
        Ok(user) => Ok(Some(Person::of(user, Means::Password))),
        // It may be for a proxy that asks for one of its own, and the page has the form.
        Err(Trouble::WrongPassword(_) | Trouble::TooOften(_)) if !visit.json => Ok(None),
        Err(trouble) => Err(trouble),
    }
}

/// A name, and where it comes from.
type Whose = (String, IpAddr);

pub(super) struct Passwords {
    tries: Logins,
    /// Not so dear that pages wait.
    at_once: Arc<Semaphore>,
    last: Mutex<HashMap<Whose, Last>>,
    salt: [u8; 32],
}

/// What was compared last, and with which line of the file ([`User::print`]); none has that name.
struct Last {
    was_right: bool,
    print: Option<String>,
    hash: [u8; 32],
}

impl Passwords {
    pub(super) fn new() -> Passwords {
        Passwords {
            tries: Logins::new(),
            at_once: Arc::new(Semaphore::new(1)),
            last: Mutex::default(),
            salt: rand::rng().random(),
        }
    }

    /// Whose it is, or nobody's; nothing when it has to be compared.
    fn known(&self, users: &Users, whose: &Whose, password: &str) -> Option<Option<User>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let known = last.get(whose)?;
        if bool::from(known.hash.ct_eq(&self.hash(password))) {
            return match &known.print {
                Some(print) if known.was_right => users.still(&whose.0, print).map(Some),
                print => (*print == users.print_of(&whose.0)).then_some(None),
            };
        }
        last.remove(whose);
        None
    }

    fn remember(&self, whose: Whose, was_right: bool, print: Option<String>, password: &str) {
        const MANY: usize = 1000;
        let hash = self.hash(password);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() >= MANY {
            last.clear();
        }
        let compared = Last {
            was_right,
            print,
            hash,
        };
        last.insert(whose, compared);
    }

    fn hash(&self, password: &str) -> [u8; 32] {
        let hash = Sha256::new_with_prefix(self.salt);
        hash.chain_update(password).finalize().into()
    }
}
