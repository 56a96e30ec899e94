//! The daemon under measurement: a process of its own, so that its CPU and memory are its own.
//!
//! It is this program's `work`, or another build's. Only processes started here are signalled, by their own id and
//! before they are waited for.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::proc;
use crate::sink::now_us;

/// A stopping daemon gives calls under way 20 s and its last writes 3.
const PATIENCE: Duration = Duration::from_secs(30);

/// A build of outboxd: `[NAME=]PATH`, where `PATH work` is its daemon and `PATH setup` makes its schema.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) name: String,
    path: PathBuf,
}

impl FromStr for Program {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, path) = text.split_once('=').unwrap_or_else(|| {
            let name = Path::new(text).file_name().and_then(|name| name.to_str());
            (name.unwrap_or(text), text)
        });
        Ok(Program {
            name: name.to_owned(),
            path: path.into(),
        })
    }
}

impl Program {
    pub(crate) fn this() -> Result<Program> {
        Ok(Program {
            name: "outboxd".to_owned(),
            path: std::env::current_exe()?,
        })
    }

    pub(crate) fn set_up(&self, dsn: &str) -> Result<()> {
        let status = Command::new(&self.path)
            .arg("setup")
            .env("BENCH_DSN", dsn)
            .status()
            .with_context(|| format!("run {} setup", self.path.display()))?;
        ensure!(status.success(), "{} setup failed", self.path.display());
        Ok(())
    }

    /// Returns when the daemon says READY. `OUTBOXD_…` of the environment reach it.
    pub(crate) fn start(&self, dsn: &str, url: &str, slots: u32) -> Result<Daemon> {
        let mut command = self.command();
        let started_us = now_us();
        let mut child = command
            .arg("work")
            .env("BENCH_DSN", dsn)
            .env("BENCH_URL", url)
            .env("BENCH_CONC", slots.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("run {} work", self.path.display()))?;
        let words = child.stdout.take().context("no pipe from the daemon")?;
        let daemon = Daemon { child, started_us };
        let mut said = String::new();
        BufReader::new(words).read_line(&mut said)?;
        ensure!(
            said.trim_end() == "READY",
            "{} work did not start",
            self.path.display()
        );
        Ok(daemon)
    }

    /// Where the kernel offers it, it ends the daemon should this process be killed outright.
    pub(crate) fn command(&self) -> Command {
        let guarded = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "true"])
            .stderr(Stdio::null())
            .status();
        if guarded.is_ok_and(|status| status.success()) {
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL", "--"]).arg(&self.path);
            command
        } else {
            Command::new(&self.path)
        }
    }
}

pub(crate) struct Daemon {
    child: Child,
    /// In µs since 1970.
    pub(crate) started_us: i64,
}

/// What a daemon that was stopped has used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent {
    /// Seconds, from the first to the last.
    pub(crate) cpu: f64,
    pub(crate) peak_rss: f64,
}

impl Daemon {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn cpu(&self) -> f64 {
        proc::cpu(self.pid()).own
    }

    pub(crate) fn rss(&self) -> f64 {
        proc::rss(self.pid())
    }

    /// SIGTERM: it finishes its calls and writes everything down. So when this returns, what has arrived is settled.
    pub(crate) async fn stop(mut self) -> Result<Spent> {
        let peak_rss = proc::peak_rss(self.pid());
        let pid = Pid::from_child(&self.child);
        if self.child.try_wait()?.is_none() {
            kill_process(pid, Signal::TERM).context("ask the daemon to stop")?;
            // Left unwaited for, the kernel still tells what it has used.
            let ended = spawn_blocking(move || {
                waitid(
                    WaitId::Pid(pid),
                    WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
                )
            });
            timeout(PATIENCE, ended)
                .await
                .context("the daemon does not stop")???;
        }
        let cpu = self.cpu();
        let status = self.child.wait()?;
        ensure!(status.success(), "the daemon ended with {status}");
        Ok(Spent { cpu, peak_rss })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // After `stop` there is nothing left to kill, and std knows it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
