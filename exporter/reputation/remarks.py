"""What a user should know about a configuration of reputation, before or while it runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from chassis.units import format_duration
from exporter.model import Remark
from exporter.reputation import state
from exporter.reputation.known import PUBLIC_RESOLVERS
from exporter.reputation.looker import Looker
from exporter.reputation.options import ReputationOptions, Resolver
from exporter.sampling.sampler import Run

PUBLIC_ADVICE = "most lists refuse it, or answer that all is clean; run one of your own and name it in `resolvers`"


def public(servers: Iterable[Resolver]) -> Iterator[tuple[Resolver, str]]:
    """Resolvers that anybody may use, with whose they are."""
    for server in servers:
        if operator := PUBLIC_RESOLVERS.get(server.host):
            yield server, operator


def stretching(options: ReputationOptions, interval: float) -> dict[str, str]:
    """Why the interval is longer than configured."""
    return {
        "configured": format_duration(options.interval),
        "interval": format_duration(round(interval, 1)),
        "reason": f"so many questions take that long at {options.queries_per_second:g} a second",
    }


def of_settings(options: ReputationOptions) -> list[tuple[str, str]]:
    """What the file alone tells: path and text."""
    found = [
        (f"reputation.resolvers[{number}]", f"{server} is {operator}'s public resolver: {PUBLIC_ADVICE}")
        for number, server in enumerate(options.resolvers)
        for server, operator in public([server])
    ]
    if options.addresses and not options.blocklists:
        found.append(("reputation.blocklists", "none given; nothing would be known of the addresses"))
    if options.blocklists and not options.addresses:
        found.append(("reputation.addresses", "none given; nothing would be asked"))
    return found


def of_lists(options: ReputationOptions, looker: Looker, timeout: float, run: Run) -> list[Remark]:
    """Whether resolvers answer and lists pass their tests, and the file can be read."""
    resolvers = looker.resolvers
    found = [
        Remark(str(server), f"{server} is {operator}'s public resolver", PUBLIC_ADVICE)
        for server, operator in public(resolvers.servers)
    ]
    if looker.interval > options.interval:
        said = stretching(options, looker.interval)
        text = f"the interval of {said['configured']} cannot be held, it will be {said['interval']}: {said['reason']}"
        found.append(Remark("interval", text, "raise `queries_per_second`, or the interval"))
    if options.state_file is not None:
        try:
            state.load(options.state_file)
        except state.StateUnusable as error:
            found.append(Remark("state_file", f"{options.state_file}: {error}", "listings count as new"))
    if not resolvers.servers or not resolvers.alive(timeout):
        named = ", ".join(map(str, resolvers.servers)) or "none found"
        return [*found, Remark("resolvers", f"no resolver answers: {named}", "check `resolvers`", fatal=True)]
    looker.once(run.left, looks=False)
    lists = looker.lists.values()
    for each in lists:
        for family, standing in each.standings.items():
            if standing.usable is not True and each.options.test.enabled:
                why = standing.why or "not tested in time"
                text = f"{each.label} cannot be used for {family}: {why}"
                found.append(Remark(each.label, text, "its addresses are not asked for until it passes its test"))
    tested = [
        standing.usable
        for each in looker.lists.values()
        if each.options.test.enabled
        for standing in each.standings.values()
    ]
    if tested and not any(tested):
        found.append(Remark("blocklists", "none of the lists can be used", fatal=True))
    return found
