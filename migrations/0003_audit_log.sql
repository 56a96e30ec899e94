-- Who did what to how many notifications, and why; written in the transaction of the act itself.
create table outboxd.audit_log (
    id               bigint generated always as identity primary key,
    at               timestamptz not null default clock_timestamp(),
    actor            text        not null,
    -- retry, cancel, pause, resume; late_answer: a daemon's answer that came after its lease was taken over.
    action           text        not null,
    app              text,
    notification_ids bigint[]    not null default '{}',
    affected         integer     not null,
    reason           text,
    detail           jsonb       not null default '{}',

    constraint actor_is_named check (actor <> ''),
    constraint action_is_named check (action <> '')
);
-- `outboxd show ID`: the acts in a notification's timeline.
create index audit_log_notification on outboxd.audit_log using gin (notification_ids);
