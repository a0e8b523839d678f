"""How long to wait before trying again."""

import random
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Backoff:
    """Exponential backoff with full jitter, which spreads a crowd of clients best.

    Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    `base` and `cap` are seconds; the bound doubles with each attempt from `base` up to `cap`.
    """

    base: float
    cap: float
    rng: random.Random = field(default_factory=random.Random)

    def bound(self, attempt: int) -> float:
        """The longest wait, in seconds, after the failed attempt number `attempt`, counted from 0."""
        # Beyond 2**64 the cap has long been reached; a larger exponent would overflow the float.
        return min(self.cap, self.base * 2.0 ** min(attempt, 64))

    def delay(self, attempt: int) -> float:
        """A random wait in seconds, from 0 to `bound(attempt)`."""
        return self.rng.uniform(0, self.bound(attempt))
