-- Roles and grants, least privilege each. Optional: `outboxd migrate roles` runs it, `outboxd migrate roles --print`
-- shows it. Idempotent. Give a role to a login with: grant outboxd_crm to my_crm_user;
do $$
declare name text;
begin
    foreach name in array array['outboxd_daemon', 'outboxd_crm', 'outboxd_support', 'outboxd_desk', 'outboxd_admin'] loop
        if not exists (select from pg_roles where rolname = name) then
            execute format('create role %I nologin', name);
        end if;
    end loop;
end $$;

grant usage on schema outboxd to outboxd_daemon, outboxd_crm, outboxd_support, outboxd_desk, outboxd_admin;

-- The CRM may enqueue, and nothing else: the functions run with their owner's rights.
grant execute on function outboxd.enqueue_notification, outboxd.enqueue_notifications to outboxd_crm;

-- Support reads everything but the payload, where the phone numbers are. (One column list for both tables.)
do $$
declare tab text; columns text;
begin
    foreach tab in array array['notification_outbox', 'notification_delivery'] loop
        select string_agg(quote_ident(attname), ', ') into columns from pg_attribute
         where attrelid = ('outboxd.' || tab)::regclass and attnum > 0 and not attisdropped and attname <> 'payload';
        execute format('grant select (%s) on outboxd.%I to outboxd_support', columns, tab);
    end loop;
end $$;
grant select on outboxd.notification_delivery_status, outboxd.notification_attempt, outboxd.app_state, outboxd.audit_log,
    outboxd.notification_handled, outboxd.notification_successor, outboxd.bulk_redrive, outboxd.bulk_redrive_underway,
    outboxd._sqlx_migrations to outboxd_support;

-- The daemon moves rows; it cannot enqueue, and it cannot change a key or a payload.
grant select, delete on outboxd.notification_outbox to outboxd_daemon;
grant update (next_attempt_at, attempts, spared, lapses, may_have_arrived, lease_token, lease_until, lease_epoch, leased_by,
              awaits_grant)
    on outboxd.notification_outbox to outboxd_daemon;
grant select, insert on outboxd.notification_attempt, outboxd.notification_delivery, outboxd.audit_log to outboxd_daemon;
grant select, insert, update on outboxd.app_state to outboxd_daemon;
grant select on outboxd.notification_delivery_status to outboxd_daemon;
-- `run --desk` says who was told and what was replaced, and leaves acting to a desk's own login.
grant select on outboxd.notification_handled, outboxd.notification_successor to outboxd_daemon;
grant execute on function outboxd.ensure_partitions, outboxd.newest_settled to outboxd_daemon;
-- It writes the search's index by these functions only; the pieces of names in there are read by a desk and an admin.
grant execute on function outboxd.write_search, outboxd.gather_search to outboxd_daemon;
-- The sentences of the table's own checks; by default anybody may say them.
grant execute on function outboxd.refuse to outboxd_daemon, outboxd_crm, outboxd_desk, outboxd_admin;
-- The lock an idle daemon sleeps on.
grant execute on function outboxd.sleep_lock to outboxd_daemon;
grant select on outboxd._sqlx_migrations to outboxd_daemon, outboxd_admin;

-- An admin reads everything and acts: retry, cancel, pause. The audit log takes rows and gives none back.
grant select on all tables in schema outboxd to outboxd_admin;
grant insert, delete, update on outboxd.notification_outbox to outboxd_admin;
grant insert, delete on outboxd.notification_delivery to outboxd_admin;
grant insert on outboxd.notification_attempt, outboxd.audit_log to outboxd_admin;
grant insert, update on outboxd.app_state to outboxd_admin;
grant usage on all sequences in schema outboxd to outboxd_admin;
grant execute on function outboxd.enqueue_notification, outboxd.enqueue_notifications, outboxd.ensure_partitions to outboxd_admin;

-- The desk reads everything and does what its buttons do. What it takes back or writes anew it may not rewrite: no key, no
-- payload, no evidence. What was done stays done, so it deletes nothing but what it moves.
grant select on all tables in schema outboxd to outboxd_desk;
grant insert, delete on outboxd.notification_outbox, outboxd.notification_delivery to outboxd_desk;
grant update (next_attempt_at, expires_at, cancel_requested_by, awaits_grant) on outboxd.notification_outbox to outboxd_desk;
grant insert on outboxd.notification_attempt, outboxd.audit_log to outboxd_desk;
grant insert (app, paused_at, paused_by, pause_reason),
      update (paused_at, paused_by, pause_reason, breaker, breaker_until, breaker_reason, breaker_errcode, breaker_since, breaker_strikes)
    on outboxd.app_state to outboxd_desk;
grant execute on function outboxd.enqueue_notification to outboxd_desk;

-- What people do beyond the rows is the same for both.
grant insert on outboxd.notification_handled, outboxd.notification_successor to outboxd_desk, outboxd_admin;
grant update (outcome, handled_at, handled_by) on outboxd.notification_handled to outboxd_desk, outboxd_admin;
grant insert on outboxd.bulk_redrive to outboxd_desk, outboxd_admin;
-- The set, the pace and the reason of a bulk redrive are decided once.
grant update (state, version, changed_at, changed_by, stopped_because, rung, rung_delivered, rung_failed, next_rung_at, walked_at,
              walked_id, is_walked, redriven, refused, delivered, failed, withdrawn) on outboxd.bulk_redrive to outboxd_desk, outboxd_admin;
grant insert, delete, update (has_failed) on outboxd.bulk_redrive_underway to outboxd_desk, outboxd_admin;
