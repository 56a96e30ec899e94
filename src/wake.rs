//! Wake: how a lane with nothing to do sleeps until an insert calls it, and what that costs while nobody sleeps: nothing.
//!
//! Polling is the truth; this only saves waiting. A notification in every inserting transaction would take a lock of the
//! whole database at each commit, so an insert notifies only while somebody sleeps. That is an event count, kept by
//! PostgreSQL: one advisory lock for each app, the *sleep lock*.
//!
//! ```text
//!  lane                                         an inserting transaction (the trigger)
//!  1 try the sleep lock, exclusively ─ not had: poll on      insert the row
//!  2 look once more ─ something is due: poll                 try the sleep lock, shared
//!  3 wait for a word                                           had: it holds it to its end, and says nothing
//!  4 a word: give the lock back, poll                          not had: it notifies as it commits
//! ```
//!
//! Why no row is slept through. A transaction that got the shared lock gives it back after its rows have become visible,
//! so whoever has the exclusive lock finds them in step 2. A transaction that did not get it inserts while somebody has
//! the exclusive lock, and its word reaches every daemon after its rows have become visible; the lane listened before it
//! locked, and counts every word since. tests/it/protocol.rs walks through all interleavings.
//!
//! One sleeper is enough for an app, however many daemons serve it: who has the lock takes the rows. Who was refused it by
//! another sleeper need not hurry: it looks as rarely, and a little after each word, should there be more rows than the
//! sleeper has slots. Who was refused it by an insert polls. Nobody waits for the lock, and it is held by the listening
//! connection alone, outside transactions.
//! Without that connection, without the trigger, while words do not come back, or while a long transaction of the CRM
//! keeps the lock, a lane polls as if this file did not exist.

mod ears;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep_until, timeout_at};

use self::ears::listen;
use crate::metrics::Metrics;
use crate::outbox::line::Database;

/// The pauses of this protocol; tests shorten them.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    /// Who sleeps looks this often all the same: for rows made due by an update, for leases that lapsed, for inserts that
    /// passed by the trigger.
    pub backstop: Duration,
    /// Between two sleeps of a lane, at least. With many inserts, a lane that slept between any two would look and claim
    /// for each of them; rows that come meanwhile are taken together.
    pub apart: Duration,
    /// How often a daemon tests its ears, and how long that and any statement may take.
    pub echo_every: Duration,
    pub echo_within: Duration,
    /// After a listening connection was lost; doubled each time, up to thirtyfold.
    pub reconnect: Duration,
}

impl Default for Rhythm {
    fn default() -> Self {
        Rhythm {
            backstop: Duration::from_secs(1),
            apart: Duration::from_millis(1),
            echo_every: Duration::from_secs(30),
            echo_within: Duration::from_secs(5),
            reconnect: Duration::from_secs(1),
        }
    }
}

/// A look takes at most a fifth of a lane's time: where dead index entries make it slow, it is made less often.
const LOOKS_TAKE_A: u32 = 5;

/// After a refusal a lane tries again: soon, for an insert is about to commit; then less and less often. A try is cheap,
/// some 50 µs of the server's time.
const TRY_AGAIN: Duration = Duration::from_millis(1);
const TRY_AGAIN_AT_MOST: Duration = Duration::from_secs(1);

/// After a word for another daemon's sleeper: it is faster, and most often enough.
const LET_THE_SLEEPER: Duration = Duration::from_millis(50);

/// What changed for a lane that rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// From now on every insert calls. It may wait after one more look.
    MayWait,
    /// A row came in, or nobody would call any more.
    Woken,
    /// The same, and another daemon is awake for it.
    Stirred,
}

/// One lane's side.
#[derive(Debug)]
pub struct Sleeper {
    app: String,
    /// None: it never sleeps.
    requests: Option<mpsc::UnboundedSender<Request>>,
    rhythm: Rhythm,
    state: State,
    lay_down: Instant,
    apart: Duration,
    look_takes: Duration,
    try_at: Instant,
    try_again: Duration,
}

#[derive(Debug)]
enum State {
    Awake,
    Asked(oneshot::Receiver<Answer>),
    Asleep(Bed),
    /// Another daemon sleeps on the app's lock.
    Attended(oneshot::Receiver<()>),
    /// And is asked for its place, now and then.
    AskedAgain(oneshot::Receiver<Answer>),
}

#[derive(Debug)]
enum Answer {
    Had(Bed),
    /// Another daemon sleeps; the end of this is heard when it is woken.
    Attended(oneshot::Receiver<()>),
    Refused,
}

impl Sleeper {
    /// For a lane that only polls.
    pub fn never() -> Sleeper {
        Sleeper::new(String::new(), None, Rhythm::default())
    }

    fn new(
        app: String,
        requests: Option<mpsc::UnboundedSender<Request>>,
        rhythm: Rhythm,
    ) -> Sleeper {
        Sleeper {
            app,
            requests,
            rhythm,
            state: State::Awake,
            lay_down: Instant::now(),
            apart: rhythm.apart,
            look_takes: rhythm.apart / LOOKS_TAKE_A,
            try_at: Instant::now(),
            try_again: TRY_AGAIN,
        }
    }

    /// Waits for news, and tries to fall asleep meanwhile. May be dropped at any point and called again; it never waits
    /// for the database, so a stuck listening connection does not keep a lane from polling.
    pub async fn news(&mut self) -> News {
        let Some(requests) = self.requests.clone() else {
            return std::future::pending().await;
        };
        loop {
            match &mut self.state {
                State::Awake => {
                    sleep_until(self.try_at.into()).await;
                    self.state = State::Asked(self.ask(&requests));
                }
                State::Attended(word) => {
                    // A word, or the end of all words.
                    if timeout_at(self.try_at.into(), word).await.is_ok() {
                        return self.stirred();
                    }
                    self.state = State::AskedAgain(self.ask(&requests));
                }
                State::Asked(answer) | State::AskedAgain(answer) => {
                    let answer = answer.await.unwrap_or(Answer::Refused);
                    let attended = matches!(self.state, State::AskedAgain(_));
                    match answer {
                        Answer::Had(bed) => {
                            self.state = State::Asleep(bed);
                            self.lay_down = Instant::now();
                            return News::MayWait;
                        }
                        Answer::Attended(word) => {
                            self.state = State::Attended(word);
                            self.try_at = Instant::now() + TRY_AGAIN_AT_MOST;
                        }
                        Answer::Refused if attended => return self.stirred(),
                        Answer::Refused => {
                            self.state = State::Awake;
                            self.try_at = Instant::now() + self.try_again;
                            self.try_again = (self.try_again * 3 / 2).min(TRY_AGAIN_AT_MOST);
                        }
                    }
                }
                State::Asleep(bed) => {
                    // An error means that the listening connection is gone, and the lock with it.
                    let _ = (&mut bed.called).await;
                    self.get_up();
                    return News::Woken;
                }
            }
        }
    }

    fn ask(&self, requests: &mpsc::UnboundedSender<Request>) -> oneshot::Receiver<Answer> {
        let (reply, answer) = oneshot::channel();
        let app = self.app.clone();
        // Should the listening task be gone, the answer says so.
        let _ = requests.send(Request::Lock { app, reply });
        answer
    }

    fn stirred(&mut self) -> News {
        self.state = State::Awake;
        self.try_at = Instant::now() + LET_THE_SLEEPER;
        News::Stirred
    }

    /// Gives the lock back, so that inserts no longer call; or withdraws the question for it.
    pub fn get_up(&mut self) {
        match std::mem::replace(&mut self.state, State::Awake) {
            State::Awake => {}
            State::Asked(_) | State::Attended(_) | State::AskedAgain(_) => {
                self.try_at = Instant::now() + self.apart;
            }
            State::Asleep(_) => self.try_at = self.lay_down + self.apart,
        }
    }

    /// There was something to do: whoever keeps the lock from us now is likely to commit soon.
    pub fn found(&mut self) {
        self.get_up();
        self.try_again = TRY_AGAIN;
        self.try_at = self.try_at.min(Instant::now() + self.apart);
    }

    /// How long the last look took. The short ones count: a long one among them has only waited for its turn.
    pub fn looked(&mut self, took: Duration) {
        self.look_takes = took.min(self.look_takes * 5 / 4);
        self.apart = self.rhythm.apart.max(self.look_takes * LOOKS_TAKE_A);
    }

    /// How long a lane may wait for a word now, if it may.
    pub fn may_wait(&self) -> Option<Duration> {
        match self.state {
            State::Asleep(_) | State::Attended(_) | State::AskedAgain(_) => {
                Some(self.rhythm.backstop)
            }
            State::Awake | State::Asked(_) => None,
        }
    }
}

/// An app's sleep lock, held by the listening connection while this lives.
#[derive(Debug)]
struct Bed {
    app: String,
    called: oneshot::Receiver<()>,
    requests: mpsc::UnboundedSender<Request>,
}

impl Drop for Bed {
    fn drop(&mut self) {
        let app = std::mem::take(&mut self.app);
        let _ = self.requests.send(Request::Unlock { app });
    }
}

/// From the lanes to the listening connection, in order: a lane's unlock stands before its next lock.
#[derive(Debug)]
enum Request {
    Lock {
        app: String,
        reply: oneshot::Sender<Answer>,
    },
    Unlock {
        app: String,
    },
}

/// The daemon's side: makes sleepers, one for each lane.
#[derive(Debug)]
pub struct Wake {
    requests: mpsc::UnboundedSender<Request>,
    rhythm: Rhythm,
}

impl Wake {
    /// Also returns the task that listens. It ends when this value and all sleepers are gone.
    pub fn new(
        database: Database,
        metrics: Arc<Metrics>,
        rhythm: Rhythm,
    ) -> (Wake, impl Future<Output = ()> + Send) {
        let (requests, inbox) = mpsc::unbounded_channel();
        // A weak end: otherwise the task would keep itself alive.
        let listens = listen(database, requests.downgrade(), inbox, metrics, rhythm);
        (Wake { requests, rhythm }, listens)
    }

    pub fn sleeper(&self, app: &str) -> Sleeper {
        Sleeper::new(app.to_owned(), Some(self.requests.clone()), self.rhythm)
    }
}
