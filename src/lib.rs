//! outboxd: every assignment written to the outbox is called until it is settled, and can be explained.

pub mod catalogue;
pub mod config;
pub mod daemon;
pub mod delivery;
pub mod health;
pub mod metrics;
pub mod notification;
pub mod outbox;
pub mod policy;
pub mod recorder;
pub mod relay;
pub mod wechat;
