-- New leads: $1 customers from nowhere, every one of them in the public pool or, for $2 = true, spread
-- over the people to whom nothing happens. Names, phones and sources follow from the id alone.
with lead as (
    select nextval(pg_get_serial_sequence('crm.customer', 'id')) as id from generate_series(1, $1::integer)
), named as (
    select id,
           (array['周','吴','郑','冯','陈','褚','卫','蒋','沈','韩','杨','朱','秦','许','何','吕'])[1 + id * 7 % 16] as family,
           (array['Zhou','Wu','Zheng','Feng','Chen','Chu','Wei','Jiang','Shen','Han','Yang','Zhu','Qin','Xu','He','Lü'])[1 + id * 7 % 16] as family_latin,
           abs(hashint8(id)::bigint) % 3 as salutation
      from lead
)
insert into crm.customer (id, name, latin, phone, source, assigned_to)
select id,
       family || (array['女士','先生','阿姨'])[1 + salutation],
       (array['Ms ','Mr ','Aunt '])[1 + salutation] || family_latin,
       '1' || (array['38','39','58','86'])[1 + id % 4] || lpad((abs(hashint8(id)::bigint) % 100000000)::text, 8, '0'),
       (array['小程序','抖音','美团','老客户介绍','官网'])[1 + id * 3 % 5],
       case when $2::boolean then (array['li-na','wang-wei','zhang-min','liu-yang','chen-jing','zhao-lei'])[1 + id % 6] end
  from named
returning id
