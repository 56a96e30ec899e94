//! Drives the simulator from outside, with a client that shows every byte.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests, outside the functions that clippy knows as tests"
)]

mod client;
mod deployed;
mod direct;
mod faults;
mod invoke;
mod load;
mod switches;
mod tokens;
