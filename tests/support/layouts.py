"""The two layouts of the hybrid queue that are known, as DDL."""

from pathlib import Path

_HERE = Path(__file__)

LAYOUTS: dict[str, str] = {
    "basic": (_HERE.parent / "basic.sql").read_text(),
    "penguinmails": (_HERE.parents[2] / "demo" / "penguinmails.sql").read_text(),
    "empty": "",
}
