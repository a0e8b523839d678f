"""Asks resolvers: one after the other until one answers."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

import dns.resolver

from chassis.clock import Clock
from exporter.model import Reason
from exporter.reputation.options import DNS_PORT, Resolver
from exporter.reputation.question import Question
from exporter.reputation.verdict import Response

SAME_FIRST = 60.0  # seconds for which a resolver that failed is not asked first again
ATTEMPTS = 2  # at the least: a datagram may be lost
ALIVE = "localhost."  # every resolver answers it by itself (RFC 6761, section 6.3)


class Unanswered(Exception):
    """No resolver answered in time, or none said anything at all."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


def system_resolvers() -> tuple[Resolver, ...]:
    """Those of /etc/resolv.conf; none if it cannot be read."""
    try:
        found = dns.resolver.Resolver()
    except (dns.resolver.NoResolverConfiguration, OSError):
        return ()
    return tuple(Resolver(str(server), found.port or DNS_PORT) for server in found.nameservers)


class Resolvers:
    """The way to all lists. Thread-safe."""

    def __init__(self, given: Sequence[Resolver], clock: Clock) -> None:
        """`given` in order of preference; none: the system's, read again when they do not answer."""
        self._given = tuple(given)
        self._clock = clock
        self._lock = threading.Lock()
        self._servers = self._given or system_resolvers()
        self._failed_at: dict[Resolver, float] = {}
        self.unanswered = 0  # questions in a row to which no resolver said anything at all

    @property
    def servers(self) -> tuple[Resolver, ...]:
        """Whom it asks, the preferred first."""
        now = self._clock.monotonic()
        with self._lock:
            failed = {server for server, at in self._failed_at.items() if now - at < SAME_FIRST}
            return tuple(sorted(self._servers, key=lambda server: server in failed))

    def ask(self, name: str, kind: str, limit: float) -> Response:
        """The answer to a question for `A` or `TXT` within `limit` seconds. Raises Unanswered.

        A resolver that fails or refuses is no reason to believe it: the next one is asked. What one of them said
        is the answer only if no other has a better one. One that is slow is heard until the end, also while others
        are asked.
        """
        until = self._clock.monotonic() + limit
        servers = self.servers
        attempts = [*servers, *servers[: max(ATTEMPTS - len(servers), 0)]]
        with Question(name, kind, until, self._clock) as question:
            for number, server in enumerate(attempts):
                if server in question.failed:
                    continue  # it failed a moment ago, and would again
                question.put(server)
                now = self._clock.monotonic()
                if question.hear(now + (until - now) / (len(attempts) - number)):
                    break
            else:
                while question.waiting and self._clock.monotonic() < until and not question.hear(until):
                    pass
            silent, answerer = question.waiting, question.answerer
        self._note((*question.failed, *(each for each in silent if each != answerer)), answered=question.said)
        if question.said is None:
            reasons = [*question.failed.values(), Reason.TIMEOUT if servers else Reason.RESOLVE]
            raise Unanswered(Reason.TIMEOUT if silent else reasons[0])
        return question.said

    def alive(self, limit: float) -> bool:
        """Whether any resolver says anything, asked for what each knows by itself."""
        try:
            self.ask(ALIVE, "A", limit)
        except Unanswered:
            return False
        return True

    def _note(self, silent: Iterable[Resolver], *, answered: Response | None) -> None:
        with self._lock:
            if answered is not None:
                self.unanswered = 0
                # Where all were silent, it is the list that does not answer, or the network: no reason to prefer one.
                now = self._clock.monotonic()
                self._failed_at.update(dict.fromkeys(silent, now))
                return
            self.unanswered += 1
        if not self._given and (fresh := system_resolvers()):
            with self._lock:
                self._servers = fresh
