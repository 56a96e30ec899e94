//! The desk over real HTTP on a real database: who gets in, what a page says and what it never says, what a click does.

mod acts;
mod calls;
mod cards;
mod door;
mod harness;
mod lists;
mod masked;
mod outside;
mod pages;
mod passwords;
mod sessions;
mod verdicts;
mod views;

pub(crate) use harness::{Desk, Page, Visitor, signed};

/// Settled and waiting rows with names, a phone number, and marks that no page may let through.
pub(crate) const ROWS: &str = r#"
    insert into outboxd.notification_delivery
        (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload, priority, attempts, lease_epoch,
         format_version, created_at, created_by, status, reason, errcode, may_have_arrived, settled_at, settled_by)
    select 1000 + n, gen_random_uuid(), 'default', 'customer_assigned', 'customer', '10086', '42',
           '{"aggregate_label": "李女士", "recipient_label": "王小明", "phone": "13800138000"}', 2, 3, 0, 1,
           now() - interval '1 hour', 'crm', status, reason, code, false, now() - interval '1 minute', 'daemon-a'
      from (values (1, 'delivered', 'accepted', null), (2, 'dead', 'not_subscribed', 43101)) v(n, status, reason, code);
    insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, attempts, next_attempt_at, payload)
    values ('customer_assigned', '10088', '42', 1, now() + interval '10 minutes', '{"phone": "13700137000"}');
    insert into outboxd.notification_attempt
        (notification_id, attempt, app, lease_token, daemon, started_at, ended_at, phase, outcome, sentence, latency_ms, token_ms, detail)
    select id, 1, 'default', gen_random_uuid(), 'daemon-a', now(), now(), 'sent', 'unknown', 'timed_out', 10012, 312,
           'openid oABCD1234efgh5678IJKL9012_-x 13600136000'
      from outboxd.notification_outbox where aggregate_id = '10088';"#;
