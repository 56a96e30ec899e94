//! The schema: missing, made by us, or by another tool.

use sqlx::PgPool;

use crate::fleet::Fleet;
use crate::harness::enqueue;

#[sqlx::test(migrations = false)]
async fn a_database_without_the_schema_is_told_what_to_do(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    for arguments in [
        &["why", "c"][..],
        &["list"],
        &["stats"],
        &["retry", "1", "--reason", "r"],
        &["pause", "a", "--reason", "r"],
    ] {
        let said = fleet.ask(arguments).await.ends_with(1);
        assert!(
            said.err.contains("outboxd migrate") && said.out.is_empty(),
            "{arguments:?}: {said:?}"
        );
    }
    let status = fleet
        .ask(&["migrate", "status", "--json"])
        .await
        .ends_with(1);
    assert_eq!(status.json()["current"], false);
    let at_once = tokio::join!(
        fleet.ask(&["migrate", "--json"]),
        fleet.ask(&["migrate", "--json"]),
        fleet.ask(&["migrate", "--json"])
    );
    for said in [at_once.0, at_once.1, at_once.2] {
        assert_eq!(said.ends_with(0).json()["current"], true);
    }
    fleet.ask(&["migrate", "status"]).await.ends_with(0);
    fleet.ask(&["list"]).await.ends_with(0);
}

/// For those who migrate with another tool: the same schema, and we know it.
#[sqlx::test(migrations = false)]
async fn the_printed_sql_makes_the_schema(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    let sql = fleet.ask(&["migrate", "sql"]).await.ends_with(0).out;
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(&pool)
        .await
        .unwrap();
    fleet.ask(&["migrate", "status"]).await.ends_with(0);
    let again = fleet.ask(&["migrate", "--json"]).await.ends_with(0);
    assert_eq!(
        again.json()["current"],
        true,
        "and our own migrator takes it from there"
    );
    enqueue(&pool, "li", "c").await;
    fleet.ask(&["run", "--once"]).await.ends_with(0);
    assert_eq!(fleet.verdict("c").await.0, "delivered");
}

#[sqlx::test(migrations = false)]
async fn a_daemon_migrates_when_told_to(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    fleet
        .ask(&["run", "--migrate", "--once"])
        .await
        .ends_with(0);
    fleet.ask(&["migrate", "status"]).await.ends_with(0);
}

#[sqlx::test(migrations = false)]
async fn once_does_not_wait_for_ever_for_a_schema(pool: PgPool) {
    let mut fleet = Fleet::new(&pool).await;
    fleet.set("OUTBOXD_WAIT_FOR", "1s");
    let said = fleet.ask(&["run", "--once"]).await.ends_with(1);
    assert!(said.err.contains("run `outboxd migrate`"), "{said:?}");
}
