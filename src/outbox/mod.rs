//! The outbox in PostgreSQL: every statement of the product lives under this module, next to its Rust type.
//!
//! In the order a row meets them: [`schema`] (the tables and the doors), [`claim`] (one statement takes
//! due rows under a lease, or a look says that nothing is due), [`listen`] (what wakes a resting lane), [`record`] (one
//! statement writes what became of them), [`grants`] (which of them wait for the user's permission, and go on), [`state`] (the gate of each app), [`inspect`] (every read for people), [`slices`] (the index of its search), [`backlog`] (the numbers for metrics), [`act`] (what
//! people may do, audited) and [`bulk`] (the same act on many, a little at a time). [`line`](mod@line) is the connection a daemon's duty runs on, [`session`] the transactions
//! in which people read and act; [`openid`] asks the CRM for a target that has to know.

pub mod act;
pub mod backlog;
pub mod bulk;
pub mod claim;
pub mod grants;
pub mod inspect;
pub mod line;
pub mod listen;
pub mod openid;
pub mod record;
pub mod schema;
pub mod session;
pub mod slices;
pub mod state;
