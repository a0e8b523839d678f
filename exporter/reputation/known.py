"""What is known of blocklists: their codes, where to ask for removal, and which are gone.

As the lists' own pages say (November 2026). A list that is not here can be watched as well: any code is a listing then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

UNSPECIFIED = "unspecified"  # the category of a code of which nothing is known

# Answers that are refusals, whatever the list: Spamhaus' error codes, adopted by others, and 127.0.0.1, which RFC 5782
# keeps out of every list and URIBL answers to those whom it turned off.
REFUSALS: Mapping[str, str] = {
    "127.0.0.1": "the list refuses to answer this resolver",
    "127.0.1.255": "the list is one of domains, not of addresses",
    "127.255.255.252": "the list says that its name is misspelled; check `zone`",
    "127.255.255.254": "the list refuses public resolvers; ask by a resolver of your own",
    "127.255.255.255": "the list refuses us for too many queries",
}


@dataclass(frozen=True)
class Known:
    """One list. `codes` empty: not known, so that each is a listing."""

    codes: Mapping[str, str] = field(default_factory=dict)  # category by code
    delisting: str = ""
    severity: str = "warning"
    weight: float | None = None  # for the score; None: by the severity


_SPAMHAUS = "https://check.spamhaus.org/"
_SBL = {"127.0.0.2": "SBL", "127.0.0.3": "CSS", "127.0.0.9": "DROP"}
_XBL = {"127.0.0.4": "XBL", "127.0.0.5": "XBL", "127.0.0.6": "XBL", "127.0.0.7": "XBL"}
_PBL = {"127.0.0.10": "PBL", "127.0.0.11": "PBL"}
_BCL = {"127.0.0.30": "BCL"}
_UCEPROTECT = "https://www.uceprotect.net/en/rblcheck.php"

# By zone; a customer's zones (`<key>.zen.dq.spamhaus.net`) are found by their ends.
LISTS: Mapping[str, Known] = {
    "zen.spamhaus.org": Known({**_SBL, **_XBL, **_PBL, **_BCL}, _SPAMHAUS, "critical"),
    "zen.dq.spamhaus.net": Known({**_SBL, **_XBL, **_PBL, **_BCL}, _SPAMHAUS, "critical"),
    "sbl.spamhaus.org": Known(_SBL, _SPAMHAUS, "critical"),
    "sbl.dq.spamhaus.net": Known(_SBL, _SPAMHAUS, "critical"),
    "xbl.spamhaus.org": Known(_XBL, _SPAMHAUS, "critical"),
    "xbl.dq.spamhaus.net": Known(_XBL, _SPAMHAUS, "critical"),
    "sbl-xbl.spamhaus.org": Known({**_SBL, **_XBL}, _SPAMHAUS, "critical"),
    "pbl.spamhaus.org": Known(_PBL, _SPAMHAUS, "warning"),
    "pbl.dq.spamhaus.net": Known(_PBL, _SPAMHAUS, "warning"),
    "b.barracudacentral.org": Known(
        {"127.0.0.2": "reputation"}, "https://www.barracudacentral.org/rbl/removal-request", "critical"
    ),
    "bl.spamcop.net": Known({"127.0.0.2": "reported"}, "https://www.spamcop.net/bl.shtml"),
    "psbl.surriel.com": Known({"127.0.0.2": "trap"}, "https://psbl.org/remove"),
    "dnsbl-1.uceprotect.net": Known({"127.0.0.2": "address"}, _UCEPROTECT),
    "dnsbl-2.uceprotect.net": Known({"127.0.0.2": "range"}, _UCEPROTECT, weight=5),
    "dnsbl-3.uceprotect.net": Known({"127.0.0.2": "network"}, _UCEPROTECT, weight=2),
    "bl.mailspike.net": Known(delisting="https://www.mailspike.org/iplookup.html"),
    "combined.mail.abusix.zone": Known(delisting="https://lookup.abusix.com/"),
    "dnsbl.dronebl.org": Known(delisting="https://dronebl.org/lookup"),
    "bl.blocklist.de": Known(delisting="https://www.blocklist.de/en/delist.html"),
    "all.spamrats.com": Known(delisting="https://www.spamrats.com/removal.php"),
    "ips.backscatterer.org": Known({"127.0.0.2": "backscatter"}, "https://www.backscatterer.org/?target=test"),
}

# These zones, and all below them, are refused: nobody answers there, or whoever has the name now lists everything.
DEAD: Mapping[str, str] = {
    "sorbs.net": "SORBS was shut down in June 2024",
    "ix.dnsbl.manitu.net": "NiX Spam was shut down in January 2025",
    "ahbl.org": "AHBL was shut down in 2015 and listed every address since",
    "njabl.org": "NJABL was shut down in 2013",
    "spamcannibal.org": "SpamCannibal was shut down in 2018",
}

# Below these a customer's own name is a key.
PAID = ("dq.spamhaus.net", "mail.abusix.zone", "df.uribl.com")

# Resolvers that anybody may use; most lists refuse them, or answer as if all were clean.
PUBLIC_RESOLVERS: Mapping[str, str] = {
    **dict.fromkeys(("8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844"), "Google"),
    **dict.fromkeys(("1.1.1.1", "1.0.0.1", "2606:4700:4700::1111", "2606:4700:4700::1001"), "Cloudflare"),
    **dict.fromkeys(("9.9.9.9", "149.112.112.112", "9.9.9.10", "2620:fe::fe", "2620:fe::9"), "Quad9"),
    **dict.fromkeys(("208.67.222.222", "208.67.220.220", "2620:119:35::35", "2620:119:53::53"), "OpenDNS"),
    **dict.fromkeys(("94.140.14.14", "94.140.15.15"), "AdGuard"),
    **dict.fromkeys(("4.2.2.1", "4.2.2.2"), "Level 3"),
    **dict.fromkeys(("64.6.64.6", "64.6.65.6"), "Verisign"),
}


def known(zone: str) -> Known:
    """What is known of a zone; of one that is not here, nothing."""
    return next((found for name, found in LISTS.items() if _within(zone, name)), Known())


def dead(zone: str) -> str:
    """Why a zone can tell nothing any more; empty if nothing of the kind is known."""
    return next((why for name, why in DEAD.items() if _within(zone, name)), "")


def paid_key(zone: str) -> str:
    """The part of a zone's name that is a customer's key; empty if none is seen.

    Keys are the labels before the known zones of those that sell them, and elsewhere any that no person would type.
    """
    for name in PAID:
        if zone.endswith(f".{name}"):
            key, _, product = zone.removesuffix(f".{name}").rpartition(".")
            return key if key else (product if len(product) >= 16 else "")
    return max((label for label in zone.split(".") if len(label) >= 20), key=len, default="")


def _within(zone: str, name: str) -> bool:
    return zone == name or zone.endswith(f".{name}")
