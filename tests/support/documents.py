"""The fenced blocks of the documents, so that tests can do what the documents say.

A comment on the line before a block says what a test does with it: `<!-- test: run -->`.
"""

import re
from dataclasses import dataclass
from pathlib import Path

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
