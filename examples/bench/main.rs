//! What outboxd costs and how fast it is, measured with everything durable and all of its evidence written.
//!
//! ```text
//! cargo run --release --example bench -- setup     the schema, in the database $BENCH_DSN names
//! cargo run --release --example bench -- work      the daemon, on $BENCH_DSN and $BENCH_URL, until SIGTERM
//! ```
//!
//! These two make outboxd one worker among others in a benchmark that feeds them all alike.

mod peer;

use anyhow::{Result, bail};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("setup") => peer::setup().await,
        Some("work") => peer::work().await,
        _ => bail!("what to do? setup or work"),
    }
}
