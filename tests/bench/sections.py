"""The daemon with a configuration of any sections, where a bed has queues alone."""

from pathlib import Path

import yaml

from tests.bench.bed import Daemon


class Exporter(Daemon):
    """Up once a sampler has run."""

    def __init__(self, folder: Path, sections: dict[str, object]) -> None:
        super().__init__(folder, sources=[{}])
        given = {"web": {"listen": f"127.0.0.1:{self.port}"}, **sections}
        self._config.write_text(yaml.safe_dump(given))

    def _is_up(self) -> bool:
        try:
            return self.value("postwatch_sampler_runs_total") > 0
        except OSError:
            return False
