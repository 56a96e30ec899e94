//! A core for the desk alone: its process and its database sessions on the last one, everything else on the others.
//!
//! For deliveries that are not to wait for a core of the desk's. What is left is not the database's alone: one core for everything
//! else is few, so go several rounds. With `taskset`, so on Linux only, and by whoever may move the server's processes.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sqlx::{Connection as _, PgConnection};
use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::sleep;

use crate::desk;
use crate::proc;

/// Until it is dropped.
pub(crate) struct Apart {
    /// The desk's core.
    pub(crate) desks: String,
    watch: AbortHandle,
    server: u32,
    all: String,
}

impl Apart {
    pub(crate) async fn begin(url: &str, daemon: u32, desk: u32) -> Result<Apart> {
        let cores = std::thread::available_parallelism()?.get();
        ensure!(cores > 1, "there is one core only");
        let (last, others) = ((cores - 1).to_string(), format!("0-{}", cores - 2));
        let mut connection = PgConnection::connect(url).await?;
        let own: i32 = sqlx::query_scalar("select pg_backend_pid()")
            .fetch_one(&mut connection)
            .await?;
        let server = parent(own.try_into()?).context("the server is not on this machine")?;
        // A session that begins from now on begins where the server is.
        let [this, server_and_sessions] = [vec![std::process::id(), daemon], family(server)];
        for pid in this.into_iter().chain(server_and_sessions) {
            pin(&others, pid)?;
        }
        pin(&last, desk)?;
        let desks = last.clone();
        let watch = tokio::spawn(async move {
            // What it opens later is found within a second.
            while let Ok(sessions) = desk::sessions(&mut connection).await {
                let last = last.clone();
                let moved = spawn_blocking(move || {
                    sessions.into_iter().try_for_each(|pid| pin(&last, pid))
                });
                if !matches!(moved.await, Ok(Ok(()))) {
                    break;
                }
                sleep(Duration::from_secs(1)).await;
            }
        });
        Ok(Apart {
            desks,
            watch: watch.abort_handle(),
            server,
            all: format!("0-{}", cores - 1),
        })
    }
}

impl Drop for Apart {
    /// The server may be one that lives on.
    fn drop(&mut self) {
        self.watch.abort();
        for pid in family(self.server) {
            let _ = pin(&self.all, pid);
        }
    }
}

fn family(server: u32) -> Vec<u32> {
    let mut family = vec![server];
    family.extend(proc::children(server));
    family
}

/// With all its threads. One that has ended meanwhile needs no core.
fn pin(cores: &str, pid: u32) -> Result<()> {
    taskset(&["--all-tasks"], cores, pid)
}

pub(crate) fn pin_this_thread(cores: &str) -> Result<()> {
    let thread = rustix::thread::gettid().as_raw_nonzero().get();
    taskset(&[], cores, thread.unsigned_abs())
}

fn taskset(options: &[&str], cores: &str, pid: u32) -> Result<()> {
    let pinned = Command::new("taskset")
        .args(options)
        .args(["--cpu-list", "--pid", cores, &pid.to_string()])
        .output()
        .context("run taskset")?;
    ensure!(
        pinned.status.success() || parent(pid).is_none(),
        "taskset: {}",
        String::from_utf8_lossy(&pinned.stderr).trim_end()
    );
    Ok(())
}

/// `None` when there is no such process.
fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(1)?.parse().ok()
}
