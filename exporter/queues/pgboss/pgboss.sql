-- What pg-boss is asked, in named blocks; reading/tables.py says what their rows are. Names in braces are filled in
-- from the tables as they are: {of_queues} lets an index serve that begins with the queue's name.

-- name: version
select max(version)::int4 from {version}

-- name: queues
select name, dead_letter from {queue} order by name

-- name: indexes
-- Whether each table that holds jobs has the indexes that look for what happened needs: pg-boss' own, of schema 46 on
-- (those of a partial index hold by what is asked for), or one on the end that somebody added. Null: there is none yet.
select bool_and(own), bool_and(added)
from (
    select coalesce(bool_or(key = 'name, completed_on' and condition in ('', '(completed_on IS NOT NULL)'))
                    and bool_or(key = 'name, created_on' and condition = '')
                    and bool_or(key = 'name, state' and condition ~ 'created.*retry.*active'), false) as own,
           coalesce(bool_or(first = 'completed_on' and condition = ''), false) as added
    from pg_partition_tree(%(jobs)s::oid::regclass) as part
    left join lateral (
        select pg_get_indexdef(indexrelid, 1, true) as first,
               concat_ws(', ', pg_get_indexdef(indexrelid, 1, true), pg_get_indexdef(indexrelid, 2, true)) as key,
               coalesce(pg_get_expr(indpred, indrelid), '') as condition
        from pg_index where indrelid = part.relid and indisvalid and indisready
    ) as found on true
    where part.isleaf
    group by part.relid
) as leaf

-- name: changes
-- By pg-boss' own indexes: (name, completed_on), (name, created_on), (name, state, blocked, start_after). A failed
-- attempt bears no time but that of the next one, which is later. As text the state of new jobs tempts nobody to look
-- at all that wait.
select {columns} from {jobs}
where {of_queues} and completed_on >= to_timestamp(%(low)s) and completed_on < to_timestamp(%(high)s)
  and state > 'active' {older}
union all
select {columns} from {jobs}
where {of_queues} and created_on >= to_timestamp(%(low)s) and created_on < to_timestamp(%(high)s)
  and state::text = 'created' {older}
union all
select {columns} from {jobs}
where {of_queues} and state = 'retry' and start_after >= to_timestamp(%(low)s) {older}
union all
select {columns} from {jobs}
where {of_queues} and state = 'active'
  and started_on >= to_timestamp(%(low)s) and started_on < to_timestamp(%(high)s) {older}

-- name: changes_by_end
-- By an index on completed_on that somebody added, and by pg-boss' own on what waits.
select {columns} from {jobs}
where completed_on >= to_timestamp(%(low)s) and completed_on < to_timestamp(%(high)s) and state > 'active' {older}
union all
select {columns} from {jobs}
where state < 'active' {not_blocked} and start_after >= to_timestamp(%(low)s)
  and (state = 'retry' or (created_on >= to_timestamp(%(low)s) and created_on < to_timestamp(%(high)s))) {older}
union all
select {columns} from {jobs}
where completed_on is null and state = 'active'
  and started_on >= to_timestamp(%(low)s) and started_on < to_timestamp(%(high)s) {older}
{archived}

-- name: changes_of_all
-- Where no index finds an end: one pass over the whole table.
select {columns} from {jobs}
where ((state > 'active' and completed_on >= to_timestamp(%(low)s) and completed_on < to_timestamp(%(high)s))
    or (state = 'created' and created_on >= to_timestamp(%(low)s) and created_on < to_timestamp(%(high)s))
    or (state = 'retry' and start_after >= to_timestamp(%(low)s))
    or (state = 'active' and started_on >= to_timestamp(%(low)s) and started_on < to_timestamp(%(high)s))) {older}
{archived}

-- name: archived
-- Up to schema 24. What was moved there before it ended has outlived its time in the queue.
union all
select {job}, name, priority, case when state < 'active' then 'expired' else nullif(state::text, 'completed') end,
       nullif({attempts}, 1), created_on, nullif(start_after, created_on), started_on,
       case when state < 'active' then archived_on else completed_on end, null::timestamptz, null::text, {error}
from {archive}
where archived_on >= to_timestamp(%(low)s) and archived_on < to_timestamp(%(high)s)
  and (state < 'active' or completed_on >= to_timestamp(%(low)s) - interval '1 minute')
  and state <> 'active' {older}

-- name: columns
{job}, name, priority, {state}, nullif({attempts}, 1), created_on, nullif(start_after, created_on),
started_on, completed_on, null::timestamptz, null::text,
case when state in ('failed', 'retry') then {error} end

-- name: attempts
-- retry_count grows when the next attempt starts.
case when state = 'created' or started_on is null then 0 else retry_count + 1 end

-- name: error
case when coalesce(output->>'message', output->'value'->>'message') ~ {timed_out} then 'JobTimeout'
     else left(coalesce(output->>'name', output->'value'->>'name', output->>'code'), 100) end

-- name: active
select {job}, name, priority, started_on, null::text, {late_at} from {jobs} where {of_active} state = 'active'

-- name: counts
-- Scheduled jobs come by the second of their run time, for an hour; later ones together.
select name, class, false, due, count(*), min(ready), min(keep_until)
from (
    select name, {class} as class, keep_until,
           case when start_after > now() then
                case when start_after < now() + interval '1 hour'
                     then date_trunc('second', start_after) + interval '1 second'
                     else 'infinity' end
           end as due,
           case when start_after <= now() then
                case when started_on is null then start_after else created_on end
           end as ready
    from {jobs}
    where state < 'active' and state in ('created', 'retry') {not_blocked} -- each serves an index
) as unstarted
group by name, class, due

-- name: failed
select name, {class}, count(*), null::timestamptz
from {jobs}
where {of_queues} and state = 'failed'
group by 1, 2

-- name: failed_of_all
-- No index finds them, so that the newest end of each queue costs nothing more.
select name, {class}, count(*) filter (where state = 'failed'), max(completed_on)
from {jobs}
where state > 'active'
group by 1, 2

-- name: last_ends
-- The newest end of each queue and class of priority, if it is among the last hundred of the queue.
select queue.name, {class}, max(completed_on)
from {queue} as queue
cross join lateral (
    select job.priority, job.completed_on from {jobs} as job
    where job.name = queue.name and job.completed_on is not null
    order by job.completed_on desc limit 100
) as newest
where queue.name = any(%(names)s)
group by 1, 2
