"""Writes dashboards/*.json, and removes what no code makes any more."""

from pathlib import Path

from deploy.grafana.all import BOARDS

FOLDER = Path(__file__).parent / "dashboards"


def main() -> None:
    """Writes all of them."""
    FOLDER.mkdir(exist_ok=True)
    for old in {path.name for path in FOLDER.glob("*.json")} - {board.file for board in BOARDS}:
        (FOLDER / old).unlink()
    for board in BOARDS:
        (FOLDER / board.file).write_text(board.written())


if __name__ == "__main__":
    main()
