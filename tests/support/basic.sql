-- The smallest hybrid queue: no index beyond the keys.
create table job_queues (
    name       text primary key,
    priority   text not null default 'normal',
    is_active  boolean not null default true,  -- false: paused
    created_at timestamptz not null default now()
);
create table jobs (
    id         bigint generated always as identity primary key,
    queue      text not null,                  -- the full name of the list: queue:email-sending:high
    payload    jsonb not null,
    status     text not null,                  -- waiting, active, completed, failed
    attempts   integer not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create table job_logs (
    id          bigint generated always as identity primary key,
    job_id      bigint not null,
    status      text not null,                 -- attempting, success, retry, failed
    attempt     integer not null,
    error       text,
    started_at  timestamptz,
    finished_at timestamptz,
    created_at  timestamptz not null default now()
);
