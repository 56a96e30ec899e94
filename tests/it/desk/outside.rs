//! What comes to the desk from outside: through a proxy, over connections that keep silent, in characters nobody types.

use outboxd::config::Misplaced;
use sqlx::PgPool;

use super::Desk;

/// What it says when it does not open.
async fn refused(pool: &PgPool, settings: &[(&str, &str)]) -> String {
    let opened = Desk::try_open(pool, settings).await;
    let refused = opened.err().unwrap_or_else(|| panic!("{settings:?} opens"));
    let Misplaced(words) = refused.downcast_ref().unwrap();
    words.en.to_string()
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_public_name_wants_people_who_log_in(pool: PgPool) {
    for url in ["https://crm.example.com/outboxd", "http://10.0.0.1:9091"] {
        let said = refused(&pool, &[("OUTBOXD_DESK_URL", url)]).await;
        assert!(said.contains(url), "{said}");
        assert!(said.contains("OUTBOXD_DESK_USERS"), "{said}");
        Desk::staffed(&pool, &[("OUTBOXD_DESK_URL", url)]).await;
    }
    for url in [
        "http://127.0.0.1:9091/",
        "http://[::1]/",
        "http://localhost/",
    ] {
        let desk = Desk::open(&pool, &[("OUTBOXD_DESK_URL", url)]).await;
        desk.get("/").await.is(200);
    }
}
