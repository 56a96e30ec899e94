-- Everything the page shows of the database, in one statement and one JSON value. $1 = the first line of
-- the CRM's ledger that belongs to this run. The list is the newest lines and whatever is still under
-- way; joins go by primary keys, so the cost does not grow with the history.
with shown as (
    (select * from crm.assignment_log where id >= $1 order by id desc limit 60)
    union
    (select l.* from outboxd.notification_outbox o
       join crm.assignment_log l on l.notification_id = o.id
      where l.id >= $1 order by l.id limit 20)
)
select jsonb_build_object(
    'rows', coalesce((
        select jsonb_agg(jsonb_build_object(
            'id', l.id, 'notification', l.notification_id, 'via', l.via,
            'customer', c.name, 'customerLatin', c.latin, 'customerId', c.id,
            'staff', p.name, 'staffLatin', p.latin,
            'status', s.status, 'reason', s.reason, 'errcode', s.errcode, 'attempts', coalesce(s.attempts, 0),
            'mayHaveArrived', s.may_have_arrived, 'lastOutcome', s.last_outcome,
            'ageMs', round(extract(epoch from clock_timestamp() - l.at) * 1000),
            'tookMs', round(extract(epoch from s.settled_at - l.at) * 1000),
            -- What waits for a permission waits without end.
            'nextMs', case when isfinite(s.next_attempt_at)
                           then round(extract(epoch from s.next_attempt_at - clock_timestamp()) * 1000) end,
            'leasedBy', o.leased_by,
            'leaseMs', round(extract(epoch from o.lease_until - clock_timestamp()) * 1000)
        ) order by l.at desc, l.id)
          from shown l
          join crm.customer c on c.id = l.customer_id
          join crm.staff p on p.id = l.assigned_to
          left join outboxd.notification_delivery_status s on s.id = l.notification_id
          left join outboxd.notification_outbox o on o.id = l.notification_id), '[]'),
    'waiting', (select jsonb_build_object(
            'queued',   count(*) filter (where o.attempts = 0 and o.lease_until is null),
            'inFlight', count(*) filter (where o.lease_until > clock_timestamp()),
            'retrying', count(*) filter (where o.attempts > 0 and coalesce(o.lease_until <= clock_timestamp(), true)
                                           and not (o.awaits_grant and o.next_attempt_at > clock_timestamp())),
            'awaiting', count(*) filter (where o.awaits_grant and o.next_attempt_at > clock_timestamp()))
          from outboxd.notification_outbox o),
    'app', (select jsonb_build_object(
            'breaker', a.breaker, 'reason', coalesce(a.pause_reason, a.breaker_reason), 'paused', a.paused_at is not null,
            'untilMs', round(extract(epoch from a.breaker_until - clock_timestamp()) * 1000))
          from outboxd.app_state a where a.app = 'default'),
    -- The page reads the customers again when this changes.
    'crm', (select concat_ws('.', (select max(id) from crm.assignment_log), (select max(id) from crm.customer)))
)
