"""What is open in a database, as `Horizon` needs it: from its activity, or from transaction ids alone.

Without pg_monitor other sessions' starts are hidden, and a standby does not know the primary's sessions at
all. There the oldest transaction id in progress is dated by when it was first seen to be given out.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from exporter.jobs.horizon import LONGEST, Moment, OpenTransaction

UNSEEN = 4.0  # seconds allowed between a transaction's start and its first write where starts are hidden

# Sessions before prepared transactions: whoever prepares in between is then seen in one of the two.
ACTIVITY = """
with sessions as materialized (
    select pid, xact_start, backend_xid, state, backend_type
    from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()
), open as (
    select 'xid ' || backend_xid as xid, 'pid ' || pid || ' ' || extract(epoch from xact_start) as session,
           xact_start as start, backend_xid is not null as wrote, false as prepared
    from sessions
    where xact_start is not null and backend_type not in ('autovacuum worker', 'walsender')
    union all
    select 'xid ' || transaction, '', prepared, true, true
    from pg_prepared_xacts where database = current_database()
)
select clock_timestamp(), pg_is_in_recovery(), pg_last_xact_replay_timestamp(),
       pg_has_role('pg_read_all_stats', 'usage'),
       pg_snapshot_xmin(pg_current_snapshot())::text::int8, pg_snapshot_xmax(pg_current_snapshot())::text::int8,
       (select system_identifier from pg_control_system()),
       case when pg_is_in_recovery() then null
            else ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int end,
       (select count(*) from sessions where state = 'active'),
       (select count(*) from sessions where state like 'idle%'),
       (select count(*) from sessions where state is not null),
       (select coalesce(array_agg(coalesce(xid, session)), '{}') from open),
       (select coalesce(array_agg(session), '{}') from open), (select coalesce(array_agg(start), '{}') from open),
       (select coalesce(array_agg(wrote), '{}') from open), (select coalesce(array_agg(prepared), '{}') from open)
"""


@dataclass(frozen=True)
class Activity:
    """One look at the sessions of a database. Times are epoch seconds by its clock."""

    now: float
    in_recovery: bool
    replayed: float | None
    sees_all: bool  # pg_monitor, or pg_read_all_stats, is granted
    xmin: int
    xmax: int
    system: int
    timeline: int | None  # None on a standby
    active: int
    idle: int
    sessions: int
    open: tuple[OpenTransaction, ...]

    @property
    def history(self) -> tuple[int, bool, int | None]:
        """Changes when the server behind the address is another one, was promoted or restored."""
        return self.system, self.in_recovery, self.timeline


class Transactions:
    """Turns activity into moments, remembering when transaction ids were first seen."""

    def __init__(self) -> None:
        self._dated: deque[tuple[float, int]] = deque()  # (time, first id not yet given out)

    def moment(self, activity: Activity, monotonic: float) -> Moment:
        """What was open, by the best source there is. `monotonic` is when the query was sent."""
        if activity.sees_all and not activity.in_recovery:
            return Moment(activity.now, monotonic, activity.open)
        now = activity.now
        if activity.in_recovery and activity.replayed is not None:
            # What the standby does not show yet was committed after this, by the primary's clock.
            now = min(now, activity.replayed)
        # A transaction has begun, and may have read the clock, before it was given its id.
        now -= UNSEEN
        start = self._date(activity.xmin, now)
        self._dated.append((now, activity.xmax))
        while self._dated[0][0] < now - 2 * LONGEST:
            self._dated.popleft()
        if activity.xmin >= activity.xmax:
            return Moment(now, monotonic, steady=False)
        oldest = OpenTransaction(f"xid {activity.xmin}", start, wrote=True)
        return Moment(now, monotonic, (oldest,), steady=False)

    def _date(self, xid: int, now: float) -> float:
        """A time when `xid` had not been given out: the latest look that proves it, or the first of all."""
        start = self._dated[0][0] if self._dated else now
        for seen, xmax in self._dated:
            if xmax > xid:
                break
            start = seen
        return start


def read_activity(row: tuple[Any, ...]) -> Activity:
    """The answer to `ACTIVITY`."""
    now, in_recovery, replayed, sees_all, xmin, xmax, system, timeline, active, idle, sessions = row[:11]
    open_ = tuple(
        OpenTransaction(key, start, has_written, is_prepared, session)
        for key, session, start, has_written, is_prepared in zip(*row[11:], strict=True)
    )
    return Activity(now, in_recovery, replayed, sees_all, xmin, xmax, system, timeline, active, idle, sessions, open_)
