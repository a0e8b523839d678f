"""Reputation of IP addresses."""

from exporter.catalogue.metric import COUNTER, GAUGE, declare

_GROUP = "Reputation"
_PAIR = ("ip", "blocklist")
_ADDRESS = ("ip", "provider")
_ANSWER = "each true answer, every `interval` (30 min)"
_TEST = "each test of the list, every `interval` (30 min)"

REPUTATION = (
    declare(_GROUP, _PAIR, "dnsbl_listed", GAUGE, "0 or 1", "DNS", _ANSWER,
        "1 if the list lists the address, 0 if not, as it last truly answered; absent until it did.",
        "sum by (ip) (postwatch_dnsbl_listed) > 0"),
    declare(_GROUP, (*_PAIR, "code", "category"), "dnsbl_listing_info", GAUGE, "always 1", "DNS", _ANSWER,
        "1 for each return code of a listing, with what it means.",
        "postwatch_dnsbl_listed * on (ip, blocklist) group_right () postwatch_dnsbl_listing_info"),
    declare(_GROUP, _PAIR, "dnsbl_listed_since_timestamp_seconds", GAUGE, "epoch seconds", "DNS", _ANSWER,
        "When the address was first seen listed; absent if it is not.",
        "time() - postwatch_dnsbl_listed_since_timestamp_seconds"),
    declare(_GROUP, _PAIR, "dnsbl_checked_timestamp_seconds", GAUGE, "epoch seconds", "DNS", _ANSWER,
        "When the list last truly answered for the address.",
        "time() - postwatch_dnsbl_checked_timestamp_seconds"),
    declare(_GROUP, ("blocklist", "tier"), "dnsbl_blocklist_info", GAUGE, "always 1", "configuration", "at once",
        "1, with the severity of a listing.",
        'postwatch_dnsbl_listed * on (blocklist) group_left (tier) postwatch_dnsbl_blocklist_info'),
    declare(_GROUP, ("blocklist", "family"), "dnsbl_blocklist_usable", GAUGE, "0 or 1", "DNS", _TEST,
        "1 if the list answers its test entries rightly, 0 if it does not, or not at all.",
        "postwatch_dnsbl_blocklist_usable == 0"),
    declare(_GROUP, ("blocklist", "result"), "dnsbl_queries_total", COUNTER, "questions", "DNS", "each question",
        "Questions to the list by how they ended, those for its test entries included.",
        'rate(postwatch_dnsbl_queries_total{result="blocked"}[1h]) > 0'),
    declare(_GROUP, _ADDRESS, "ip_reputation_score", GAUGE, "0 to 100", "DNS", "each true answer, every 15 s",
        "100 less the weights of the lists that list the address, old listings more.",
        "postwatch_ip_reputation_score < 60"),
    declare(_GROUP, _ADDRESS, "ip_sent_today", GAUGE, "mails", "PostgreSQL, by `sent_today.query`",
        "every `sent_today.interval` (60 s)",
        "Mail sent by the address since midnight UTC.", "sum by (provider) (postwatch_ip_sent_today)"),
)  # fmt: skip
