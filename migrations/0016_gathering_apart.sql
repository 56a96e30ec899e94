-- Gathering is a statement of its own: what writes slices had to wait for it, and gave no sign meanwhile. A search goes run by
-- run and stops in the first that has enough, instead of looking into all of them before it sorts.

-- Does the next piece of work and says how many ids it covered; 0 when there is none. Any daemon may call it at any time:
-- guarded by a lock that is tried, never waited for. A slice has 1024 ids at first; when the 32 of a block are complete,
-- one of 32768 takes their place (`at_most` keeps the slices small, should that take too long).
create or replace function outboxd.write_search(the_paths text[], at_most bigint default 32768) returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
declare
    small constant bigint := 1024;
    large constant bigint := 32768;
    oldest_month timestamptz;
    mark outboxd.search_mark;
    last_given bigint;
    first bigint; last bigint;
begin
    if not pg_try_advisory_xact_lock(hashtextextended('outboxd.write_search', 0)) then
        return 0;
    end if;
    select min(to_date(right(c.relname, 7), 'YYYY_MM')) into oldest_month
      from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where i.inhparent = 'outboxd.notification_delivery'::regclass and c.relname ~ '_\d{4}_\d{2}$';

    -- First what must be forgotten, or was read by other paths.
    select s.first_id, s.last_id into first, last from outboxd.search_slice s
     where s.settled_since < oldest_month or s.paths <> the_paths order by s.first_id desc limit 1;
    if found then
        perform outboxd.write_search_slice(first, last, the_paths, oldest_month);
        return last - first + 1;
    end if;

    -- A row takes its id a moment before its transaction can be seen to run; hence the five seconds.
    select * into mark from outboxd.search_mark;
    last_given := (select s.last_value from outboxd.notification_outbox_id_seq s);
    if mark.seen_id > mark.ready_id and mark.seen_at < clock_timestamp() - interval '5 seconds'
       and pg_snapshot_xmin(pg_current_snapshot()) >= mark.seen_xid then
        mark.ready_id := mark.seen_id;
        update outboxd.search_mark set ready_id = mark.ready_id;
    end if;
    if last_given > mark.seen_id and mark.ready_id = mark.seen_id then
        update outboxd.search_mark
           set seen_id = last_given, seen_xid = pg_snapshot_xmax(pg_current_snapshot()), seen_at = clock_timestamp();
    end if;

    -- The next id that has a row: a sequence leaves gaps.
    last := (select s.last_id from outboxd.search_slice s order by s.first_id desc limit 1);
    first := least((select min(o.id) from outboxd.notification_outbox o where o.id > coalesce(last, -1)),
                   (select min(d.id) from outboxd.notification_delivery d where d.id > coalesce(last, -1)));
    if first is null then
        return 0;
    end if;
    if at_most >= large and mark.ready_id >= first - first % large + large - 1 then
        first := first - first % large;
        last := first + large - 1;
    else
        first := first - first % small;
        last := first + small - 1;
    end if;
    if mark.ready_id < last then
        return 0;
    end if;
    perform outboxd.write_search_slice(first, last, the_paths, oldest_month);
    return last - first + 1;
end $$;

-- Gathers eight complete slices, the newest first, and says how many ids they cover; 0 when there is nothing to do. What would be
-- much more than ten million ordinary rows have in eight slices stays as it is: it would take longer than a statement may.
-- Like `write_search`, it may be called by any daemon at any time.
create or replace function outboxd.gather_search() returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp set work_mem = '64MB' as $$
declare
    long constant bigint := 262144;
    first bigint;
begin
    if not pg_try_advisory_xact_lock(hashtextextended('outboxd.write_search', 0)) then
        return 0;
    end if;
    select block into first
      from (select s.first_id - s.first_id % long as block, count(distinct s.run) as runs, count(*) as slices
              from outboxd.search_slice s group by 1) blocks
     where runs > 1
       and slices * (select c.reltuples from pg_class c where c.oid = 'outboxd.search_term'::regclass)
           <= 600000 * (select count(*) from outboxd.search_slice)
       and block + long - 1 <= (select max(s.last_id) from outboxd.search_slice s)
     order by block desc limit 1;
    if not found then
        return 0;
    end if;
    with gone as (
        delete from outboxd.search_term t using outboxd.search_slice s
         where s.first_id between first and first + long - 1 and t.run = s.run and t.first_id = s.first_id
        returning t.term, t.first_id, t.n, t.ids
    )
    insert into outboxd.search_term (run, term, first_id, n, ids)
    select first + long - 1, term, first_id, n, ids from gone order by term, first_id;
    update outboxd.search_slice s set run = first + long - 1 where s.first_id between first and first + long - 1;
    return long;
end $$;
-- The role, where it was made before.
do $$
begin
    if exists (select from pg_roles where rolname = 'outboxd_daemon') then
        grant execute on function outboxd.gather_search to outboxd_daemon;
    end if;
end $$;

-- The newest rows below an id that have all of these pieces, and behind whose piece the text goes on like that: what comes
-- next leaves this remainder. Run by run, newest first, and no further than needed. Of several pieces the one that is rarest in
-- the newest complete slice is looked up first, and where it is missing no other is; the rarest of a slice leads, others that are
-- rare there thin it out, and common ones are left to whoever reads the rows. Plans are made once in a session, for every run looks
-- alike to them (docs/decisions/0006-kept-plans.md).
create or replace function outboxd.search_candidates(the_pieces text[], modulus integer, remainder integer, below bigint, at_most integer)
returns setof bigint
language plpgsql stable
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set jit = off set enable_seqscan = off
set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
    its_run bigint; slice bigint; leads text[]; rarest text; room integer := at_most; got integer;
begin
    if cardinality(the_pieces) = 1 then
        for its_run in select s.run from outboxd.search_slice s where s.first_id < below group by s.run order by s.run desc loop
            return query
            select t.first_id + (at & 32767)
              from outboxd.search_term t cross join lateral unnest(t.ids) as at
             where t.run = its_run and t.term = the_pieces[1] and t.first_id < below
               and (at >> 15) % modulus = remainder and t.first_id + (at & 32767) < below
             order by t.first_id desc limit room;
            get diagnostics got = row_count;
            room := room - got;
            exit when room <= 0;
        end loop;
        return;
    end if;
    select s.run, s.first_id into its_run, slice
      from outboxd.search_slice s where s.last_id - s.first_id > 30000 order by s.first_id desc limit 1;
    rarest := (select piece from unnest(the_pieces) as piece
                 left join outboxd.search_term t on t.run = its_run and t.term = piece and t.first_id = slice
                order by coalesce(t.n, 0), piece limit 1);
    for its_run in select s.run from outboxd.search_slice s where s.first_id < below group by s.run order by s.run desc loop
        for slice, leads in
            select first.first_id, there.terms[1:greatest(there.rare, 1)]
              from outboxd.search_term first
             cross join lateral (
                   select array_agg(t.term order by t.n) as terms, (count(*) filter (where t.n <= 200))::integer as rare
                     from outboxd.search_term t where t.run = its_run and t.term = any(the_pieces) and t.first_id = first.first_id
                   having count(*) = cardinality(the_pieces)) there
             where first.run = its_run and first.term = rarest and first.first_id < below
             order by first.first_id desc
        loop
            return query
            select slice + at
              from (select t.term, unnest(t.ids) & 32767 as at
                      from outboxd.search_term t where t.run = its_run and t.term = any(leads) and t.first_id = slice) row
             where slice + at < below group by at having count(distinct term) = cardinality(leads) order by at desc limit room;
            get diagnostics got = row_count;
            room := room - got;
            exit when room <= 0;
        end loop;
        exit when room <= 0;
    end loop;
end $$;
