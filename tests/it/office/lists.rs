//! The lists: every row on exactly one page, in both directions, by an index, and no count without a cap.

use chrono::{TimeDelta, Utc};
use outboxd::notification::{NotificationId, Status};
use outboxd::outbox::inspect::{self, AuditFilter, Filter, Hours, Period, Standing, ToPhone, Turn};
use sqlx::PgPool;

use super::{by, connection, seen, settle};
use crate::harness::run;
use outboxd::outbox::act::{self, HandOutcome, Handled};

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_list_is_turned_back_page_by_page_to_where_it_began(pool: PgPool) {
    settle(&pool, 1, 7, "dead", "not_subscribed").await;
    settle(&pool, 11, 4, "delivered", "accepted").await;
    run(&pool, "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient) values ('e', 'c', 'r')").await;
    let mut conn = connection(&pool).await;
    let filter = |before: Option<i64>, after: Option<i64>| Filter {
        before: before.map(NotificationId),
        after: after.map(NotificationId),
        limit: 5,
        ..Filter::default()
    };
    let mut pages = Vec::new();
    let mut before = None;
    loop {
        let page = inspect::list(&mut conn, &filter(before, None))
            .await
            .unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        pages.push(page);
    }
    let ids: Vec<i64> = pages.iter().flatten().map(|hit| hit.id).collect();
    assert_eq!(ids, [10_000_001, 14, 13, 12, 11, 7, 6, 5, 4, 3, 2, 1]);
    let first_of_last = pages[2].first().unwrap().id;
    let back = inspect::list(&mut conn, &filter(None, Some(first_of_last)))
        .await
        .unwrap();
    assert_eq!(back, pages[1]);
    let back = inspect::list(&mut conn, &filter(None, Some(back[0].id)))
        .await
        .unwrap();
    assert_eq!(back, pages[0]);
    assert!(
        inspect::list(&mut conn, &filter(None, Some(back[0].id)))
            .await
            .unwrap()
            .is_empty()
    );
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn every_part_of_a_filter_narrows_the_list(pool: PgPool) {
    settle(&pool, 1, 10, "dead", "not_subscribed").await;
    settle(&pool, 11, 10, "dead", "template_wrong").await;
    settle(&pool, 21, 10, "delivered", "accepted").await;
    let mut conn = connection(&pool).await;
    let now = Utc::now();
    let dead = || vec![Standing::Settled(Status::Dead)];
    let cases = [
        (Filter::default(), 30),
        (
            Filter {
                standings: dead(),
                ..Filter::default()
            },
            20,
        ),
        (
            Filter {
                reason: Some("template_wrong".into()),
                ..Filter::default()
            },
            10,
        ),
        (
            Filter {
                recipient: Some("u7".into()),
                ..Filter::default()
            },
            1,
        ),
        (
            Filter {
                event_type: Some("other".into()),
                ..Filter::default()
            },
            0,
        ),
        (
            Filter {
                app: Some("default".into()),
                standings: dead(),
                ..Filter::default()
            },
            20,
        ),
        (
            Filter {
                period: Period {
                    settled_until: Some(now - TimeDelta::seconds(66)),
                    ..Period::default()
                },
                ..Filter::default()
            },
            15,
        ),
        (
            Filter {
                period: Period {
                    created_since: Some(now - TimeDelta::hours(1)),
                    ..Period::default()
                },
                ..Filter::default()
            },
            0,
        ),
        (
            Filter {
                period: Period {
                    created_until: Some(now - TimeDelta::hours(1)),
                    ..Period::default()
                },
                ..Filter::default()
            },
            30,
        ),
    ];
    for (filter, expected) in cases {
        let page = inspect::page(
            &mut conn,
            &Filter {
                limit: 100,
                ..filter.clone()
            },
        )
        .await
        .unwrap();
        assert_eq!(
            (page.hits.len(), page.looked_to),
            (expected, None),
            "{filter:?}"
        );
    }
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn causes_are_grouped_with_their_ends_and_their_remedy(pool: PgPool) {
    settle(&pool, 1, 7, "dead", "not_subscribed").await;
    settle(&pool, 11, 2, "expired", "expired").await;
    settle(&pool, 21, 3, "cancelled", "cancelled").await;
    settle(&pool, 31, 9, "delivered", "accepted").await;
    let mut conn = connection(&pool).await;
    let causes = inspect::causes(&mut conn, None, Utc::now() - TimeDelta::days(1))
        .await
        .unwrap();
    let told: Vec<_> = causes
        .iter()
        .map(|c| (c.status.as_str(), c.reason.as_str(), c.count.n))
        .collect();
    assert_eq!(
        told,
        [("dead", "not_subscribed", 7), ("expired", "expired", 2)]
    );
    assert_eq!(causes[0].samples, [7, 6, 5, 4, 3]);
    assert_eq!(causes[0].newest - causes[0].oldest, TimeDelta::seconds(6));
    assert!(
        causes
            .iter()
            .all(|cause| cause.entry().is_some() && !cause.count.more)
    );
    let of_another = inspect::causes(&mut conn, Some("another"), Utc::now() - TimeDelta::days(1))
        .await
        .unwrap();
    assert!(of_another.is_empty());
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn who_was_told_leaves_the_list_and_who_was_not_reached_stays(pool: PgPool) {
    settle(&pool, 1, 4, "dead", "not_subscribed").await;
    settle(&pool, 11, 2, "expired", "expired").await;
    settle(&pool, 21, 2, "delivered", "accepted").await;
    let mut conn = connection(&pool).await;
    let asked = |turn| ToPhone {
        limit: 3,
        turn,
        ..ToPhone::default()
    };
    let ids = |calls: &[inspect::Call]| calls.iter().map(|c| c.hit.id).collect::<Vec<_>>();
    let first = inspect::to_phone(&mut conn, &asked(Turn::Newest))
        .await
        .unwrap();
    let second = inspect::to_phone(&mut conn, &asked(Turn::Before(first[2].ending)))
        .await
        .unwrap();
    let mut all = ids(&first);
    all.extend(ids(&second));
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3, 4, 11, 12]);
    let back = inspect::to_phone(&mut conn, &asked(Turn::After(second[0].ending)))
        .await
        .unwrap();
    assert_eq!(back, first);

    for (id, outcome) in [
        (1, HandOutcome::Told),
        (2, HandOutcome::NotReached),
        (11, HandOutcome::NotNeeded),
    ] {
        let done = act::handle(&mut conn, &seen(&pool, id).await, outcome, &by("wang"))
            .await
            .unwrap();
        assert!(matches!(done, Handled::Done), "{done:?}");
    }
    let left = inspect::to_phone(
        &mut conn,
        &ToPhone {
            limit: 10,
            ..ToPhone::default()
        },
    )
    .await
    .unwrap();
    let mut still = ids(&left);
    still.sort_unstable();
    assert_eq!(still, [2, 3, 4, 12]);
    let tried = left.iter().find(|call| call.hit.id == 2).unwrap();
    assert_eq!(
        tried.tried.as_ref().map(|(by, _)| by.as_str()),
        Some("wang")
    );
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn the_audit_log_is_read_by_who_what_and_which(pool: PgPool) {
    settle(&pool, 1, 3, "dead", "not_subscribed").await;
    let mut conn = connection(&pool).await;
    for (id, who) in [(1, "wang"), (2, "li"), (3, "wang")] {
        let done = act::retry_as_seen(
            &mut conn,
            &seen(&pool, id).await,
            &by(who),
            act::Doubt::Refuse,
        )
        .await
        .unwrap();
        assert!(
            matches!(done, act::AsSeen::Acted(act::Retried::Revived)),
            "{done:?}"
        );
    }
    let filter = AuditFilter {
        limit: 2,
        ..AuditFilter::default()
    };
    let first = inspect::audit(&mut conn, &filter).await.unwrap();
    let second = inspect::audit(
        &mut conn,
        &AuditFilter {
            before: Some(first[1].id),
            ..filter.clone()
        },
    )
    .await
    .unwrap();
    assert_eq!(second.len(), 1);
    let back = inspect::audit(
        &mut conn,
        &AuditFilter {
            after: Some(second[0].id),
            ..filter.clone()
        },
    )
    .await
    .unwrap();
    assert_eq!(
        back.iter().map(|l| l.id).collect::<Vec<_>>(),
        first.iter().map(|l| l.id).collect::<Vec<_>>()
    );
    let of_wang = inspect::audit(
        &mut conn,
        &AuditFilter {
            actor: Some("wang".into()),
            limit: 9,
            ..filter.clone()
        },
    )
    .await
    .unwrap();
    assert_eq!(of_wang.len(), 2);
    let of_two = inspect::audit(
        &mut conn,
        &AuditFilter {
            notification: Some(NotificationId(2)),
            limit: 9,
            ..filter
        },
    )
    .await
    .unwrap();
    assert_eq!((of_two.len(), of_two[0].actor.as_str()), (1, "li"));
    let detail: serde_json::Value = serde_json::from_str(&of_two[0].detail).unwrap();
    assert_eq!(detail["before"]["2"]["reason"], "not_subscribed");
    assert_eq!(detail["after"], "due");
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn the_day_is_told_hour_by_hour_and_the_machinery_by_its_signs(pool: PgPool) {
    settle(&pool, 1, 3, "delivered", "accepted").await;
    settle(&pool, 11, 1, "dead", "template_wrong").await;
    // Waited for a permission until their time limit: more than have been answered.
    settle(&pool, 21, 5, "expired", "not_subscribed").await;
    run(&pool, "update outboxd.notification_delivery set settled_at = now(), errcode = case status when 'expired' then 43101 end;
        insert into outboxd.notification_attempt (notification_id, attempt, app, lease_token, daemon, started_at, ended_at, phase, outcome, sentence, latency_ms)
        select n, 1, 'default', gen_random_uuid(), 'daemon-a', now(), now(), 'answered', case when n < 4 then 'delivered' else 'failed' end,
               case when n < 4 then 'accepted' else 'template_wrong' end, 100 * n from generate_series(1, 4) n;
        insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, attempts, lease_token, lease_until, leased_by, lease_epoch)
        values ('e', 'c', 'r', 1, gen_random_uuid(), now() + interval '30 seconds', 'daemon-b', 1)").await;
    let mut conn = connection(&pool).await;
    let hours = inspect::hours(&mut conn, Some("default"), Hours::Last)
        .await
        .unwrap();
    assert_eq!(hours.len(), 2);
    let last = &hours[1];
    assert_eq!((last.settled.n, last.attempts.n), (9, 4));
    assert_eq!((last.success.good, last.success.of), (3, 4));
    assert_eq!((last.authorised.good, last.authorised.of), (4, 9));
    assert_eq!(
        last.failed.iter().collect::<Vec<_>>(),
        [(&"template_wrong".to_owned(), &1)]
    );
    assert_eq!(last.p95_ms.map(f64::round), Some(385.0));
    assert_eq!((hours[0].settled.n, hours[0].attempts.n), (0, 0));
    // The 22 before them, one by one.
    run(
        &pool,
        "update outboxd.notification_delivery
            set settled_at = date_trunc('hour', now()) - case id when 1 then interval '1 hour 1 second' else interval '23 hours' end
          where id <= 2",
    )
    .await;
    let before = inspect::hours(&mut conn, Some("default"), Hours::Before(hours[0].at))
        .await
        .unwrap();
    let hour = chrono::TimeDelta::hours(1);
    assert_eq!((before.len(), before[21].at + hour), (22, hours[0].at));
    let settled: Vec<i64> = before.iter().map(|hour| hour.settled.n).collect();
    assert_eq!((settled[0], settled[21], settled.iter().sum()), (1, 1, 2));
    assert!(
        inspect::hours(&mut conn, Some("other"), Hours::Last)
            .await
            .unwrap()
            .iter()
            .all(|hour| hour.attempts.n == 0)
    );

    let system = inspect::system(&mut conn).await.unwrap();
    assert!(system.schema.is_current());
    let signs: Vec<_> = system
        .daemons
        .iter()
        .map(|d| (d.daemon.as_str(), d.leases, d.last_attempt_at.is_some()))
        .collect();
    assert_eq!(signs, [("daemon-a", 0, true), ("daemon-b", 1, false)]);
}

/// A busy hour is a sample: the cost has a bound, the last minutes are in it, and so is the rest.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn the_numbers_of_a_busy_hour_are_a_sample_of_all_of_it(pool: PgPool) {
    run(
        &pool,
        "insert into outboxd.notification_attempt (notification_id, attempt, app, lease_token, daemon, started_at, ended_at,
             phase, outcome, sentence, latency_ms)
         select n, 1, app, gen_random_uuid(), 'd', now() - ago, now() - ago, 'answered', 'delivered', 'accepted', ms
           from (values ('default', 6000, interval '1 minute', 100), ('default', 100, interval '30 minutes', 900),
                        ('default', 9, interval '61 minutes', 9999), ('quiet', 7, interval '20 minutes', 20)) as part(app, count, ago, ms)
          cross join lateral generate_series(1, count) as n",
    )
    .await;
    settle(&pool, 1, 200, "delivered", "accepted").await;
    run(
        &pool,
        "update outboxd.notification_delivery set settled_at = now() - interval '30 minutes' where id <= 50;
         update outboxd.notification_delivery set status = 'dead' where id <= 10",
    )
    .await;
    let apps = inspect::stats(&mut *connection(&pool).await).await.unwrap();
    let said: Vec<_> = apps
        .iter()
        .map(|it| (it.app.as_str(), it.attempts.n, it.p95_ms))
        .collect();
    assert_eq!(
        said,
        [("default", 1100, Some(900.0)), ("quiet", 7, Some(20.0))]
    );
    assert!(apps[0].attempts.more);
    let success = apps[0].success;
    assert_eq!((success.good, success.of), (190, 200));
}
