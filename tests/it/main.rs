//! One test binary: every test has a PostgreSQL database of its own, WeChat is simulated at the wire.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![allow(clippy::print_stdout, reason = "a run prints its figures")]

mod fleet;
mod harness;

mod canary;
mod chaos;
mod claim;
mod cli;
mod deployed;
mod desk;
mod enqueue;
mod errcodes;
mod grants;
mod hostile;
mod office;
mod permissions;
mod plan;
mod protocol;
mod reasons;
mod recorder;
mod relay;
mod schema;
mod search;
mod support;
mod targets;
mod wake;
