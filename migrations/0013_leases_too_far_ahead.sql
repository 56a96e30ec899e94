-- A lease that ends further ahead than any lease is long stems from a clock that has since been set back. A claim takes it for
-- lapsed, so the view must not say that it is being called.
create or replace view outboxd.notification_delivery_status as
select o.id, o.key, o.app, o.event_type, o.aggregate_type, o.aggregate_id, o.recipient,
       case when o.lease_until between statement_timestamp() and statement_timestamp() + interval '20 minutes' then 'in_flight'
            when s.paused_at is not null or s.breaker in ('open', 'half_open') then 'held'
            when o.awaits_grant and o.next_attempt_at > statement_timestamp() then 'awaiting_grant'
            when o.attempts > 0 then 'retrying'
            when o.next_attempt_at > statement_timestamp() then 'scheduled'
            else 'queued' end as status,
       last.sentence as reason, last.errcode, o.attempts, o.may_have_arrived,
       null::text as msgid,
       o.created_at, o.created_by, o.next_attempt_at, o.expires_at, null::timestamptz as settled_at,
       last.ended_at as last_attempt_at, last.outcome as last_outcome, o.dedupe_key
  from outboxd.notification_outbox o
  left join outboxd.app_state s using (app)
  left join lateral (
       select a.sentence, a.errcode, a.ended_at, a.outcome from outboxd.notification_attempt a
        where a.notification_id = o.id order by a.attempt desc limit 1) last on o.attempts > 0
union all
select d.id, d.key, d.app, d.event_type, d.aggregate_type, d.aggregate_id, d.recipient,
       d.status, d.reason, d.errcode, d.attempts, d.may_have_arrived, d.msgid,
       d.created_at, d.created_by, null, d.expires_at, d.settled_at,
       last.ended_at, last.outcome, d.dedupe_key
  from outboxd.notification_delivery d
  left join lateral (
       select a.ended_at, a.outcome from outboxd.notification_attempt a
        where a.notification_id = d.id order by a.attempt desc limit 1) last on d.attempts > 0;
