"""IP Reputation."""

from deploy.grafana.boards import Board, Section, Variable
from deploy.grafana.colours import GREEN, LISTED, NONE_IS_BETTER, NONE_IS_WELL, RED, YELLOW, steps, words
from deploy.grafana.panels import Line, lines, states, tile
from deploy.grafana.promql import JOB, RATE, count_of
from deploy.grafana.tables import Column, Label, rows

IP = Variable("ip", "Address", 'postwatch_ip_reputation_score{job=~"$job"}')
CHOSEN = f'{JOB},ip=~"$ip"'
SCORE = f"max by (ip, provider) (postwatch_ip_reputation_score{{{CHOSEN}}})"
LISTINGS = f"sum by (ip, blocklist) (postwatch_dnsbl_listed{{{CHOSEN}}})"
TIER = f'max by (blocklist) (postwatch_dnsbl_blocklist_info{{{JOB},tier="critical"}})'
# The number of lists, beside the score, which knows the provider.
COUNT = f"sum by (ip) (postwatch_dnsbl_listed{{{CHOSEN}}}) + on (ip) group_right () 0 * {SCORE}"
CRITICAL = f"sum by (ip) (postwatch_dnsbl_listed{{{CHOSEN}}} and on (blocklist) {TIER}) > bool 0"
# 2 on a critical list, 1 on another or with a score below 70, 0 well.
STATUS = (
    f"clamp_max(({SCORE} < bool 70) + ({COUNT} > bool 0), 1)\n"
    f"  + on (ip) group_left () ({CRITICAL} or on (ip) 0 * sum by (ip) ({SCORE}))"
)
SINCE = f"time() - min by (ip, blocklist) (postwatch_dnsbl_listed_since_timestamp_seconds{{{CHOSEN}}})"
AGE = f"time() - max by (ip, blocklist) (postwatch_dnsbl_checked_timestamp_seconds{{{CHOSEN}}})"
GOODNESS = steps(RED, (50, YELLOW), (70, GREEN))

TILES = (
    tile("Listed addresses", "Addresses that at least one blocklist lists.",
        count_of(f"sum by (ip) (postwatch_dnsbl_listed{{{CHOSEN}}}) > 0", f"postwatch_dnsbl_listed{{{CHOSEN}}}"),
        "none", colours=NONE_IS_WELL, width=5),
    tile("On critical lists", "Listings on blocklists that are configured as critical: these page.",
        f"sum(postwatch_dnsbl_listed{{{CHOSEN}}} and on (blocklist) {TIER})", "none", colours=NONE_IS_WELL, width=5,
        nothing="No such list"),
    tile("Lowest score", "Of 100: less the weights of the lists that list the address. Yellow below 70, which alerts.",
        f"min({SCORE})", "none", colours=GOODNESS, decimals=0, width=5),
    tile("Lists that do not answer", "Blocklists that fail their own test entries: their listings go unseen.",
        count_of(f"postwatch_dnsbl_blocklist_usable{{{JOB}}} == 0", f"postwatch_dnsbl_blocklist_usable{{{JOB}}}"),
        "none", colours=NONE_IS_BETTER, width=5),
    tile("Sent today", "Mails that the addresses sent since midnight UTC.",
        f"sum(postwatch_ip_sent_today{{{CHOSEN}}})", "locale", width=4, nothing="Not configured"),
)  # fmt: skip

BOARD = Board(
    uid="postwatch-reputation",
    title="IP Reputation",
    question="Will our mail be taken, and which blocklist stands in the way if not?",
    variables=(IP,),
    alerts="Reputation.+",
    since="now-24h",
    refresh="30s",
    sections=(
        Section(
            "",
            (
                *TILES,
                rows(
                    "Addresses, worst first",
                    "Critical is an address on a critical list, warning one on another list or with a score below 70.",
                    [
                        Column("Status", STATUS, "none", 90,
                            words((0, "Good", GREEN), (1, "Warning", YELLOW), (2, "Critical", RED))),
                        Label("ip", "IP address"),
                        Label("provider", "Provider", 90),
                        Column("Score", SCORE, "none", 70, colours=GOODNESS, decimals=0),
                        Column("Lists", COUNT, "none", 65),
                        Column("Sent today", f"max by (ip, provider) (postwatch_ip_sent_today{{{CHOSEN}}})", "locale",
                            100, nothing="–"),
                    ],
                    [("Status", True), ("Score", False)],
                    width=11,
                    height=7,
                ),
                rows(
                    "Blocklists, listings first",
                    "What each list says of each address, since when, and how long ago it last truly answered.",
                    [
                        Column("Verdict", LISTINGS, "none", 90, LISTED),
                        Label("ip", "IP address"),
                        Label("blocklist", "Blocklist"),
                        Column("Listed for", SINCE, "s", 100, decimals=0),
                        Column("Answered", AGE, "s", 100, decimals=0),
                    ],
                    [("Verdict", True), ("Listed for", True)],
                    width=13,
                    height=7,
                ),
                states(
                    "Listings over time",
                    "When each blocklist listed each address.",
                    Line(LISTINGS, "{{ip}} on {{blocklist}}"),
                    LISTED,
                    height=6,
                ),
            ),
        ),
        Section(
            "How it came to this",
            (
                lines(
                    "Reputation score",
                    "Of 100, by address. Below 70 it alerts.",
                    "none",
                    Line(SCORE, "{{ip}} ({{provider}})"),
                    most=100,
                ),
                lines(
                    "Mail sent today",
                    "Mails since midnight UTC, by address.",
                    "short",
                    Line(f"max by (ip) (postwatch_ip_sent_today{{{CHOSEN}}})", "{{ip}}"),
                    nothing="Not configured",
                ),
                lines(
                    "Answers of blocklists",
                    "Questions a minute by how they ended: blocked, timeout and error are no verdicts.",
                    "questions/min",
                    Line(
                        "60 * sum by (blocklist, result)"
                        f" (rate(postwatch_dnsbl_queries_total{{{JOB}}}[{RATE}])) > 0",
                        "{{blocklist}}: {{result}}",
                    ),
                ),
                lines(
                    "Age of verdicts",
                    "How long ago each list last truly answered for any address: old verdicts say little.",
                    "s",
                    Line(
                        "time() - min by (blocklist)"
                        f" (postwatch_dnsbl_checked_timestamp_seconds{{{CHOSEN}}})",
                        "{{blocklist}}",
                    ),
                ),
            ),
        ),
    ),
)  # fmt: skip
