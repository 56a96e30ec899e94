-- Notifications that wait for the user's permission: WeChat refused them with 43101, and they are tried again when the
-- function's ledger has a grant (docs/decisions/0008). Such a row stays in the outbox with next_attempt_at = expires_at,
-- or infinity, so no claim walks over it, and one with a time limit is settled as expired by the ordinary claim. An older
-- daemon beside a newer one leaves these rows alone: to it they are not due.
alter table outboxd.notification_outbox add column awaits_grant boolean not null default false;
-- Which people are to be asked about, and which of their rows is the oldest. Empty for who does not use it; a claim
-- changes no column of it.
create index notification_outbox_awaiting on outboxd.notification_outbox (app, recipient, event_type, id)
    where awaits_grant;

alter table outboxd.app_state
    -- The fleet's fence around the asking: nobody asks before this time.
    add column grants_ask_at timestamptz,
    -- Recipient and type of event behind which the round goes on; none: from the beginning.
    add column grants_asked_to text[],
    -- Key into the error catalogue: why the last asking learnt nothing.
    add column grants_trouble text;

-- The roles, where they were made before: their rights on these tables name columns.
do $$
begin
    if exists (select from pg_roles where rolname = 'outboxd_daemon') then
        grant update (awaits_grant) on outboxd.notification_outbox to outboxd_daemon;
    end if;
    if exists (select from pg_roles where rolname = 'outboxd_support') then
        grant select (awaits_grant) on outboxd.notification_outbox to outboxd_support;
    end if;
end $$;

create or replace view outboxd.notification_delivery_status as
select o.id, o.key, o.app, o.event_type, o.aggregate_type, o.aggregate_id, o.recipient,
       case when o.lease_until > statement_timestamp() then 'in_flight'
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
