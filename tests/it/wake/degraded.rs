//! Whatever is wrong with the wake-up, rows are claimed: by the poll, until it is mended.

use std::sync::Arc;
use std::time::Duration;

use outboxd::config::Pooler;
use outboxd::outbox::line::Database;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::lanes::{self, Lanes, NOBODY_SLEEPS, Settings, asleep, insert, kill_listener};
use crate::harness::{appears, run};

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_listener_that_is_killed_comes_back(pool: PgPool) {
    let mut lanes = Lanes::start(&pool, &Settings::attentive());
    for n in 0..5 {
        asleep(&pool, 1).await;
        kill_listener(&pool).await;
        insert(&pool, "default", &format!("deaf {n}")).await;
        assert_eq!(lanes.claimed().await, format!("deaf {n}"));
        asleep(&pool, 1).await;
        insert(&pool, "default", &format!("heard {n}")).await;
        assert_eq!(lanes.claimed().await, format!("heard {n}"));
    }
    lanes.listener_is(1).await;
    lanes.stop().await;
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn without_the_trigger_a_lane_polls_until_it_is_back(pool: PgPool) {
    let mut lanes = Lanes::start(&pool, &Settings::attentive());
    for (takes, gives) in [
        (
            "alter table outboxd.notification_outbox disable trigger wake_sleeper",
            "alter table outboxd.notification_outbox enable trigger wake_sleeper",
        ),
        (
            "alter table outboxd.notification_outbox rename to hidden; create view outboxd.notification_outbox as select * from outboxd.hidden",
            "drop view outboxd.notification_outbox; alter table outboxd.hidden rename to notification_outbox",
        ),
    ] {
        asleep(&pool, 1).await;
        run(&pool, takes).await;
        // The sleeper is not left lying: nobody would call it.
        appears(&pool, NOBODY_SLEEPS).await;
        lanes.listener_is(0).await;
        insert(&pool, "default", "polled").await;
        assert_eq!(lanes.claimed().await, "polled");
        run(&pool, gives).await;
        lanes.listener_is(1).await;
        asleep(&pool, 1).await;
        insert(&pool, "default", "called").await;
        assert_eq!(lanes.claimed().await, "called");
    }
    lanes.stop().await;
}

/// The network swallows the listening connection: no error, no end, no word.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_listener_that_is_cut_off_without_a_word_is_noticed(pool: PgPool) {
    let wire = Wire::start(&pool).await;
    let mut lanes = Lanes::listening_at(&pool, &Settings::attentive(), wire.database.clone());
    asleep(&pool, 1).await;
    lanes.listener_is(1).await;
    wire.swallows.send(true).unwrap();
    lanes.listener_is(0).await;
    insert(&pool, "default", "polled").await;
    assert_eq!(lanes.claimed().await, "polled");
    // The dead session still has the lock, and the server knows nothing; it ends what is silent for too long.
    appears(&pool, NOBODY_SLEEPS).await;
    wire.swallows.send(false).unwrap();
    asleep(&pool, 1).await;
    lanes.listener_is(1).await;
    insert(&pool, "default", "called").await;
    assert_eq!(lanes.claimed().await, "called");
    lanes.stop().await;
}

/// A transaction of the CRM that has inserted and stays open has the lock, shared: nobody may sleep over its row.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn while_a_long_transaction_has_inserted_lanes_poll(pool: PgPool) {
    let mut long = pool.begin().await.unwrap();
    insert(&mut *long, "default", "long").await;
    let mut lanes = Lanes::start(&pool, &Settings::attentive());
    lanes.listener_is(1).await;
    for n in 0..5 {
        insert(&pool, "default", &format!("short {n}")).await;
        assert_eq!(lanes.claimed().await, format!("short {n}"));
        assert_eq!(crate::harness::number(&pool, lanes::SLEEPERS).await, 0);
    }
    assert_eq!(lanes.metric("outbox_wake_ups_total"), 0);
    long.commit().await.unwrap();
    assert_eq!(lanes.claimed().await, "long");
    asleep(&pool, 1).await;
    lanes.stop().await;
}

/// A session with `session_replication_role = replica` passes by the trigger: the look of a sleeper finds its rows.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_passes_by_the_trigger_is_found_by_the_backstop(pool: PgPool) {
    let mut settings = Settings::only_words();
    settings.rhythm.backstop = Duration::from_millis(200);
    let mut lanes = Lanes::start(&pool, &settings);
    asleep(&pool, 1).await;
    run(&pool, "begin; set local session_replication_role = replica;
                insert into outboxd.notification_outbox (event_type, aggregate_id, recipient) values ('e', 'replicated', 'u'); commit").await;
    assert_eq!(lanes.claimed().await, "replicated");
    assert_eq!(lanes.metric("outbox_wake_ups_total"), 0);
    lanes.stop().await;
}

/// A way to the database that can swallow everything, on connections old and new, without closing any.
struct Wire {
    database: Database,
    swallows: Arc<watch::Sender<bool>>,
}

impl Wire {
    async fn start(pool: &PgPool) -> Wire {
        let options = PgConnectOptions::clone(&pool.connect_options());
        let server = (options.get_host().to_owned(), options.get_port());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let swallows = Arc::new(watch::Sender::new(false));
        let valve = swallows.clone();
        tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let far = TcpStream::connect((server.0.as_str(), server.1))
                    .await
                    .unwrap();
                let (near_read, near_write) = near.into_split();
                let (far_read, far_write) = far.into_split();
                tokio::spawn(pass(near_read, far_write, valve.subscribe()));
                tokio::spawn(pass(far_read, near_write, valve.subscribe()));
            }
        });
        let options = options.host("127.0.0.1").port(port);
        Wire {
            database: Database::new(options, Pooler::None),
            swallows,
        }
    }
}

/// Passes on until it swallows; a connection once swallowed stays open and dead.
async fn pass(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut swallows: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 8192];
    loop {
        tokio::select! {
            () = async { drop(swallows.wait_for(|swallows| *swallows).await) } => break,
            read = from.read(&mut buffer) => match read {
                Ok(0) | Err(_) => return,
                Ok(read) => if to.write_all(&buffer[..read]).await.is_err() { return },
            },
        }
    }
    while from.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
}
