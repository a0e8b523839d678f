"""Takes a picture of each dashboard of the built page by headless Chromium, as wide as a laptop and as high as it is.

`python -m deploy.grafana.render.shoot recorded.json docs/images`
"""

from __future__ import annotations

import argparse
import functools
import http.server
import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

BUILD = Path(__file__).parent / "build"
WIDTH = 1366
# Pixels of a row of Grafana's grid with the gap below it, and of what stands above the first.
ROW, HEADING = 38, 96
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
DRAWN = 15000  # milliseconds of the page's own time, within which all is drawn


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_said: object) -> None:
        pass


def height(dashboard: Mapping[str, Any]) -> int:
    """Of the whole dashboard, in pixels."""
    rows = [int(panel["gridPos"].get("y", 0) + panel["gridPos"]["h"]) for panel in dashboard["panels"]]
    return max(rows) * ROW + HEADING


def shoot(url: str, picture: Path, tall: int) -> None:
    """One picture; its colours are reduced to what a diagram needs, where pngquant is there to do it."""
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(  # noqa: S603 - fixed words, and paths of ours
            [
                shutil.which("chromium") or "chromium", *FLAGS, f"--user-data-dir={profile}",
                f"--window-size={WIDTH},{tall}", f"--virtual-time-budget={DRAWN}", f"--screenshot={picture}", url,
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )  # fmt: skip
    if quantizer := shutil.which("pngquant"):
        command = [quantizer, "--force", "--ext", ".png", "--speed", "1", "64", str(picture)]
        subprocess.run(command, check=True)  # noqa: S603 - the same


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recorded", type=Path, help="what record.py wrote")
    parser.add_argument("folder", type=Path, help="where the pictures go")
    given = parser.parse_args()
    shutil.copy(given.recorded, BUILD / "recorded.json")
    boards = json.loads(given.recorded.read_text())["boards"]
    handler = functools.partial(_Quiet, directory=str(BUILD))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for uid, board in boards.items():
            picture = given.folder / f"dashboard-{uid.removeprefix('postwatch-')}.png"
            shoot(f"http://127.0.0.1:{server.server_port}/?board={uid}", picture, height(board["dashboard"]))
        server.shutdown()


if __name__ == "__main__":
    main()
