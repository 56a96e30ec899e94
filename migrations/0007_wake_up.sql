-- The wake-up that costs nothing under load: an insert notifies only when somebody sleeps. A notification in every
-- transaction would take a lock of the whole database at each commit. The protocol is told in src/wake.rs.

-- The lock on which the daemons of an app sleep. One for each app: with a single one, an idle app would make every insert
-- of a busy one notify. The seed is hashtextextended('outboxd.sleep', 0); it keeps these locks apart from other people's.
create function outboxd.sleep_lock(app text) returns bigint
language sql immutable parallel safe
return hashtextextended(app, -2112352295251475);

-- Runs only while somebody sleeps. SECURITY DEFINER, so that a CRM's role needs no right to it. Silent while the server's
-- queue of notifications is half full (some listener is stuck): a full one would fail the CRM's commit.
create function outboxd.wake_sleeper() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if pg_notification_queue_usage() < 0.5 then
        perform pg_notify('outboxd_wake', new.app);
    end if;
    return null;
end $$;
revoke all on function outboxd.wake_sleeper from public;

-- Who gets the shared lock holds it to the end of the transaction, so nobody falls asleep over a row that is written and
-- not yet committed; who does not get it calls the sleeper at the commit. Tried, never waited for. In the condition,
-- because there it costs least (docs/decisions/0005): no function is called, no transition table filled, no event
-- queued. It is sleep_lock(new.app), written out: inlining that function anew for each statement would cost three times
-- as much as all the rest.
create trigger wake_sleeper after insert on outboxd.notification_outbox for each row
    when (not pg_try_advisory_xact_lock_shared(hashtextextended(new.app, -2112352295251475)))
    execute function outboxd.wake_sleeper();
