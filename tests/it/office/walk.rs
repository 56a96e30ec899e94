//! A list's pages, put together, are what the filter names: whichever way they are turned, however far apart the rows that fit
//! lie, and however long a row waited before it settled.

use chrono::{DateTime, TimeDelta, Utc};
use outboxd::notification::{NotificationId, Status};
use outboxd::outbox::inspect::{self, Filter, Period, Standing};
use sqlx::PgPool;

use super::history::rows_read;

/// Of a hundred days. Every 50th is dead, every 997th settled twenty days after it was written, every 9,973rd is rare.
const A_HUNDRED_DAYS: &str = r#"
    insert into outboxd.notification_delivery (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload,
         priority, attempts, lease_epoch, format_version, created_at, created_by, status, reason, may_have_arrived, settled_at, settled_by)
    select n, gen_random_uuid(), 'default', case when n % 9973 = 0 then 'rare' else 'common' end, 'customer', 'c' || n, 'u' || n % 20, '{}',
           2, 1, 1, 1, at, 'crm', status, case when status = 'dead' then 'not_subscribed' else 'accepted' end, false,
           at + case when n % 997 = 0 then interval '20 days' else interval '1 second' end, 'd'
      from generate_series(1, $1) n
     cross join lateral (select now() - interval '120 days' + n * interval '100 days' / $1 as at,
                                case when n % 50 = 0 then 'dead' else 'delivered' end as status) its
     where n % 13 <> 0"#;
/// Every 13th still waits.
const WAITING: &str = r#"
    insert into outboxd.notification_outbox (id, event_type, aggregate_id, recipient, created_at)
    overriding system value
    select n, case when n % 9973 = 0 then 'rare' else 'common' end, 'c' || n, 'u' || n % 20,
           now() - interval '120 days' + n * interval '100 days' / $1
      from generate_series(13, $1, 13) n"#;

async fn fill(pool: &PgPool, rows: i32) {
    // In a session that has ended: what it read must not be counted late, as somebody else's.
    let filling = PgPool::connect_with((*pool.connect_options()).clone())
        .await
        .unwrap();
    for insert in [A_HUNDRED_DAYS, WAITING] {
        sqlx::query(insert)
            .bind(rows)
            .execute(&filling)
            .await
            .unwrap();
    }
    for table in ["delivery", "outbox"] {
        let vacuum = format!("vacuum analyze outboxd.notification_{table}");
        sqlx::query(sqlx::AssertSqlSafe(vacuum))
            .execute(&filling)
            .await
            .unwrap();
    }
    filling.close().await;
}

fn days_ago(from: i64, to: i64) -> Period {
    let at = |days| Some(Utc::now() - TimeDelta::days(days));
    Period {
        settled_since: at(from),
        settled_until: at(to),
        ..Period::default()
    }
}

/// What the filter names, newest first, by a plain statement. What waits belongs to any period: it is of today.
async fn named(pool: &PgPool, filter: &Filter) -> Vec<i64> {
    let status = filter.standings.first().map(|it| it.word());
    let far: (DateTime<Utc>, DateTime<Utc>) = (
        Utc::now() - TimeDelta::days(9999),
        Utc::now() + TimeDelta::days(9999),
    );
    sqlx::query_scalar(
        "select id from outboxd.notification_delivery
          where settled_at >= $1 and settled_at < $2 and ($3::text is null or status = $3)
            and ($4::text is null or event_type = $4) and ($5::text is null or recipient = $5)
         union all
         select id from outboxd.notification_outbox
          where $3::text is null and ($4::text is null or event_type = $4) and ($5::text is null or recipient = $5)
          order by id desc",
    )
    .bind(filter.period.settled_since.unwrap_or(far.0))
    .bind(filter.period.settled_until.unwrap_or(far.1))
    .bind(status)
    .bind(filter.event_type.as_deref())
    .bind(filter.recipient.as_deref())
    .fetch_all(pool)
    .await
    .unwrap()
}

/// All pages from the newest, and from the oldest back.
async fn both_ways(pool: &PgPool, filter: &Filter) -> [Vec<i64>; 2] {
    let mut conn = pool.acquire().await.unwrap();
    let (mut down, mut up) = (Vec::new(), Vec::new());
    let mut turn = filter.clone();
    loop {
        let page = inspect::page(&mut conn, &turn).await.unwrap();
        let ids: Vec<i64> = page.hits.iter().map(|hit| hit.id).collect();
        let is_full = ids.len() >= usize::try_from(filter.limit).unwrap();
        assert!(
            !is_full || page.looked_to.is_none(),
            "a full page has looked far enough"
        );
        turn.before = match (page.looked_to, ids.last()) {
            (Some(to), _) => Some(to),
            (None, Some(last)) if is_full => Some(NotificationId(*last)),
            (None, _) => None,
        };
        down.extend(ids);
        if turn.before.is_none() {
            break;
        }
    }
    turn.after = Some(NotificationId(0));
    loop {
        let page = inspect::page(&mut conn, &turn).await.unwrap();
        let ids: Vec<i64> = page.hits.iter().map(|hit| hit.id).collect();
        let is_full = ids.len() >= usize::try_from(filter.limit).unwrap();
        let next = match (page.looked_to, ids.first()) {
            (Some(to), _) => Some(to),
            (None, Some(first)) if is_full => Some(NotificationId(*first)),
            (None, _) => None,
        };
        up.splice(0..0, ids);
        let Some(next) = next else { break };
        turn.after = Some(next);
    }
    [down, up]
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn the_pages_of_a_list_are_all_that_fits(pool: PgPool) {
    fill(&pool, 60_000).await;
    let periods = [
        days_ago(61, 60),
        days_ago(101, 100),
        days_ago(60, 30),
        days_ago(21, 19),
        days_ago(10, 1),
        Period {
            settled_until: None,
            ..days_ago(25, 0)
        },
        Period {
            settled_since: None,
            ..days_ago(0, 118)
        },
        Period::default(),
    ];
    let dead = vec![Standing::Settled(Status::Dead)];
    let delivered = vec![Standing::Settled(Status::Delivered)];
    for period in periods {
        for (standings, event_type, recipient) in [
            (vec![], None, None),
            (dead.clone(), None, None),
            (delivered.clone(), Some("rare"), None),
            (vec![], Some("rare"), None),
            (vec![], Some("nobody's"), None),
            (vec![], None, Some("u7")),
        ] {
            let filter = Filter {
                standings,
                event_type: event_type.map(str::to_owned),
                recipient: recipient.map(str::to_owned),
                period,
                limit: 2000,
                ..Filter::default()
            };
            let expected = named(&pool, &filter).await;
            let [down, up] = both_ways(&pool, &filter).await;
            assert!(
                down == expected,
                "older pages of {filter:?}: {} of {}",
                down.len(),
                expected.len()
            );
            assert!(
                up == expected,
                "newer pages of {filter:?}: {} of {}",
                up.len(),
                expected.len()
            );
        }
    }
}

/// A CRM whose clock is eight hours ahead, and a backlog of a month that was delivered in one day.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_clock_ahead_and_a_late_flood_lose_nothing(pool: PgPool) {
    fill(&pool, 40_000).await;
    for change in [
        "update outboxd.notification_delivery set created_at = created_at + interval '8 hours'",
        "update outboxd.notification_delivery set settled_at = now() - interval '3 days' - id * interval '1 second'
          where settled_at > now() - interval '60 days'",
    ] {
        sqlx::query(change).execute(&pool).await.unwrap();
        sqlx::query("vacuum analyze outboxd.notification_delivery")
            .execute(&pool)
            .await
            .unwrap();
        for period in [days_ago(80, 79), days_ago(4, 2), days_ago(5, 3)] {
            for event_type in [None, Some("rare"), Some("nobody's")] {
                let filter = Filter {
                    event_type: event_type.map(str::to_owned),
                    period,
                    limit: 500,
                    ..Filter::default()
                };
                let expected = named(&pool, &filter).await;
                let [down, up] = both_ways(&pool, &filter).await;
                assert!(down == expected, "older pages of {filter:?}: {} of {}", down.len(), expected.len());
                assert!(up == expected, "newer pages of {filter:?}: {} of {}", up.len(), expected.len());
            }
        }
    }
}

/// A day of long ago, a filter that nothing fits, a page in the middle: each reads so much, however long the history.
#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_page_reads_no_more_than_it_may(pool: PgPool) {
    fill(&pool, 400_000).await;
    let page = Filter {
        limit: 50,
        ..Filter::default()
    };
    for (most, filter) in [
        // Both indexes and both tables count.
        (
            100_000,
            Filter {
                event_type: Some("nobody's".into()),
                ..page.clone()
            },
        ),
        (
            100_000,
            Filter {
                event_type: Some("nobody's".into()),
                period: days_ago(90, 40),
                ..page.clone()
            },
        ),
        (
            100_000,
            Filter {
                recipient: Some("u7".into()),
                event_type: Some("nobody's".into()),
                period: days_ago(90, 40),
                ..page.clone()
            },
        ),
        (
            2000,
            Filter {
                period: days_ago(61, 60),
                ..page.clone()
            },
        ),
        (
            2000,
            Filter {
                period: days_ago(61, 60),
                before: Some(NotificationId(239_000)),
                ..page.clone()
            },
        ),
        (
            2000,
            Filter {
                standings: vec![Standing::Settled(Status::Dead)],
                period: days_ago(61, 60),
                ..page.clone()
            },
        ),
        (
            2000,
            Filter {
                before: Some(NotificationId(200_000)),
                ..page.clone()
            },
        ),
    ] {
        let read = rows_read(&pool, async |conn| {
            inspect::page(conn, &filter).await.unwrap();
        })
        .await;
        assert!(read <= most, "{filter:?} read {read} rows");
    }

    // Whoever fills the page spares the others: of trouble, only what stands between is read, and not a page of it, too.
    let day = |standings: &[Standing]| Filter {
        standings: standings.to_vec(),
        period: days_ago(61, 60),
        limit: 200,
        ..Filter::default()
    };
    let mut read = Vec::new();
    let settled = [Status::Delivered, Status::Dead].map(Standing::Settled);
    for standings in [&settled[..1], &settled] {
        let filter = day(standings);
        let rows = rows_read(&pool, async |conn| {
            assert_eq!(inspect::page(conn, &filter).await.unwrap().hits.len(), 200);
        });
        read.push(rows.await);
    }
    assert!(
        read[1] <= read[0] + 50,
        "without and with the dead: {read:?} rows"
    );
}
