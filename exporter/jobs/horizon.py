"""Which stretch of time to read so that no committed change is missed. Pure: decisions, no effects.

A row's time is set when its transaction writes it, and seen when that commits. Whatever a snapshot does not
show yet belongs to a transaction that was open when the snapshot was taken, so it bears no time before that
transaction's start. Hence each look reads again from the start of the oldest transaction that was open at
the last one. A transaction that stays open for long would make every look long: its stretch is instead read
once, when it has ended.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

OVERLAP = 1.0  # seconds of margin under every start, for clocks that are read a moment apart
SETTLE = 5.0  # an open transaction older than this is waited for, not read around at each look
LONGEST = 900.0  # transactions open for longer are given up: the documented bound
PREPARING = 60.0  # seconds from begin to PREPARE TRANSACTION, where nobody saw the begin
LONG_GAP = 120.0  # seconds without a look that are too many to be read at once
STEP = 0.5  # seconds by which two clocks must part before it is a step
AHEAD = 5.0  # seconds that a time may lie in the future while the clock catches up with itself


@dataclass(frozen=True)
class OpenTransaction:
    """A transaction that was open at a moment. `start` is epoch seconds by the database's clock."""

    key: str
    start: float
    wrote: bool  # it has a transaction id, so that it may have written
    prepared: bool = False  # `start` is when it was prepared; it began earlier
    session: str = ""  # its key until it wrote


@dataclass(frozen=True)
class Moment:
    """What was open just before a snapshot. `now` is the database's clock, `monotonic` ours."""

    now: float
    monotonic: float
    open: tuple[OpenTransaction, ...] = ()
    steady: bool = True  # False: `now` does not tick (a standby's replay), so that a step cannot be told


@dataclass(frozen=True)
class Stretch:
    """Times from `low` to below `high`. `mark`: what is found there is history, to be remembered uncounted."""

    low: float
    high: float = math.inf
    mark: bool = False


@dataclass(frozen=True)
class _Known:
    start: float
    lowest: float  # the earliest time that the clock has shown while it was open
    since: float  # monotonic seconds of its start, as near as can be told
    wrote: bool
    waited_for: bool = False


@dataclass(frozen=True)
class _State:
    moment: Moment
    low: float  # where the next look begins
    reach: float  # counted events are remembered from here on
    floor: float  # what ended before is history
    known: dict[str, _Known] = field(default_factory=dict)
    pending: tuple[Stretch, ...] = ()
    high_water: float = -math.inf  # the latest time that the clock had shown when it went back
    xid_floor: int | None = None  # after a step back: rows of older transactions are history
    remembered: tuple[Stretch, ...] = ()  # times before a step back whose events are remembered
    over_age: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Plan:
    """What one look has to read. Events in a stretch of `eligible` that are not remembered are new."""

    window: Stretch
    rereads: tuple[Stretch, ...]
    eligible: tuple[Stretch, ...]
    xid_floor: int | None
    first: bool
    stepped: float  # seconds the clock has jumped since the last look; 0 if it did not
    given_up: int  # transactions that have been open for too long to be waited for
    next: _State


def _disjoint(pending: tuple[Stretch, ...], more: list[Stretch]) -> tuple[Stretch, ...]:
    """`pending`, then of `more` what is not in it: it will be read late enough for all of them."""
    queue = list(pending)
    for fresh in more:
        left = [fresh]
        for known in queue:
            left = [
                replace(part, low=low, high=high)
                for part in left
                for low, high in ((part.low, min(part.high, known.low)), (max(part.low, known.high), part.high))
                if low < high
            ]
        queue += left
    return tuple(queue)


class Horizon:
    """Remembers between looks what the next one needs. Not thread-safe."""

    def __init__(self, overlap: float = OVERLAP, settle: float = SETTLE, longest: float = LONGEST) -> None:
        self._overlap = overlap
        self._settle = settle
        self._longest = longest
        self._state: _State | None = None
        self._xmin: int | None = None

    def plan(self, moment: Moment) -> Plan:
        """What to read in a snapshot taken after `moment`. Changes nothing until `done`."""
        return self._first(moment) if self._state is None else self._following(self._state, moment)

    def done(self, plan: Plan, xmin: int, unread: tuple[Stretch, ...] = ()) -> None:
        """The look has been read, but for `unread`; `xmin` is the oldest transaction open at its moment."""
        state = plan.next
        if unread and self._state is not None:
            # What has not been met yet may be as old as all that was awaited when it was left.
            state = replace(state, reach=min(state.reach, self._state.reach))
        self._state = replace(state, pending=unread)
        # Of what is older all rows have been read.
        self._xmin = min(self._xmin, xmin) if unread and self._xmin is not None else xmin

    @property
    def reach(self) -> float:
        """Counted events before this time need not be remembered."""
        return -math.inf if self._state is None else self._state.reach

    def forget(self) -> None:
        """Begin afresh: the next look is a first one."""
        self._state = None
        self._xmin = None

    def _first(self, moment: Moment) -> Plan:
        known = self._recognise(moment, None, 0.0)
        kept = {k: v for k, v in known.items() if moment.monotonic - v.since <= self._longest}
        young = [v.start for v in kept.values() if not v.waited_for]
        low = min([moment.now, *young]) - self._overlap
        old = [v.start - self._overlap for v in kept.values() if v.waited_for]
        floor = min([low, *old])
        marks = (Stretch(floor, low, mark=True),) if floor < low else ()
        over_age = frozenset(known) - frozenset(kept)
        state = _State(moment, low, floor, floor, kept, over_age=over_age)
        return Plan(Stretch(low), marks, (Stretch(floor),), None, True, 0.0, len(over_age), state)

    def _following(self, state: _State, moment: Moment) -> Plan:
        elapsed = moment.monotonic - state.moment.monotonic
        stepped = moment.now - state.moment.now - elapsed
        stepped = stepped if moment.steady and abs(stepped) > STEP else 0.0
        known = self._recognise(moment, state, stepped)
        kept = {k: v for k, v in known.items() if moment.monotonic - v.since <= self._longest}
        low, rereads = state.low, list[Stretch]()
        high_water, xid_floor, remembered = state.high_water, state.xid_floor, state.remembered
        over_age = frozenset(known) - frozenset(kept)
        if stepped < 0:
            # New rows bear times that were there before; old rows of those times are told apart by transaction.
            before = Stretch(state.low, state.moment.now + elapsed + self._overlap)
            high_water = max(high_water, state.moment.now + elapsed)
            rereads.append(before)
            remembered = (*remembered, replace(before, low=state.reach))
            low = moment.now - elapsed - self._overlap
            xid_floor = self._xmin
        if moment.now - low > LONG_GAP:
            # A long absence is caught up with in slices, so that the present is not late for it.
            rereads.append(Stretch(low, moment.now - LONG_GAP / 2))
            low = moment.now - LONG_GAP / 2
        behind = moment.now <= high_water
        window = Stretch(low, moment.now + AHEAD if behind else math.inf)
        still_open = {*known, *(one.session for one in moment.open)}
        for key, gone in state.known.items():
            if gone.waited_for and key not in still_open:
                rereads += self._left_behind(gone, max(low, high_water if behind else low))
        queue = _disjoint(state.pending, rereads)
        reach = self._next_reach(moment, kept)
        if not behind and min([reach, low, *(stretch.low for stretch in queue)]) > high_water:
            high_water, xid_floor, remembered = -math.inf, None, ()
        floor = min(state.floor, low) if stepped < 0 else state.floor
        next_state = _State(
            moment,
            low=self._next_low(moment, kept),
            reach=reach,
            floor=floor,
            known=kept,
            high_water=high_water,
            xid_floor=xid_floor,
            remembered=remembered,
            over_age=over_age,
        )
        given_up = len(over_age - state.over_age)
        # Of what lies ahead of a clock that went back only the last stretch before is remembered.
        since = max(min(state.reach, state.low, low), floor)
        eligible = Stretch(since, window.high), *(replace(s, low=max(s.low, since)) for s in remembered)
        return Plan(window, queue, eligible, xid_floor, False, stepped, given_up, next_state)

    def _recognise(self, moment: Moment, state: _State | None, stepped: float) -> dict[str, _Known]:
        known: dict[str, _Known] = {}
        for one in moment.open:
            before = state.known.get(one.key, state.known.get(one.session)) if state else None
            if before is None:
                start = one.start
                if one.prepared and state:
                    # It began since the last look, or is a session that had not written then and is gone.
                    start = min([start, state.moment.now, *self._unwritten(moment, state)])
                elif one.prepared:
                    start -= PREPARING
                age = moment.now - start
                if age > stepped > 0:
                    age -= stepped
                before = _Known(start, start, moment.monotonic - max(age, 0.0), one.wrote)
            lowest = before.lowest
            if stepped < 0 and state:
                lowest = min(lowest, moment.now - (moment.monotonic - state.moment.monotonic))
            old = moment.monotonic - before.since > self._settle
            ahead = before.start > moment.now + STEP  # begun before the clock went back
            known[one.key] = replace(
                before,
                lowest=lowest,
                wrote=before.wrote or one.wrote or ahead,
                waited_for=before.waited_for or old or ahead,
            )
        return known

    def _unwritten(self, moment: Moment, state: _State) -> Iterator[float]:
        """Starts of those that had written nothing at the last look, and are sessions no more."""
        sessions = {one.session for one in moment.open}
        return (k.lowest for key, k in state.known.items() if not k.wrote and key not in sessions)

    def _left_behind(self, gone: _Known, until: float) -> list[Stretch]:
        if gone.wrote:
            low = gone.lowest - self._overlap
            return [Stretch(low, until)] if low < until else []
        low = gone.start - self._overlap
        # It had written nothing when last seen: since then it can only have used the present, or its start.
        return [Stretch(low, min(gone.start + self._overlap, until))] if low < until else []

    def _next_low(self, moment: Moment, kept: dict[str, _Known]) -> float:
        young = [v.start for v in kept.values() if not v.waited_for]
        return min([moment.now, *young]) - self._overlap

    def _next_reach(self, moment: Moment, kept: dict[str, _Known]) -> float:
        return min([moment.now, *(v.lowest for v in kept.values())]) - self._overlap
