//! The tables of the outbox: all SQL lives below this module.

pub mod act;
pub mod inspect;
pub mod session;
