-- A claim makes its row longer (token, lease, name of the daemon). With half of the page kept free, the claims of one
-- page's rows fitted only because the server removed their dead versions in between, which it cannot while somebody
-- holds an old snapshot; then a tenth of the claims left their page and had to touch every index. With this much room
-- each row's first claim stays on its page in any case.
alter table outboxd.notification_outbox set (fillfactor = 45);

-- The server tries every CHECK at every update, also those on columns that it leaves alone: a third of a claim's cost.
-- What these look at never changes once the row is here, so a row under a lease is not looked at again.
alter table outboxd.notification_outbox
    drop constraint app_is_named, drop constraint event_type_is_named, drop constraint aggregate_is_named,
    drop constraint recipient_is_named, drop constraint payload_is_an_object, drop constraint payload_fits_64_kib,
    drop constraint keys_are_short, drop constraint keys_are_not_empty, drop constraint traceparent_is_short,
    drop constraint priority_is_1_2_or_3,

    add constraint app_is_named check (lease_token is not null or length(app) between 1 and 64
        or outboxd.refuse('app must have 1 to 64 characters')),
    add constraint event_type_is_named check (lease_token is not null or length(event_type) between 1 and 128
        or outboxd.refuse('event_type must have 1 to 128 characters')),
    add constraint aggregate_is_named check (lease_token is not null
        or length(aggregate_type) between 1 and 128 and length(aggregate_id) between 1 and 255
        or outboxd.refuse('aggregate_type must have 1 to 128 characters, aggregate_id (the customer) 1 to 255')),
    add constraint recipient_is_named check (lease_token is not null or length(recipient) between 1 and 255
        or outboxd.refuse('recipient (the CRM user to be told) must have 1 to 255 characters')),
    add constraint payload_is_an_object check (lease_token is not null or jsonb_typeof(payload) = 'object'
        or outboxd.refuse('payload must be a JSON object, not ' || jsonb_typeof(payload) || '; wrap the value: {"value": …}')),
    add constraint payload_fits_64_kib check (lease_token is not null or octet_length(payload::text) <= 65536
        or outboxd.refuse('payload is ' || octet_length(payload::text)
                          || ' bytes, at most 65536 (64 KiB) can be carried; send ids and let the receiver look up the rest')),
    add constraint keys_are_short check (lease_token is not null
        or greatest(length(dedupe_key), length(order_key), length(collapse_key), 0) <= 255
        or outboxd.refuse('dedupe_key, order_key and collapse_key may have at most 255 characters')),
    add constraint keys_are_not_empty check (lease_token is not null
        or coalesce(dedupe_key <> '', true) and coalesce(order_key <> '', true) and coalesce(collapse_key <> '', true)
        or outboxd.refuse('dedupe_key, order_key and collapse_key must not be empty; leave them out')),
    add constraint traceparent_is_short check (lease_token is not null or coalesce(length(traceparent), 0) <= 255
        or outboxd.refuse('traceparent may have at most 255 characters')),
    add constraint priority_is_1_2_or_3 check (lease_token is not null or priority between 1 and 3
        or outboxd.refuse('priority must be 1 (first), 2 or 3 (last), not ' || priority));
