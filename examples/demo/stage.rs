//! The stage: everything the demonstration needs, put up in order and taken down in reverse.
//!
//! The simulated WeChat, the CRM and the page live in this process; the daemon and the desk are processes of
//! their own, started with the settings an operator would use. The timings are short, so that a lapsed lease is
//! seen within seconds; everything else is as delivered.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, PgConnection, PgPool};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use wechat_sim::WechatSim;

use crate::books::{Books, Expectation};
use crate::phones::Phones;
use crate::process::{self, Process};
use crate::{Args, crm, page};

/// A cold start with the schema to check takes a second; a busy machine needs more.
const PATIENCE: Duration = Duration::from_secs(30);

/// As many as the daemon makes calls at a time: ten processes of Node that start under the first burst would take
/// the seconds in which a call must be answered.
const INSTANCES: usize = 10;

/// The desk's own port, unless somebody has it.
const DESK: u16 = 9091;

pub(crate) struct Stage {
    pub(crate) pool: PgPool,
    pub(crate) phones: Phones,
    pub(crate) daemon: Arc<Process>,
    desk: Option<Desk>,
    pub(crate) books: Arc<Mutex<Books>>,
    pub(crate) http: reqwest::Client,
    address: SocketAddr,
    site: JoinHandle<()>,
    _wechat: WechatSim,
}

/// `outboxd serve`, which outlives the daemon that a visitor kills. The scripted run has nobody to look at it.
struct Desk {
    process: Process,
    address: SocketAddr,
}

impl Stage {
    pub(crate) async fn put_up(args: &Args) -> Result<Stage> {
        let program = process::program(args.outboxd.as_deref())?;
        // One connection first: a pool would try for half a minute and then not say why.
        let connection = PgConnection::connect(&args.database_url)
            .await
            .context("DATABASE_URL: the database cannot be reached")?;
        connection.close().await?;
        let pool = PgPoolOptions::new()
            .max_connections(8)
            .connect(&args.database_url)
            .await?;

        let wechat = WechatSim::start(wechat_sim::Settings {
            deployed: args.function.command()?,
            ..wechat_sim::Settings::default()
        })
        .await?;
        wechat.warm_up(INSTANCES).await;
        let http = http_client()?;
        let phones = Phones::at(&wechat.base_url(), http.clone());
        let health = first_free(0).await?.local_addr()?;
        // Two stages may stand in one process, in a test.
        let name = format!("outboxd-demo-{}-{}.log", std::process::id(), health.port());
        let log = std::env::temp_dir().join(name);
        let mut settings = settings(&args.database_url, &wechat, health);
        let desk = if args.once {
            None
        } else {
            let address = first_free(DESK).await?.local_addr()?;
            settings.push(("OUTBOXD_DESK_LISTEN", address.to_string()));
            // A visitor has thumbs. In the script nobody ever allows anything, and a refusal is an end.
            settings.push(("OUTBOXD_AWAIT_GRANT", "*".to_owned()));
            settings.push(("OUTBOXD_ASK_GRANTS_EVERY", "1s".to_owned()));
            let process = Process::new(program.clone(), "serve", settings.clone(), log.clone());
            Some(Desk { process, address })
        };
        let daemon = Arc::new(Process::new(program, "run", settings, log));

        daemon.run_once("migrate").await?;
        crm::set_up(&pool).await.context("make the CRM's tables")?;
        phones.refuse(crm::REFUSES).await?;
        let expects = if args.once {
            by_the_script
        } else {
            |_: &str| Expectation::Either
        };
        let books = Arc::new(Mutex::new(
            Books::open(pool.clone(), phones.clone(), expects).await?,
        ));

        let listener = first_free(args.port).await?;
        let address = listener.local_addr()?;
        let house = page::House {
            pool: pool.clone(),
            phones: phones.clone(),
            daemon: daemon.clone(),
            books: books.clone(),
            desk: desk.as_ref().map(Desk::url),
        };
        let routes = crm::routes(pool.clone()).merge(page::routes(house));
        let site = tokio::spawn(async move {
            if let Err(e) = axum::serve(listener, routes).await {
                eprintln!("demo: the page is gone: {e}");
            }
        });

        daemon.start().await?;
        if let Some(desk) = &desk {
            desk.process.start().await?;
            until_ready(&desk.process, &http, &format!("{}/livez", desk.url())).await?;
        }
        until_ready(&daemon, &http, &format!("http://{health}/readyz")).await?;
        Ok(Stage {
            pool,
            phones,
            daemon,
            desk,
            books,
            http,
            address,
            site,
            _wechat: wechat,
        })
    }

    /// Daemon and desk first: the last calls still need a WeChat to talk to and a database to write in.
    /// Leaves their log.
    pub(crate) async fn take_down(self) -> Result<PathBuf> {
        let desk = async {
            match &self.desk {
                Some(desk) => desk.process.stop().await,
                None => Ok(()),
            }
        };
        tokio::try_join!(self.daemon.stop(), desk)?;
        self.site.abort();
        self.pool.close().await;
        Ok(self.daemon.log().to_owned())
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn desk_url(&self) -> Option<String> {
        self.desk.as_ref().map(Desk::url)
    }
}

impl Desk {
    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// What an operator would put into the environment, with short times.
fn settings(
    database_url: &str,
    wechat: &WechatSim,
    health: SocketAddr,
) -> Vec<(&'static str, String)> {
    let (base_url, app, health) = (wechat.base_url(), wechat.settings(), health.to_string());
    [
        ("DATABASE_URL", database_url),
        ("MINIPROGRAM_APPID", &app.appid),
        ("MINIPROGRAM_APPSECRET", &app.secret),
        ("MINIPROGRAM_CLOUD_ENV", &app.env),
        ("OUTBOXD_WECHAT_BASE_URL", &base_url),
        ("OUTBOXD_HTTP_LISTEN", &health),
        // What the reference CRM calls the salesperson in its payloads.
        ("OUTBOXD_DESK_RECIPIENT_LABEL", "assignedTo"),
        // The demo's cluster is thrown away with its data; a real daemon refuses one that may forget.
        ("OUTBOXD_UNSAFE_DURABILITY", "true"),
        // Less than real calls are given, of which the daemon warns in its log: a lease of three such calls
        // would make everybody wait for half a minute.
        ("OUTBOXD_CALL_TIMEOUT", "2s"),
        ("OUTBOXD_LEASE", "6s"),
        ("OUTBOXD_DRAIN_TIMEOUT", "4s"),
        ("OUTBOXD_RETRY_SCHEDULE", "1s 2s 3s 4s 5s 5s 5s 5s 5s 5s"),
    ]
    .into_iter()
    .map(|(name, value)| (name, value.to_owned()))
    .collect()
}

/// Waits until this address says yes: what a process does first is no part of what is shown.
async fn until_ready(process: &Process, http: &reqwest::Client, url: &str) -> Result<()> {
    let begun = Instant::now();
    loop {
        let answer = http.get(url).send().await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(());
        }
        if process.ended_by_itself().await || begun.elapsed() > PATIENCE {
            let log = std::fs::read_to_string(process.log()).unwrap_or_default();
            bail!("{process} does not become ready; the log says:\n{log}");
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// What the script knows: who has not subscribed.
fn by_the_script(recipient: &str) -> Expectation {
    if recipient == crm::REFUSES {
        Expectation::Refusal
    } else {
        Expectation::Message
    }
}

/// Nothing here leaves the machine: no proxy, no redirects.
fn http_client() -> Result<reqwest::Client> {
    // The feature set asks for a TLS provider, although the demo speaks plain HTTP; a second one is no error.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()?)
}

/// The wished port or one of the next; any free one if all of those are taken.
async fn first_free(wish: u16) -> Result<TcpListener> {
    for port in (wish..wish.saturating_add(20)).chain([0]) {
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await {
            return Ok(listener);
        }
    }
    bail!("no port on 127.0.0.1 is free for the page")
}
