//! Daemons on a test's database, against a simulated WeChat: in this process through the same start-up as
//! production, or as processes of their own, to be stopped, paused and killed.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use outboxd::config::{Config, FileText, Needs, Sources};
use outboxd::relay::Until;
use sqlx::{ConnectOptions, PgPool};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use wechat_sim::{Settings, WechatSim};

pub(crate) struct Fleet {
    pub(crate) pool: PgPool,
    pub(crate) sim: WechatSim,
    env: BTreeMap<String, String>,
    /// The configuration file, for daemons in this process.
    file: Option<String>,
    /// What the processes print.
    log: PathBuf,
}

impl Fleet {
    pub(crate) async fn new(pool: &PgPool) -> Fleet {
        Fleet::with(pool, Settings::default()).await
    }

    /// Short times, so that a lapse is seen within seconds; the relations between them are those of production.
    pub(crate) async fn with(pool: &PgPool, settings: Settings) -> Fleet {
        let sim = WechatSim::start(settings).await.unwrap();
        let settings = sim.settings();
        let mut env = BTreeMap::new();
        for (name, value) in [
            (
                "DATABASE_URL",
                pool.connect_options().to_url_lossy().to_string(),
            ),
            ("MINIPROGRAM_APPID", settings.appid.clone()),
            ("MINIPROGRAM_APPSECRET", settings.secret.clone()),
            ("MINIPROGRAM_CLOUD_ENV", settings.env.clone()),
            ("OUTBOXD_WECHAT_BASE_URL", sim.base_url()),
            ("OUTBOXD_HTTP_LISTEN", "off".into()),
            ("OUTBOXD_CALL_TIMEOUT", "2s".into()),
            ("OUTBOXD_LEASE", "6s".into()),
            ("OUTBOXD_DRAIN_TIMEOUT", "5s".into()),
            (
                "OUTBOXD_RETRY_SCHEDULE",
                "100ms 200ms 400ms 800ms 1s 1s 1s 1s".into(),
            ),
            ("OUTBOXD_UNSAFE_DURABILITY", "true".into()),
            ("OUTBOXD_LOG", "info".into()),
        ] {
            env.insert(name.to_owned(), value);
        }
        Fleet {
            pool: pool.clone(),
            sim,
            env,
            file: None,
            log: std::env::temp_dir().join(format!("outboxd-it-{}.log", uuid::Uuid::new_v4())),
        }
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) -> &mut Fleet {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn unset(&mut self, name: &str) -> &mut Fleet {
        self.env.remove(name);
        self
    }

    /// Gives the daemons in this process a configuration file that stands on no disk.
    pub(crate) fn set_file(&mut self, text: String) {
        self.set("OUTBOXD_CONFIG", "outboxd.toml");
        self.file = Some(text);
    }

    fn config(&self) -> Config {
        let mut sources = Sources::from_system(BTreeMap::new());
        sources.env = self.env.clone();
        let file = self.file.clone();
        sources.read_file = Box::new(move |path| match &file {
            Some(text) if path.ends_with("outboxd.toml") => Ok(FileText {
                text: text.clone(),
                open_to_all: false,
            }),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        });
        Config::load(&sources, Needs::Everything).unwrap_or_else(|refused| panic!("{refused:?}"))
    }

    /// Works until nothing is due.
    pub(crate) async fn drain(&self) {
        let (_stop, stopped) = watch::channel(false);
        tokio::time::timeout(
            Duration::from_secs(60),
            outboxd::daemon::run(self.config(), Until::Drained, false, stopped),
        )
        .await
        .expect("drained within a minute")
        .unwrap();
    }

    /// The same, to be stopped before.
    pub(crate) fn draining(&self) -> (JoinHandle<anyhow::Result<()>>, watch::Sender<bool>) {
        let (stop, stopped) = watch::channel(false);
        let run = outboxd::daemon::run(self.config(), Until::Drained, false, stopped);
        (tokio::spawn(run), stop)
    }

    /// A daemon in this process.
    pub(crate) fn start(&self) -> Daemon {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(outboxd::daemon::run(
            self.config(),
            Until::Stopped,
            false,
            stopped,
        ));
        Daemon { stop, task }
    }

    /// A daemon that is a process of its own. It dies with this value; what it prints is searched for secrets
    /// when the fleet ends.
    pub(crate) fn process(&self, arguments: &[&str]) -> Child {
        let log = || {
            File::options()
                .append(true)
                .create(true)
                .open(&self.log)
                .unwrap()
        };
        self.command(arguments)
            .stdout(log())
            .stderr(log())
            .spawn()
            .unwrap()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_outboxd"));
        command
            .args(arguments)
            .env_clear()
            .envs(&self.env)
            .kill_on_drop(true);
        command
    }

    /// Runs the program to its end.
    pub(crate) async fn ask(&self, arguments: &[&str]) -> Said {
        self.ask_as(&[], arguments).await
    }

    /// The same, with some variables different.
    pub(crate) async fn ask_as(&self, env: &[(&str, &str)], arguments: &[&str]) -> Said {
        let mut command = self.command(arguments);
        command.envs(env.iter().copied()).stdin(Stdio::null());
        Said::by(command).await
    }

    /// Waits until no row is left in the outbox; polled, because only the database knows.
    pub(crate) async fn settled(&self) {
        let give_up = tokio::time::Instant::now() + Duration::from_secs(120);
        while crate::harness::number(
            &self.pool,
            "select count(*) from outboxd.notification_outbox",
        )
        .await
            > 0
        {
            assert!(
                tokio::time::Instant::now() < give_up,
                "not settled within two minutes: {}",
                self.story().await
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What the tables say, for a failing test's message.
    pub(crate) async fn story(&self) -> String {
        let rows: Vec<(i64, String, String, Option<String>, i32)> = sqlx::query_as(
            "select id, recipient, status, reason, attempts from outboxd.notification_delivery_status
              where status <> 'delivered' order by id limit 50",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap();
        rows.iter().map(|row| format!("\n{row:?}")).collect()
    }

    /// What must hold after every run, whatever happened in it. Judged by the simulator's ledger, not by the
    /// daemon's word.
    pub(crate) async fn assert_invariants(&self) {
        let ledger = self.sim.ledger();
        assert_eq!(
            ledger.twice(),
            Vec::<&str>::new(),
            "a person was messaged twice under one key"
        );
        let settled: Vec<(String, String, bool)> = sqlx::query_as(
            "select key::text, status, may_have_arrived from outboxd.notification_delivery",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap();
        for (key, status, may_have_arrived) in &settled {
            let messages = ledger.messages_of(key).len();
            match status.as_str() {
                "delivered" => assert_eq!(messages, 1, "{key} is called delivered"),
                _ if *may_have_arrived => {}
                _ => assert_eq!(messages, 0, "{key} is {status}, said to be certain"),
            }
        }
        let leaks: i64 = sqlx::query_scalar(
            "select count(*) from outboxd.notification_attempt where position($1 in detail) + position($2 in detail) > 0",
        )
        .bind(TOKEN)
        .bind(&self.sim.settings().secret)
        .fetch_one(&self.pool)
        .await
        .unwrap();
        assert_eq!(leaks, 0, "a secret was stored");
        let broken: Vec<(i64, i32, i64, i32)> = sqlx::query_as(
            "select s.id, s.attempts, count(a.attempt), coalesce(max(a.attempt), 0)
               from outboxd.notification_delivery s left join outboxd.notification_attempt a on a.notification_id = s.id
              group by s.id, s.attempts
             having count(a.attempt) <> s.attempts or coalesce(max(a.attempt), 0) <> s.attempts
                 or count(distinct a.attempt) <> count(a.attempt)",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap();
        assert_eq!(
            broken,
            [],
            "attempts are numbered 1..n, each once (id, attempts, lines, highest)"
        );
    }

    /// Status and reason of a customer's newest notification.
    pub(crate) async fn verdict(&self, customer: &str) -> (String, String) {
        sqlx::query_as("select status, coalesce(reason, '') from outboxd.notification_delivery_status where aggregate_id = $1 order by id desc limit 1")
            .bind(customer)
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }
}

/// How a token of the simulated WeChat begins.
const TOKEN: &str = "80_canary_token_";

impl Drop for Fleet {
    fn drop(&mut self) {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let _ = std::fs::remove_file(&self.log);
        let log = String::from_utf8_lossy(&log);
        if std::thread::panicking() {
            let skipped = log.lines().count().saturating_sub(30);
            let last: Vec<&str> = log.lines().skip(skipped).collect();
            println!("the processes' last words:\n{}", last.join("\n"));
            return;
        }
        let secret = self.sim.settings().secret.as_str();
        let leak = log
            .lines()
            .find(|line| [TOKEN, secret].iter().any(|it| line.contains(it)));
        assert_eq!(leak, None, "a secret was printed");
    }
}

/// What a program that ended has said.
#[derive(Debug)]
pub(crate) struct Said {
    /// None: a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) async fn by(mut command: Command) -> Said {
        let ended = tokio::time::timeout(Duration::from_secs(60), command.output());
        let output = ended.await.expect("it ends within a minute").unwrap();
        Said {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    pub(crate) fn ends_with(self, code: i32) -> Said {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

pub(crate) struct Daemon {
    stop: watch::Sender<bool>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Daemon {
    /// Stops it the way SIGTERM does.
    pub(crate) async fn stop(self) {
        self.stop.send(true).unwrap();
        self.task.await.unwrap().unwrap();
    }
}

/// Sends a signal by name to a process that this test started.
pub(crate) fn signal(child: &Child, name: &str) {
    let pid = child.id().expect("still running").to_string();
    assert!(
        std::process::Command::new("kill")
            .args([&format!("-{name}"), &pid])
            .status()
            .unwrap()
            .success()
    );
}
