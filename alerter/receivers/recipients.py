"""Several recipients of one delivery: each is told once, whatever becomes of the others.

Between attempts it is kept who is done. Recipients are named by a digest there: numbers and addresses are of people.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from alerter.receivers.base import Accepted, DeliveryFailed, Memory

_DONE = "done"
_UNSURE = "unsure"
_REFUSED = "refused"


class Recipients:
    """Who is still to be told, and what became of the others."""

    def __init__(self, all_of_them: Iterable[str], progress: Memory) -> None:
        self._all = tuple(dict.fromkeys(all_of_them))
        self._state = {key: word for key, word in progress.items() if word in (_DONE, _UNSURE, _REFUSED)}
        self._failed: list[DeliveryFailed] = []

    @property
    def pending(self) -> tuple[str, ...]:
        """Those to be tried now."""
        return tuple(each for each in self._all if self._state.get(_key(each)) not in (_DONE, _REFUSED))

    def accepted(self, recipient: str) -> None:
        """The provider took it for this one."""
        self._state[_key(recipient)] = _DONE

    def failed(self, recipient: str, failure: DeliveryFailed) -> None:
        """It did not; an ambiguous failure is tried once more, and then taken as the end."""
        key = _key(recipient)
        if failure.ambiguous and self._state.get(key) == _UNSURE:
            failure = DeliveryFailed(failure.reason, f"{failure.text}, twice", retry=False, ambiguous=True)
        if failure.retry:
            if failure.ambiguous:
                self._state[key] = _UNSURE
        else:
            self._state[key] = _REFUSED
        self._failed.append(failure)

    def outcome(self, memory: Memory | None = None) -> Accepted:
        """Accepted, if all were told or finally refused and at least one was told. Raises DeliveryFailed."""
        words = [self._state.get(_key(each)) for each in self._all]
        done, refused = words.count(_DONE), words.count(_REFUSED)
        again = [failure for failure in self._failed if failure.retry]
        if not again and done:
            note = f"{refused} of {len(words)} recipients refused" if refused else ""
            return Accepted(memory, "; ".join([note, *(each.text for each in self._failed)]) if note else "")
        # Where nothing is left to try, the last refusal stands for all.
        worst = again[0] if again else self._failed[-1]
        waits = [failure.after for failure in again if failure.after is not None]
        raise DeliveryFailed(
            worst.reason,
            worst.text if len(self._all) == 1 else f"{worst.text} ({done} of {len(words)} recipients told)",
            retry=bool(again),
            after=max(waits, default=None),
            opens_circuit=any(failure.opens_circuit for failure in self._failed),
            ambiguous=all(failure.ambiguous for failure in (again or self._failed)),
            progress=self._state,
        )


def _key(recipient: str) -> str:
    return hashlib.sha256(recipient.encode()).hexdigest()[:16]
