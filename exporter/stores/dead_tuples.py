"""Dead tuples of the tables that queues live in, their partitions included."""

from __future__ import annotations

from collections.abc import Sequence

from chassis.exposition import Reading
from exporter.clients.session import Session

MOST_TABLES = 500

# By the names that the role would find them by, whether it may read them or not.
DEAD_TUPLES = """
with recursive wanted as (
    select (select string_agg(quote_ident(part), '.') from unnest(parse_ident(given)) part) as name,
           parse_ident(given) as parts
    from unnest(%(names)s::text[]) given
), family as (
    select w.name, (
        select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relname = w.parts[cardinality(w.parts)] and c.relkind in ('r', 'p', 'm')
          and case when cardinality(w.parts) > 1 then n.nspname = w.parts[1]
                   else n.nspname = any (current_schemas(false)) end
        order by array_position(current_schemas(false), n.nspname) limit 1
    ) as oid
    from wanted w
    union all
    select f.name, i.inhrelid from family f join pg_inherits i on i.inhparent = f.oid
)
select name, sum(pg_stat_get_dead_tuples(oid))::int8 from family where oid is not null group by name
"""


def dead_tuples(tx: Session, tables: Sequence[str], labels: dict[str, str]) -> list[Reading]:
    """A gauge for each table that is there, of the first `MOST_TABLES`."""
    rows = tx.rows(DEAD_TUPLES, {"names": list(tables[:MOST_TABLES])}) if tables else []
    return [Reading("postwatch_postgres_dead_tuples", {**labels, "table": table}, dead) for table, dead in rows]
