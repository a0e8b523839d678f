"""Licences of all that is installed from the locks: those of the daemons may be passed on with them."""

import re
from importlib import metadata
from typing import Any

import pytest
from packaging.markers import Marker

from tests.support.documents import REPOSITORY

# As they are written in the field, to what SPDX calls them.
NAMES = {
    "Apache": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "BSD 2-Clause License": "BSD-2-Clause",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
BY_THEIR_FILE = {"promql-parser": "MIT"}  # it ships the text, and does not name it
FREE = {
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    "MIT-0",
    "PSF-2.0",
    "Python-2.0",
    "Unlicense",
}
# Weak copyleft: their own files stay free, and they are used as they are.
BY_FILE = {"MPL-2.0", "LGPL-3.0-only", "LGPL-3.0-or-later", "LGPL-2.1-or-later"}
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)(?: ; ([^\\\n]+?))? \\$", re.M)


def licence(name: str) -> str:
    """What a package says, as an SPDX expression."""
    said: Any = metadata.metadata(name)  # typed without what all Pythons have
    if expression := said.get("License-Expression"):
        return str(expression)
    given = said.get("License") or ""
    if given and "\n" not in given and len(given) <= 40:
        return NAMES.get(given, given)
    if name in BY_THEIR_FILE:
        return BY_THEIR_FILE[name]
    classified = [
        each.rpartition(" :: ")[2] for each in said.get_all("Classifier") or [] if each.startswith("License ::")
    ]
    return " AND ".join(NAMES.get(each, each) for each in classified if each not in ("OSI Approved", "DFSG approved"))


def allowed(expression: str, among: set[str]) -> bool:
    """Whether one may choose licences of `among` only, by an expression of AND, OR and brackets."""
    plain = re.sub(r"[()]", " ", expression)
    parts = re.split(r"\s+AND\s+", plain.strip())
    return bool(expression) and all(
        any(each.strip() in among for each in re.split(r"\s+OR\s+", part)) for part in parts
    )


@pytest.mark.parametrize("lock", ["runtime.txt", "dev.txt"])
def test_every_licence_is_one_that_we_may_use(lock: str) -> None:
    text = (REPOSITORY / "requirements" / lock).read_text()
    pins = [match[1] for match in PIN.finditer(text) if match[3] is None or Marker(match[3]).evaluate()]
    assert len(pins) > 20
    said = {name: licence(name) for name in pins}
    assert {name: words for name, words in said.items() if not allowed(words, FREE | BY_FILE)} == {}


def test_expressions_are_read() -> None:
    assert allowed("Apache-2.0 OR GPL-3.0-only", FREE)
    assert not allowed("Apache-2.0 AND GPL-3.0-only", FREE)
    assert allowed("MPL-2.0 AND (Apache-2.0 OR MIT)", FREE | BY_FILE)
    assert not allowed("", FREE)
