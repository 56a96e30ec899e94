//! What operators do: once, and with a trace.

use sqlx::PgPool;

use crate::fleet::Fleet;
use crate::harness::{enqueue, number, run};

/// Actor, action, reason and number of rows of the newest line of the audit log.
async fn audit(pool: &PgPool) -> (String, String, Option<String>, i32) {
    sqlx::query_as(
        "select actor, action, reason, affected from outboxd.audit_log order by id desc limit 1",
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn operators_act_once_and_leave_a_trace(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    let dead = enqueue(&pool, "once-fail-43101", "c").await.to_string();
    fleet.ask(&["run", "--once"]).await.ends_with(0);
    assert_eq!(fleet.verdict("c").await.0, "dead");

    // Two people at once: one does it, and the other learns that it is done.
    let retry = |actor: &'static str| {
        let (fleet, dead) = (&fleet, &dead);
        async move {
            fleet
                .ask(&[
                    "retry",
                    dead,
                    "--actor",
                    actor,
                    "--reason",
                    "allowed now",
                    "--json",
                ])
                .await
        }
    };
    let (wang, zhao) = tokio::join!(retry("wang"), retry("zhao"));
    let mut results: Vec<String> = [&wang, &zhao]
        .iter()
        .map(|said| {
            said.json()["results"][0]["result"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    results.sort_unstable();
    assert!(results.contains(&"revived".to_owned()), "{results:?}");
    assert_eq!(
        number(
            &pool,
            "select count(*) from outboxd.audit_log where action = 'retry'"
        )
        .await,
        1,
        "{results:?}"
    );
    let (actor, _, reason, affected) = audit(&pool).await;
    assert!(
        ["wang", "zhao"].contains(&&*actor)
            && reason.as_deref() == Some("allowed now")
            && affected == 1
    );
    fleet.ask(&["run", "--once"]).await.ends_with(0);
    assert_eq!(fleet.verdict("c").await.0, "delivered");
    let again = fleet
        .ask(&["retry", &dead, "--reason", "again", "--json"])
        .await
        .ends_with(1);
    assert_eq!(
        again.json()["results"][0]["result"],
        "delivered",
        "never sent twice"
    );

    // Cancelled is not sent, and not brought back by the daemon.
    let queued = enqueue(&pool, "li", "d").await.to_string();
    let said = fleet
        .ask(&[
            "cancel",
            &queued,
            "--reason",
            "by mistake",
            "--actor",
            "wang",
            "--json",
        ])
        .await
        .ends_with(0);
    assert_eq!(said.json()["results"][0]["result"], "cancelled");
    assert_eq!(
        audit(&pool).await,
        ("wang".into(), "cancel".into(), Some("by mistake".into()), 1)
    );
    fleet.ask(&["run", "--once"]).await.ends_with(0);
    assert_eq!(fleet.verdict("d").await.0, "cancelled");
    // Of several, nothing is done without a yes, nor when one of them does not exist.
    let one = enqueue(&pool, "li", "e").await.to_string();
    let two = enqueue(&pool, "li", "f").await.to_string();
    fleet
        .ask(&["cancel", &one, &two, "--reason", "r"])
        .await
        .ends_with(2);
    fleet
        .ask(&["cancel", &one, "999999", "--reason", "r", "--yes"])
        .await
        .ends_with(3);
    assert_eq!(fleet.verdict("e").await.0, "queued");
    fleet
        .ask(&["cancel", &one, &two, "--reason", "r", "--yes"])
        .await
        .ends_with(0);
    assert_eq!(audit(&pool).await.3, 2);
    fleet.assert_invariants().await;
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_pause_holds_the_whole_fleet_until_it_is_lifted(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    let pause = |actor: &'static str| {
        let fleet = &fleet;
        async move {
            fleet
                .ask(&[
                    "pause", "default", "--reason", "review", "--actor", actor, "--json",
                ])
                .await
                .ends_with(0)
        }
    };
    let (wang, zhao) = tokio::join!(pause("wang"), pause("zhao"));
    let mut results = [
        wang.json()["result"].to_string(),
        zhao.json()["result"].to_string(),
    ];
    results.sort_unstable();
    assert_eq!(results, [r#""already_paused""#, r#""paused""#]);
    assert_eq!(
        number(
            &pool,
            "select count(*) from outboxd.audit_log where action = 'pause'"
        )
        .await,
        1
    );
    enqueue(&pool, "li", "c").await;
    let held = fleet.ask(&["run", "--once"]).await.ends_with(1);
    assert!(held.err.contains("what is due there was left"), "{held:?}");
    assert_eq!(
        (fleet.verdict("c").await.0, fleet.sim.ledger().calls().len()),
        ("held".into(), 0)
    );
    let why = fleet.ask(&["why", "c", "--json"]).await.ends_with(0);
    assert!(why.out.contains("review"), "support reads why: {why:?}");

    let resumed = fleet
        .ask(&[
            "resume", "default", "--reason", "approved", "--actor", "zhao", "--json",
        ])
        .await
        .ends_with(0);
    assert_eq!(resumed.json()["result"], "resumed");
    assert_eq!(
        audit(&pool).await,
        ("zhao".into(), "resume".into(), Some("approved".into()), 0)
    );
    let again = fleet
        .ask(&["resume", "default", "--reason", "r", "--json"])
        .await
        .ends_with(0);
    assert_eq!(again.json()["result"], "not_paused");
    fleet.ask(&["run", "--once"]).await.ends_with(0);
    assert_eq!(fleet.verdict("c").await.0, "delivered");
    // An open breaker stays open until somebody says --now.
    run(&pool, "update outboxd.app_state set breaker = 'open', breaker_until = now() + interval '1 hour', breaker_reason = 'secret_wrong'").await;
    fleet
        .ask(&["resume", "default", "--reason", "r"])
        .await
        .ends_with(0);
    let open = "select count(*) from outboxd.app_state where breaker = 'open'";
    assert_eq!(number(&pool, open).await, 1);
    let closed = fleet
        .ask(&["resume", "default", "--now", "--reason", "r", "--json"])
        .await
        .ends_with(0);
    assert_eq!(
        (closed.json()["result"].as_str(), number(&pool, open).await),
        (Some("closed"), 0)
    );
}

/// What people have dealt with is sent again by nobody who did not name it.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_retry_of_many_leaves_out_what_people_have_dealt_with(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    let mut ids = Vec::new();
    for customer in ["replaced", "told", "missed", "left"] {
        let id = enqueue(&pool, "once-fail-43101", customer).await;
        ids.push(id.to_string());
    }
    fleet.ask(&["run", "--once"]).await.ends_with(0);
    for act in [
        &["redirect", &ids[0], "--to", "wang", "--reason", "moved"][..],
        &["handled", &ids[1], "told", "--reason", "phoned"],
        &["handled", &ids[2], "not_reached", "--reason", "phoned"],
    ] {
        fleet.ask(act).await.ends_with(0);
    }
    // A newer one of its collapse_key is another's place, too.
    run(
        &pool,
        "select outboxd.enqueue_notification('customer_assigned', 'once-fail-43101', 'older', collapse_key => 'k')",
    )
    .await;
    fleet.ask(&["run", "--once"]).await.ends_with(0);
    run(
        &pool,
        "select outboxd.enqueue_notification('customer_assigned', 'li', 'newer', collapse_key => 'k', next_attempt_at => now() + interval '1 hour')",
    )
    .await;
    let dead = "select count(*) from outboxd.notification_delivery where status = 'dead'";
    assert_eq!(number(&pool, dead).await, 5);
    let said = fleet
        .ask(&["retry", "--status", "dead", "--dry-run", "--json"])
        .await
        .ends_with(0);
    let would = said.json()["results"].as_array().unwrap().len();
    assert_eq!(would, 2, "{said:?}");
    for id in &ids[..2] {
        assert!(!said.out.contains(&format!("\"id\":{id},")), "{said:?}");
    }
    let named = fleet
        .ask(&["retry", &ids[1], "--reason", "r", "--json"])
        .await
        .ends_with(0);
    assert_eq!(named.json()["results"][0]["result"], "revived");
}
