//! Daemons on a test's database, against a simulated WeChat: in this process through the same start-up as
//! production, or as processes of their own, to be stopped, paused and killed.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use outboxd::config::{Config, Needs, Sources};
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
        }
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) -> &mut Fleet {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    fn config(&self) -> Config {
        let mut sources = Sources::from_system(BTreeMap::new());
        sources.env = self.env.clone();
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

    /// A daemon that is a process of its own. It dies with this value.
    pub(crate) fn process(&self, arguments: &[&str]) -> Child {
        self.command(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
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
