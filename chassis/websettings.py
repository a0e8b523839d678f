"""The `web` section of a daemon's configuration."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from chassis.address import Address
from chassis.secrets import Secret
from chassis.settings import Settings
from chassis.tls import TlsSettings
from chassis.units import size

_BCRYPT = re.compile(r"\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}")


def _hash(secret: Secret) -> Secret:
    # Those in files are looked at when they are needed: they may be mounted later, and rotate.
    if secret.path is None and not _BCRYPT.fullmatch(secret.reveal()):
        raise ValueError("no bcrypt hash; make one with: htpasswd -nB USER")
    return secret


class WebSettings(Settings):
    """Where and to whom a daemon answers. The default listens on loopback, on any free port."""

    listen: Address = Field(default=Address("127.0.0.1", 0), description="host:port; `:port` alone is every interface.")
    tls: TlsSettings | None = Field(default=None, description="Without it plain HTTP is spoken.")
    basic_auth: dict[str, Annotated[Secret, AfterValidator(_hash)]] = Field(
        default_factory=dict,
        description="User names to bcrypt hashes (`htpasswd -nB USER`), or USER_file to a file with one.",
    )
    bearer_token: Secret | None = Field(default=None, description="Lets in who sends it; beside basic_auth.")
    max_body: Annotated[int, size(min=1)] = Field(default=1 << 20, description="Larger requests are refused.")

    @property
    def authenticates(self) -> bool:
        """Whether a client has to prove who it is."""
        return bool(self.basic_auth or self.bearer_token or (self.tls and self.tls.client_ca_file))
