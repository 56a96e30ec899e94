//! The program: says when it is ready, and stops when told.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

#[test]
fn it_says_ready_and_stops_at_sigterm() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_wechat-sim"))
        .args(["--listen", "127.0.0.1:0", "--signing-secret", "shared"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(program.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("READY http://").unwrap();
    std::net::TcpStream::connect(address).unwrap();

    let stopped = Command::new("kill")
        .arg(program.id().to_string())
        .status()
        .unwrap();
    assert!(stopped.success());
    assert!(program.wait().unwrap().success());
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "one line, no more");
}

#[test]
fn it_refuses_other_addresses() {
    let refused = Command::new(env!("CARGO_BIN_EXE_wechat-sim"))
        .args(["--listen", "0.0.0.0:0"])
        .output()
        .unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("loopback addresses only"));
}
