-- Tables in the shape of pg-boss' schema 46 (pg-boss 12), as far as its jobs need them: the demo runs no Node.js.
create schema pgboss;
create type pgboss.job_state as enum ('created', 'retry', 'active', 'completed', 'cancelled', 'failed');
create table pgboss.version (version int primary key);
insert into pgboss.version values (46);
create table pgboss.queue (
    name text primary key,
    policy text not null default 'standard',
    dead_letter text references pgboss.queue (name),
    created_on timestamptz not null default now()
);
create table pgboss.job (
    id uuid not null default gen_random_uuid(),
    name text not null,
    priority int not null default 0,
    data jsonb,
    state pgboss.job_state not null default 'created',
    retry_limit int not null default 2,
    retry_count int not null default 0,
    expire_seconds int not null default 900,
    start_after timestamptz not null default now(),
    created_on timestamptz not null default now(),
    started_on timestamptz,
    completed_on timestamptz,
    keep_until timestamptz not null default now() + interval '14 days',
    output jsonb,
    dead_letter text,
    blocked boolean not null default false,
    primary key (name, id)
) partition by list (name);
create table pgboss.job_common partition of pgboss.job default;
create index on pgboss.job_common (name, start_after) where state < 'active';
create index on pgboss.job_common (name, state, blocked, start_after) where state in ('created', 'retry', 'active');
create index on pgboss.job_common (name, created_on);
create index on pgboss.job_common (name, completed_on) where completed_on is not null;
insert into pgboss.queue (name) values ('contact-import');
grant usage on schema pgboss to postwatch;
grant select on all tables in schema pgboss to postwatch;
