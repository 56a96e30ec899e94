//! Many calls at once: the ledger stays right and the simulator is not what limits a sender.

use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Stage, event};

const CONNECTIONS: usize = 16;

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_messages_are_told_apart() {
    drive(2_000).await;
}

/// `cargo test --release -p wechat-sim --test wire -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn a_hundred_thousand_messages() {
    drive(100_000).await;
}

async fn drive(messages: usize) {
    let stage = Stage::new().await;
    let start = Instant::now();
    let senders: Vec<_> = (0..CONNECTIONS)
        .map(|sender| {
            let (address, path) = (stage.sim.address(), stage.invoke_path());
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                let mut reply = [0; 1024];
                for n in 0..messages / CONNECTIONS {
                    let body = event("notify", &format!("k-{sender}-{n}"), 1, "zhang").to_string();
                    let head = format!(
                        "POST {path} HTTP/1.1\r\nContent-Length: {}\r\n\r\n",
                        body.len()
                    );
                    stream.write_all((head + &body).as_bytes()).await.unwrap();
                    // Replies are smaller than a segment of the loopback, so one read takes all of it.
                    let read = stream.read(&mut reply).await.unwrap();
                    assert!(
                        reply[..read].ends_with(b"\\\"record\\\"}\"}"),
                        "{:?}",
                        std::str::from_utf8(&reply[..read])
                    );
                }
            })
        })
        .collect();
    for sender in senders {
        sender.await.unwrap();
    }
    let seconds = start.elapsed().as_secs_f64();
    let ledger = stage.sim.ledger();
    assert_eq!(
        (
            ledger.messages().len(),
            ledger.keys().count(),
            ledger.twice().len()
        ),
        (messages, messages, 0)
    );
    assert!(
        ledger
            .messages()
            .iter()
            .zip(1..)
            .all(|(message, seq)| message.seq == seq)
    );
    assert!(ledger.max_concurrent() <= CONNECTIONS);
    eprintln!(
        "{:.0} calls/s over {CONNECTIONS} connections",
        messages as f64 / seconds
    );
}
