-- Shorter walks through the search's index (docs/decisions/0009-search-in-slices.md). Behind two characters of a name stands now
-- which one comes next, so a name of three is looked up in one probe of a slice, too: above the 15 bits of distance 16 bits of that
-- character, 0 at the end of the name. Daemons write the slices again, in the background; until then a search reads the newest
-- rows, and says so.
truncate outboxd.search_slice, outboxd.search_term;

create or replace function outboxd.write_search_slice(the_first bigint, the_last bigint, the_paths text[], oldest_month timestamptz)
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
        select v.value, regexp_replace(v.value, '[^0-9]', '', 'g') as digits, array_agg(v.id) as ids
          from (select row.id, lower(row.payload #>> string_to_array(path, '.')) as value
                  from row cross join unnest(the_paths) as path) v
         where v.value <> '' group by v.value
    ),
    piece as (
        select p.term, p.next, unnest(said.ids) as id from said cross join lateral (
               select '#' || right(digits, 4) as term, left(right(digits, 8), -4)::integer as next where length(digits) >= 7
               union all
               select substr(value, place, 1), 0 from generate_series(1, least(length(value), 32)) place
                where length(digits) < 7
               union all
               select substr(value, place, 2), ascii(substr(value, place + 2, 1)) % 65536
                 from generate_series(1, least(length(value) - 1, 32)) place
                where length(digits) < 7) p
        union all select '>' || row.recipient, 0, row.id from row
        union all select '=' || left(row.key::text, 3), ('x' || substr(row.key::text, 4, 4))::bit(16)::integer, row.id from row
    )
    insert into outboxd.search_term (first_id, term, n, ids)
    select the_first, term, count(*), array_agg((id - the_first)::integer + 32768 * next)
      from (select distinct term collate "C" as term, id, next from piece order by 1, 2 desc, 3) sorted
     group by term order by term;
end $$;

-- The newest rows below an id that have all of these pieces. As before, but the piece that is rarest in the newest full slice is looked up first, and where it is missing no other is.
create or replace function outboxd.search_candidates(the_pieces text[], modulus integer, remainder integer, below bigint, at_most integer)
returns setof bigint
language plpgsql stable
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set jit = off set enable_seqscan = off
set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
    slice bigint; leads text[]; room integer := at_most; got integer; rarest text;
begin
    if cardinality(the_pieces) = 1 then
        return query
        select first_id + (at & 32767)
          from (select s.first_id, unnest(t.ids) as at
                  from outboxd.search_slice s join outboxd.search_term t on t.first_id = s.first_id and t.term = the_pieces[1]
                 where s.first_id < below order by s.first_id desc) row
         where (at >> 15) % modulus = remainder and first_id + (at & 32767) < below limit at_most;
        return;
    end if;
    slice := (select s.first_id from outboxd.search_slice s where s.last_id - s.first_id > 30000 order by s.first_id desc limit 1);
    rarest := (select piece from unnest(the_pieces) as piece
                 left join outboxd.search_term t on t.first_id = slice and t.term = piece
                order by coalesce(t.n, 0), piece limit 1);
    for slice, leads in
        select s.first_id, there.terms[1:greatest(there.rare, 1)]
          from outboxd.search_slice s
          join outboxd.search_term first on first.first_id = s.first_id and first.term = rarest
         cross join lateral (
               select array_agg(t.term order by t.n) as terms, (count(*) filter (where t.n <= 200))::integer as rare
                 from outboxd.search_term t where t.first_id = s.first_id and t.term = any(the_pieces)
               having count(*) = cardinality(the_pieces)) there
         where s.first_id < below order by s.first_id desc
    loop
        if cardinality(leads) = 1 then
            return query
            select distinct slice + at
              from (select unnest(t.ids) & 32767 as at from outboxd.search_term t where t.first_id = slice and t.term = leads[1]) row
             where slice + at < below order by 1 desc limit room;
        else
            return query
            select slice + at
              from (select t.term, unnest(t.ids) & 32767 as at from outboxd.search_term t where t.first_id = slice and t.term = any(leads)) row
             where slice + at < below group by at having count(distinct term) = cardinality(leads) order by at desc limit room;
        end if;
        get diagnostics got = row_count;
        room := room - got;
        exit when room <= 0;
    end loop;
end $$;

-- As before, but slices in which nobody waits are stepped over, from the newest waiting row downwards.
create or replace function outboxd.waiting_of(the_recipient text, at_most integer) returns bigint[]
language plpgsql stable
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set jit = off set enable_seqscan = off
set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
    indexed bigint := coalesce((select s.last_id from outboxd.search_slice s order by s.first_id desc limit 1), -1);
    found bigint[];
begin
    found := array(
        with recursive waits as (
            (select s.first_id, s.last_id from outboxd.search_slice s
              where s.first_id <= (select max(o.id) from outboxd.notification_outbox o where o.id <= indexed)
              order by s.first_id desc limit 1)
            union all
            select next.first_id, next.last_id from waits cross join lateral (
                   select s.first_id, s.last_id from outboxd.search_slice s
                    where s.first_id <= (select max(o.id) from outboxd.notification_outbox o where o.id < waits.first_id)
                    order by s.first_id desc limit 1) next)
        select o.id
          from (select s.first_id + unnest(t.ids) as id
                  from waits s join outboxd.search_term t on t.first_id = s.first_id and t.term = '>' || the_recipient
                 where t.n <= 1000) row
          join outboxd.notification_outbox o on o.id = row.id and o.recipient = the_recipient
         union all
        select o.id
          from waits s join outboxd.search_term t on t.first_id = s.first_id and t.term = '>' || the_recipient
          join outboxd.notification_outbox o on o.id between s.first_id and s.last_id and o.recipient = the_recipient
         where t.n > 1000
         union all
        select o.id from outboxd.notification_outbox o where o.id > indexed and o.recipient = the_recipient
         limit at_most + 1);
    return case when cardinality(found) <= at_most then found end;
end $$;
