//! End to end with nothing of ours replaced: the daemon is the program, the receiver is the deployed cloud function on
//! WeChat's own SDK, in Node; both sign with one secret. WeChat alone is simulated.
//!
//! It needs what `.ci/node ready` fetches; without, these tests say so and pass, unless `OUTBOXD_TEST_NODE=required`.

use sqlx::PgPool;
use wechat_sim::{ErrorForm, Settings, deployment};

use crate::fleet::{Fleet, signal};
use crate::harness::enqueue;

const SECRET: &str = "one-secret-on-both-sides-0123456789";
/// Calls at a time, and so processes of Node.
const SLOTS: usize = 4;

/// Daemon and function on this SDK; `None` where the function cannot run.
async fn fleet(pool: &PgPool, sdk: Option<&str>) -> Option<Fleet> {
    let mut fleet = Fleet::with(
        pool,
        Settings {
            deployed: deployment::for_test(sdk)?,
            signing_secret: Some(SECRET.to_owned()),
            ..Settings::default()
        },
    )
    .await;
    fleet
        .set("OUTBOXD_SIGNING_SECRET", SECRET)
        .set("OUTBOXD_SLOTS", &SLOTS.to_string());
    fleet.sim.warm_up(SLOTS).await;
    Some(fleet)
}

/// What was asked of the function about a customer's notification, and what it is called in the end.
async fn journey(fleet: &Fleet, customer: &str) -> String {
    let (status, reason) = fleet.verdict(customer).await;
    let key: uuid::Uuid =
        sqlx::query_scalar("select key from outboxd.notification_delivery where aggregate_id = $1")
            .bind(customer)
            .fetch_one(&fleet.pool)
            .await
            .unwrap();
    let ledger = fleet.sim.ledger();
    let asked: Vec<&str> = ledger
        .calls_of(key)
        .iter()
        .map(|call| call.kind.as_str())
        .collect();
    let messages = ledger.messages_of(key).len();
    format!("{}: {status}, {reason}, {messages}", asked.join(" "))
}

/// Lets the real program settle what was enqueued.
async fn settle(fleet: &Fleet) {
    let mut daemon = fleet.process(&["run"]);
    fleet.settled().await;
    signal(&daemon, "TERM");
    assert!(daemon.wait().await.unwrap().success());
    fleet.assert_invariants().await;
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn the_program_and_the_deployed_function_settle_everything_once(pool: PgPool) {
    let Some(fleet) = fleet(&pool, None).await else {
        return;
    };
    // A fifth of the five seconds at which the platform cuts a call; the function goes on behind it.
    fleet
        .sim
        .switches()
        .set(|switches| switches.http_cut_ms = 1_000);
    let cases = [
        ("zhang", "notify: delivered, accepted, 1"),
        (
            "once-lost-reply",
            "notify inquire: delivered, accepted_duplicate, 1",
        ),
        (
            "once-reset-unsent",
            "notify inquire notify: delivered, accepted, 1",
        ),
        ("fail-43101", "notify: dead, not_subscribed, 0"),
        ("no-openid", "notify: dead, no_openid, 0"),
        (
            "once-sent-scf-430",
            "notify inquire: delivered, accepted_duplicate, 1",
        ),
        (
            "once-sent-slow-1500ms",
            "notify inquire: delivered, accepted_duplicate, 1",
        ),
        ("fail-n604102", "notify seal: dead, receiver_unknown, 0"),
    ];
    for (recipient, _) in cases {
        enqueue(&pool, recipient, recipient).await;
    }
    settle(&fleet).await;
    for (recipient, expected) in cases {
        assert_eq!(journey(&fleet, recipient).await, expected, "{recipient}");
    }
}

/// Before the message went out the function is called again, after it it is believed; and the form in which the
/// platform tells of the exception makes no difference.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn an_exception_of_the_function_in_every_form(pool: PgPool) {
    let Some(fleet) = fleet(&pool, None).await else {
        return;
    };
    for form in [
        ErrorForm::Outer,
        ErrorForm::OuterWithData,
        ErrorForm::Inner,
        ErrorForm::Hang,
    ] {
        fleet
            .sim
            .switches()
            .set(|switches| switches.error_form = form);
        let customer = |point: &str| format!("{point} {form:?}");
        enqueue(&pool, "once-unsent-throw", &customer("unsent")).await;
        enqueue(&pool, "once-sent-throw", &customer("sent")).await;
        settle(&fleet).await;
        assert_eq!(
            journey(&fleet, &customer("unsent")).await,
            "notify inquire notify: delivered, accepted, 1",
            "{form:?}"
        );
        assert_eq!(
            journey(&fleet, &customer("sent")).await,
            "notify inquire: delivered, accepted_duplicate, 1",
            "{form:?}"
        );
    }
}

/// This SDK gives the message's id as a `BigInt`, over which a function that hands on the SDK's result falls after the
/// message went out. The id arrives, digit by digit, and so do the answers to later calls.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn an_id_that_is_no_json_arrives_as_text(pool: PgPool) {
    let Some(fleet) = fleet(&pool, Some("2.6.3")).await else {
        return;
    };
    enqueue(&pool, "zhang", "told").await;
    enqueue(&pool, "once-lost-reply", "asked").await;
    settle(&fleet).await;
    for (customer, expected) in [
        ("told", "notify: delivered, accepted, 1"),
        ("asked", "notify inquire: delivered, accepted_duplicate, 1"),
    ] {
        assert_eq!(journey(&fleet, customer).await, expected);
    }
    let stored: Vec<Option<String>> =
        sqlx::query_scalar("select msgid from outboxd.notification_delivery order by msgid")
            .fetch_all(&pool)
            .await
            .unwrap();
    let mut sent: Vec<Option<String>> = fleet
        .sim
        .ledger()
        .messages()
        .iter()
        .map(|message| Some(message.msgid.clone()))
        .collect();
    sent.sort();
    assert_eq!(stored, sent);
}
