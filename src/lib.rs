//! outboxd: every assignment written to the outbox is called until it is settled, and can be explained.

pub mod catalogue;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod delivery;
pub mod health;
pub mod lang;
pub mod metrics;
pub mod notification;
pub mod outbox;
pub mod policy;
pub mod recorder;
pub mod relay;
pub mod secret;
pub mod wechat;
pub mod words;

rust_i18n::i18n!("src/words", fallback = "en");
