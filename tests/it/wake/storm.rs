//! A storm of random inserts against sleepers that never poll: a row that is slept over stays where it is, and is found out.
//!
//! Writers write in rounds, with pauses, rollbacks, savepoints and batches. After each round everything is quiet until each
//! committed row is claimed; nothing but the protocol can find one. The app `strict` is served by several daemons with the
//! real sleeper, listener, look and claim in a loop that has no poll at all; the app `default` by the real relay.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use outboxd::metrics::Metrics;
use outboxd::outbox::claim::{Claimer, Reach};
use outboxd::wake::{News, Rhythm, Sleeper, Wake};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sqlx::{Acquire, PgConnection, PgPool};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::lanes::{Lanes, Settings};
use crate::harness::{LEASE, database};

const WRITERS: usize = 4;
const DAEMONS: usize = 3;

/// Everything is claimed within milliseconds of the last commit, or a second later if a try was refused for long.
const BOUND: Duration = Duration::from_secs(10);

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn no_row_of_twenty_thousand_is_slept_over(pool: PgPool) {
    storm(&pool, 20_000).await;
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
#[ignore = "takes minutes; run it after a change to the protocol"]
async fn no_row_of_a_million_is_slept_over(pool: PgPool) {
    storm(&pool, 1_000_000).await;
}

async fn storm(pool: &PgPool, rows: usize) {
    let seed: u64 = match std::env::var("OUTBOXD_TEST_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => rand::random::<u32>().into(),
    };
    println!("OUTBOXD_TEST_SEED={seed}");
    let started = Instant::now();
    let (told, mut claimed) = mpsc::unbounded_channel();
    let mut daemons = JoinSet::new();
    for _ in 0..DAEMONS {
        let rhythm = Rhythm {
            backstop: Duration::MAX,
            ..Rhythm::default()
        };
        let (wake, listen) = Wake::new(database(pool), Arc::new(Metrics::new()), rhythm);
        daemons.spawn(listen);
        daemons.spawn(strict(pool.clone(), wake.sleeper("strict"), told.clone()));
    }
    let mut settings = Settings::only_words();
    settings.slots = 64;
    let mut relay = Lanes::start(pool, &settings);

    let mut writers = Vec::new();
    for n in 0..WRITERS as u64 {
        let connection = pool.acquire().await.unwrap().detach();
        writers.push((
            connection,
            StdRng::seed_from_u64(seed.wrapping_mul(1000) + n),
        ));
    }
    let (mut written, mut undone, mut rounds, mut worst) = (0, 0, 0, Duration::ZERO);
    while written < rows {
        // Every other round begins with all asleep, the others with whoever is still awake.
        if rounds % 2 == 0 {
            tokio::time::sleep(Duration::from_millis(12)).await;
        }
        let mut round = JoinSet::new();
        for (mut connection, mut rng) in writers.drain(..) {
            round.spawn(async move {
                let mut tally = Tally::default();
                for _ in 0..rng.random_range(1..=4) {
                    pause(&mut rng).await;
                    transaction(&mut connection, &mut rng, &mut tally).await;
                }
                (connection, rng, tally)
            });
        }
        let (mut strict, mut default) = (HashSet::new(), HashSet::new());
        for (connection, rng, tally) in round.join_all().await {
            writers.push((connection, rng));
            undone += tally.undone;
            strict.extend(tally.strict);
            default.extend(tally.default);
        }
        written += strict.len() + default.len();
        rounds += 1;
        // Quiet: from here on only what was said and seen before can wake anybody.
        let quiet_since = Instant::now();
        let all = async {
            while !strict.is_empty() {
                let id = claimed.recv().await.unwrap();
                assert!(
                    strict.remove(&id),
                    "{id} was not committed, or claimed twice"
                );
            }
            while !default.is_empty() {
                let id = relay.claim().await.id.0;
                assert!(
                    default.remove(&id),
                    "{id} was not committed, or claimed twice"
                );
            }
        };
        if tokio::time::timeout(BOUND, all).await.is_err() {
            panic!(
                "seed {seed}, round {rounds}: slept over {strict:?} of strict, {default:?} of default"
            );
        }
        worst = worst.max(quiet_since.elapsed());
    }
    println!(
        "rows={written} rolled_back={undone} rounds={rounds} writers={WRITERS} daemons={DAEMONS}+1 slept_over=0 \
         longest_wait_after_a_round_ms={} woken={} took_s={}",
        worst.as_millis(),
        relay.metric("outbox_wake_ups_total"),
        started.elapsed().as_secs()
    );
    assert!(
        relay.metric("outbox_wake_ups_total") > rounds / 5,
        "hardly anybody slept: nothing is proved"
    );
    relay.stop().await;
    daemons.shutdown().await;
}

/// A daemon's lane without any poll. It claims what a look shows it, and otherwise waits for a word.
async fn strict(pool: PgPool, mut sleeper: Sleeper, told: mpsc::UnboundedSender<i64>) {
    let mut claimer = Claimer::new(database(&pool).line(), "strict", "test", LEASE);
    loop {
        let news = sleeper.news().await;
        // A word to another daemon's sleeper: that one must not need our help.
        if news == News::Stirred {
            continue;
        }
        loop {
            claimer.sweep_next();
            let seen = claimer.look().await.unwrap();
            if seen.due_in != Some(Duration::ZERO) {
                break;
            }
            claimer.sweep_next();
            let claims = claimer.claim(Reach::Due(64)).await.unwrap();
            if claims.is_empty() {
                // Another daemon is just claiming it; it may fail.
                tokio::time::sleep(Duration::from_millis(2)).await;
                continue;
            }
            if news == News::MayWait {
                sleeper.found();
            }
            let ids: Vec<i64> = claims.iter().map(|claim| claim.id.0).collect();
            sqlx::query("delete from outboxd.notification_outbox where id = any ($1)")
                .bind(&ids)
                .execute(&pool)
                .await
                .unwrap();
            for id in ids {
                told.send(id).unwrap();
            }
        }
    }
}

/// What a writer has committed, and how much it took back.
#[derive(Default)]
struct Tally {
    strict: Vec<i64>,
    default: Vec<i64>,
    undone: usize,
}

/// Between nothing and a few milliseconds, now and then long enough for everybody to be asleep.
async fn pause(rng: &mut StdRng) {
    match rng.random_range(0..10) {
        0..5 => {}
        5..9 => tokio::time::sleep(Duration::from_micros(rng.random_range(0..4000))).await,
        _ => tokio::time::sleep(Duration::from_millis(rng.random_range(4..20))).await,
    }
}

async fn transaction(connection: &mut PgConnection, rng: &mut StdRng, tally: &mut Tally) {
    let mut written = Tally::default();
    let mut tx = connection.begin().await.unwrap();
    for _ in 0..rng.random_range(1..=3) {
        if rng.random_bool(0.2) {
            let mut savepoint = tx.begin().await.unwrap();
            let mut inner = Tally::default();
            rows(&mut savepoint, rng, &mut inner).await;
            if rng.random_bool(0.5) {
                savepoint.rollback().await.unwrap();
                tally.undone += inner.strict.len() + inner.default.len();
            } else {
                savepoint.commit().await.unwrap();
                written.strict.extend(inner.strict);
                written.default.extend(inner.default);
            }
        } else {
            rows(&mut tx, rng, &mut written).await;
        }
        if rng.random_bool(0.3) {
            pause(rng).await;
        }
    }
    if rng.random_bool(0.15) {
        tx.rollback().await.unwrap();
        tally.undone += written.strict.len() + written.default.len();
    } else {
        tx.commit().await.unwrap();
        tally.strict.extend(written.strict);
        tally.default.extend(written.default);
    }
}

/// One row, or a batch, of one app or of both, by one statement.
async fn rows(connection: &mut PgConnection, rng: &mut StdRng, tally: &mut Tally) {
    let count: i32 = match rng.random_range(0..10) {
        0..6 => 1,
        6..9 => rng.random_range(2..20),
        _ => rng.random_range(20..60),
    };
    let (strict, default) = [(1, 0), (0, 1), (1, 1)][rng.random_range(0..3)];
    let ids: Vec<(i64, bool)> = sqlx::query_as(
        "insert into outboxd.notification_outbox (app, event_type, aggregate_id, recipient)
         select app, 'e', 'c', 'u' from generate_series(1, $1) n, unnest(array['strict', 'default']) app
          where (app = 'strict' and $2 = 1) or (app = 'default' and $3 = 1)
         returning id, app = 'strict'",
    )
    .bind(count)
    .bind(strict)
    .bind(default)
    .fetch_all(connection)
    .await
    .unwrap();
    for (id, is_strict) in ids {
        if is_strict {
            tally.strict.push(id);
        } else {
            tally.default.push(id);
        }
    }
}
