//! What the user has not allowed waits for it: refused, held out of the claim's way, and let go by a grant, a time limit,
//! a person, or a newer notification. The function is asked by one daemon of all, and one that cannot tell is left alone.

use std::time::Duration;

use outboxd::delivery::{Granted, Pair};
use outboxd::outbox::backlog::backlog;
use outboxd::outbox::claim::Reach;
use outboxd::outbox::grants::{self, Turn};
use sqlx::PgPool;
use wechat_sim::{Settings, deployment};

use crate::fleet::Fleet;
use crate::harness::{appears, claimer, database, enqueue, number, run};

const AWAITING: &str =
    "select count(*) from outboxd.notification_delivery_status where status = 'awaiting_grant'";

/// A fleet whose people have allowed nothing yet.
async fn fleet(pool: &PgPool, people: &[&str]) -> Fleet {
    let mut fleet = Fleet::new(pool).await;
    fleet
        .set("OUTBOXD_AWAIT_GRANT", "customer_assigned")
        .set("OUTBOXD_ASK_GRANTS_EVERY", "1s");
    for person in people {
        fleet.sim.set_grants(person, 0);
    }
    fleet
}

/// The time to ask again has come.
async fn time_to_ask(pool: &PgPool) {
    run(pool, "update outboxd.app_state set grants_ask_at = null").await;
}

fn questions(fleet: &Fleet) -> usize {
    let ledger = fleet.sim.ledger();
    ledger
        .calls()
        .iter()
        .filter(|call| call.kind == "grants")
        .count()
}

/// Status, reason, code and attempts of each customer, oldest first.
async fn rows(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "select concat(aggregate_id, ': ', status, ' ', reason, ' ', coalesce(errcode, 0), ' ', attempts)
           from outboxd.notification_delivery_status order by id",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_grant_lets_the_oldest_go_and_costs_no_try(pool: PgPool) {
    let fleet = fleet(&pool, &["zhang"]).await;
    enqueue(&pool, "zhang", "first").await;
    enqueue(&pool, "zhang", "second").await;
    fleet.drain().await;
    let waiting = |customer: &str| format!("{customer}: awaiting_grant not_subscribed 43101 1");
    assert_eq!(rows(&pool).await, [waiting("first"), waiting("second")]);
    assert_eq!(
        number(&pool, "select count(*) from outboxd.notification_outbox where next_attempt_at = 'infinity' and spared = 1").await,
        2
    );

    // Nobody has allowed anything: asked, and left.
    fleet.drain().await;
    assert_eq!(
        (rows(&pool).await, questions(&fleet)),
        (vec![waiting("first"), waiting("second")], 1)
    );

    fleet.sim.allow("zhang").await;
    time_to_ask(&pool).await;
    fleet.drain().await;
    assert_eq!(
        rows(&pool).await,
        [
            "first: delivered accepted 0 2".to_owned(),
            waiting("second")
        ]
    );
    // Another daemon, after the first one has gone.
    fleet.sim.allow("zhang").await;
    time_to_ask(&pool).await;
    let daemon = fleet.start();
    fleet.settled().await;
    daemon.stop().await;
    assert_eq!(rows(&pool).await[1], "second: delivered accepted 0 2");
    assert_eq!(questions(&fleet), 3);
    fleet.assert_invariants().await;
}

/// The same, on WeChat's own SDK: the tap is told to the deployed function, and its ledger tells of it.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn the_deployed_function_tells_of_a_tap(pool: PgPool) {
    const SECRET: &str = "one-secret-on-both-sides-0123456789";
    let Some(deployed) = deployment::for_test(None) else {
        return;
    };
    let signing_secret = Some(SECRET.to_owned());
    let settings = Settings {
        deployed,
        signing_secret,
        ..Settings::default()
    };
    let mut fleet = Fleet::with(&pool, settings).await;
    fleet
        .set("OUTBOXD_SIGNING_SECRET", SECRET)
        .set("OUTBOXD_SLOTS", "1")
        .set("OUTBOXD_AWAIT_GRANT", "*");
    fleet.sim.warm_up(1).await;
    fleet.sim.set_grants("zhang", 0);
    enqueue(&pool, "zhang", "c").await;
    fleet.drain().await;
    assert_eq!(number(&pool, AWAITING).await, 1, "{:?}", rows(&pool).await);
    fleet.sim.allow("zhang").await;
    fleet.drain().await;
    assert_eq!(rows(&pool).await, ["c: delivered accepted 0 2"]);
    fleet.assert_invariants().await;
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_waits_expires_on_time_by_the_ordinary_claim(pool: PgPool) {
    let fleet = fleet(&pool, &["zhang"]).await;
    run(&pool, "select outboxd.enqueue_notification('customer_assigned', 'zhang', 'c', expires_at => now() + interval '2 seconds')").await;
    let daemon = fleet.start();
    appears(&pool, AWAITING).await;
    assert_eq!(
        number(
            &pool,
            "select count(*) from outboxd.notification_outbox where next_attempt_at = expires_at"
        )
        .await,
        1
    );
    fleet.settled().await;
    daemon.stop().await;
    // With the code that says why it could not be sent in time.
    assert_eq!(rows(&pool).await, ["c: expired expired 43101 2"]);
    fleet.assert_invariants().await;
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_person_takes_it_back_or_has_it_called_at_once(pool: PgPool) {
    let fleet = fleet(&pool, &["zhang"]).await;
    let (first, second) = (
        enqueue(&pool, "zhang", "first").await.to_string(),
        enqueue(&pool, "zhang", "second").await.to_string(),
    );
    fleet.drain().await;
    fleet
        .ask(&["cancel", &first, "--reason", "too late"])
        .await
        .ends_with(0);
    let said = fleet
        .ask(&["retry", "--status", "awaiting_grant", "--dry-run"])
        .await;
    assert!(
        said.out.contains(&second) && !said.out.contains(&first),
        "{said:?}"
    );
    fleet
        .ask(&["retry", &second, "--reason", "r"])
        .await
        .ends_with(0);
    assert_eq!(number(&pool, AWAITING).await, 0);
    fleet.drain().await;
    assert_eq!(
        rows(&pool).await,
        [
            "first: cancelled cancelled 0 1",
            "second: awaiting_grant not_subscribed 43101 2"
        ]
    );
    fleet.assert_invariants().await;
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_newer_one_takes_the_place_of_what_waits(pool: PgPool) {
    let fleet = fleet(&pool, &["zhang"]).await;
    run(&pool, "select outboxd.enqueue_notification('customer_assigned', 'zhang', 'old', collapse_key => 'k')").await;
    fleet.drain().await;
    assert_eq!(number(&pool, AWAITING).await, 1);
    run(&pool, "select outboxd.enqueue_notification('customer_assigned', 'li', 'new', collapse_key => 'k')").await;
    fleet.drain().await;
    assert_eq!(
        rows(&pool).await,
        [
            "old: superseded superseded 0 2",
            "new: delivered accepted 0 1"
        ]
    );
    fleet.assert_invariants().await;
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_stands_behind_it_in_order_says_whose_turn_it_is(pool: PgPool) {
    let fleet = fleet(&pool, &["zhang"]).await;
    run(&pool, "select outboxd.enqueue_notification('customer_assigned', r, r, order_key => 'k') from unnest(array['zhang', 'li']) r").await;
    fleet.drain().await;
    let why = fleet.ask(&["why", "zhang", "--json"]).await.json();
    let it = &why["notifications"][0];
    assert_eq!(it["status"], "awaiting_grant", "{why}");
    assert_eq!(it["why_not_yet"]["kind"], "awaiting_grant", "{why}");
    assert_eq!(it["verdict"]["who"], "recipient", "{why}");
    let said = fleet.ask(&["why", "zhang", "--lang", "zh"]).await.out;
    assert!(said.contains("点“允许”"), "{said}");
    let to_ask = fleet.ask(&["phone", "--json"]).await.json();
    assert_eq!(to_ask["awaiting_grant"][0]["id"], it["id"], "{to_ask}");
    let noted = fleet.ask(&["phone", "--lang", "zh"]).await.err;
    assert!(noted.contains("点“允许”"), "{noted}");
    let behind = fleet.ask(&["why", "li", "--json"]).await.json();
    let it = &behind["notifications"][0]["why_not_yet"];
    assert_eq!(
        (&it["kind"], &it["awaits_grant"]),
        (&"behind".into(), &true.into()),
        "{behind}"
    );
    let stats = fleet.ask(&["stats", "--json"]).await.json();
    let app = &stats["apps"][0];
    assert_eq!(
        (&app["awaiting_grant"]["count"], &app["retrying"]),
        (&1.into(), &0.into()),
        "{stats}"
    );
    assert_eq!(app["last_hour"]["authorised"]["good"], 0, "{stats}");
    let listed = fleet.ask(&["list", "--status", "awaiting_grant"]).await.out;
    assert_eq!(listed.lines().count(), 1, "{listed}");
}

/// Neither a claim nor a look nor the backlog meets it.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_waits_is_in_nobodys_way(pool: PgPool) {
    let fleet = fleet(&pool, &["zhang"]).await;
    enqueue(&pool, "zhang", "c").await;
    fleet.drain().await;
    let mut claimer = claimer(&pool, "d");
    claimer.sweep_next();
    assert!(claimer.claim(Reach::Due(10)).await.unwrap().is_empty());
    assert_eq!(claimer.look().await.unwrap().due_in, None);
    let mut connection = pool.acquire().await.unwrap();
    let backlog = backlog(&mut *connection, &["default".to_owned()])
        .await
        .unwrap();
    assert_eq!(
        (backlog[0].due, backlog[0].oldest_due_age),
        (0, Duration::ZERO)
    );
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_function_from_before_is_asked_seldom_and_named(pool: PgPool) {
    let fleet = fleet(&pool, &["zhang"]).await;
    fleet
        .sim
        .switches()
        .set(|switches| switches.before_grants = true);
    enqueue(&pool, "zhang", "c").await;
    fleet.drain().await;
    let daemon = fleet.start();
    appears(&pool, "select count(*) from outboxd.app_state where grants_trouble = 'function_too_old' and grants_ask_at > now() + interval '9 minutes'").await;
    daemon.stop().await;
    assert_eq!((number(&pool, AWAITING).await, questions(&fleet)), (1, 1));
    let why = fleet.ask(&["why", "c", "--json"]).await.json();
    let it = &why["notifications"][0];
    assert_eq!(it["why_not_yet"]["trouble"], "function_too_old", "{why}");
    assert_eq!(it["verdict"]["who"], "developer", "{why}");

    // Deployed meanwhile: the next asking forgets it.
    fleet
        .sim
        .switches()
        .set(|switches| switches.before_grants = false);
    fleet.sim.allow("zhang").await;
    time_to_ask(&pool).await;
    fleet.drain().await;
    assert_eq!(rows(&pool).await, ["c: delivered accepted 0 2"]);
    assert_eq!(
        number(
            &pool,
            "select count(*) from outboxd.app_state where grants_trouble is not null"
        )
        .await,
        0
    );
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_wechat_that_is_away_leaves_everything_as_it_was(pool: PgPool) {
    let fleet = fleet(&pool, &["zhang"]).await;
    enqueue(&pool, "zhang", "c").await;
    fleet.drain().await;
    fleet.sim.allow("zhang").await;
    fleet.sim.stop().await;
    fleet.drain().await;
    assert_eq!(number(&pool, AWAITING).await, 1);
    appears(&pool, "select count(*) from outboxd.app_state where grants_trouble is not null and grants_ask_at > now() + interval '20 seconds'").await;
    // It passes by itself, so it is still the user's turn.
    let why = fleet.ask(&["why", "c", "--json"]).await.json();
    assert_eq!(
        why["notifications"][0]["verdict"]["who"], "recipient",
        "{why}"
    );
    fleet.sim.restart().await;
    time_to_ask(&pool).await;
    fleet.drain().await;
    assert_eq!(rows(&pool).await, ["c: delivered accepted 0 2"]);
}

async fn waits(pool: &PgPool, recipient: &str, event_type: &str) {
    sqlx::query(
        "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, attempts, spared, next_attempt_at, awaits_grant)
         values ($2, 'c', $1, 1, 1, 'infinity', true)",
    )
    .bind(recipient)
    .bind(event_type)
    .execute(pool)
    .await
    .unwrap();
}

fn pair(recipient: &str, event_type: &str) -> Pair {
    Pair {
        recipient: recipient.to_owned(),
        event_type: event_type.to_owned(),
    }
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn of_a_whole_fleet_one_asks_and_only_while_the_app_is_open(pool: PgPool) {
    let turn = || {
        let mut line = database(&pool).line();
        async move {
            grants::turn(&mut line, "default", 50, Duration::from_secs(60))
                .await
                .unwrap()
        }
    };
    assert_eq!(turn().await, Turn::NobodyWaits);
    waits(&pool, "zhang", "e").await;
    let turns: Vec<Turn> = (0..8)
        .map(|_| turn())
        .collect::<tokio::task::JoinSet<_>>()
        .join_all()
        .await;
    let asking = turns
        .iter()
        .filter(|turn| matches!(turn, Turn::Ask { .. }))
        .count();
    assert_eq!(asking, 1, "{turns:?}");
    let Turn::Later(Some(wait)) = turn().await else {
        panic!("asked again at once");
    };
    assert!(wait > Duration::from_secs(50), "{wait:?}");

    for shut in [
        "update outboxd.app_state set grants_ask_at = null, breaker = 'open', breaker_until = now()",
        "update outboxd.app_state set grants_ask_at = null, breaker = 'closed', paused_at = now(), paused_by = 'x'",
    ] {
        run(&pool, shut).await;
        assert_eq!(turn().await, Turn::Later(None), "{shut}");
    }
    run(
        &pool,
        "update outboxd.app_state set paused_at = null, paused_by = null",
    )
    .await;
    assert!(matches!(turn().await, Turn::Ask { .. }));
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_round_meets_everybody_once_and_types_of_one_template_share_its_grants(pool: PgPool) {
    for (recipient, event_type) in [("a", "x"), ("a", "y"), ("a", "x"), ("b", "x"), ("c", "x")] {
        waits(&pool, recipient, event_type).await;
    }
    let mut line = database(&pool).line();
    let mut asked = Vec::new();
    loop {
        time_to_ask(&pool).await;
        let turn = grants::turn(&mut line, "default", 2, Duration::from_secs(60))
            .await
            .unwrap();
        let Turn::Ask { pairs, more } = turn else {
            panic!("{turn:?}");
        };
        let behind = pairs.last().filter(|_| more);
        grants::done(&mut line, "default", Duration::ZERO, behind, None)
            .await
            .unwrap();
        asked.push(pairs);
        if !more {
            break;
        }
    }
    let [ax, ay, b, c] = [
        pair("a", "x"),
        pair("a", "y"),
        pair("b", "x"),
        pair("c", "x"),
    ];
    assert_eq!(
        asked,
        [vec![ax.clone(), ay.clone()], vec![b.clone(), c.clone()]]
    );

    let granted = |template: &str, left: u32| {
        Some(Granted {
            template: template.to_owned(),
            left,
        })
    };
    let told = [granted("t", 2), granted("t", 2), granted("t", 0), None];
    let gone = grants::let_go(&mut line, "default", &[ax, ay, b, c], &told)
        .await
        .unwrap();
    assert_eq!(gone, 2);
    let due: Vec<(i64, String)> = sqlx::query_as(
        "select id, recipient || event_type from outboxd.notification_outbox
          where next_attempt_at <= now() and not awaits_grant order by id",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(
        due,
        [(1, "ax".to_owned()), (2, "ay".to_owned())],
        "the oldest, whatever their type"
    );
}

async fn many_wait(pool: &PgPool, how_many: u32) {
    sqlx::query(
        "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, attempts, spared, next_attempt_at, awaits_grant)
         select 'customer_assigned', 'c', 'p' || 1000 + n, 1, 1, 'infinity', true from generate_series(1, $1::int) n",
    )
    .bind(i32::try_from(how_many).unwrap())
    .execute(pool)
    .await
    .unwrap();
}

/// More than one call holds: those behind the first are asked about next, and the trouble stands to the end of a clean round.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_question_that_fails_is_in_nobodys_way(pool: PgPool) {
    const IN_TROUBLE: &str =
        "select count(*) from outboxd.app_state where grants_trouble = 'function_too_old'";
    let fleet = fleet(&pool, &["p1060"]).await;
    many_wait(&pool, 60).await;
    let before = |before| {
        fleet
            .sim
            .switches()
            .set(|switches| switches.before_grants = before);
    };
    before(true);
    fleet.drain().await;
    assert_eq!(number(&pool, "select count(*) from outboxd.app_state where grants_asked_to[1] = 'p1050' and grants_ask_at > now() + interval '9 minutes'").await, 1);
    before(false);
    fleet.sim.allow("p1060").await;
    time_to_ask(&pool).await;
    fleet.drain().await;
    assert_eq!(
        (number(&pool, AWAITING).await, questions(&fleet)),
        (59, 2),
        "the last ten, of whom one goes on"
    );
    assert_eq!(number(&pool, IN_TROUBLE).await, 1);
    time_to_ask(&pool).await;
    fleet.drain().await;
    assert_eq!((number(&pool, IN_TROUBLE).await, questions(&fleet)), (0, 4));
}

/// The asking of many takes its time: what is due is called meanwhile, and a stop ends it.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_is_due_does_not_wait_for_the_asking(pool: PgPool) {
    let fleet = fleet(&pool, &[]).await;
    many_wait(&pool, 110).await;
    enqueue(&pool, "li", "due").await;
    let (daemon, stop) = fleet.draining();
    appears(
        &pool,
        "select count(*) from outboxd.notification_delivery_status where status = 'delivered'",
    )
    .await;
    assert!(questions(&fleet) < 3, "{}", questions(&fleet));
    stop.send(true).unwrap();
    daemon.await.unwrap().unwrap();
    assert!(questions(&fleet) < 3, "{}", questions(&fleet));
}

/// Many, and one of them in somebody's hands.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn where_nobody_can_be_asked_all_go_in_parts(pool: PgPool) {
    many_wait(&pool, 12_000).await;
    let mut held = pool.begin().await.unwrap();
    sqlx::query("select from outboxd.notification_outbox where recipient = 'p1001' for update")
        .execute(&mut *held)
        .await
        .unwrap();
    let mut line = database(&pool).line();
    let gone = grants::let_all_go(&mut line, "default").await.unwrap();
    assert_eq!((gone, number(&pool, AWAITING).await), (11_999, 1));
    held.rollback().await.unwrap();
    // No statement takes more than so many.
    let most =
        "select coalesce(max(n), 0) from (select count(*) as n from outboxd.notification_outbox
                 where not awaits_grant group by xmin) parts";
    assert_eq!(number(&pool, most).await, 5000);
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn overtaken_ones_are_looked_for_in_parts(pool: PgPool) {
    run(&pool, "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, collapse_key, attempts, spared, next_attempt_at, awaits_grant)
                select 'e', 'c', 'zhang', 'k', 1, 1, 'infinity', true from generate_series(1, 1201)").await;
    let mut line = database(&pool).line();
    let mut gone = Vec::new();
    for _ in 0..3 {
        let pairs = [pair("zhang", "e")];
        gone.push(
            grants::let_overtaken_go(&mut line, "default", &pairs)
                .await
                .unwrap(),
        );
    }
    assert_eq!(gone, [1000, 200, 0], "all but the newest");
}

/// A row in somebody's hands: what was overtaken waits on, and whoever has a grant goes all the same.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn tidying_up_that_fails_ends_no_turn(pool: PgPool) {
    let fleet = fleet(&pool, &["li", "zhang"]).await;
    run(&pool, "select outboxd.enqueue_notification('customer_assigned', 'zhang', n, collapse_key => 'k') from unnest(array['old', 'new']) n").await;
    run(&pool, "update outboxd.notification_outbox set attempts = 1, spared = 1, next_attempt_at = 'infinity', awaits_grant = true").await;
    waits(&pool, "li", "customer_assigned").await;
    fleet.sim.allow("li").await;
    let mut held = pool.begin().await.unwrap();
    sqlx::query("select from outboxd.notification_outbox where aggregate_id = 'old' for update")
        .execute(&mut *held)
        .await
        .unwrap();
    fleet.drain().await;
    assert_eq!(
        number(&pool, "select count(*) from outboxd.notification_delivery where recipient = 'li' and status = 'delivered'").await,
        1
    );
    held.rollback().await.unwrap();
}

/// However many wait of a higher priority, the numbers show what is due, and that nobody serves it.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn what_waits_hides_nothing_that_is_due(pool: PgPool) {
    many_wait(&pool, 10_010).await;
    run(&pool, "update outboxd.notification_outbox set priority = 1").await;
    run(&pool, "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, priority, created_at, next_attempt_at)
                values ('e', 'c', 'li', 3, now() - interval '1 hour', now() - interval '1 hour')").await;
    let mut connection = pool.acquire().await.unwrap();
    let stats = outboxd::outbox::inspect::stats(&mut connection)
        .await
        .unwrap();
    let app = &stats[0];
    assert_eq!((app.due.n, app.due.more), (1, false));
    assert!(app.unserved_since.is_some(), "{app:?}");
    assert_eq!(app.awaiting_grant.to_string(), "10000+");
}

/// Migrated by the owner, with the roles from before: the daemon's login may do what it has to.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn the_roles_of_before_get_their_right_with_the_column(pool: PgPool) {
    crate::harness::create_roles(&pool).await;
    let rights = "select count(*) from unnest(array['update', 'select']) r
        where has_column_privilege('outboxd_daemon', 'outboxd.notification_outbox', 'awaits_grant', r)";
    assert_eq!(number(&pool, rights).await, 2);
    // As it was before the migration, and then the migration's own statement.
    run(
        &pool,
        "revoke update (awaits_grant) on outboxd.notification_outbox from outboxd_daemon",
    )
    .await;
    assert_eq!(number(&pool, rights).await, 1);
    let migration = include_str!("../../migrations/0008_awaiting_a_grant.sql");
    let (from, to) = (
        migration.find("do $$").unwrap(),
        migration.find("end $$;").unwrap(),
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(&migration[from..to + 7]))
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(number(&pool, rights).await, 2);
}
