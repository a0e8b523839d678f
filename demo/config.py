"""The exporter's configuration for the demo, written as a user would write it."""

from pathlib import Path

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
      queue:email-sending: {{target: 5m, time_limit: 10m}}
      queue:email-sending:low: {{target: 30m}}
      queue:analytics:daily-aggregate: {{target: 1h, failures: {{critical: 3, page: 20%}}}}
      queue:warmup:process: {{target: {warmup_target}}}
      "*": {{target: 15m, time_limit: 1h}}
"""


def write_config(
    file: Path,
    *,
    port: int,
    postgres: str,
    redis: str,
    interval: str = "2s",
    slow: str = "5s",
    budget: str = "5%",
    dead_after: str = "10s",
    warmup_target: str = "15m",
) -> None:
    file.write_text(
        _TEXT.format(
            port=port,
            postgres=postgres,
            redis=redis,
            interval=interval,
            slow=slow,
            budget=budget,
            dead_after=dead_after,
            warmup_target=warmup_target,
        )
    )
