-- Sending again lifts a time limit that has passed from a row that still waits, too, not only from a settled one: where the
-- roles were made before, the desk's lacks the right.
do $$
begin
    if exists (select from pg_roles where rolname = 'outboxd_desk') then
        grant update (expires_at) on outboxd.notification_outbox to outboxd_desk;
    end if;
end $$;
