-- What the browser finds: one accepted, one refused, one in doubt, one waiting behind a pause.
insert into outboxd.app_state (app, paused_at, paused_by, pause_reason) values ('review', now(), '王经理', '模板审核中');
insert into outboxd.notification_delivery
    (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload, priority, attempts, lease_epoch,
     format_version, created_at, created_by, status, reason, errcode, may_have_arrived, settled_at, settled_by, msgid)
select 1000 + n, gen_random_uuid(), 'default', 'customer_assigned', 'customer', customer, recipient,
       jsonb_build_object('aggregate_label', customer_name, 'recipient_label', recipient_name, 'phone', phone),
       2, attempts, 0, 1, now() - interval '1 hour', 'crm', status, reason, code, doubt, now() - interval '50 minutes',
       'daemon-a', case when status = 'delivered' then '1988810812324364291' end
  from (values
    (1, '10086', '李女士', '42', '王小明', '13800138000', 0, 'superseded', 'superseded', null, false),
    (2, '10086', '李女士', '43', '陈静',   '13800138000', 1, 'dead', 'not_subscribed', 43101, false),
    (3, '10086', '李女士', '42', '王小明', '13800138000', 1, 'delivered', 'accepted', null, false),
    (4, '10087', '张先生', '42', '王小明', '13900139000', 10, 'dead', 'attempts_spent', null, true))
    v(n, customer, customer_name, recipient, recipient_name, phone, attempts, status, reason, code, doubt);
insert into outboxd.notification_outbox (id, event_type, aggregate_id, recipient, attempts, next_attempt_at, may_have_arrived, payload, created_at)
overriding system value
values (2001, 'customer_assigned', '10088', '42', 2, now() + interval '10 minutes', true,
        '{"aggregate_label": "赵太太", "recipient_label": "王小明", "phone": "13700137000"}', now() - interval '2 minutes');
insert into outboxd.notification_outbox (id, app, event_type, aggregate_id, recipient, payload)
overriding system value
values (2002, 'review', 'customer_assigned', '10089', '43', '{"aggregate_label": "孙老师", "recipient_label": "陈静", "phone": "13600136000"}');
insert into outboxd.notification_attempt
    (notification_id, attempt, app, lease_token, daemon, started_at, ended_at, phase, outcome, sentence, errcode, latency_ms)
values
    (1003, 1, 'default', gen_random_uuid(), 'daemon-a', now() - interval '50 minutes', now() - interval '50 minutes', 'answered', 'delivered', 'accepted', 0, 412),
    (1002, 1, 'default', gen_random_uuid(), 'daemon-a', now() - interval '50 minutes', now() - interval '50 minutes', 'answered', 'failed', 'not_subscribed', 43101, 388),
    (2001, 1, 'default', gen_random_uuid(), 'daemon-a', now() - interval '100 seconds', now() - interval '100 seconds', 'connect', 'failed', 'not_reached_dns_connect_tls', null, 12),
    (2001, 2, 'default', gen_random_uuid(), 'daemon-b', now() - interval '40 seconds', now() - interval '30 seconds', 'sent', 'unknown', 'timed_out', null, 10012);
