"""Texts from outside, made fit to be passed on: payloads are data, whatever they hold."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

# C0 and C1 controls but line ends and tabs, lone surrogates, and the marks that turn the direction of what follows.
_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]")
_URL = re.compile(r"https?://[^\s<>\"'`|\\^{}\x00-\x20]+", re.IGNORECASE)
_LONGEST_URL = 2000  # characters; browsers and providers take no more


def clean(text: str, limit: int = 4000) -> str:
    """`text` that any protocol can bear, of `limit` characters at most; line ends stay."""
    return cut(_UNFIT.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n").replace("\r", "\n")), limit)


def line(text: str, limit: int = 1000) -> str:
    """The same on one line."""
    return cut(" ".join(clean(text, limit * 2).split()), limit)


def cut(text: str, limit: int) -> str:
    """`text` of at most `limit` characters, with a sign if there was more."""
    return text if len(text) <= limit else text[: max(limit - 1, 0)].rstrip() + "…"


def link(url: str) -> str:
    """`url` if a person may be sent there, else nothing: http or https, and nothing that ends a quotation."""
    url = url.strip()
    if len(url) > _LONGEST_URL or not _URL.fullmatch(url) or _UNFIT.search(url):
        return ""
    try:
        return url if urlsplit(url).hostname else ""
    except ValueError:
        return ""
