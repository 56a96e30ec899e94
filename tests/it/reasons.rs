//! Every unsettled row has one reason why it is not there yet, and that reason is true: lifted, it is gone, and what is
//! said to wait for a daemon only is exactly what a daemon claims. What is said not to be sent any more is settled so when
//! it is claimed, and nothing else is. On states drawn at random, judged by the real claim and the real policy.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use outboxd::delivery::OnUnknown;
use outboxd::notification::{Claim, Status};
use outboxd::outbox::claim::{Claimer, Reach};
use outboxd::outbox::inspect::{self, Filter, Notification, Signs, Standing, WhyNotYet};
use outboxd::policy::{AwaitGrant, Policy, RetrySchedule, Transition};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use crate::harness::{LEASE, database, run};

const ROUNDS: u64 = 12;
const ROWS: usize = 60;

const APPS: [(&str, &str); 7] = [
    ("plain", "null, null, 'closed', null"),
    ("other", "null, null, 'closed', null"),
    ("paused", "now(), 'wang', 'closed', null"),
    ("open", "null, null, 'open', now() + interval '5 minutes'"),
    ("over", "null, null, 'open', now() - interval '5 minutes'"),
    (
        "half",
        "null, null, 'half_open', now() + interval '1 minute'",
    ),
    (
        "both",
        "now(), 'wang', 'open', now() + interval '5 minutes'",
    ),
];

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn whatever_state_a_row_is_in_it_has_one_reason_and_that_is_true(pool: PgPool) {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 1..=ROUNDS {
        run(
            &pool,
            "truncate outboxd.notification_outbox, outboxd.notification_attempt, outboxd.app_state",
        )
        .await;
        let sql = drawn(&mut StdRng::seed_from_u64(seed));
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&pool)
            .await
            .unwrap();
        let reasons = told(&pool).await;
        assert_eq!(reasons.len(), ROWS, "seed {seed}: every row has a reason");
        let mut claimable = BTreeSet::new();
        let (mut ending, mut probing) = (BTreeMap::new(), BTreeSet::new());
        let mut settled_shortly = BTreeSet::new();
        for (it, why) in &reasons {
            *seen.entry(why.word()).or_default() += 1;
            let called = matches!(why, WhyNotYet::InFlight { .. });
            assert_eq!(
                it.standing == Standing::InFlight,
                called,
                "seed {seed}: {}",
                it.id
            );
            is_gone_when_lifted(&pool, it, why, seed).await;
            match why {
                // A daemon is what it lacks, but to ask for it, not to claim it.
                WhyNotYet::Unserved { .. } if waits_for_a_grant(it) => {}
                WhyNotYet::Queued { .. }
                | WhyNotYet::TakeOver { .. }
                | WhyNotYet::Unserved { .. } => {
                    claimable.insert(it.id.0);
                }
                // It is never called, whoever comes to settle it, and when.
                WhyNotYet::Expired { held, .. } => {
                    ending.insert(it.id.0, Status::Expired);
                    if !held {
                        settled_shortly.insert(it.id.0);
                    }
                }
                WhyNotYet::Superseded { .. } => {
                    ending.insert(it.id.0, Status::Superseded);
                }
                WhyNotYet::CancelRequested { .. } => {
                    ending.insert(it.id.0, Status::Cancelled);
                }
                // Its wait is over: one of the app's rows is the probe, and this one may be it.
                WhyNotYet::BreakerOpen { probing: true, .. } => {
                    probing.insert(it.id.0);
                }
                _ => {}
            }
        }
        let claims = claimed(&pool).await;
        for claim in &claims {
            let id = claim.id.0;
            let told = ending.get(&id).copied();
            for on_unknown in [OnUnknown::Ask, OnUnknown::Resend, OnUnknown::Stop] {
                assert_eq!(end_of(claim, on_unknown), told, "seed {seed}: {id}");
            }
        }
        let mut claimed: BTreeSet<i64> = claims.iter().map(|claim| claim.id.0).collect();
        assert!(
            settled_shortly.is_subset(&claimed),
            "seed {seed}: {settled_shortly:?} are settled shortly"
        );
        claimed.retain(|id| !ending.contains_key(id) && !probing.contains(id));
        assert_eq!(claimed, claimable, "seed {seed}: what a daemon claims");
    }
    assert_eq!(seen.len(), 15, "every reason was met: {seen:?}");
}

/// How the policy settles it without a call. What it gives up for lack of an answer nobody was promised.
fn end_of(claim: &Claim, on_unknown: OnUnknown) -> Option<Status> {
    let policy = Policy {
        schedule: RetrySchedule(vec![Duration::from_secs(60); 10]),
        call_timeout: Duration::from_secs(1),
        on_unknown,
        await_grant: AwaitGrant::Never,
    };
    match policy.refuse(claim)? {
        Transition::Settle {
            status: Status::Dead,
            ..
        } => None,
        Transition::Settle { status, .. } => Some(status),
        other => panic!("{}: {other:?}", claim.id),
    }
}

/// Everything a claim looks at, in any combination that can come about.
fn drawn(dice: &mut StdRng) -> String {
    let mut sql = String::new();
    for (app, state) in APPS {
        writeln!(
            sql,
            "insert into outboxd.app_state (app, paused_at, paused_by, breaker, breaker_until) values ('{app}', {state});"
        )
        .unwrap();
    }
    for n in 0..ROWS {
        let mut pick = |from: &[&'static str]| *from.choose(dice).expect("never empty");
        let app = pick(&[
            "plain", "plain", "other", "other", "new", "paused", "open", "over", "half", "both",
        ]);
        let order_key = pick(&["null", "null", "'a'", "'b'"]);
        let collapse_key = pick(&["null", "null", "null", "null", "null", "'a'", "'b'"]);
        let expires = pick(&[
            "null",
            "null",
            "null",
            "now() + interval '30 minutes'",
            "now() + interval '2 hours'",
            "'infinity'",
            "now() - interval '1 second'",
            "now() - interval '90 seconds'",
        ]);
        let due = "now() - interval '2 minutes'";
        let mut next = pick(&[
            due,
            due,
            "now() - interval '5 seconds'",
            "now() + interval '1 hour'",
            "'infinity'",
        ]);
        let lease = pick(&[
            "",
            "",
            "now() + interval '30 seconds'",
            "now() - interval '2 seconds'",
            "now() - interval '2 minutes'",
            // Of a clock that has since been set back: no lease is that long.
            "now() + interval '2 hours'",
        ]);
        let cancel = pick(&["null", "null", "null", "null", "'wang'"]);
        let lapses = pick(&["0", "0", "1", "2"]);
        let format = pick(&["1", "1", "1", "1", "1", "1", "1", "2"]);
        let attempts = if lease.is_empty() {
            dice.random_range(0..3)
        } else {
            dice.random_range(1..4)
        };
        // Only what was refused once waits for the user, and only unleased.
        let ahead = next.contains('+') || next.contains("infinity");
        let awaits_grant = lease.is_empty() && attempts > 0 && ahead && dice.random_bool(0.5);
        let leased = if lease.is_empty() {
            "null, null, null".to_owned()
        } else {
            next = due; // Only what was due is leased.
            format!("gen_random_uuid(), {lease}, 'daemon-a'")
        };
        writeln!(
            sql,
            "insert into outboxd.notification_outbox (app, event_type, aggregate_id, recipient, order_key, collapse_key, expires_at, created_at,
                 next_attempt_at, cancel_requested_by, lapses, attempts, lease_token, lease_until, leased_by, lease_epoch,
                 awaits_grant, format_version)
             values ('{app}', 'e', 'c{n}', 'r', {order_key}, {collapse_key}, {expires}, now() - interval '3 minutes', {next}, {cancel}, {lapses},
                 {attempts}, {leased}, 1767225600000, {awaits_grant}, {format});"
        )
        .unwrap();
    }
    // One of the two plain apps has left a sign of its daemon.
    sql.push_str(&sign_of("plain"));
    sql
}

fn sign_of(app: &str) -> String {
    format!(
        "insert into outboxd.notification_attempt
             (notification_id, attempt, app, lease_token, daemon, started_at, ended_at, phase, outcome, sentence)
         values (0, 1, '{app}', gen_random_uuid(), 'd', clock_timestamp(), clock_timestamp(), 'answered', 'delivered', 'accepted');"
    )
}

async fn told(pool: &PgPool) -> Vec<(Notification, WhyNotYet)> {
    let mut conn = pool.acquire().await.unwrap();
    let filter = Filter {
        limit: 1000,
        ..Filter::default()
    };
    let hits = inspect::list(&mut conn, &filter).await.unwrap();
    let mut told = Vec::new();
    for it in inspect::read(&mut conn, &hits).await.unwrap() {
        if let Some(why) = why(&mut conn, &it).await {
            told.push((it, why));
        }
    }
    told
}

async fn why(conn: &mut PgConnection, it: &Notification) -> Option<WhyNotYet> {
    inspect::why_not_yet(conn, it.id, it.key, &mut Signs::default())
        .await
        .unwrap()
}

/// In a transaction that is rolled back.
async fn is_gone_when_lifted(pool: &PgPool, it: &Notification, told: &WhyNotYet, seed: u64) {
    let (id, app) = (it.id, &it.app);
    let row = |set: &str| format!("update outboxd.notification_outbox set {set} where id = {id}");
    let gate = |set: &str| format!("update outboxd.app_state set {set} where app = '{app}'");
    let lift = match told {
        WhyNotYet::InFlight { .. } | WhyNotYet::TakeOver { .. } => {
            row("lease_token = null, lease_until = null, leased_by = null")
        }
        WhyNotYet::NewerFormat { .. } => row("format_version = 1"),
        WhyNotYet::CancelRequested { .. } => row("cancel_requested_by = null"),
        WhyNotYet::Superseded { .. } => row("collapse_key = null"),
        WhyNotYet::Expired { .. } => row("expires_at = null"),
        WhyNotYet::Paused { .. } => gate("paused_at = null, paused_by = null"),
        WhyNotYet::BreakerOpen { .. } => gate("breaker = 'closed', breaker_until = null"),
        // The grant has come, or somebody gave it a time.
        WhyNotYet::AwaitingGrant { .. } | WhyNotYet::OnHold => {
            row("next_attempt_at = now() - interval '1 second'")
        }
        // Its time has come.
        WhyNotYet::RetryAt { .. } | WhyNotYet::Scheduled { .. } => {
            row("expires_at = expires_at - (next_attempt_at - now()), next_attempt_at = now()")
        }
        WhyNotYet::Behind { id, .. } => {
            format!("delete from outboxd.notification_outbox where id = {id}")
        }
        WhyNotYet::Unserved { .. } => sign_of(app),
        // Its turn is all it waits for.
        WhyNotYet::Queued { .. } => return,
    };
    let mut tx = pool.begin().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(lift))
        .execute(&mut *tx)
        .await
        .unwrap();
    let then = why(&mut tx, it).await.expect("it still waits");
    assert_ne!(
        (then.word(), behind(&then)),
        (told.word(), behind(told)),
        "seed {seed}: {id}"
    );
    // Nor was it said to be sent when it will not be. (Of one in flight nothing is said but that.)
    let is_told = matches!(told, WhyNotYet::InFlight { .. }) || told.is_the_end();
    assert!(
        is_told || !then.is_the_end() || matches!(told, WhyNotYet::NewerFormat { .. }),
        "seed {seed}: {id} was {told:?} and is {then:?}"
    );
    tx.rollback().await.unwrap();
}

/// Of all that nobody serves, only this is not due. Its standing may be that of an app that is held.
fn waits_for_a_grant(it: &Notification) -> bool {
    it.next_attempt_at.is_none_or(|at| at > chrono::Utc::now())
}

fn behind(why: &WhyNotYet) -> Option<i64> {
    match why {
        WhyNotYet::Behind { id, .. } => Some(id.0),
        _ => None,
    }
}

/// Whatever daemons of all apps take, suspects included.
async fn claimed(pool: &PgPool) -> Vec<Claim> {
    let mut all = Vec::new();
    for app in APPS.iter().map(|(app, _)| *app).chain(["new"]) {
        let mut claimer = Claimer::new(database(pool).line(), app, "d", LEASE);
        // Where the breaker's time is over, one after the other as a probe.
        let reaches = match app {
            "over" => [
                Reach::Probe { in_doubt: true },
                Reach::Suspect { as_probe: true },
            ],
            _ => [Reach::Due(1000), Reach::Suspect { as_probe: false }],
        };
        for reach in reaches {
            loop {
                claimer.sweep_next();
                let claims = claimer.claim(reach).await.unwrap();
                if claims.is_empty() {
                    break;
                }
                all.extend(claims);
            }
        }
        claimer.close().await;
    }
    all
}
