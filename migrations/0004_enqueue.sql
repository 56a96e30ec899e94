-- The advisory lock of a key: one of 1024 buckets of its kind.
create function outboxd.key_lock(kind text, app text, key text) returns bigint
language sql immutable set search_path = pg_catalog, pg_temp as $$
    -- Parenthesised: in PostgreSQL these operators have one precedence.
    select (hashtextextended('outboxd.' || kind, 0) & ~(1023::bigint)) | (hashtextextended(app || ':' || key, 0) & 1023)
$$;

-- The first door: one call inside the transaction that makes the assignment. SECURITY DEFINER, so that a
-- CRM's role needs EXECUTE on this function and not one right on a table.
create function outboxd.enqueue_notification(
    event_type      text,
    recipient       text,
    aggregate_id    text,
    payload         jsonb       default '{}',
    aggregate_type  text        default 'customer',
    app             text        default 'default',
    dedupe_key      text        default null,
    order_key       text        default null,
    collapse_key    text        default null,
    priority        integer     default 2,
    next_attempt_at timestamptz default null,
    expires_at      timestamptz default null,
    traceparent     text        default null,
    created_by      text        default null
) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    new_id bigint;
    earlier_id bigint;
begin
    -- What cannot be carried is refused by the table's own sentences; only NULL, which would print the row, is caught here.
    if event_type is null or recipient is null or aggregate_type is null or aggregate_id is null or app is null then
        perform outboxd.refuse('event_type, recipient, aggregate_type, aggregate_id and app must not be null');
    end if;
    if payload is null then
        perform outboxd.refuse('payload must be a JSON object, not null');
    end if;
    if priority not between 1 and 3 then
        perform outboxd.refuse('priority must be 1 (first), 2 or 3 (last), not ' || priority);
    end if;

    -- An empty key is none; as a key it would swallow every later notification.
    dedupe_key := nullif(dedupe_key, '');
    order_key := nullif(order_key, '');
    collapse_key := nullif(collapse_key, '');
    if dedupe_key is not null and current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
        raise exception 'outboxd: a dedupe_key needs READ COMMITTED; under % a notification that settled meanwhile would not be seen',
            upper(current_setting('transaction_isolation'))
            using errcode = 'invalid_transaction_state', hint = 'leave the dedupe_key out, or set the isolation level of this transaction';
    end if;

    -- Sequence order must be commit order within a key, or a later row could overtake an uncommitted one. The locks
    -- are buckets, so that a transaction of thousands of keys holds a thousand at most.
    if order_key is not null then
        perform pg_advisory_xact_lock(outboxd.key_lock('order', app, order_key));
    end if;

    loop
        insert into outboxd.notification_outbox
            (app, event_type, aggregate_type, aggregate_id, recipient, payload, dedupe_key, order_key, collapse_key,
             priority, next_attempt_at, expires_at, traceparent, created_by)
        values
            (app, event_type, aggregate_type, aggregate_id, recipient, payload, dedupe_key, order_key, collapse_key,
             coalesce(priority, 2), coalesce(next_attempt_at, statement_timestamp()), expires_at, traceparent,
             coalesce(created_by, session_user))
        on conflict (app, dedupe_key) where dedupe_key is not null do nothing
        returning id into new_id;

        if dedupe_key is null then
            return new_id;
        end if;
        -- Insert first, look at the history second: the insert waits for a settling transaction of the
        -- same key, so the look sees what that one committed. The other way round could miss it.
        if new_id is not null then
            select d.id into earlier_id from outboxd.notification_delivery d
             where d.app = enqueue_notification.app and d.dedupe_key = enqueue_notification.dedupe_key
             order by d.id desc limit 1;
            if earlier_id is null then
                return new_id;
            end if;
            delete from outboxd.notification_outbox o where o.id = new_id;
            return earlier_id;
        end if;
        select o.id into earlier_id from outboxd.notification_outbox o
         where o.app = enqueue_notification.app and o.dedupe_key = enqueue_notification.dedupe_key;
        if earlier_id is not null then
            return earlier_id;
        end if;
        -- The row that stood in the way was settled between the two statements: look again.
    end loop;
end $$;
revoke all on function outboxd.enqueue_notification from public;
comment on function outboxd.enqueue_notification is
    'Writes one notification into the outbox of the current transaction and returns its id. The same dedupe_key returns the earlier id.';

-- The batch form: an array of objects whose keys are the parameters above; ids come back in the same order.
create function outboxd.enqueue_notifications(notifications jsonb) returns setof bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    item jsonb; n bigint; stranger text; missing text;
begin
    if notifications is null or jsonb_typeof(notifications) <> 'array' then
        raise exception 'enqueue_notifications: expected a JSON array of objects, not %', coalesce(jsonb_typeof(notifications), 'null')
            using errcode = 'invalid_parameter_value';
    end if;
    for item, n in select * from jsonb_array_elements(notifications) with ordinality loop
        if jsonb_typeof(item) <> 'object' then
            raise exception 'enqueue_notifications: element % is not an object', n using errcode = 'invalid_parameter_value';
        end if;
        select k into stranger from jsonb_object_keys(item) k
         where k not in ('event_type', 'recipient', 'aggregate_id', 'payload', 'aggregate_type', 'app', 'dedupe_key', 'order_key',
                         'collapse_key', 'priority', 'next_attempt_at', 'expires_at', 'traceparent', 'created_by')
         limit 1;
        if stranger is not null then
            raise exception 'enqueue_notifications: element % has the unknown key "%"', n, stranger
                using errcode = 'invalid_parameter_value', hint = 'the keys are the parameters of enqueue_notification';
        end if;
        select k into missing from unnest(array['event_type', 'recipient', 'aggregate_id']) k where item ->> k is null limit 1;
        if missing is not null then
            raise exception 'enqueue_notifications: element % has no "%"', n, missing using errcode = 'invalid_parameter_value';
        end if;
    end loop;
    -- All locks in one fixed order, so that two batches cannot wait for each other.
    perform pg_advisory_xact_lock(bucket) from (
        select distinct outboxd.key_lock(kind, coalesce(e ->> 'app', 'default'), e ->> (kind || '_key')) as bucket
          from jsonb_array_elements(notifications) e, unnest(array['order', 'dedupe']) kind
         where nullif(e ->> (kind || '_key'), '') is not null
         order by bucket) locks;
    return query
        select outboxd.enqueue_notification(
                   event_type => e ->> 'event_type', recipient => e ->> 'recipient', aggregate_id => e ->> 'aggregate_id',
                   payload => coalesce(e -> 'payload', '{}'), aggregate_type => coalesce(e ->> 'aggregate_type', 'customer'),
                   app => coalesce(e ->> 'app', 'default'), dedupe_key => e ->> 'dedupe_key', order_key => e ->> 'order_key',
                   collapse_key => e ->> 'collapse_key', priority => (e ->> 'priority')::integer,
                   next_attempt_at => (e ->> 'next_attempt_at')::timestamptz, expires_at => (e ->> 'expires_at')::timestamptz,
                   traceparent => e ->> 'traceparent', created_by => e ->> 'created_by')
          from jsonb_array_elements(notifications) with ordinality as element(e, position)
         order by element.position;
end $$;
revoke all on function outboxd.enqueue_notifications from public;
comment on function outboxd.enqueue_notifications is
    'Writes many notifications: an array of objects whose keys are the parameters of enqueue_notification. Ids come back in order.';
