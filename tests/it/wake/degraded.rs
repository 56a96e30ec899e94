//! Whatever is wrong with the wake-up, rows are claimed: by the poll, until it is mended.

use std::sync::Arc;
use std::time::Duration;

use outboxd::config::Pooler;
use outboxd::outbox::line::Database;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
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
            "alter table outboxd.notification_outbox rename to hidden; create table outboxd.notification_outbox (like outboxd.hidden including all)",
            "drop table outboxd.notification_outbox; alter table outboxd.hidden rename to notification_outbox",
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
    wire.passes.send(Passes::Nothing).unwrap();
    lanes.listener_is(0).await;
    insert(&pool, "default", "polled").await;
    assert_eq!(lanes.claimed().await, "polled");
    // The dead session still has the lock, and the server knows nothing; it ends what is silent for too long.
    appears(&pool, NOBODY_SLEEPS).await;
    wire.passes.send(Passes::All).unwrap();
    asleep(&pool, 1).await;
    lanes.listener_is(1).await;
    insert(&pool, "default", "called").await;
    assert_eq!(lanes.claimed().await, "called");
    lanes.stop().await;
}

/// Statements are answered and words do not come: some pooler that we were not told of, or a full queue.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_listener_whose_words_do_not_come_back_is_noticed(pool: PgPool) {
    let wire = Wire::start(&pool).await;
    let mut lanes = Lanes::listening_at(&pool, &Settings::attentive(), wire.database.clone());
    asleep(&pool, 1).await;
    wire.passes.send(Passes::NoWords).unwrap();
    lanes.listener_is(0).await;
    appears(&pool, NOBODY_SLEEPS).await;
    insert(&pool, "default", "polled").await;
    assert_eq!(lanes.claimed().await, "polled");
    wire.passes.send(Passes::All).unwrap();
    asleep(&pool, 1).await;
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

/// While sweeps are slow no lane waits for one: it lies down, and what the sweep finds meanwhile gets it up again.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_sleeper_whose_sweeps_are_slow_finds_what_was_committed_late(pool: PgPool) {
    let mut long = pool.begin().await.unwrap();
    insert(&mut *long, "default", "long").await;
    let mut settings = Settings::attentive();
    settings.sweeps_are_slow = true;
    let mut lanes = Lanes::start(&pool, &settings);
    for n in 0..7 {
        insert(&pool, "default", &format!("short {n}")).await;
        assert_eq!(lanes.claimed().await, format!("short {n}"));
        // Past the half second that every walk looks back.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    long.commit().await.unwrap();
    assert_eq!(lanes.claimed().await, "long");
    asleep(&pool, 1).await;
    lanes.stop().await;
}

/// A row that was in flight at two lapsed claims is isolated and called, however slow sweeps are, though no other row comes.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_suspect_is_called_while_sweeps_are_slow(pool: PgPool) {
    let mut settings = Settings::attentive();
    settings.sweeps_are_slow = true;
    let mut lanes = Lanes::start(&pool, &settings);
    insert(&pool, "default", "first").await;
    assert_eq!(lanes.claimed().await, "first");
    asleep(&pool, 1).await;
    run(&pool, "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, attempts, spared, lapses) values ('e', 'suspect', 'u', 2, 2, 2)").await;
    assert_eq!(lanes.claimed().await, "suspect");
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

/// What a [`Wire`] lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passes {
    All,
    /// Everything but notifications.
    NoWords,
    /// Not even the end of a connection.
    Nothing,
}

/// A way to the database that can be clogged, for connections old and new.
struct Wire {
    database: Database,
    passes: Arc<watch::Sender<Passes>>,
}

impl Wire {
    async fn start(pool: &PgPool) -> Wire {
        let options = PgConnectOptions::clone(&pool.connect_options()).ssl_mode(PgSslMode::Disable);
        let server = (options.get_host().to_owned(), options.get_port());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let passes = Arc::new(watch::Sender::new(Passes::All));
        let valve = passes.clone();
        tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                let far = TcpStream::connect((server.0.as_str(), server.1))
                    .await
                    .unwrap();
                let (near_read, near_write) = near.into_split();
                let (far_read, far_write) = far.into_split();
                tokio::spawn(there(near_read, far_write, valve.subscribe()));
                tokio::spawn(back(far_read, near_write, valve.subscribe()));
            }
        });
        let options = options.host("127.0.0.1").port(port);
        Wire {
            database: Database::new(options, Pooler::None),
            passes,
        }
    }
}

/// To the server, byte by byte.
async fn there(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, passes: watch::Receiver<Passes>) {
    let mut buffer = vec![0; 8192];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        if *passes.borrow() == Passes::Nothing {
            break;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
    std::future::pending().await
}

/// From the server, message by message: one byte says what it is, four its length.
async fn back(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, passes: watch::Receiver<Passes>) {
    loop {
        let mut message = vec![0; 5];
        let read = async {
            from.read_exact(&mut message).await?;
            let length = u32::from_be_bytes([message[1], message[2], message[3], message[4]]);
            message.resize(1 + length as usize, 0);
            from.read_exact(&mut message[5..]).await
        };
        let ended = read.await.is_err();
        let now = *passes.borrow();
        if now == Passes::Nothing {
            break;
        }
        if ended {
            return;
        }
        if (message[0] != b'A' || now == Passes::All) && to.write_all(&message).await.is_err() {
            return;
        }
    }
    std::future::pending().await
}
