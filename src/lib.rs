//! outboxd: every assignment written to the outbox is called until it is settled, and can be explained.

pub mod catalogue;
pub mod cli;
pub mod delivery;
pub mod notification;
pub mod outbox;
pub mod words;

rust_i18n::i18n!("src/words", fallback = "en");
