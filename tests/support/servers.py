"""Servers of Debian's packages, with the same interface as the demo's (demo.server.Server)."""

import pwd
from collections.abc import Mapping
from pathlib import Path

import psycopg
import redis

from demo.process import ServerError, free_port, unprivileged
from demo.server import Server
from demo.servers import Postgres, Redis
from tests.support.certificates import Certificates, make_certificates


class Postgres15(Postgres):
    """Debian's PostgreSQL 15."""

    missing = "install the package postgresql-15"

    def __init__(
        self,
        folder: Path | None = None,
        *,
        settings: Mapping[str, str] | None = None,
        template: Path | None = None,
        port: int | None = None,
    ) -> None:
        binaries = Path("/usr/lib/postgresql/15/bin")
        super().__init__(folder, binaries=binaries, settings=settings, template=template, port=port)


class Standby(Postgres):
    """A physical standby of a running primary, of the same version, answering read-only queries."""

    kind = "PostgreSQL-standby"

    def __init__(self, primary: Postgres, *, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(binaries=primary.binaries, settings={**primary.settings, **(settings or {})})
        self.primary = primary
        self.missing = primary.missing

    def make_data(self) -> None:
        self.run(
            str(self.tool("pg_basebackup")), "--pgdata", str(self.data), "--dbname", self.primary.url(),
            "--checkpoint", "fast", "--wal-method", "stream", "--write-recovery-conf", "--no-sync",
        )  # fmt: skip

    def promote(self) -> None:
        """Makes it a primary, as after a failover."""
        with psycopg.connect(self.url()) as connection:
            connection.execute("select pg_promote()")

    def caught_up(self) -> bool:
        """Whether all that the primary has written by now is visible here."""
        with psycopg.connect(self.primary.url()) as connection:
            row = connection.execute("select pg_current_wal_lsn()").fetchone()
        with psycopg.connect(self.url()) as connection:
            seen = connection.execute(
                "select pg_last_wal_replay_lsn() >= %s::pg_lsn", [row[0] if row else None]
            ).fetchone()
        return bool(seen and seen[0])


class PgBouncer(Server):
    """Debian's PgBouncer in transaction mode before a PostgreSQL; any of that one's users may log in."""

    kind = "PgBouncer"

    def __init__(
        self, postgres: Postgres, *, settings: Mapping[str, str] | None = None, port: int | None = None
    ) -> None:
        super().__init__(port=port)
        self.postgres = postgres
        self.settings = settings or {}

    def url(self, database: str = "postgres", user: str = "postgres", password: str | None = None) -> str:
        secret = f":{password}" if password else ""
        return f"postgresql://{user}{secret}@127.0.0.1:{self.port}/{database}"

    def user(self) -> pwd.struct_passwd | None:
        return unprivileged()

    def prepare(self) -> None:
        self.folder.chmod(0o755)

    def command(self) -> list[str]:
        binary = Path("/usr/sbin/pgbouncer")
        if not binary.exists():
            raise ServerError("pgbouncer is missing: install the package pgbouncer")
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "pool_mode": "transaction",
            "auth_type": "trust",
            "auth_file": str(self.folder / "users.txt"),
            "auth_user": "postgres",  # looks up those who are not in the file
            "admin_users": "postgres",
            "max_client_conn": "500",
            "default_pool_size": "20",
            **self.settings,
        }
        (self.folder / "users.txt").write_text('"postgres" ""\n')
        ini = self.folder / "pgbouncer.ini"
        lines = [
            "[databases]",
            f"* = host=127.0.0.1 port={self.postgres.port}",
            "[pgbouncer]",
            *(f"{name} = {value}" for name, value in settings.items()),
        ]
        ini.write_text("\n".join(lines) + "\n")
        return [str(binary), str(ini)]

    def answers(self) -> bool:
        try:
            with psycopg.connect(self.url("pgbouncer"), autocommit=True, prepare_threshold=None) as connection:
                connection.execute("show version")
        except psycopg.OperationalError:
            return False
        return True


class RedisServer(Redis):
    """Debian's redis-server: plain, with a password, with ACL users, with TLS.

    `users` maps names to ACL rules ("on >secret ~* +@all"); `password` is the default user's.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        password: str | None = None,
        users: Mapping[str, str] | None = None,
        tls: bool = False,
        settings: Mapping[str, str] | None = None,
        port: int | None = None,
    ) -> None:
        super().__init__(folder, binary="redis-server", settings=settings, port=port)
        self.password = password
        self.users = users or {}
        self.certificates: Certificates | None = None
        if tls:
            self.certificates = files = make_certificates(self.folder / "tls")
            self.settings |= {
                "tls-cert-file": str(files.cert),
                "tls-key-file": str(files.key),
                "tls-ca-cert-file": str(files.ca),
                "tls-auth-clients": "no",
            }
        if password is not None or self.users:
            default = f"on >{password}" if password is not None else "on nopass"
            rules = {"default": f"{default} ~* &* +@all", **self.users}
            acl = self.folder / "users.acl"
            acl.write_text("".join(f"user {name} {rule}\n" for name, rule in rules.items()))
            self.settings["aclfile"] = str(acl)

    @property
    def url(self) -> str:
        return self.url_as("", self.password or "")

    def url_as(self, user: str, password: str, database: int = 0) -> str:
        scheme = "rediss" if self.certificates else "redis"
        login = f"{user}:{password}@" if user or password else ""
        return f"{scheme}://{login}127.0.0.1:{self.port}/{database}"

    def command(self) -> list[str]:
        command = super().command()
        if self.certificates:  # the later option wins
            command += ["--port", "0", "--tls-port", str(self.port)]
        return command

    def client(self, database: int = 0) -> "redis.Redis":
        url = self.url_as("", self.password or "", database)
        if self.certificates:
            authority = str(self.certificates.ca)
            return redis.Redis.from_url(url, decode_responses=True, socket_timeout=5, ssl_ca_certs=authority)
        return redis.Redis.from_url(url, decode_responses=True, socket_timeout=5)


__all__ = [
    "PgBouncer",
    "Postgres",
    "Postgres15",
    "RedisServer",
    "Server",
    "ServerError",
    "Standby",
    "free_port",
]
