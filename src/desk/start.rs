//! The desk's start: refused where it would stand open, then one port, until told to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{
    Desk, badge, bulk, limit, lines::Lines, overview, pages, password, session, system, who,
};
use crate::config::words::words;
use crate::config::{Config, DeskConfig, Misplaced, Words};
use crate::port;

/// How long pages under way may take to end.
const LAST_PAGES: Duration = Duration::from_secs(5);

/// A desk that listens.
pub struct Open {
    pub address: SocketAddr,
    /// As people may type it.
    pub url: String,
    task: JoinHandle<()>,
}

impl Open {
    /// Waits until it has ended, after its stop has turned true.
    pub async fn ended(self) {
        let _ = self.task.await;
    }
}

/// Opens the desk, or says why it must not be. It serves until `stop` turns true.
pub async fn open(
    config: &Config,
    read_only: bool,
    mut stop: watch::Receiver<bool>,
) -> Result<Open> {
    let told = &config.desk;
    closed_by_default(told)?;
    let url = told.url.as_ref();
    let prefix = url.map_or("", |url| url.path().trim_end_matches('/'));
    let desk = Arc::new(Desk {
        lines: Lines::new(&config.database)?,
        driver: bulk::drive::Driver::new(&config.database.url)?,
        door: who::Door::new(told)?,
        keys: session::Keys::new(told.secret.as_ref()),
        passwords: password::Passwords::new(),
        reveals: limit::Reveals::new(),
        prefix: prefix.to_owned(),
        origin: url.map(url::Url::origin),
        secure: url.is_some_and(|url| url.scheme() == "https"),
        read_only: read_only || told.read_only,
        lang: config.lang,
        zone: config.time_zone,
        labels: told.labels.clone(),
        overview: overview::Known::default(),
        settings: system::Settings::of(config),
        badges: badge::Badges::new(&told.badge),
    });
    let listen = told.listen;
    let listener = match TcpListener::bind(listen).await {
        Ok(listener) => listener,
        Err(cause) => bail!(Misplaced(words!(
            "cannot listen on {listen} for the desk: {cause}. Set OUTBOXD_DESK_LISTEN to another address",
            "无法在 {listen} 上提供客服台：{cause}。请把 OUTBOXD_DESK_LISTEN 改成别的地址",
        ))),
    };
    let address = listener.local_addr()?;
    let routes = pages(&desk);
    let driver = {
        let (desk, stop) = (desk.clone(), stop.clone());
        async move {
            if !desk.read_only {
                bulk::drive::drive(desk, stop).await;
            }
        }
    };
    let task = tokio::spawn(async move {
        let mut told = stop.clone();
        let serving = port::serve(listener, routes, async move {
            let _ = told.wait_for(|stop| *stop).await;
        });
        let late = async move {
            let _ = stop.wait_for(|stop| *stop).await;
            tokio::time::sleep(LAST_PAGES).await;
        };
        tokio::select! {
            _ = async { tokio::join!(serving, driver) } => {}
            () = late => {}
        }
    });
    Ok(Open {
        address,
        url: match url {
            Some(url) => url.to_string(),
            None => format!("http://{address}/"),
        },
        task,
    })
}

/// Without anybody who says who somebody is, only this machine's own people get in, by this machine's own names.
fn closed_by_default(told: &DeskConfig) -> Result<()> {
    if told.users.is_some() {
        return Ok(());
    }
    match (told.proxy.is_empty(), &told.user_header) {
        (false, Some(_)) => return Ok(()),
        (true, None) => {}
        (false, None) | (true, Some(_)) => bail!(Misplaced(Words::new(
            "nobody could come in: OUTBOXD_DESK_PROXY, the addresses of a proxy that has people log in, and OUTBOXD_DESK_USER_HEADER, the header in which it names them, go together. Set both, or name a file of users in OUTBOXD_DESK_USERS",
            "没有人能进入客服台：OUTBOXD_DESK_PROXY（负责登录的代理的地址）和 OUTBOXD_DESK_USER_HEADER（代理声明用户名的请求头）必须一起设置。请两项都设置，或在 OUTBOXD_DESK_USERS 指定人员文件",
        ))),
    }
    let listen = told.listen;
    let open = match &told.url {
        _ if !listen.ip().is_loopback() => listen.to_string(),
        Some(url) if !who::leads_here(url) => url.to_string(),
        Some(_) | None => return Ok(()),
    };
    bail!(Misplaced(words!(
        "the desk would stand open to everybody who reaches {open}. Name a file of users in OUTBOXD_DESK_USERS (a line is made by: outboxd desk-password NAME), or a proxy that has people log in, in OUTBOXD_DESK_PROXY and OUTBOXD_DESK_USER_HEADER; or listen on 127.0.0.1, without a public OUTBOXD_DESK_URL",
        "客服台会向所有能访问 {open} 的人敞开。请在 OUTBOXD_DESK_USERS 指定人员文件（用 outboxd desk-password 名字 生成一行），或用 OUTBOXD_DESK_PROXY 和 OUTBOXD_DESK_USER_HEADER 指定负责登录的代理；也可以只监听 127.0.0.1，并且不设置对外的 OUTBOXD_DESK_URL",
    )))
}
