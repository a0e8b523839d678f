-- What a database with pgmq is asked, in named blocks. Names in braces are filled in for each queue; blocks of
-- several queues are joined by `union all`, those of `count` inside of `count_all`, since it costs most to plan what is
-- counted: a queue that is empty has no row then. A message is stuck that was read more than `late` seconds ago. `glance` is
-- for queues too large to be counted at each look: what is not ready there, by the index on vt.

-- name: there
select to_regclass('pgmq.meta') is not null, pg_is_in_recovery(), pg_postmaster_start_time()

-- name: queues
-- All queues with their tables, whether we may read them, and what tells at no cost how much went through. Of
-- names that differ by case alone, which share their tables, the first is the queue.
select distinct on (lower(m.queue_name))
       m.queue_name::text, m.created_at, q.relname::text, q.oid::int8, q.relkind::text, q.relpersistence = 'u',
       coalesce(has_table_privilege(q.oid, 'select'), false),
       a.relname::text, a.oid::int8, coalesce(has_table_privilege(a.oid, 'select'), false),
       case when has_sequence_privilege(s.oid, 'select, usage') then s.oid::int8 end,
       pg_relation_filenode(q.oid)::int8,
       case when q.relkind = 'p'
            then (select sum(pg_stat_get_tuples_deleted(relid))::int8 from pg_partition_tree(q.oid))
            else pg_stat_get_tuples_deleted(q.oid) end,
       case when q.relkind = 'p'
            then (select coalesce(sum(greatest(p.relpages, 0)), 0)::int8
                  from pg_partition_tree(q.oid) join pg_class as p on p.oid = relid)
            else coalesce(q.relpages, 0)::int8 end
from pgmq.meta as m
left join pg_class as q on q.relnamespace = 'pgmq'::regnamespace and q.relkind in ('r', 'p')
                       and q.relname = 'q_' || lower(m.queue_name)
left join pg_class as a on a.relnamespace = 'pgmq'::regnamespace and a.relkind in ('r', 'p')
                       and a.relname = 'a_' || lower(m.queue_name)
left join pg_class as s on s.relnamespace = 'pgmq'::regnamespace and s.relkind = 'S'
                       and s.relname = 'q_' || lower(m.queue_name) || '_msg_id_seq'
order by lower(m.queue_name), m.created_at, m.queue_name

-- name: numbers
select s.oid::int8, coalesce(pg_sequence_last_value(s.oid), 0) from pg_class as s where s.oid = any(%(sequences)s::oid[])

-- name: doubled
select string_agg(queue_name, ' and ' order by created_at, queue_name)
from pgmq.meta group by lower(queue_name) having count(*) > 1

-- name: writers
-- Who may have written into a queue and not committed yet.
select relation::int8, array_agg(distinct virtualtransaction)
from pg_locks
where locktype = 'relation' and mode = 'RowExclusiveLock' and granted
  and database = (select oid from pg_database where datname = current_database())
group by relation

-- name: columns
-- Columns that are there, and those that an index begins with. Their order differs after upgrades.
select attrelid::int8, array_agg(attname::text) filter (where has_column_privilege(attrelid, attnum, 'select')),
       (select coalesce(array_agg(first.attname::text), '{}')
        from pg_index join pg_attribute as first on first.attrelid = indrelid and first.attnum = indkey[0]
        where indrelid = a.attrelid and indisvalid and indpred is null)
from pg_attribute as a
where attrelid = any(%(tables)s::oid[]) and attnum > 0 and not attisdropped
group by attrelid

-- name: count
select {queue} as queue, {settled}::int8 as settled, {late}::float8 as late, msg_id, vt, read_ct, {last_read} as read_at
from {table}

-- name: count_all
select queue, count(*), count(*) filter (where msg_id > settled),
       count(*) filter (where vt > now() and read_ct = 0), count(*) filter (where vt > now() and read_ct > 0),
       min(vt) filter (where vt <= now()), min(read_at) filter (where vt > now() and read_ct > 0),
       count(*) filter (where vt > now() and read_ct > 0 and read_at < now() - make_interval(secs => late)),
       count(*) filter (where read_ct > 1), coalesce(sum(read_ct) filter (where read_ct > 1), 0)::int8,
       min(msg_id)::int8, max(msg_id)::int8
from ({queues}) as messages
group by queue

-- name: glance
select {queue}, count(*) filter (where read_ct = 0), count(*) filter (where read_ct > 0),
       (select min(vt) from {table} where vt <= now()), min({last_read}) filter (where read_ct > 0),
       count(*) filter (where read_ct > 0 and {last_read} < now() - make_interval(secs => {late}))
from {table}
where vt > now()

-- name: retried
select {queue}, msg_id::int8, read_ct::int4 from {table} where read_ct > 1

-- name: archived
select {queue}, msg_id::int8, read_ct::int4, archived_at from {archive}
where archived_at >= to_timestamp({low}) and archived_at < to_timestamp({high}) and read_ct > 1

-- name: last_archived
select {queue}, max(archived_at) from {archive}

-- name: tracked
select hashtextextended({queue}::text || ' ' || {message}::text, 0), {queue}::text, null::int4,
       case when {completed} is not null then null when {failed} is not null then 'failed' else 'active' end,
       nullif({attempt}, 1), {enqueued}, null::timestamptz, {started}, coalesce({completed}, {failed}),
       null::timestamptz, null::text, case when {completed} is null or {attempt} > 1 then {error} end
from {tracking}

-- name: tracked_completed
where {completed_column} >= to_timestamp(%(low)s) and {completed_column} < to_timestamp(%(high)s) {older}

-- name: tracked_failed
where {completed_column} is null
  and {failed_column} >= to_timestamp(%(low)s) and {failed_column} < to_timestamp(%(high)s) {older}

-- name: tracked_started
where {completed_column} is null and {failed_column} is null
  and {started_column} >= to_timestamp(%(low)s) and {started_column} < to_timestamp(%(high)s) {older}

-- name: tracking_failed
select {queue}::text, count(*) from {tracking}
where {completed_column} is null and {failed_column} is not null
group by 1
