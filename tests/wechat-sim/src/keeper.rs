//! The ledger behind its lock, its file, and whoever waits for it to change.
//!
//! A message is written before its caller is answered, so one that went out stands here even when the
//! answer is lost or the process killed.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use tokio::sync::Notify;

use crate::held;
use crate::ledger::{Call, Ledger, Message};

/// Writes the ledger; one short lock for all of it.
pub(crate) struct Keeper(Arc<Shared>);

struct Shared {
    ledger: Mutex<(Ledger, Option<File>)>,
    changed: Notify,
}

/// A call in flight; dropped when its reply has been written.
pub(crate) struct InFlight(Arc<Shared>);

impl Keeper {
    /// Opens the file, if there is to be one, and takes over the messages in it.
    pub(crate) fn open(path: Option<&Path>, mut known: impl FnMut(&Message)) -> Result<Self> {
        let mut ledger = Ledger::default();
        let mut file = None;
        if let Some(path) = path {
            let mut opened = OpenOptions::new()
                .create(true)
                .append(true)
                .read(true)
                .open(path)
                .with_context(|| format!("open the ledger {}", path.display()))?;
            let mut text = Vec::new();
            opened.read_to_end(&mut text).context("read the ledger")?;
            for line in text.split(|&byte| byte == b'\n') {
                // A line cut short by a kill was never answered for.
                let Ok(message) = serde_json::from_slice::<Message>(line) else {
                    continue;
                };
                known(&message);
                ledger.message_went_out(message);
            }
            if text.last().is_some_and(|&byte| byte != b'\n') {
                opened
                    .write_all(b"\n")
                    .context("end the ledger's last line")?;
            }
            file = Some(opened);
        }
        Ok(Self(Arc::new(Shared {
            ledger: Mutex::new((ledger, file)),
            changed: Notify::new(),
        })))
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&Ledger) -> T) -> T {
        look(&held(&self.0.ledger).0)
    }

    pub(crate) fn write<T>(&self, write: impl FnOnce(&mut Ledger) -> T) -> T {
        self.0.write(write)
    }

    /// A message reached a phone: numbered, filed, then told.
    pub(crate) fn message(&self, message: Message) {
        {
            let (ledger, file) = &mut *held(&self.0.ledger);
            let message = ledger.message_went_out(message);
            if let Some(file) = file {
                let mut line = serde_json::to_vec(&*message).expect("a message is plain JSON");
                line.push(b'\n');
                file.write_all(&line).expect("the ledger file takes a line");
            }
        }
        self.0.changed.notify_waiters();
    }

    /// A call arrived; its number, and a guard until its reply is written.
    pub(crate) fn call_begins(&self, call: Call) -> (u64, InFlight) {
        let seq = self.write(|ledger| ledger.call_begins(call));
        (seq, InFlight(Arc::clone(&self.0)))
    }

    /// Returns once the ledger satisfies `what`.
    pub(crate) async fn until(&self, what: impl Fn(&Ledger) -> bool) {
        loop {
            // Made before the look: from here on no change is missed.
            let changed = self.0.changed.notified();
            if self.look(&what) {
                return;
            }
            changed.await;
        }
    }
}

impl Shared {
    fn write<T>(&self, write: impl FnOnce(&mut Ledger) -> T) -> T {
        let result = write(&mut held(&self.ledger).0);
        self.changed.notify_waiters();
        result
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.write(Ledger::call_is_over);
    }
}
