//! outboxd: every assignment written to the outbox is called until it is settled, and can be explained.
//!
//! ```text
//!  CRM's tx ──insert──▶ notification_outbox
//!                           │ outbox::claim     one statement: lease it, count the attempt
//!                           ▼
//!                         Claim ──▶ Target::deliver ──▶ Outcome     wechat, hook: (token ▸) call ▸ read the answer
//!                           step                         │ policy::decide    pure: attempt × outcome → transition
//!                                                        ▼
//!                       outbox::record ◀── recorder ◀── Transition  one statement, fenced by the lease token
//!                           │
//!                           ▼
//!                       outbox::inspect ──▶ cli, desk, words · health, metrics
//! ```
//!
//! In reading order: [`notification`] and [`delivery`] are the nouns, [`catalogue`] says what every code means,
//! [`policy`] what becomes of a row; [`outbox`] holds every statement, [`target`] the choice of what is called, [`wechat`]
//! and [`hook`] every call; [`step`] is one row's way, [`relay`] the loop, [`wake`] what calls it, [`recorder`] the writing
//! end, [`grants`] what ends the wait for the user's permission; [`daemon`] puts the real parts together. [`cli`], [`desk`]
//! and [`words`] speak to people, [`health`] and [`metrics`] to machines, at a bounded `port`; [`config`] says what is meant
//! by what was typed.
//!
//! Deliberately absent: a janitor (a lapsed lease is taken by the ordinary claim), a leader (every duty may run anywhere),
//! a lock or transaction during a call, a clock of our own (the database's counts), and the words "exactly once".

mod answer;
pub mod catalogue;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod delivery;
pub mod desk;
pub mod grants;
pub mod health;
pub mod hook;
mod http;
pub mod lang;
pub mod metrics;
pub mod notification;
pub mod outbox;
pub mod policy;
mod port;
pub mod recorder;
pub mod relay;
pub mod secret;
pub mod step;
pub mod target;
pub mod wake;
pub mod wechat;
pub mod words;

rust_i18n::i18n!("src/words", fallback = "en");
