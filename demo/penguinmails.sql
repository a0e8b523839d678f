-- The email platform's own queue tables: the states of a job are queued, migrated_to_redis, running, completed, failed.
create table job_queues (
    name             varchar(100) primary key,
    default_priority integer not null default 100,   -- lower runs first
    is_active        boolean not null default true,  -- false: paused
    created          timestamptz not null default now()
);
create table jobs (
    id                 uuid primary key default gen_random_uuid(),
    queue_name         varchar(100) not null references job_queues (name),
    status             varchar(50) not null default 'queued',
    priority           integer not null default 100,  -- <= 50 high, 51 to 150 normal, > 150 low
    payload            jsonb not null,
    attempt_count      integer not null default 0,
    max_attempts       integer not null default 3,
    run_at             timestamptz not null default now(),
    started            timestamptz,
    completed          timestamptz,
    failed             timestamptz,
    last_error_message text,
    worker_id          text,
    created            timestamptz not null default now(),
    updated            timestamptz not null default now()
);
create index idx_jobs_queuer on jobs (status, run_at, priority, created) where status = 'queued';
create index idx_jobs_queue_migration on jobs (queue_name, status, run_at, priority) where status = 'queued';
create index idx_jobs_status_timestamps on jobs (status, updated, queue_name);
create table job_logs (
    id             uuid primary key default gen_random_uuid(),
    job_id         uuid not null references jobs (id) on delete cascade,
    status         varchar(50) not null,  -- attempting, success, retry, failed
    log_message    text,
    attempt_number integer not null,
    started        timestamptz,
    finished       timestamptz,
    duration       interval,
    created        timestamptz not null default now()
);
create index idx_job_logs_worker on job_logs (job_id, attempt_number, finished);
