-- One probe of a slice instead of two or more: a place in `search_term.ids` carries, above the 15 bits of its row's distance
-- from first_id, what comes next in the text. For the last four digits of a telephone number (#) these are the up to four digits
-- before them, for the first three digits of a key (=) its next four; for anything else 0. So ten million rows are searched
-- for a key in 305 probes, and the pieces ~ and - are gone. Daemons write the slices again, in the background
-- (docs/decisions/0009-search-in-slices.md); until then a search reads the newest rows, and says so.
truncate outboxd.search_slice, outboxd.search_term;

comment on column outboxd.search_term.ids is
    'The rows, newest first: the distance from first_id, plus 32768 times what comes next in the text.';

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
               select substr(value, place, long), 0 from generate_series(1, least(length(value), 32)) place, generate_series(1, 2) long
                where length(digits) < 7 and place + long - 1 <= length(value)) p
        union all select '>' || row.recipient, 0, row.id from row
        union all select '=' || left(row.key::text, 3), ('x' || substr(row.key::text, 4, 4))::bit(16)::integer, row.id from row
    )
    insert into outboxd.search_term (first_id, term, n, ids)
    select the_first, term, count(*), array_agg((id - the_first)::integer + 32768 * next)
      from (select distinct term collate "C" as term, id, next from piece order by 1, 2 desc, 3) sorted
     group by term order by term;
end $$;

-- The newest rows below an id that have all of these pieces, and behind whose piece the text goes on like that: what comes
-- next leaves this remainder. The rarest piece of a slice leads; others that are rare there thin it out, and common ones
-- are left to whoever reads the rows. Slice by slice, and no further than needed. Its plans are made once in a session, for
-- every slice looks alike to them (docs/decisions/0006-kept-plans.md).
create function outboxd.search_candidates(the_pieces text[], modulus integer, remainder integer, below bigint, at_most integer)
returns setof bigint
language plpgsql stable
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set jit = off set enable_seqscan = off
set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
    slice bigint; leads text[]; room integer := at_most; got integer;
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
    for slice, leads in
        select s.first_id, there.terms[1:greatest(there.rare, 1)]
          from outboxd.search_slice s cross join lateral (
               select array_agg(t.term order by t.n) as terms, (count(*) filter (where t.n <= 200))::integer as rare
                 from outboxd.search_term t where t.first_id = s.first_id and t.term = any(the_pieces)
               having count(*) = cardinality(the_pieces)) there
         where s.first_id < below order by s.first_id desc
    loop
        if cardinality(leads) = 1 then
            return query
            select slice + at
              from (select unnest(t.ids) as at from outboxd.search_term t where t.first_id = slice and t.term = leads[1]) row
             where slice + at < below limit room;
        else
            return query
            select slice + at
              from (select unnest(t.ids) as at from outboxd.search_term t where t.first_id = slice and t.term = any(leads)) row
             where slice + at < below group by at having count(*) = cardinality(leads) order by at desc limit room;
        end if;
        get diagnostics got = row_count;
        room := room - got;
        exit when room <= 0;
    end loop;
end $$;

-- The waiting rows of a recipient, or null when there are more: then reading them newest first soon finds some. Only slices in
-- which a row waits are looked into; where somebody has very many rows, it is cheaper to read those that wait there.
create function outboxd.waiting_of(the_recipient text, at_most integer) returns bigint[]
language plpgsql stable
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set jit = off set enable_seqscan = off
set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
    indexed bigint := coalesce((select s.last_id from outboxd.search_slice s order by s.first_id desc limit 1), -1);
    found bigint[];
begin
    found := array(
        select o.id
          from (select s.first_id + unnest(t.ids) as id
                  from outboxd.search_slice s join outboxd.search_term t on t.first_id = s.first_id and t.term = '>' || the_recipient
                 where t.n <= 1000
                   and exists (select from outboxd.notification_outbox w where w.id between s.first_id and s.last_id)) row
          join outboxd.notification_outbox o on o.id = row.id and o.recipient = the_recipient
         union all
        select o.id
          from outboxd.search_slice s join outboxd.search_term t on t.first_id = s.first_id and t.term = '>' || the_recipient
          join outboxd.notification_outbox o on o.id between s.first_id and s.last_id and o.recipient = the_recipient
         where t.n > 1000
         union all
        select o.id from outboxd.notification_outbox o where o.id > indexed and o.recipient = the_recipient
         limit at_most + 1);
    return case when cardinality(found) <= at_most then found end;
end $$;
