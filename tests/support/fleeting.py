"""The alerter with other leases: `fleeting.py SECONDS …`. All else is as in the daemon."""

import sys

from alerter.__main__ import main
from alerter.outbox import claims

if __name__ == "__main__":
    claims.LEASE = float(sys.argv[1])
    sys.exit(main(sys.argv[2:]))
