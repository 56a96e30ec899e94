-- A claim makes its row longer (token, lease, name of the daemon). With half of the page kept free, the claims of one
-- page's rows fitted only because the server removed their dead versions in between, which it cannot while somebody
-- holds an old snapshot; then a tenth of the claims left their page and had to touch every index. With this much room
-- each row's first claim stays on its page in any case.
alter table outboxd.notification_outbox set (fillfactor = 45);

-- What a row must be to be carried is asked once, when it comes in. As CHECKs, these questions were read and prepared
-- anew for every insert and asked again at every claim: half of the CRM's insert and a third of a claim. A function is
-- prepared once per session. What it asks about never changes later, or is asked again when it does.
alter table outboxd.notification_outbox
    drop constraint app_is_named, drop constraint event_type_is_named, drop constraint aggregate_is_named,
    drop constraint recipient_is_named, drop constraint payload_is_an_object, drop constraint payload_fits_64_kib,
    drop constraint keys_are_short, drop constraint keys_are_not_empty, drop constraint traceparent_is_short,
    drop constraint priority_is_1_2_or_3, drop constraint next_attempt_at_has_a_beginning,
    drop constraint spared_attempts_were_made, drop constraint lease_counters_are_possible,
    drop constraint lease_columns_together;

-- Each refusal is a sentence, never the printed row: a phone number would stand in the CRM's error and the server's log.
-- Without a setting of its own, which would cost as much as all the questions; it does nothing the caller could not do.
create function outboxd.refuse_what_cannot_be_carried() returns trigger
language plpgsql as $$
declare bytes integer := pg_catalog.octet_length(new.payload::text);
begin
    if pg_catalog.length(new.app) between 1 and 64
       and pg_catalog.length(new.event_type) between 1 and 128
       and pg_catalog.length(new.aggregate_type) between 1 and 128 and pg_catalog.length(new.aggregate_id) between 1 and 255
       and pg_catalog.length(new.recipient) between 1 and 255
       and pg_catalog.jsonb_typeof(new.payload) = 'object' and bytes <= 65536
       and (new.dedupe_key is null or pg_catalog.length(new.dedupe_key) between 1 and 255)
       and (new.order_key is null or pg_catalog.length(new.order_key) between 1 and 255)
       and (new.collapse_key is null or pg_catalog.length(new.collapse_key) between 1 and 255)
       and (new.traceparent is null or pg_catalog.length(new.traceparent) <= 255)
       and new.priority between 1 and 3
       and new.next_attempt_at > '-infinity'
       and new.attempts between 0 and 1000000 and new.spared between 0 and new.attempts
       and new.lapses between 0 and 100 and new.lease_epoch between 0 and 100000000000000
       and pg_catalog.num_nulls(new.lease_token, new.lease_until, new.leased_by) in (0, 3)
    then
        return new;
    end if;

    perform outboxd.refuse(sentence) from (values
        (pg_catalog.length(new.app) not between 1 and 64, 'app must have 1 to 64 characters'),
        (pg_catalog.length(new.event_type) not between 1 and 128, 'event_type must have 1 to 128 characters'),
        (pg_catalog.length(new.aggregate_type) not between 1 and 128 or pg_catalog.length(new.aggregate_id) not between 1 and 255,
            'aggregate_type must have 1 to 128 characters, aggregate_id (the customer) 1 to 255'),
        (pg_catalog.length(new.recipient) not between 1 and 255, 'recipient (the CRM user to be told) must have 1 to 255 characters'),
        (pg_catalog.jsonb_typeof(new.payload) <> 'object', 'payload must be a JSON object, not '
            || pg_catalog.jsonb_typeof(new.payload) || '; wrap the value: {"value": …}'),
        (bytes > 65536, 'payload is ' || bytes
            || ' bytes, at most 65536 (64 KiB) can be carried; send ids and let the receiver look up the rest'),
        (new.dedupe_key = '' or new.order_key = '' or new.collapse_key = '',
            'dedupe_key, order_key and collapse_key must not be empty; leave them out'),
        (greatest(pg_catalog.length(new.dedupe_key), pg_catalog.length(new.order_key), pg_catalog.length(new.collapse_key)) > 255,
            'dedupe_key, order_key and collapse_key may have at most 255 characters'),
        (pg_catalog.length(new.traceparent) > 255, 'traceparent may have at most 255 characters'),
        (new.priority not between 1 and 3, 'priority must be 1 (first), 2 or 3 (last), not ' || new.priority),
        (new.next_attempt_at = '-infinity', 'next_attempt_at must not be -infinity'),
        (pg_catalog.num_nulls(new.lease_token, new.lease_until, new.leased_by) not in (0, 3),
            'lease_token, lease_until and leased_by are set together, by the claim'),
        (new.attempts not between 0 and 1000000 or new.spared not between 0 and new.attempts
            or new.lapses not between 0 and 100 or new.lease_epoch not between 0 and 100000000000000,
            'attempts, spared, lapses and lease_epoch are counted by the daemon; leave them out')
    ) as question (is_wrong, sentence) where is_wrong;
    -- A missing value: the column itself says so.
    return new;
end $$;
revoke all on function outboxd.refuse_what_cannot_be_carried from public;

create trigger refuse_what_cannot_be_carried
    before insert or update of priority, dedupe_key, order_key, collapse_key, traceparent
    on outboxd.notification_outbox
    for each row execute function outboxd.refuse_what_cannot_be_carried();
