//! A PostgreSQL of the benchmark's own: on loopback, as durable as a real one, gone afterwards.
//!
//! `cluster.sh` makes it and takes it away when this process is gone, be it by Ctrl-C or by SIGKILL. Nothing that is
//! already running on the machine, and no `DATABASE_URL`, is looked at.

use std::cell::Cell;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};

use crate::proc;

const KEEPER: &str = include_str!("cluster.sh");

/// Everything else is at its default: `fsync`, `synchronous_commit`, `full_page_writes` and autovacuum are on.
const SETTINGS: &str = "\
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 300
shared_buffers = 1GB
max_wal_size = 8GB
checkpoint_timeout = 30min
jit = off
log_line_prefix = '%n %p '
log_parameter_max_length = 0
";

/// PostgreSQL's programs lie in one of these, as packages and `.ci/postgres` lay them; `*` is a version.
const PLACES: [&str; 6] = [
    concat!(env!("CARGO_MANIFEST_DIR"), "/.local/postgres/bin"),
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
];

pub(crate) struct Cluster {
    /// Ends, and cleans up, when its standard input is closed.
    keeper: Child,
    server: u32,
    home: PathBuf,
    port: u16,
    password: String,
    databases: Cell<u32>,
}

impl Cluster {
    pub(crate) fn start() -> Result<Cluster> {
        let bindir = newest_bindir()?;
        let password = uuid::Uuid::new_v4().simple().to_string();
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut keeper = Command::new("sh");
        keeper
            .args(["-c", KEEPER, "cluster.sh"])
            .arg(&bindir)
            .arg(folder())
            .arg(port.to_string())
            .env("PASSWORD", &password)
            .env("SETTINGS", SETTINGS)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is for the benchmark; the server is ended in order.
            .process_group(0);
        if rustix::process::geteuid().is_root() {
            let (user, group) = ordinary_user()?;
            keeper.uid(user).gid(group);
        }
        let mut keeper = keeper.spawn().context("start sh")?;
        let mut said = String::new();
        let words = keeper.stdout.take().context("no pipe from the keeper")?;
        BufReader::new(words).read_line(&mut said)?;
        let Some((home, server)) = said.trim_end().split_once(' ') else {
            bail!("PostgreSQL did not start; its words are above");
        };
        Ok(Cluster {
            keeper,
            server: server.parse()?,
            home: home.into(),
            port,
            password,
            databases: Cell::new(0),
        })
    }

    pub(crate) fn url(&self, database: &str) -> String {
        let Cluster { password, port, .. } = self;
        format!("postgres://postgres:{password}@127.0.0.1:{port}/{database}")
    }

    pub(crate) async fn connect(&self, database: &str) -> Result<PgConnection> {
        let options: PgConnectOptions = self.url(database).parse()?;
        let connection = options.disable_statement_logging().connect().await;
        connection.with_context(|| format!("connect to {database}"))
    }

    /// An empty database's name.
    pub(crate) async fn create_database(&self) -> Result<String> {
        self.databases.set(self.databases.get() + 1);
        let name = format!("bench_{}", self.databases.get());
        let mut connection = self.connect("postgres").await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("create database {name}")))
            .execute(&mut connection)
            .await?;
        Ok(name)
    }

    pub(crate) async fn drop_database(&self, name: &str) -> Result<()> {
        let mut connection = self.connect("postgres").await?;
        let sql = format!("drop database {name} with (force)");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&mut connection)
            .await?;
        Ok(())
    }

    /// Seconds of CPU of all the server's processes, of those that have ended, too.
    pub(crate) fn cpu(&self) -> f64 {
        let living: f64 = proc::children(self.server)
            .into_iter()
            .map(|pid| proc::cpu(pid).own)
            .sum();
        let server = proc::cpu(self.server);
        server.own + server.of_ended_children + living
    }

    /// What the server writes down.
    pub(crate) fn log(&self) -> PathBuf {
        self.home.join("log")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// The folder of the newest `initdb` and `postgres` of this machine.
fn newest_bindir() -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    let told = Command::new("pg_config").arg("--bindir").output();
    let told = told.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let usual = PLACES.iter().flat_map(|place| expand(place));
    for bindir in told.into_iter().map(PathBuf::from).chain(usual) {
        if let Some(major) = major_version(&bindir) {
            found.push((major, bindir));
        }
    }
    let newest = found.into_iter().max_by_key(|(major, _)| *major);
    let (major, bindir) = newest.context(
        "no PostgreSQL server here: install one (Debian, Ubuntu: apt-get install postgresql; \
         macOS: brew install postgresql@17), or run `.ci/postgres true` once, which does",
    )?;
    ensure!(
        major >= 14,
        "PostgreSQL 14 or newer is needed, here is {major}"
    );
    Ok(bindir)
}

fn major_version(bindir: &Path) -> Option<u32> {
    if !bindir.join("initdb").is_file() {
        return None;
    }
    let output = Command::new(bindir.join("postgres"))
        .arg("--version")
        .output()
        .ok()?;
    let words = String::from_utf8(output.stdout).ok()?;
    let version = words.trim().strip_prefix("postgres (PostgreSQL) ")?;
    version
        .split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

/// The folders that a path with at most one `*` names.
fn expand(place: &str) -> Vec<PathBuf> {
    let Some((before, after)) = place.split_once('*') else {
        return vec![place.into()];
    };
    let (parent, start) = before.rsplit_once('/').unwrap_or(("", before));
    let entries = std::fs::read_dir(format!("{parent}/"))
        .into_iter()
        .flatten();
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with(start))
        .map(|name| PathBuf::from(format!("{parent}/{name}{after}")))
        .collect()
}

/// Root's own temporary folder may be closed to the server's user.
fn folder() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        "/tmp".into()
    } else {
        std::env::temp_dir()
    }
}

fn ordinary_user() -> Result<(u32, u32)> {
    let number = |of: &str, user: &str| -> Option<u32> {
        let output = Command::new("id").args([of, user]).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    ["postgres", "nobody"]
        .into_iter()
        .find_map(|user| Some((number("-u", user)?, number("-g", user)?)))
        .context("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")
}
