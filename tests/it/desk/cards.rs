//! What a card stands for.

use std::collections::BTreeSet;

use sqlx::PgPool;

use super::Desk;
use crate::harness::run;

/// Two by two they look alike when masked, or differ in one thing only.
const ALIKE: &str = r#"
    insert into outboxd.notification_delivery
        (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload, priority, attempts, lease_epoch,
         format_version, created_at, created_by, status, reason, may_have_arrived, settled_at, settled_by)
    select 2000 + n, gen_random_uuid(), app, event, type, customer, recipient, '{"aggregate_label": "周女士"}', 2, 1, 0, 1,
           now() - interval '1 hour', 'crm', status, reason, false, now(), 'd'
      from (values (1, 'default', 'assigned', 'customer', '13812348000', '42', 'dead', 'not_subscribed'),
                   (2, 'default', 'assigned', 'customer', '13899998000', '42', 'delivered', 'accepted'),
                   (3, 'default', 'assigned', 'customer', '10001', 'oABCD1234efgh5678IJKL9012_-x', 'dead', 'not_subscribed'),
                   (4, 'default', 'assigned', 'customer', '10001', 'oABCDzzzzefgh5678IJKL9012_-y', 'delivered', 'accepted'),
                   (5, 'default', 'assigned', 'customer', '10002', '42', 'dead', 'not_subscribed'),
                   (6, 'default', 'visit', 'customer', '10002', '42', 'delivered', 'accepted'),
                   (7, 'second', 'visit', 'customer', '10002', '42', 'delivered', 'accepted'),
                   (8, 'default', 'visit', 'order', '10002', '42', 'delivered', 'accepted'),
                   (9, 'default', 'assigned', 'customer', '10002', '42', 'delivered', 'accepted'))
           v(n, app, event, type, customer, recipient, status, reason);"#;

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn strangers_who_look_alike_have_a_card_each(pool: PgPool) {
    run(&pool, ALIKE).await;
    let desk = Desk::open(&pool, &[]).await;
    let page = desk.get("/search?q=%E5%91%A8%E5%A5%B3%E5%A3%AB").await;
    let cards: BTreeSet<&str> = page
        .body
        .split("<h2 id=\"m")
        .skip(1)
        .map(|card| card.split('"').next().unwrap())
        .collect();
    let expected = [
        "2001", "2002", "2003", "2004", "2006", "2007", "2008", "2009",
    ];
    assert_eq!(cards, expected.into());
    // The one that failed stands under the newer one, and in sight.
    page.has("<details class=\"earlier\" open>").has("#2005");
    for personal in ["13812348000", "13899998000", "oABCD1234", "oABCDzzzz"] {
        page.lacks(personal);
    }
}
