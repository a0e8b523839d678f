"""The alerter with a reconciler in a hurry: `hasty.py YOUNG AFTER …`, both in seconds.

YOUNG is the age that an Alertmanager needs before it is believed (15 minutes), AFTER takes the place of
`reconcile.after` (at least a minute). All else is as in the daemon.
"""

import sys
from collections.abc import Mapping

from alerter.__main__ import main
from alerter.duties import reconcile


def hurry(young: float, after: float) -> None:
    """From now on."""
    ripe = reconcile.ripe

    def sooner(since: Mapping[int, float], _after: float, now: float) -> list[int]:
        return ripe(since, after, now)

    reconcile.YOUNG = young
    reconcile.ripe = sooner  # type: ignore[assignment]  # its parameter has another name


if __name__ == "__main__":
    hurry(float(sys.argv[1]), float(sys.argv[2]))
    sys.exit(main(sys.argv[3:]))
