//! The program under demonstration, `outboxd run` or `outboxd serve`: a process of its own, so that it can be killed for
//! real. `examples/chaos` shares this file.
//!
//! Only the process started here is ever signalled, by its own id, and while this object still holds it
//! (an id is not given out again before its holder has waited for it).

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Mutex;
use tokio::time::timeout;

/// Longer than a call's timeout: a daemon told to stop lets its calls finish.
const PATIENCE: Duration = Duration::from_secs(15);

/// The one asked for, or the one built beside this example: `target/<profile>/outboxd` for
/// `target/<profile>/examples/demo`.
pub(crate) fn program(asked_for: Option<&Path>) -> Result<PathBuf> {
    if let Some(program) = asked_for {
        return program
            .canonicalize()
            .with_context(|| format!("find {}", program.display()));
    }
    let here = std::env::current_exe().context("find this example's own program")?;
    let profile = here
        .parent()
        .and_then(Path::parent)
        .context("this example's program stands in no folder")?;
    let program = profile.join("outboxd");
    if !program.is_file() {
        bail!(
            "{} is missing: build it with `cargo build --bin outboxd` first",
            program.display()
        );
    }
    Ok(program)
}

/// Ctrl-C, or SIGTERM: the end that this example itself is told to come to.
pub(crate) fn told_to_stop() -> Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

pub(crate) struct Process {
    program: PathBuf,
    verb: &'static str,
    settings: Vec<(&'static str, String)>,
    log: PathBuf,
    slot: Mutex<Slot>,
}

#[derive(Default)]
struct Slot {
    child: Option<Child>,
    starts: u32,
    since: Option<DateTime<Utc>>,
    how_it_ended: Option<&'static str>,
}

/// How the process is, for the page.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Health {
    pid: Option<u32>,
    since: Option<DateTime<Utc>>,
    starts: u32,
    /// `killed`, `stopped` or `ended` (by itself); none while it runs.
    how_it_ended: Option<&'static str>,
}

impl Process {
    pub(crate) fn new(
        program: PathBuf,
        verb: &'static str,
        settings: Vec<(&'static str, String)>,
        log: PathBuf,
    ) -> Self {
        Process {
            program,
            verb,
            settings,
            log,
            slot: Mutex::default(),
        }
    }

    /// Everything it says goes there, behind what is there already.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// Runs another of the program's commands to its end, with the same settings.
    pub(crate) async fn run_once(&self, command: &str) -> Result<()> {
        let output = self
            .command(command)
            .output()
            .await
            .with_context(|| format!("run {} {command}", self.program.display()))?;
        if !output.status.success() {
            bail!(
                "`outboxd {command}` failed ({}):\n{}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(())
    }

    pub(crate) async fn start(&self) -> Result<()> {
        let mut slot = self.slot.lock().await;
        notice_the_end(&mut slot);
        if slot.child.is_some() {
            return Ok(());
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .context("open the log")?;
        let child = self
            .command(self.verb)
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {self}"))?;
        *slot = Slot {
            child: Some(child),
            starts: slot.starts + 1,
            since: Some(Utc::now()),
            how_it_ended: None,
        };
        Ok(())
    }

    /// `kill -9`: no word, no goodbye.
    pub(crate) async fn kill(&self) -> Result<()> {
        let mut slot = self.slot.lock().await;
        notice_the_end(&mut slot);
        if let Some(mut child) = slot.child.take() {
            self.end(&mut child).await?;
            slot.close("killed");
        }
        Ok(())
    }

    /// SIGTERM, then waits: calls in flight are finished and recorded.
    pub(crate) async fn stop(&self) -> Result<()> {
        let mut slot = self.slot.lock().await;
        notice_the_end(&mut slot);
        let Some(mut child) = slot.child.take() else {
            return Ok(());
        };
        let pid = child
            .id()
            .and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)
                .with_context(|| format!("ask {self} to stop"))?;
        }
        if timeout(PATIENCE, child.wait()).await.is_err() {
            self.end(&mut child).await?;
        }
        slot.close("stopped");
        Ok(())
    }

    /// Neither killed nor stopped by us, and yet it is gone.
    pub(crate) async fn ended_by_itself(&self) -> bool {
        self.health().await.how_it_ended == Some("ended")
    }

    pub(crate) async fn health(&self) -> Health {
        let mut slot = self.slot.lock().await;
        notice_the_end(&mut slot);
        Health {
            pid: slot.child.as_ref().and_then(Child::id),
            since: slot.since,
            starts: slot.starts,
            how_it_ended: slot.how_it_ended,
        }
    }

    async fn end(&self, child: &mut Child) -> Result<()> {
        child.kill().await.with_context(|| format!("kill {self}"))
    }

    fn command(&self, command: &str) -> Command {
        let mut process = Command::new(&self.program);
        // The visitor's own settings stay out, be they in the environment or in a file lying around here.
        for (name, _) in std::env::vars_os() {
            let is_ours = name.to_str().is_some_and(|name| {
                name.starts_with("OUTBOXD_") || name.starts_with("MINIPROGRAM_")
            });
            if is_ours {
                process.env_remove(name);
            }
        }
        process
            .arg(command)
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null())
            // Ctrl-C in a terminal reaches a whole process group; this one is stopped by us, in order.
            .process_group(0)
            .kill_on_drop(true);
        process
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`outboxd {}`", self.verb)
    }
}

impl Slot {
    fn close(&mut self, how: &'static str) {
        self.child = None;
        self.since = Some(Utc::now());
        self.how_it_ended = Some(how);
    }
}

fn notice_the_end(slot: &mut Slot) {
    if let Some(child) = &mut slot.child
        && !matches!(child.try_wait(), Ok(None))
    {
        slot.close("ended");
    }
}
