"""How Python runs a daemon that answers within milliseconds while its threads work."""

import gc
import sys

# Seconds of a thread while others wait. With the usual 5 ms an answer waits that long for each thread that is busy.
_TURN = 0.0005
# Of `gc.set_threshold`: all threads stand still while garbage is looked for, tens of milliseconds where tens of
# thousands of series or a large webhook are kept. Few cycles come into being here.
_GARBAGE = (20_000, 20, 50)


def prepare() -> None:
    """Called once, when what lives as long as the process has been built."""
    sys.setswitchinterval(_TURN)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GARBAGE)
