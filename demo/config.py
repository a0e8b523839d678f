"""The exporter's configuration for the demo, written as a user would write it."""

from collections.abc import Mapping
from pathlib import Path

from demo.outside import BLOCKLIST, SENDERS, WARNLIST

_TEXT = """\
# Written by postwatch-demo. What each setting means: docs/configuration.md
web: {{listen: "127.0.0.1:{port}"}}
log: {{level: info, format: json}}
defaults:
  interval: {interval}            # quicker than the usual 5s, for something to happen while one looks
  budget: {budget}                # a small database that does little else can afford it
queues:
  - name: mail
    kind: hybrid
    postgres: {postgres}
    redis: {redis}
    schema: penguinmails
    labels: {{team: delivery}}
    drift: {{interval: {slow}}}
    failed: {{interval: {slow}}}
    workers: {{expected: 3, dead_after: {dead_after}, forget_after: 15m, error_limit: 5%}}
    targets:
      queue:email-sending:high:
        {{target: 1m, time_limit: 2m, depth: {{warning: 50, critical: 500, page: 5000}}}}
      queue:email-sending:
        {{target: 5m, time_limit: 10m, depth: {{warning: 100, critical: 300, page: 500}}}}
      queue:email-sending:low: {{target: 30m}}
      queue:analytics:daily-aggregate: {{target: 1h, failures: {{critical: 3, page: 20%}}}}
      queue:warmup:process: {{target: {warmup_target}}}
      "*": {{target: 15m, time_limit: 1h}}
  - {{name: hooks, kind: pgmq, postgres: {postgres}, failed: {{interval: {slow}}}}}
  - {{name: flows, kind: pgboss, postgres: {postgres}, failed: {{interval: {slow}}}}}
postgres:
  - {{name: oltp, url: {postgres}, statements: {{interval: {slow}}}}}
redis:
  - {{name: cache, url: {redis}}}
services:
  - name: api
    kind: http
    url: http://127.0.0.1:{api}/health
    interval: {interval}
    expect: {{body: ok}}
    degraded_after: 500ms
    down_after: 3
    recover_after: 2
  - name: smtp
    kind: smtp
    address: 127.0.0.1:{mail}
    interval: {interval}
    degraded_after: 1s
    backlog: {{source: mail, queues: ["queue:email-sending*"], degraded: 5000}}
  - {{name: database, kind: postgres, url: {postgres}, interval: {interval}}}
  - {{name: cache, kind: redis, url: {redis}, interval: {interval}}}
reputation:
  interval: {interval}
  resolvers: ["127.0.0.1:{names}"]   # the demo's own; the zones and addresses are for documentation
  blocklists:
    - {{zone: {blocklist}, severity: critical, weight: 60}}
    - {{zone: {warnlist}, severity: warning, weight: 20}}
  addresses:
    - {{ip: {first_sender}, provider: demo}}
    - {{ip: {second_sender}, provider: demo}}
  sent_today:
    postgres: {postgres}
    interval: {slow}
    query: >-
      select '{first_sender}', count(*) from jobs
      where queue_name = 'email-sending' and status = 'completed' and completed >= current_date
host: {{enabled: true, interval: {interval}}}
"""


def write_config(
    file: Path,
    *,
    port: int,
    postgres: str,
    redis: str,
    outside: Mapping[str, int],
    interval: str = "2s",
    slow: str = "5s",
    budget: str = "5%",
    dead_after: str = "10s",
    warmup_target: str = "15m",
) -> None:
    """`outside`: ports of the API, the mail server and the name server."""
    file.write_text(
        _TEXT.format(
            port=port,
            postgres=postgres,
            redis=redis,
            blocklist=BLOCKLIST,
            warnlist=WARNLIST,
            first_sender=SENDERS[0],
            second_sender=SENDERS[1],
            **outside,
            interval=interval,
            slow=slow,
            budget=budget,
            dead_after=dead_after,
            warmup_target=warmup_target,
        )
    )
