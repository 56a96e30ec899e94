//! What waking and sleeping cost, printed. Run as
//! `.ci/postgres cargo test --release --test it wake::measure -- --ignored --nocapture --test-threads 1`.

use std::time::{Duration, Instant};

use sqlx::PgPool;
use tokio::task::JoinSet;

use super::lanes::{Lanes, Settings, asleep, insert};
use crate::fleet::Fleet;
use crate::harness::free_port;

/// From the commit to the claim, as the target sees it: alone and at 200 inserts a second, woken and polling.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
#[ignore = "prints figures, proves nothing"]
async fn from_commit_to_claim(pool: PgPool) {
    for (pace, writers, every, count) in [
        ("one insert now and then", 1, Duration::from_millis(370), 60),
        ("200 inserts a second", 4, Duration::from_millis(20), 4000),
    ] {
        for listens in [true, false] {
            let mut settings = Settings::only_words();
            settings.poll_idle = Duration::from_millis(250);
            settings.rhythm = outboxd::wake::Rhythm::default();
            settings.slots = 256;
            settings.listens = listens;
            let mut lanes = Lanes::start(&pool, &settings);
            if listens {
                asleep(&pool, 1).await;
            }
            let cost = Cost::of_postgres(&pool).await;
            let started = Instant::now();
            let mut inserts = JoinSet::new();
            for writer in 0..writers {
                let pool = pool.clone();
                inserts.spawn(write(pool, writer, every, count / writers));
            }
            let mut claimed = vec![None; count];
            for _ in 0..count {
                let (claim, at) = lanes.claim_at().await;
                claimed[claim.aggregate_id.parse::<usize>().unwrap()] = Some(at);
            }
            let mut waits: Vec<Duration> = inserts
                .join_all()
                .await
                .into_iter()
                .flatten()
                .map(|(n, committed)| claimed[n].unwrap().saturating_duration_since(committed))
                .collect();
            let (took, burnt) = (
                started.elapsed(),
                Cost::of_postgres(&pool).await.since(&cost),
            );
            waits.sort_unstable();
            let at = |share: f64| {
                waits[((waits.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0
            };
            println!(
                "{pace}, {}: p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms, max {:.1} ms; PostgreSQL, inserts included: {:.1} % of a core",
                if listens { "woken" } else { "polling" },
                at(0.5),
                at(0.95),
                at(0.99),
                at(1.0),
                100.0 * burnt.as_secs_f64() / took.as_secs_f64()
            );
            lanes.stop().await;
        }
    }
}

/// Inserts on a connection of its own, at random moments, and notes when each commit was answered.
async fn write(
    pool: PgPool,
    writer: usize,
    every: Duration,
    count: usize,
) -> Vec<(usize, Instant)> {
    let mut connection = pool.acquire().await.unwrap();
    let mut committed = Vec::with_capacity(count);
    for n in 0..count {
        let pause = every.mul_f64(rand::random_range(0.0..2.0));
        tokio::time::sleep(pause).await;
        let number = writer * count + n;
        insert(&mut *connection, "default", &number.to_string()).await;
        committed.push((number, Instant::now()));
    }
    committed
}

/// Daemon and PostgreSQL over a minute in which nothing happens, for one daemon and for the second of two.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
#[ignore = "prints figures, proves nothing"]
async fn a_minute_of_nothing(pool: PgPool) {
    for (name, pooler) in [("listening", "none"), ("polling", "transaction")] {
        let mut fleet = Fleet::new(&pool).await;
        fleet.set("OUTBOXD_POOLER", pooler);
        let mut daemons = Vec::new();
        for nth in ["the only", "the second"] {
            fleet.set("OUTBOXD_HTTP_LISTEN", &format!("127.0.0.1:{}", free_port()));
            daemons.push(fleet.process(&["run"]));
            if pooler == "none" {
                asleep(&pool, 1).await;
            }
            tokio::time::sleep(Duration::from_secs(5)).await;
            let daemons_before: Duration = daemons.iter().map(|d| burnt(d.id().unwrap())).sum();
            let before = Cost::of_postgres(&pool).await;
            tokio::time::sleep(Duration::from_secs(60)).await;
            let daemon: Duration = daemons
                .iter()
                .map(|d| burnt(d.id().unwrap()))
                .sum::<Duration>()
                - daemons_before;
            let server = Cost::of_postgres(&pool).await.since(&before);
            let share = |time: Duration| 100.0 * time.as_secs_f64() / 60.0;
            println!(
                "{name}, {nth} daemon added: daemons {:.3} % of a core, their backends {:.3} %, together {:.3} %",
                share(daemon),
                share(server),
                share(daemon + server)
            );
        }
        for mut daemon in daemons {
            daemon.kill().await.unwrap();
        }
    }
}

/// Processor time of the database's backends, by process.
struct Cost(Vec<(i32, Duration)>);

impl Cost {
    async fn of_postgres(pool: &PgPool) -> Cost {
        let backends: Vec<i32> = sqlx::query_scalar(
            "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()",
        )
        .fetch_all(pool)
        .await
        .unwrap();
        Cost(
            backends
                .into_iter()
                .map(|pid| (pid, burnt(pid.unsigned_abs())))
                .collect(),
        )
    }

    fn since(&self, before: &Cost) -> Duration {
        let earlier = |pid| {
            before
                .0
                .iter()
                .find(|(other, _)| *other == pid)
                .map_or(Duration::ZERO, |(_, time)| *time)
        };
        self.0
            .iter()
            .map(|(pid, time)| time.saturating_sub(earlier(*pid)))
            .sum()
    }
}

/// Processor time of all threads of a process, to the nanosecond.
fn burnt(pid: u32) -> Duration {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return Duration::ZERO;
    };
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok())
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .map(Duration::from_nanos)
        .sum()
}
