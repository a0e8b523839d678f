"""Chapters of the reference pages on reputation."""

from __future__ import annotations

from exporter.queues.guide import Guide

_CONFIGURATION = """\
## Reputation of addresses

Addresses that mail is sent from, and the DNS blocklists to ask for them:

```yaml
reputation:
  interval: 30m
  resolvers: [127.0.0.1:5353]
  state_file: /var/lib/postwatch/reputation.json
  blocklists:
    - {zone: zen.spamhaus.org, severity: critical, weight: 60}
    - {zone: bl.spamcop.net, severity: warning, weight: 20}
    - {name: spamhaus-dqs, zone_file: /etc/postwatch/dqs-zone, severity: critical}
  addresses:
    - {ip: 203.0.113.12, provider: aws}
    - {ip: "2001:db8::25", provider: own, labels: {stream: transactional}}
  sent_today:
    postgres: ${MAIL_DATABASE_URL}
    query: select ip, count(*) from sends where day = current_date group by ip
```

**Resolvers.** Most lists refuse public resolvers (8.8.8.8, 1.1.1.1 and the like) or answer them that all is clean:
run one of your own. Several are asked in order; one that fails is not asked first again for a minute. Without any,
the system's are used.

**A zone with a paid key** needs a `name`, and belongs into a file or an environment variable. Nothing but the name
is ever shown: not in labels, logs, errors, the state file or tables. The file is read at each question.

**Lists that are gone** (SORBS, NiX Spam and others) are refused, with the reason.

**What is known of a list** (what its codes mean, its severity, where to ask for removal) is built in for the common
ones; `codes`, `severity`, `weight` and `delisting` say it otherwise, or for others. Where codes are known, no other
code is a listing.

**How much is asked.** Each pair of address and list once an `interval`, each list's test entries once more, and the
reason (`TXT`) of a listing when it is new. Questions to all lists together are `1 / queries_per_second` apart at the
least; a list can have a limit of its own. The first round is as fast as that, the following ones are spread over the
interval. An answer is not asked for again before its time to live is over (of a negative one: by the zone's SOA).
Where so many questions take longer than the interval, the interval is stretched; the log and `check --connect` say so.

**The score** of an address is 100, less for each listing `weight × (1 + ageing × min(age ÷ full_after, 1))`, never
below 0. With the defaults a new listing by a list of weight 40 leaves 60, after a week 40. Lists that have told
nothing take nothing.

**`state_file`** keeps since when each address is listed. It is replaced as a whole when that changes; its folder has
to be writable. Without it a restart takes listings for new.

`postwatch-exporter reputation [IP]` asks once, for the configured addresses or any other, and prints what each list
says, why, since when, and where to ask for removal. Its exit code is 0 if no list that answered lists an address, 1 if
at least one does, 3 if none truly answered.
"""

_METRICS = """\
## Reputation

**True answers.** A list is believed, for each address family, after it has listed its test entry (`127.0.0.2`,
`::ffff:7f00:2`) and not listed the other one (`127.0.0.1`, `::ffff:7f00:1`); RFC 5782 asks every list for that.
`postwatch_dnsbl_blocklist_usable` says so. Families without an address are not tested. A list that fails is asked for
no address; it is tested again after 15 s, then twice as long each time, up to the interval. A list that refuses, or
does not answer three times in a row, has to pass its test anew. A list without test entries can be believed by
`test: {enabled: false}`.

| `result` | answer | changes the verdict |
| --- | --- | --- |
| `listed` | inside 127.0.0.0/8, a code that the list defines | yes |
| `clean` | no such name, or no address | yes |
| `blocked` | 127.255.255.0/24, 127.0.1.255, 127.0.0.1: the list refuses us, our resolver or the question | no |
| `timeout` | none in time | no |
| `error` | `SERVFAIL`, `REFUSED`, an address outside 127.0.0.0/8 (a resolver that rewrites), an undefined code | no |

Verdicts never age out: a list that is silent leaves the last one, and `postwatch_dnsbl_checked_timestamp_seconds` says
how old it is. The score goes when no list has truly answered for its address for three intervals, from when its last
answer held no longer by its time to live.

`postwatch_dnsbl_queries_total` counts each question for addresses once, however many resolvers were asked, those for
test entries included (a working list has one `listed` and one `clean` of these an interval and family), those for
reasons not.

`postwatch_sampler_up{sampler="reputation"}` is 0 where no resolver answers at all, or the query of `sent_today`
fails; never because of a list. The query runs in a read-only transaction with the time zone UTC and a time limit;
addresses that are not configured are left out, and rows that make no sense are told in the log. An address without a
row has sent 0.
"""


def guide() -> Guide:
    """What docs/configuration.md and docs/metrics.md say of it."""
    return Guide(_CONFIGURATION, _METRICS)
