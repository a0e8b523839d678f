-- What the hybrid queue is asked, in named blocks. Names in braces are filled in from the layout and the
-- table as it is: {job} is a 64-bit number for the job's id; a column that is not there is a typed null.

-- name: changes
-- What is as usual comes as null, which costs nothing to send: a job that completed at its first attempt, was
-- ready when it was created, and has a time of its end.
select {job}, {queue}::text, {priority}, nullif({status}::text, {usual_status}), nullif({attempts}, 1), {created},
       nullif({run_at}, {created}), {started}, {ended}, case when {ended} is null then {changed} end, {worker},
       case when {is_completed} then null when {is_failed} or {attempts} > 0 then {error} end
from {jobs}
where {status} = any({all_states})
  and {changed} >= to_timestamp(%(low)s) and {changed} < to_timestamp(%(high)s) {older}

-- name: active
select {job}, {queue}::text, {priority}, {started}, {worker}
from {jobs}
where {status} = any({active_states})

-- name: counts
-- Scheduled jobs come by the second of their run time, for an hour; later ones together.
select queue, priority, handed_over, due, count(*), min(ready)
from (
    select {queue}::text as queue, {priority_class} as priority, {status} = any({handed_over_states}) as handed_over,
           case when {run_at} > now() then
                case when {run_at} < now() + interval '1 hour' then date_trunc('second', {run_at}) + interval '1 second'
                else 'infinity' end
           end as due,
           case when {run_at} > now() then null
                when {attempts} > 0 then coalesce({created}, {run_at})
                else coalesce({run_at}, {created})
           end as ready
    from {jobs}
    where {status} = any({unstarted_states})
) as unstarted
group by queue, priority, handed_over, due

-- name: failed
select {queue}::text, {priority_class}, count(*)
from {jobs}
where {status} = any({failed_states})
group by 1, 2

-- name: queues
select {name}::text, {is_active} from {queues}

-- name: last_finished
-- The newest end of one queue, from the newest change backwards; bounded by the caller's time limit.
select max(newest.ended)
from unnest({ended_states}) as state
cross join lateral (
    select {ended} as ended from {jobs}
    where {status} = state and {queue} = %(queue)s {of_priority}
    order by {changed} desc limit 1
) as newest

-- name: handed_over
-- Of several queues and classes of priority together; the caller knows how many there should be.
select {queue}::text, {priority_class}, {id_column}::text from {jobs}
where {status} = any({handed_over_states}) and {queue} = any(%(queues)s) {of_priority}
limit %(most)s

-- name: alive
-- Jobs that have not ended, of given ids.
select {id_column}::text from {jobs}
where {id_column} = any(%(jobs)s::{id_type}[]) and not {status} = any({ended_states})

-- name: new_jobs
select {position}, {job}, {queue}::text, {priority}, {status}::text, {attempts}, {created}, {run_at}
from {jobs}
where {position} > %(low)s and {position} <= %(high)s

-- name: newest_job
select coalesce(max({position}), 0) from {jobs}

-- name: new_logs
select l.{log_position}, {log_job}, j.{queue_column}::text, {job_priority}, l.{log_status}::text, {log_attempt},
       {job_created}, {log_started}, {log_finished}, {log_created},
       case when l.{log_status} = any({log_failures}) then {log_error} end
from {logs} as l join {jobs} as j on j.{id_column} = l.{log_job_column}
where l.{log_position} > %(low)s and l.{log_position} <= %(high)s

-- name: newest_log
select coalesce(max({log_position}), 0) from {logs}
