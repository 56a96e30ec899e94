//! `http`: the client alone. The product's call through reqwest as the product sets it up, and through hyper with one
//! connection per slot, which is the least there is; plain and with TLS to a sink with a certificate made here.
//!
//! The client ([`client`]) is a process of its own, so that its CPU is told apart from the sink's. With
//! `--calls-per-connection` the sink hangs up after so many calls: then handshakes count, and how many of them resume
//! a session.

mod client;

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum as _;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

pub(crate) use self::client::{ClientArgs, client};
use self::client::{Library, Used};
use crate::Options;
use crate::report::{Report, Run};
use crate::sink::Sink;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    options: Options,
    /// Calls in flight.
    #[arg(long, value_delimiter = ',', default_values_t = [64, 256])]
    in_flight: Vec<u32>,
    /// The sink closes a connection after that many calls; 0: never.
    #[arg(long, default_value_t = 0)]
    calls_per_connection: u64,
}

pub(crate) async fn run(args: Args) -> Result<Report> {
    let mut report = Report::open(&args.options, "rate")?;
    let calls = args.options.n.unwrap_or(200_000);
    let (tls, certificate) = self_made_certificate()?;
    let sinks = [
        ("plain", Sink::start(None).await?, None),
        ("TLS", Sink::start(Some(tls)).await?, Some(certificate)),
    ];
    for _ in 0..args.options.runs {
        for &in_flight in &args.in_flight {
            for (wire, sink, trust) in &sinks {
                for library in Library::value_variants() {
                    let group = match args.calls_per_connection {
                        0 => format!("{wire}, {in_flight} in flight"),
                        each => {
                            format!("{wire}, {in_flight} in flight, {each} calls per connection")
                        }
                    };
                    sink.reset(Duration::ZERO);
                    sink.close_after(args.calls_per_connection);
                    sink.take_handshakes();
                    let sink_cpu = sink.cpu();
                    let used = call(sink, *library, in_flight, calls, trust.as_deref()).await?;
                    let per_call = |seconds: f64| seconds / calls as f64 * 1e6;

                    let mut run = Run::new("http", &group, library.name());
                    run.put("n", calls as f64);
                    run.put("rate", calls as f64 / used.seconds);
                    run.put("client_us", per_call(used.cpu));
                    run.put("sink_us", per_call(sink.cpu() - sink_cpu));
                    run.put("peak_rss_mb", used.peak_rss);
                    if trust.is_some() {
                        let (full, resumed) = sink.take_handshakes();
                        run.put("full_handshakes", full as f64);
                        run.put("resumed_handshakes", resumed as f64);
                    }
                    // Each slot's first call warms it up.
                    let missing = calls + i64::from(in_flight) - i64::try_from(sink.count())?;
                    if missing != 0 {
                        run.faults.push(format!("{missing} calls have not come"));
                    }
                    report.add(run)?;
                }
            }
        }
    }
    Ok(report)
}

/// Runs this program's own `http-client` to its end.
async fn call(
    sink: &Sink,
    library: Library,
    in_flight: u32,
    calls: i64,
    trust: Option<&str>,
) -> Result<Used> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["http-client", &sink.url, library.name()])
        .args([in_flight.to_string(), calls.to_string()])
        .args(trust.map(|certificate| format!("--trust={certificate}")))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    ensure!(output.status.success(), "the client failed");
    serde_json::from_slice(&output.stdout).context("read the client's figures")
}

/// A server's side with a certificate for 127.0.0.1, and that certificate in hexadecimal for the client to trust.
fn self_made_certificate() -> Result<(TlsAcceptor, String)> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())
        .map_err(|cause| anyhow::anyhow!("the key made here is no key: {cause}"))?;
    let certificate = made.cert.der().clone();
    let hexadecimal = certificate
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    Ok((TlsAcceptor::from(Arc::new(config)), hexadecimal))
}
