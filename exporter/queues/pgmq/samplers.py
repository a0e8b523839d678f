"""The quick look at all queues and the count of the large ones, and what both publish."""

from __future__ import annotations

from collections.abc import Iterator

from chassis.exposition import Reading
from exporter.model import OTHER_QUEUE, QueueKey
from exporter.queues.base import QueueRow
from exporter.queues.pgmq.queue import Followed
from exporter.queues.pgmq.source import Shown, Watched
from exporter.queues.reading import samplers as reading
from exporter.sampling.sampler import Run


class Changes:
    """Looks at all queues at a cost that does not grow with what they hold."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._looked = float("-inf")

    def sample(self, run: Run) -> None:
        """Look and publish. Raises SampleFailed if some queue could not be looked at, when all others were."""
        watched = self._watched
        clock = watched.context.clock
        run.incremental = True
        with watched.turn(run.limit):
            if clock.monotonic() - self._looked >= reading.RECENT_LOOK * watched.context.interval:
                before = run.source_seconds
                with watched.session(run, "quick") as tx:
                    watched.look(tx, follow=watched.tracking is None or watched.tracking.finds_changes)
                watched.health.query_seconds = run.source_seconds - before
                self.looked()
            publish(watched, run)
            trouble = watched.trouble()
        if trouble is not None:
            raise trouble

    def looked(self) -> None:
        """A look was made, by whomever."""
        self._looked = self._watched.context.clock.monotonic()


class Counts:
    """Counts the queues that are too large for the quick look, in the snapshot of a look."""

    def __init__(self, watched: Watched, changes: Changes) -> None:
        self._watched = watched
        self._changes = changes

    def sample(self, run: Run) -> None:
        """Count and publish. Raises SampleFailed as `Changes.sample`."""
        watched = self._watched
        with watched.session(run, "exact") as tx:
            with watched.turn(run.limit):
                snapshot = watched.look(tx, follow=True)
                self._changes.looked()
                for due in snapshot.large:
                    due.queue.archived = set()
            try:
                # Without the lock: quick looks go on meanwhile.
                found = snapshot.counting.count(snapshot.large, at_once=1)
            except BaseException:
                for due in snapshot.large:
                    due.queue.archived = None
                raise
        with watched.lock:
            watched.take_over(snapshot, found)
            publish(watched, run)
            trouble = watched.trouble()
        if trouble is not None:
            raise trouble


class Failed:
    """Counts the failed jobs that are stored: in the tracking table, or in dead-letter queues."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched

    def sample(self, run: Run) -> None:
        """Count and publish."""
        watched = self._watched
        tracking = watched.tracking
        if tracking is None:
            with watched.lock:
                if not watched.listed:
                    return  # nothing is known yet; the looks have their own to tell of it
                counts = _dead_letters(watched)
        else:
            with watched.session(run, "exact") as tx:
                tx.begin()
                (now,) = tx.row("select now()")
                with watched.lock:
                    table = tracking.known(tx)
                rows = tx.rows(table.query("tracking_failed"))
            with watched.lock:
                counts = dict.fromkeys(watched.present(), (0, now))
                for name, count in rows:
                    key = tracking.namer.by_number(name, None)
                    if key in counts:
                        counts[key] = counts[key][0] + count, now
        watched.failed = {key: count for key, (count, _) in counts.items()}
        run.publish(f"source {watched.context.name}: failed", _failed(watched, counts))


def _failed(watched: Watched, counts: dict[QueueKey, tuple[int, float]]) -> Iterator[Reading]:
    for key, (count, at) in counts.items():
        mine = {**watched.context.all_labels, **key.labels, "state": "failed"}
        yield Reading("postwatch_queue_jobs", mine, count)
        yield Reading("postwatch_queue_counted_timestamp_seconds", mine, at)


def publish(watched: Watched, run: Run) -> None:
    """What looks have made known. The caller holds the lock."""
    watched.shown = Shown(tuple(watched.present()), tuple(_rows(watched)))
    name, labels = watched.context.name, watched.context.all_labels
    run.publish(f"source {name}: living", _living(watched, labels), pace="changes")
    run.publish(f"source {name}: counted", watched.ledger.readings(labels))


def _rows(watched: Watched) -> list[QueueRow]:
    """The queues for people, the deepest first."""
    found = []
    for key, queues in _by_key(watched).items():
        living = [queue.living for queue in queues if queue.living is not None]
        known = bool(living) or (not queues and watched.listed)
        ready = [one.oldest_ready for one in living if one.oldest_ready is not None]
        found.append(
            QueueRow(
                key,
                waiting=sum(one.waiting for one in living) if known else None,
                scheduled=sum(one.scheduled for one in living) if known else None,
                active=sum(one.active for one in living) if known else None,
                failed=watched.failed.get(key),
                oldest_waiting=min(ready, default=None),
                paused=None,
                redis_length=None,
                failed_lately=watched.ledger.tally(key).failed_in_the_hour_before(watched.database_now),
            )
        )
    return sorted(found, key=lambda row: (-(row.waiting or 0), row.key))


def _living(watched: Watched, labels: dict[str, str]) -> Iterator[Reading]:
    for key, queues in _by_key(watched).items():
        yield from _of_key(watched, key, queues, {**labels, **key.labels})
    for key, (count, _) in _dead_letters(watched).items():
        yield Reading("postwatch_queue_dead_letters", {**labels, **key.labels}, count)
    yield from watched.ledger.finish_times(labels, watched.present())


def _of_key(watched: Watched, key: QueueKey, queues: list[Followed], mine: dict[str, str]) -> Iterator[Reading]:
    if not watched.listed or (queues and not (queues := [q for q in queues if _is_fresh(watched, q)])):
        return
    living = [queue.living for queue in queues if queue.living is not None]
    counted = min((queue.counted.at for queue in queues if queue.counted is not None), default=watched.database_now)
    waiting = sum(one.waiting for one in living)
    yield Reading("postwatch_queue_depth", mine, waiting)
    states = [
        ("scheduled", sum(one.scheduled for one in living), counted),
        ("waiting", waiting, counted),
        ("active", sum(one.active for one in living), counted),
    ]
    for state, count, at in states:
        yield Reading("postwatch_queue_jobs", {**mine, "state": state}, count)
        yield Reading("postwatch_queue_counted_timestamp_seconds", {**mine, "state": state}, at)
    if all(queue.listed.tells_reads for queue in queues):
        yield Reading("postwatch_queue_stuck_jobs", mine, sum(one.stuck for one in living))
    if key == OTHER_QUEUE:
        return  # of many queues, so that only what adds up is told
    for one in living:
        if one.oldest_ready is not None and one.waiting:
            yield Reading("postwatch_queue_oldest_waiting_timestamp_seconds", mine, one.oldest_ready)
        if one.oldest_active is not None and one.active:
            yield Reading("postwatch_queue_oldest_active_timestamp_seconds", mine, one.oldest_active)


def _by_key(watched: Watched) -> dict[QueueKey, list[Followed]]:
    found: dict[QueueKey, list[Followed]] = {key: [] for key in watched.present()}
    for queue in list(watched.queues.values()):
        found.setdefault(queue.key, []).append(queue)
    return found


def _is_fresh(watched: Watched, queue: Followed) -> bool:
    context = watched.context
    return queue.living is not None and context.clock.monotonic() - queue.known_at <= context.stale_after


def _dead_letters(watched: Watched) -> dict[QueueKey, tuple[int, float]]:
    """Messages in dead-letter queues by the queue they are of, and when the oldest of these counts was taken."""
    keys = {queue.listed.name.lower(): queue.key for queue in list(watched.queues.values())}
    found: dict[QueueKey, tuple[int, float]] = {}
    for queue in list(watched.queues.values()):
        key = keys.get((queue.listed.base_name or "").lower())
        if key is not None and queue.living is not None and queue.counted is not None and _is_fresh(watched, queue):
            total, at = found.get(key, (0, queue.counted.at))
            found[key] = total + queue.living.total, min(at, queue.counted.at)
    return found
