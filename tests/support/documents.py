"""The documents: their fenced blocks, so that tests can do what these say, and whether they tell all.

A comment on the line before a block says what a test does with it: `<!-- test: run -->`.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from chassis.settings import describe

REPOSITORY = Path(__file__).parents[2]
DOCUMENTS = [
    *sorted(REPOSITORY.glob("*.md")),
    *sorted((REPOSITORY / "docs").rglob("*.md")),
]
_FENCE = re.compile(r"(?:^<!-- test: (?P<mark>[^\n]*?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    document: Path
    line: int
    language: str
    mark: str | None
    text: str

    def __str__(self) -> str:
        return f"{self.document.name}:{self.line}"


def blocks(document: Path, language: str | None = None) -> list[Block]:
    """The fenced blocks of a document in order; of one language, if that is given."""
    text = document.read_text()
    found = [
        Block(
            document,
            text.count("\n", 0, match.start("language")) + 1,
            match["language"],
            match["mark"],
            match["text"],
        )
        for match in _FENCE.finditer(text)
    ]
    return [block for block in found if language is None or block.language == language]


def prose(document: Path) -> str:
    """The document without its fenced blocks."""
    return _FENCE.sub("", document.read_text())


def has_all_settings(page: str, model: type[BaseModel]) -> None:
    """Each setting stands in a table under its mapping's heading, and is explained."""
    headings = set(re.findall(r"^### `(.+)`$", page, re.M))
    for setting in describe(model):
        above, _, key = setting.path.rpartition(".")
        assert not above or above in headings
        assert f"| `{key}` |" in page
        assert setting.doc, f"{setting.path} has no description"
