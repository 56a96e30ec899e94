//! The verbs under the roles that `outboxd migrate roles` makes: support asks everything without ever reading a
//! payload, an admin acts, and whoever may not is told who may.

use sqlx::{ConnectOptions, PgPool};

use super::verbs::ask;
use super::{SETTLED, UNSETTLED};
use crate::fleet::Fleet;
use crate::harness::{create_roles, run};

/// The same login in a role's shoes.
fn with_role(fleet: &mut Fleet, role: &str) {
    let url = fleet.pool.connect_options().to_url_lossy().to_string();
    let sign = if url.contains('?') { '&' } else { '?' };
    fleet.set(
        "DATABASE_URL",
        &format!("{url}{sign}options=-c%20role%3D{role}"),
    );
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn support_asks_everything_and_reads_no_payload(pool: PgPool) {
    let mut fleet = Fleet::new(&pool).await;
    create_roles(&pool).await;
    run(&pool, UNSETTLED).await;
    run(&pool, SETTLED).await;
    with_role(&mut fleet, "outboxd_support");
    for arguments in [
        &["why", "settled"][..],
        &["why", "behind"],
        &["why", "queued"],
        &["why", "breaker_open", "--json"],
        &["show", "1002"],
        &["show", "1006", "--json"],
        &["list"],
        &[
            "list",
            "--status",
            "queued,dead",
            "--reason",
            "not_subscribed",
        ],
        &["stats"],
        &["find", "1002"],
        &["find", "settled"],
        &["find", "r2"],
        &["migrate", "status"],
    ] {
        let said = ask(&fleet, arguments).await;
        assert_eq!(said.code, 0, "{arguments:?}: {}", said.err);
    }
    ask(&fleet, &["why", "nobody"]).await.ends_with(3);
    // Part of a name is searched; the payload is not, and that is said.
    let part = ask(&fleet, &["find", "settl", "--lang", "en"])
        .await
        .ends_with(0);
    assert!(
        part.err.contains("Payloads were not searched"),
        "{}",
        part.err
    );
    let name = ask(&fleet, &["find", "李女士", "--json"])
        .await
        .ends_with(3)
        .json();
    assert_eq!(name["payloads_read"], false);

    // What it may not do is refused with the role that may.
    for arguments in [
        &["show", "1002", "--payload", "--lang", "en"][..],
        &["retry", "1002", "--reason", "r", "--lang", "en"],
        &["cancel", "1002", "--reason", "r", "--lang", "en"],
        &["pause", "default", "--reason", "r", "--lang", "en"],
    ] {
        let said = ask(&fleet, arguments).await.ends_with(1);
        assert!(
            said.err.contains("grant outboxd_admin to"),
            "{arguments:?}: {}",
            said.err
        );
        assert!(said.out.is_empty(), "{arguments:?}: {}", said.out);
    }
    with_role(&mut fleet, "outboxd_crm");
    for (lang, words) in [
        ("en", "grant outboxd_support to"),
        ("zh", "授予命令：grant outboxd_support to"),
    ] {
        let said = ask(&fleet, &["why", "settled", "--lang", lang])
            .await
            .ends_with(1);
        assert!(said.err.contains(words), "{}", said.err);
    }
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn an_admin_asks_and_acts(pool: PgPool) {
    let mut fleet = Fleet::new(&pool).await;
    create_roles(&pool).await;
    run(&pool, UNSETTLED).await;
    run(&pool, SETTLED).await;
    with_role(&mut fleet, "outboxd_admin");
    for arguments in [
        &["find", "李女士"][..],
        &["show", "1002", "--payload"],
        &["stats"],
        &["retry", "1002", "--reason", "r"],
        &[
            "retry", "--status", "expired", "--cause", "expired", "--reason", "r",
        ],
        &["cancel", "1002", "--reason", "r"],
        &["pause", "default", "--reason", "r"],
        &["resume", "broken", "--now", "--reason", "r"],
    ] {
        let said = ask(&fleet, arguments).await;
        assert_eq!(said.code, 0, "{arguments:?}: {}", said.err);
    }
}
