//! The desk that is asked: the real program's `serve`, a process of its own that is gone with this one.

use std::net::TcpListener;
use std::ops::{AddAssign, Sub};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Url};
use sqlx::PgConnection;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::daemon::Program;
use crate::proc;

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Desk {
    pub(crate) pages: Arc<Pages>,
    process: Child,
}

/// What is asked of it, over connections of one's own.
pub(crate) struct Pages {
    http: Client,
    base: Url,
}

/// Seconds of the cores.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    pub(crate) process: f64,
    /// Of the database's processes that answer it.
    pub(crate) sessions: f64,
}

impl Sub for Spent {
    type Output = Spent;

    fn sub(self, before: Spent) -> Spent {
        Spent {
            process: self.process - before.process,
            sessions: self.sessions - before.sessions,
        }
    }
}

impl AddAssign for Spent {
    fn add_assign(&mut self, more: Spent) {
        self.process += more.process;
        self.sessions += more.sessions;
    }
}

impl Desk {
    /// Returns when it answers. `OUTBOXD_…` of the environment reach it.
    pub(crate) async fn start(database: &str) -> Result<Desk> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let process = Command::from(Program::this()?.command())
            .arg("desk")
            .env("DATABASE_URL", database)
            .env("OUTBOXD_DESK_LISTEN", &address)
            .env("OUTBOXD_LOG", "warn")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("start the desk")?;
        // The feature set asks for a TLS provider, although the desk speaks plain HTTP here.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let desk = Desk {
            pages: Pages::of(Url::parse(&format!("http://{address}/"))?)?,
            process,
        };
        let give_up = Instant::now() + PATIENCE;
        while let Err(cause) = desk.pages.page("help", &[]).await {
            ensure!(
                Instant::now() < give_up,
                "the desk does not answer: {cause:#}"
            );
            sleep(Duration::from_millis(20)).await;
        }
        Ok(desk)
    }

    /// Up to now. A session that has ended is left out: the desk keeps its own.
    pub(crate) async fn spent(&self, control: &mut PgConnection) -> Result<Spent> {
        let own = |pid| proc::cpu(pid).own;
        Ok(Spent {
            process: own(self.pid()?),
            sessions: sessions(control).await?.into_iter().map(own).sum(),
        })
    }

    pub(crate) fn pid(&self) -> Result<u32> {
        self.process.id().context("the desk has ended")
    }
}

impl Pages {
    fn of(base: Url) -> Result<Arc<Pages>> {
        let http = Client::builder().no_proxy().build()?;
        Ok(Arc::new(Pages { http, base }))
    }

    /// For another thread.
    pub(crate) fn again(&self) -> Result<Arc<Pages>> {
        Pages::of(self.base.clone())
    }

    /// The whole page, as a browser gets it; says how many bytes it has.
    pub(crate) async fn page(&self, path: &str, query: &[(&str, String)]) -> Result<usize> {
        let mut url = self.base.join(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let answer = self.http.get(url).send().await?;
        let status = answer.status();
        let page = answer.bytes().await?;
        ensure!(status.is_success(), "{path} answered {status}");
        Ok(page.len())
    }
}

/// The processes of the database that answer the desk.
pub(crate) async fn sessions(control: &mut PgConnection) -> Result<Vec<u32>> {
    let sessions: Vec<i32> = sqlx::query_scalar(
        "select pid from pg_stat_activity where application_name = 'outboxd desk' and datname = current_database()",
    )
    .fetch_all(control)
    .await?;
    Ok(sessions
        .into_iter()
        .filter_map(|pid| pid.try_into().ok())
        .collect())
}
