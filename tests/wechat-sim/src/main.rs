//! The simulated WeChat as a program of its own, for the demo and the chaos runs. It prints one line,
//! `READY http://127.0.0.1:PORT`, and runs until SIGTERM or SIGINT.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use wechat_sim::{APPID, APPSECRET, Settings, Switches, WechatSim};

/// A simulated WeChat. Loopback addresses only.
#[derive(Parser)]
struct Args {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Append every message here, one JSON line each; read back at start
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    #[arg(long, default_value = APPID)]
    appid: String,
    #[arg(long, default_value = APPSECRET)]
    secret: String,
    #[arg(long, default_value = "cloud1-demo")]
    env: String,
    #[arg(long, default_value = "quickstartFunctions")]
    function: String,
    /// The command that runs the deployed function; words with spaces between them
    #[arg(long, value_name = "COMMAND")]
    deployed: Option<String>,
    /// The receiver checks signatures when this is given
    #[arg(long)]
    signing_secret: Option<String>,
    /// How long a token lives
    #[arg(long, default_value_t = 7200)]
    token_lifetime_s: u64,
    /// The function's own timeout
    #[arg(long, default_value_t = 3000)]
    function_timeout_ms: u64,
    /// Added before every answer
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let mut terminate = signal(SignalKind::terminate())?;
    let sim = WechatSim::start(Settings {
        listen: args.listen,
        appid: args.appid,
        secret: args.secret,
        env: args.env,
        function: args.function,
        deployed: args
            .deployed
            .iter()
            .flat_map(|command| command.split_whitespace().map(str::to_owned))
            .collect(),
        signing_secret: args.signing_secret,
        token_lifetime: Duration::from_secs(args.token_lifetime_s),
        ledger: args.ledger,
        switches: Switches {
            function_timeout_ms: args.function_timeout_ms,
            latency_ms: args.latency_ms,
            ..Switches::default()
        },
        ..Settings::default()
    })
    .await?;
    #[expect(
        clippy::print_stdout,
        reason = "whoever started the program waits for this line"
    )]
    {
        println!("READY {}", sim.base_url());
    }
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    sim.stop().await;
    Ok(())
}
