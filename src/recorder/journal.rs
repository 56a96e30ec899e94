//! The receipt journal: answers that are known and not yet in the database, on disk.
//!
//! It is written only while the database does not take outcomes. A daemon that is killed meanwhile leaves its file; the
//! next one started with the same folder writes what the file says, under the same fence, so an answer that was heard
//! is not forgotten and its row is not called again. A file belongs to whoever has it locked, and the lock dies with the
//! process. One line is one answer; a last line that was cut off is no answer.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::catalogue::{self, Entry};
use crate::delivery::Phase;
use crate::notification::{AttemptNo, LeaseToken, NotificationId, Status};
use crate::outbox::record::{Ending, Took};
use crate::policy::Transition;

const SUFFIX: &str = "journal";

/// One app's journal in this process.
#[derive(Debug)]
pub(super) struct Journal {
    folder: Option<PathBuf>,
    app: String,
    file: Option<(PathBuf, File)>,
    /// What stands in the file and not yet in the database.
    kept: HashSet<(i64, Uuid)>,
}

/// What a daemon that is gone has left.
pub(super) struct Legacy {
    pub(super) endings: Vec<Ending>,
    /// Lines that could not be read.
    pub(super) unreadable: usize,
    path: PathBuf,
    /// Keeps others from it until it is written or left.
    _lock: File,
}

impl Journal {
    pub(super) fn new(folder: Option<PathBuf>, app: &str) -> Journal {
        Journal {
            folder,
            app: app.to_owned(),
            file: None,
            kept: HashSet::new(),
        }
    }

    /// Writes down, for good, the answers that are not yet there.
    pub(super) fn keep(&mut self, endings: &[Ending]) -> io::Result<()> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let fresh: Vec<&Ending> = endings
            .iter()
            // What was never called is no answer.
            .filter(|ending| ending.phase != Phase::NotCalled && !self.kept.contains(&name(ending)))
            .collect();
        if fresh.is_empty() {
            return Ok(());
        }
        let mut text = String::new();
        for ending in &fresh {
            text += &serde_json::to_string(&Line::of(ending))?;
            text.push('\n');
        }
        if self.file.is_none() {
            self.file = Some(create(folder, &self.app)?);
        }
        if let Some((_, file)) = &mut self.file {
            file.write_all(text.as_bytes())?;
            file.sync_data()?;
        }
        self.kept.extend(fresh.into_iter().map(name));
        Ok(())
    }

    /// This one is in the database, or lost for good. The file goes with the last.
    pub(super) fn done(&mut self, ending: &Ending) {
        if self.kept.remove(&name(ending))
            && self.kept.is_empty()
            && let Some((path, _)) = self.file.take()
        {
            // Left behind, it would be read again and written nowhere, for the fence refuses it.
            let _ = fs::remove_file(path);
        }
    }

    /// What daemons that are gone have left in the folder for this app.
    pub(super) fn legacies(&self) -> io::Result<Vec<Legacy>> {
        let Some(folder) = &self.folder else {
            return Ok(Vec::new());
        };
        let mut legacies = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let ours = path.extension().is_some_and(|suffix| suffix == SUFFIX)
                && path
                    .file_stem()
                    .and_then(|stem| stem.to_str()?.rsplit_once('.'))
                    .is_some_and(|(app, _)| app == self.app);
            if ours && let Some(legacy) = Legacy::open(path)? {
                legacies.push(legacy);
            }
        }
        Ok(legacies)
    }
}

impl Legacy {
    fn open(path: PathBuf) -> io::Result<Option<Legacy>> {
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let lines = text
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        let read: Vec<Option<Ending>> = lines
            .map(|line| serde_json::from_slice::<Line>(line).ok()?.ending())
            .collect();
        Ok(Some(Legacy {
            unreadable: read.iter().filter(|line| line.is_none()).count(),
            endings: read.into_iter().flatten().collect(),
            path,
            _lock: file,
        }))
    }

    /// All of it is in the database.
    pub(super) fn forget(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

fn name(ending: &Ending) -> (i64, Uuid) {
    (ending.id.0, ending.lease_token.0)
}

/// Makes the folder if need be, and sees that it can be written to.
pub fn prepare(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let (path, _) = create(folder, "")?;
    fs::remove_file(path)
}

/// The name is new each time, and in the folder for good before anything relies on it.
fn create(folder: &Path, app: &str) -> io::Result<(PathBuf, File)> {
    let path = folder.join(format!("{app}.{}.{SUFFIX}", Uuid::new_v4().simple()));
    let file = OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    file.lock()?;
    File::open(folder)?.sync_all()?;
    Ok((path, file))
}

/// An answer as it is written. Words, as in the columns, so that another version can read them.
#[derive(Serialize, Deserialize)]
struct Line {
    id: i64,
    lease_token: Uuid,
    attempt: i32,
    becomes: Becomes,
    may_have_arrived: bool,
    phase: String,
    outcome: String,
    why: String,
    errcode: Option<i32>,
    detail: Option<String>,
    msgid: Option<String>,
    latency_ms: Option<u64>,
    /// Lines of an earlier version have none.
    token_ms: Option<u64>,
    ended_at: DateTime<Utc>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Becomes {
    Settled { status: String, reason: String },
    Requeued { after_ms: u64, spared: bool },
    AwaitingGrant,
}

impl Line {
    fn of(ending: &Ending) -> Line {
        let (becomes, may_have_arrived) = match &ending.transition {
            Transition::Settle {
                status,
                reason,
                may_have_arrived,
            } => (
                Becomes::Settled {
                    status: status.word().to_owned(),
                    reason: reason.key.to_owned(),
                },
                *may_have_arrived,
            ),
            Transition::Requeue {
                after,
                spared,
                may_have_arrived,
            } => (
                Becomes::Requeued {
                    after_ms: millis(*after),
                    spared: *spared,
                },
                *may_have_arrived,
            ),
            Transition::AwaitGrant => (Becomes::AwaitingGrant, false),
        };
        Line {
            id: ending.id.0,
            lease_token: ending.lease_token.0,
            attempt: ending.attempt.0,
            becomes,
            may_have_arrived,
            phase: ending.phase.word().to_owned(),
            outcome: ending.outcome.to_owned(),
            why: ending.why.key.to_owned(),
            errcode: ending.errcode,
            detail: ending.detail.clone(),
            msgid: ending.msgid.clone(),
            latency_ms: ending.took.map(|took| millis(took.attempt)),
            token_ms: ending.took.and_then(|took| took.token).map(millis),
            ended_at: Utc::now() - ending.ended_at.elapsed(),
        }
    }

    fn ending(self) -> Option<Ending> {
        let may_have_arrived = self.may_have_arrived;
        let transition = match self.becomes {
            Becomes::Settled { status, reason } => Transition::Settle {
                status: Status::ALL
                    .into_iter()
                    .find(|known| known.word() == status)?,
                reason: entry(&reason)?,
                may_have_arrived,
            },
            Becomes::Requeued { after_ms, spared } => Transition::Requeue {
                after: Duration::from_millis(after_ms),
                spared,
                may_have_arrived,
            },
            Becomes::AwaitingGrant => Transition::AwaitGrant,
        };
        let outcomes = ["delivered", "failed", "unknown", "released"];
        let now = Instant::now();
        let age = (Utc::now() - self.ended_at).to_std().unwrap_or_default();
        Some(Ending {
            id: NotificationId(self.id),
            place: None,
            lease_token: LeaseToken(self.lease_token),
            attempt: AttemptNo(self.attempt),
            transition,
            phase: Phase::ALL
                .into_iter()
                .find(|known| known.word() == self.phase)?,
            outcome: outcomes.into_iter().find(|known| *known == self.outcome)?,
            why: entry(&self.why)?,
            errcode: self.errcode,
            detail: self.detail,
            msgid: self.msgid,
            took: self.latency_ms.map(|ms| Took {
                attempt: Duration::from_millis(ms),
                token: self.token_ms.map(Duration::from_millis),
            }),
            ended_at: now.checked_sub(age).unwrap_or(now),
            // The fence decides, not the clock: until somebody takes the row over, the answer counts.
            lease_ends_at: now + Duration::from_secs(60),
        })
    }
}

fn entry(key: &str) -> Option<&'static Entry> {
    catalogue::by_key(key)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
