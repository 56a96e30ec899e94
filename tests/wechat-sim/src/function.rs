//! The deployed cloud function: the JavaScript of `cloudfunctions/`, run by `tests/receiver/runner.js` instead of
//! being played by `receiver`.
//!
//! As on the platform, an instance is a process that serves one call at a time, and more are started as needed. A
//! call that is cut off or scripted to die takes its instance with it. What the function asks of the cloud is
//! answered by `cloud`.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Notify;

use crate::cloud::Database;
use crate::faults::{Fault, What};
use crate::receiver::{self, Ended};
use crate::{World, held};

/// The function's instances, its calls under way, and its database.
#[derive(Debug, Default)]
pub(crate) struct Function {
    idle: Mutex<Vec<Instance>>,
    calls: Mutex<HashMap<u64, Arc<Running>>>,
    pub(crate) database: Mutex<Database>,
}

/// One call under way.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) event: Value,
    pub(crate) fault: Option<Fault>,
    killed: Notify,
}

#[derive(Debug)]
struct Instance {
    // Killed when dropped.
    _process: Child,
    events: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

/// Who calls the function.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    source: &'static str,
    openid: Option<String>,
}

impl Caller {
    pub(crate) fn outboxd() -> Self {
        Caller {
            source: receiver::FROM_HTTP,
            openid: None,
        }
    }

    pub(crate) fn mini_program(openid: String) -> Self {
        Caller {
            source: "wx_client",
            openid: Some(openid),
        }
    }
}

/// A line of the runner's.
#[derive(Deserialize)]
struct Line {
    text: Option<String>,
    error: Option<Value>,
}

impl Function {
    /// The call with this number, while it is under way.
    pub(crate) fn call(&self, id: u64) -> Option<Arc<Running>> {
        held(&self.calls).get(&id).cloned()
    }
}

impl Running {
    /// Ends the instance in the middle of its work.
    pub(crate) fn kill(&self) {
        self.killed.notify_one();
    }
}

/// Runs the deployed function on one event; without one, the function is played.
pub(crate) async fn run(
    world: Arc<World>,
    event: Value,
    by: Caller,
    fault: Option<Fault>,
) -> Ended {
    // These faults are other functions' answers, so nobody's code runs.
    let is_played = matches!(
        fault.as_ref().map(|fault| &fault.what),
        Some(What::ReturnedError(_) | What::State(_))
    );
    if world.settings.deployed.is_empty() || is_played {
        return receiver::run(world, event, by.source, fault).await;
    }
    let id = rand::random();
    let call = Arc::new(Running {
        event,
        fault,
        killed: Notify::new(),
    });
    held(&world.function.calls).insert(id, Arc::clone(&call));
    let _over = Over { world: &world, id };
    tokio::select! {
        ended = serve(&world, id, &call, &by) => ended.unwrap_or(Ended::Threw),
        () = call.killed.notified() => Ended::Died,
    }
}

/// Lets one instance serve the call. An instance that fails is not used again.
async fn serve(world: &World, id: u64, call: &Running, by: &Caller) -> Result<Ended> {
    let idle = held(&world.function.idle).pop();
    let mut instance = match idle {
        Some(instance) => instance,
        None => Instance::start(world)?,
    };
    let cloud = format!("http://{}/admin/{id}", world.address);
    let mut line = json!({"id": id, "event": call.event, "source": by.source, "cloud": cloud});
    if let Some(openid) = &by.openid {
        line["openid"] = json!(openid);
    }
    instance
        .events
        .write_all(format!("{line}\n").as_bytes())
        .await?;
    let line = instance.answers.next_line().await?;
    let line: Line = serde_json::from_str(&line.context("the function has died")?)?;
    held(&world.function.idle).push(instance);
    match line {
        Line { error: Some(_), .. } => Ok(Ended::Threw),
        Line { text: None, .. } => Ok(Ended::Answered(Value::Null)),
        Line {
            text: Some(text), ..
        } => Ok(Ended::Answered(serde_json::from_str(&text)?)),
    }
}

impl Instance {
    fn start(world: &World) -> Result<Self> {
        let (program, arguments) = world
            .settings
            .deployed
            .split_first()
            .context("no command")?;
        let switches = world.switches.get();
        let old_after = switches.claim_old_after_ms.to_string();
        let send_limit = switches.send_limit_ms.to_string();
        let secret = world.settings.signing_secret.as_deref().unwrap_or("");
        let mut process = Command::new(program)
            .args(arguments)
            .env("OUTBOXD_SIGNING_SECRET", secret)
            .env("OUTBOXD_CLAIM_OLD_AFTER_MS", old_after)
            .env("OUTBOXD_SEND_LIMIT_MS", send_limit)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("start the deployed function")?;
        let events = process.stdin.take().context("no standard input")?;
        let answers = process.stdout.take().context("no standard output")?;
        Ok(Self {
            _process: process,
            events,
            answers: BufReader::new(answers).lines(),
        })
    }
}

/// Forgets a call when it is over, however it ended.
struct Over<'a> {
    world: &'a World,
    id: u64,
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        held(&self.world.function.calls).remove(&self.id);
    }
}
