//! The executable (interim: `run` only).

use std::collections::BTreeMap;

fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let config = outboxd::config::Config::load(&outboxd::config::Sources::from_system(BTreeMap::new()), outboxd::config::Needs::Everything)?;
    let until = if std::env::args().any(|a| a == "--once") { outboxd::relay::Until::Drained } else { outboxd::relay::Until::Stopped };
    outboxd::daemon::main(config, until, false)
}
