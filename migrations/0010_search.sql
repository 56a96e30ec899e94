-- The desk's search: a name, the tail of a telephone number, a key, over ten million rows, without an index more on the
-- tables that the CRM, the claim and the record write (docs/decisions/0009-search-in-slices.md). Nothing here is written
-- by them: any daemon reads what has become old enough and writes down, slice of ids by slice of ids, which short pieces
-- of text occur in which rows. What is newer than the last slice is read directly. A search reads the rows themselves
-- before it shows them, so nothing is found that is no longer there.
create table outboxd.search_slice (
    first_id      bigint      primary key,
    last_id       bigint      not null,
    -- The oldest of its rows was settled then; when that month is dropped, the slice is written anew without them.
    settled_since timestamptz not null,
    -- The paths in the payload that it was read by.
    paths         text[]      not null
);

-- Pieces of a name are each of its characters and each two that stand together; of a telephone number the last four
-- digits (#) and the three before them (~); of a key its first three digits (=) and the next two (-); of a recipient the
-- whole (>). Short pieces are shared by many rows, and together they are rare. A slice is searched piece by piece and written
-- at the end of the index: its primary key serves both.
create table outboxd.search_term (
    first_id bigint  not null,
    term     text    collate "C" not null,
    -- How many rows: the rarest piece of a text leads.
    n        integer not null,
    -- The rows, newest first, as distance from first_id.
    ids      integer[] not null,

    primary key (first_id, term)
);

-- How far the ids are complete: up to `ready_id` no transaction can commit a row any more. The next such point is
-- `seen_id`, as soon as every transaction has ended that ran when it was seen.
create table outboxd.search_mark (
    one      boolean     primary key default true check (one),
    ready_id bigint      not null default 0,
    seen_id  bigint      not null default 0,
    seen_xid xid8        not null default '0',
    seen_at  timestamptz not null default '-infinity'
);
insert into outboxd.search_mark default values;

-- Writes one slice, in place of whatever was written of it before.
create function outboxd.write_search_slice(the_first bigint, the_last bigint, the_paths text[], oldest_month timestamptz)
returns void
language plpgsql set search_path = pg_catalog, pg_temp set work_mem = '32MB' as $$
begin
    delete from outboxd.search_term t where t.first_id between the_first and the_last;
    delete from outboxd.search_slice s where s.first_id between the_first and the_last;
    -- A row without an end of its own can be settled from now on.
    insert into outboxd.search_slice (first_id, last_id, settled_since, paths)
    select the_first, the_last,
           greatest(oldest_month, least((select min(d.settled_at) from outboxd.notification_delivery d
                                          where d.id between the_first and the_last), statement_timestamp())),
           the_paths;
    with row as materialized (
        select o.id, o.key, o.recipient, o.payload from outboxd.notification_outbox o where o.id between the_first and the_last
        union all
        select d.id, d.key, d.recipient, d.payload from outboxd.notification_delivery d where d.id between the_first and the_last
    ),
    -- Many rows have the same name: it is cut up once.
    said as materialized (
        select v.value, regexp_replace(v.value, '\D', '', 'g') as digits, array_agg(v.id) as ids
          from (select row.id, lower(row.payload #>> string_to_array(path, '.')) as value
                  from row cross join unnest(the_paths) as path) v
         where v.value <> '' group by v.value
    ),
    piece as (
        select p.term, unnest(said.ids) as id from said cross join lateral (
               select '#' || right(digits, 4) as term where length(digits) >= 7
               union all
               select '~' || left(right(digits, 7), 3) where length(digits) >= 7
               union all
               select substr(value, place, long) from generate_series(1, least(length(value), 32)) place, generate_series(1, 2) long
                where length(digits) < 7 and place + long - 1 <= length(value)) p
        union all select '>' || row.recipient, row.id from row
        union all select '=' || left(row.key::text, 3), row.id from row
        union all select '-' || substr(row.key::text, 4, 2), row.id from row
    )
    insert into outboxd.search_term (first_id, term, n, ids)
    select the_first, term, count(*), array_agg((id - the_first)::integer)
      from (select distinct term collate "C" as term, id from piece order by 1, 2 desc) sorted
     group by term order by term;
end $$;
revoke all on function outboxd.write_search_slice from public;

-- Does the next piece of work and says how many ids it covered; 0 when there is none. Any daemon may call it at any time:
-- guarded by a lock that is tried, never waited for. A slice has 1024 ids at first; when the 32 of a block are complete,
-- one of 32768 takes their place (`at_most` keeps the slices small, should that take too long).
create function outboxd.write_search(the_paths text[], at_most bigint default 32768) returns bigint
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
revoke all on function outboxd.write_search from public;
