//! Acts and redrives on the desk: what a form says, what a click does once, and who may not.

mod one;
mod redrive;

use super::{Desk, Page, Visitor};

/// Settled and waiting ones with names, and marks that no page may let through.
const ROWS: &str = r#"
    insert into outboxd.notification_delivery
        (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload, priority, attempts, lease_epoch,
         format_version, created_at, created_by, status, reason, errcode, may_have_arrived, settled_at, settled_by)
    select 1000 + n, gen_random_uuid(), 'default', 'customer_assigned', 'customer', '10086', '42',
           '{"aggregate_label": "李女士", "recipient_label": "王小明", "phone": "13800138000", "n": 12345678901234567890.10}',
           2, 3, 0, 1, now() - interval '1 hour', 'crm', status, reason, code, doubt, now() - interval '1 minute', 'daemon-a'
      from (values (1, 'delivered', 'accepted', null, false), (2, 'dead', 'not_subscribed', 43101, false),
                   (3, 'dead', 'attempts_spent', null, true)) v(n, status, reason, code, doubt);
    insert into outboxd.notification_outbox (id, event_type, aggregate_id, recipient, attempts, next_attempt_at, payload)
    overriding system value
    values (2001, 'customer_assigned', '10088', '42', 1, now() + interval '10 minutes', '{"phone": "13700137000"}');
    select setval(pg_get_serial_sequence('outboxd.notification_outbox', 'id'), 3000);"#;
