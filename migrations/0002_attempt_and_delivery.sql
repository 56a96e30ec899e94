-- What happened: one row per attempt, one row per settled notification, both partitioned by month so
-- that retention is the drop of a partition and cost never grows with the settled history.
create table outboxd.notification_attempt (
    notification_id bigint      not null,
    attempt         integer     not null,
    app             text        not null,
    lease_token     uuid        not null,
    daemon          text        not null,
    started_at      timestamptz not null,
    ended_at        timestamptz not null,
    -- How far it came: not_called, token, connect, sent (no answer), answered, lapsed (no word from the daemon).
    phase           text        not null,
    outcome         text        not null,
    errcode         integer,
    -- Key into the error catalogue: the sentence support reads.
    sentence        text        not null,
    -- What the other side said, cleaned and cut to 1 KiB.
    detail          text,
    latency_ms      integer,

    primary key (notification_id, attempt, ended_at),
    constraint phase_is_known check (phase in ('not_called', 'token', 'connect', 'sent', 'answered', 'lapsed')),
    constraint outcome_is_known check (outcome in ('delivered', 'failed', 'unknown', 'released')),
    constraint attempts_count_from_1 check (attempt >= 1)
) partition by range (ended_at);

create table outboxd.notification_delivery (
    id              bigint      not null,
    key             uuid        not null,
    app             text        not null,
    event_type      text        not null,
    aggregate_type  text        not null,
    aggregate_id    text        not null,
    recipient       text        not null,
    payload         jsonb       not null,
    dedupe_key      text,
    order_key       text,
    collapse_key    text,
    priority        smallint    not null,
    expires_at      timestamptz,
    attempts        integer     not null,
    lease_epoch     bigint      not null,
    traceparent     text,
    format_version  smallint    not null,
    created_at      timestamptz not null,
    created_by      text        not null,
    status          text        not null,
    -- Key into the error catalogue.
    reason          text        not null,
    errcode         integer,
    -- True while nobody can say for certain that the person got nothing.
    may_have_arrived boolean    not null,
    msgid           text,
    settled_at      timestamptz not null,
    settled_by      text        not null,

    primary key (id, settled_at),
    constraint status_is_known check (status in ('delivered', 'dead', 'expired', 'superseded', 'cancelled')),
    constraint delivered_is_certain check (not (status = 'delivered' and may_have_arrived))
) partition by range (settled_at);

-- enqueue_notification: the same dedupe_key returns the earlier id, also after that one has settled.
create index notification_delivery_dedupe on outboxd.notification_delivery (app, dedupe_key)
    where dedupe_key is not null;
-- The claim: was a newer notification of this collapse_key settled already?
create index notification_delivery_collapse on outboxd.notification_delivery (app, collapse_key, id)
    where collapse_key is not null;
-- `outboxd why CUSTOMER`, `outboxd find RECIPIENT`.
create index notification_delivery_aggregate on outboxd.notification_delivery (aggregate_id, id);
create index notification_delivery_recipient on outboxd.notification_delivery (recipient, id);
-- `outboxd list --status dead --since 24h`: few rows, so a small index.
create index notification_delivery_trouble on outboxd.notification_delivery (settled_at, id)
    where status <> 'delivered';
-- `outboxd stats`: the last hour without reading the month.
create index notification_delivery_settled_at on outboxd.notification_delivery using brin (settled_at) with (autosummarize = on);
create index notification_attempt_ended_at on outboxd.notification_attempt using brin (ended_at) with (autosummarize = on);

-- The claim asks this for rows with a collapse_key. A function with a plan of its own: planned once per session, where
-- the claim, planned each time, would pay for every month that is kept.
create function outboxd.newest_settled(the_app text, the_collapse_key text, after_id bigint) returns bigint
language plpgsql stable set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
begin
    return (select max(d.id) from outboxd.notification_delivery d
             where d.app = the_app and d.collapse_key = the_collapse_key and d.id > after_id and d.status <> 'cancelled');
end $$;
revoke all on function outboxd.newest_settled from public;

-- A missing month never stops settling: its rows land here and move when the month's partition is made.
create table outboxd.notification_attempt_default  partition of outboxd.notification_attempt  default;
create table outboxd.notification_delivery_default partition of outboxd.notification_delivery default;

-- Makes the partitions of this month and the next ones. Any daemon may call it at any time: guarded by a
-- lock that is tried, never waited for, and idempotent. Returns the partitions it made.
create function outboxd.ensure_partitions(months_ahead integer default 2) returns setof text
language plpgsql security definer
set search_path = pg_catalog, pg_temp set lock_timeout = '200ms' set timezone = 'UTC' as $$
declare
    parent text; stamp text; name text; month timestamptz;
begin
    if not pg_try_advisory_xact_lock(hashtextextended('outboxd.ensure_partitions', 0)) then
        return;
    end if;
    for parent, stamp in values ('notification_delivery', 'settled_at'), ('notification_attempt', 'ended_at') loop
        for month in select date_trunc('month', now()) + make_interval(months => n)
                       from generate_series(0, least(greatest(months_ahead, 0), 24)) n loop
            name := parent || to_char(month, '_YYYY_MM');
            continue when to_regclass(format('outboxd.%I', name)) is not null;
            begin
                -- Create, fill, attach: unlike CREATE … PARTITION OF this does not lock the parent
                -- against the recorder.
                execute format('create table outboxd.%I (like outboxd.%I including defaults including constraints)', name, parent);
                execute format('with moved as (delete from outboxd.%I where %I >= %L and %I < %L returning *) '
                               'insert into outboxd.%I select * from moved',
                               parent || '_default', stamp, month, stamp, month + interval '1 month', name);
                execute format('alter table outboxd.%I attach partition outboxd.%I for values from (%L) to (%L)',
                               parent, name, month, month + interval '1 month');
                return next name;
            exception when lock_not_available or check_violation or duplicate_table then
                -- Somebody is busy there; the default partition keeps the rows until the next try. Not one more
                -- lock is asked for: the CRM's statements would queue behind it.
                raise notice 'outboxd: partition % is left for later: %', name, sqlerrm;
                return;
            end;
        end loop;
    end loop;
end $$;
revoke all on function outboxd.ensure_partitions from public;

select outboxd.ensure_partitions();
