//! The program itself, as people and scripts meet it: what it prints, and how it ends.

mod acts;
mod alone;
mod asks;
mod daemon;
mod schema;

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use crate::fleet::Fleet;

/// Lines of a running program, as they come.
struct Log(tokio::io::Lines<BufReader<tokio::process::ChildStderr>>);

impl Log {
    fn of(child: &mut Child) -> Log {
        Log(BufReader::new(child.stderr.take().unwrap()).lines())
    }

    /// Reads on to a line that holds this text.
    async fn until(&mut self, text: &str) -> String {
        let found = tokio::time::timeout(std::time::Duration::from_secs(30), async {
            while let Some(line) = self.0.next_line().await.unwrap() {
                if line.contains(text) {
                    return line;
                }
            }
            panic!("the log ended without {text:?}")
        });
        found
            .await
            .unwrap_or_else(|_| panic!("not logged: {text:?}"))
    }
}

fn started(fleet: &Fleet, arguments: &[&str]) -> (Child, Log) {
    let mut command = fleet.command(arguments);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = Log::of(&mut child);
    (child, log)
}

/// Where a daemon that was told to take any port serves its health.
fn address_in(line: &str) -> String {
    let rest = &line[line.find("127.0.0.1:").unwrap()..];
    let end = rest.find(|c: char| !(c.is_ascii_digit() || ":.".contains(c)));
    rest[..end.unwrap_or(rest.len())].to_owned()
}
