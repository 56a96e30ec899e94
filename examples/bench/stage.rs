//! The stage: a cluster and a sink for the whole benchmark, and for every run a [`Scene`], a new database in which
//! rows wait and a daemon is let loose.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sqlx::{Connection, PgConnection};

use crate::Options;
use crate::books::Books;
use crate::cluster::Cluster;
use crate::daemon::{Daemon, Program};
use crate::proc;
use crate::report::Run;
use crate::sink::Sink;

/// What the CRM inserts, numbered by its aggregate: the event built of it has about 400 bytes.
const ROWS: &str = "\
    insert into outboxd.notification_outbox (event_type, recipient, aggregate_id, payload)
    select 'customer_assigned', (1000 + i % 100)::text, i::text,
           jsonb_build_object('customerName', '李女士', 'phone', '13800138000', 'source', 'mini program',
                              'assignedBy', 'team lead', 'assignedAt', '2026-11-22 10:00')
      from generate_series($1, $2) i";

/// The same, one at a time, with $1 as its number; what `writers` and `latency` send.
pub(crate) const ROW: &str = "\
    (event_type, recipient, aggregate_id, payload) values ('customer_assigned', '1042', $1,
     '{\"customerName\": \"李女士\", \"phone\": \"13800138000\", \"source\": \"mini program\", \
       \"assignedBy\": \"team lead\", \"assignedAt\": \"2026-11-22 10:00\"}')";

pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    pub(crate) sink: Sink,
    /// This build, and those it is compared with.
    pub(crate) programs: Vec<Program>,
}

impl Stage {
    pub(crate) async fn put_up(options: &Options) -> Result<Stage> {
        let mut programs = vec![Program::this()?];
        programs.extend(options.work.iter().cloned());
        let cluster = Cluster::start()?;
        let version: String = sqlx::query_scalar("show server_version")
            .fetch_one(&mut cluster.connect("postgres").await?)
            .await?;
        let cores = std::thread::available_parallelism()?;
        eprintln!("PostgreSQL {version}, {cores} cores");
        Ok(Stage {
            cluster,
            sink: Sink::start(None).await?,
            programs,
        })
    }

    /// A new database with this build's schema.
    pub(crate) async fn scene<'a>(&'a self, program: &'a Program) -> Result<Scene<'a>> {
        let name = self.cluster.create_database().await?;
        program.set_up(&self.cluster.url(&name))?;
        let control = self.cluster.connect(&name).await?;
        Ok(Scene {
            stage: self,
            program,
            name,
            control,
        })
    }
}

pub(crate) struct Scene<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) program: &'a Program,
    pub(crate) name: String,
    pub(crate) control: PgConnection,
}

/// How a drain is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drain {
    /// Calls after which the daemon is stopped.
    pub(crate) n: i64,
    pub(crate) slots: u32,
    pub(crate) answers_after: Duration,
}

/// CPU and WAL used up to a moment.
pub(crate) struct Meter {
    pg: f64,
    sink: f64,
    /// This process with its sink.
    bench: f64,
    machine: f64,
    wal: i64,
    at: Instant,
}

impl Scene<'_> {
    /// Rows with the numbers from `first` on.
    pub(crate) async fn enqueue(&mut self, first: i64, n: i64) -> Result<()> {
        sqlx::query(ROWS)
            .bind(first)
            .bind(first + n - 1)
            .execute(&mut self.control)
            .await
            .context("insert rows")?;
        Ok(())
    }

    /// Statistics and dirty pages of what was prepared are no part of what is measured.
    pub(crate) async fn come_to_rest(&mut self) -> Result<()> {
        for step in ["analyze", "checkpoint"] {
            sqlx::raw_sql(step).execute(&mut self.control).await?;
        }
        Ok(())
    }

    pub(crate) fn start_daemon(&self, slots: u32) -> Result<Daemon> {
        let url = self.stage.cluster.url(&self.name);
        self.program.start(&url, &self.stage.sink.url, slots)
    }

    pub(crate) async fn meter(&mut self) -> Result<Meter> {
        let wal = sqlx::query_scalar("select (pg_current_wal_lsn() - '0/0')::bigint")
            .fetch_one(&mut self.control)
            .await?;
        Ok(Meter {
            pg: self.stage.cluster.cpu(),
            sink: self.stage.sink.cpu(),
            bench: proc::cpu(std::process::id()).own,
            machine: proc::machine(),
            wal,
            at: Instant::now(),
        })
    }

    /// Lets one daemon settle what is due: jobs/s from the first arrival at the sink to the last row settled.
    pub(crate) async fn drain(&mut self, drain: Drain, run: &mut Run) -> Result<()> {
        let sink = &self.stage.sink;
        sink.reset(drain.answers_after);
        let books = Books::open(&mut self.control).await?;
        let before = self.meter().await?;
        let daemon = self.start_daemon(drain.slots)?;
        let cpu = daemon.cpu();
        sink.reached(usize::try_from(drain.n)?).await?;
        let spent = daemon.stop().await?;
        let after = self.meter().await?;
        let calls = sink.seen();
        let balance = books.close(&mut self.control, 0, &calls).await?;

        let first = calls.iter().map(|call| call.at_us).min().unwrap_or(0);
        let seconds = (balance.settled_at_us - first) as f64 / 1e6;
        run.put("n", balance.settled as f64);
        run.put("slots", f64::from(drain.slots));
        run.put("rate", balance.settled as f64 / seconds);
        run.put(
            "daemon_us",
            (spent.cpu - cpu) / balance.settled as f64 * 1e6,
        );
        run.put("peak_rss_mb", spent.peak_rss);
        after.since(&before, balance.settled, run);
        run.put(
            "others_percent",
            after.others_percent(&before, spent.cpu - cpu),
        );
        run.put("duplicates", balance.duplicates as f64);
        run.put("lost", balance.lost as f64);
        run.faults.extend(balance.faults);
        Ok(())
    }

    pub(crate) async fn close(self) -> Result<()> {
        self.control.close().await?;
        self.stage.cluster.drop_database(&self.name).await
    }
}

impl Meter {
    /// Per job.
    pub(crate) fn since(&self, before: &Meter, jobs: i64, run: &mut Run) {
        let jobs = jobs.max(1) as f64;
        run.put("pg_us", (self.pg - before.pg) / jobs * 1e6);
        run.put("sink_us", (self.sink - before.sink) / jobs * 1e6);
        run.put("wal_bytes", (self.wal - before.wal) as f64 / jobs);
    }

    /// What the rest of the machine did meanwhile, in percent of one core: noise.
    pub(crate) fn others_percent(&self, before: &Meter, daemons: f64) -> f64 {
        let ours = (self.pg - before.pg) + (self.bench - before.bench) + daemons;
        let others = (self.machine - before.machine) - ours;
        others / (self.at - before.at).as_secs_f64() * 100.0
    }

    /// Share of one core over a time, in percent.
    pub(crate) fn pg_percent(&self, before: &Meter, seconds: f64) -> f64 {
        (self.pg - before.pg) / seconds * 100.0
    }
}
