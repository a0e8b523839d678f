"""TLS for the web shell: one context shared by all connections, renewed when its files change."""

import ssl

import structlog
from pydantic import Field

from chassis.settings import InputFile, Settings
from chassis.watch import Stamp, stamp


class TlsSettings(Settings):
    """The `tls` section of `web`."""

    cert_file: InputFile = Field(description="PEM certificate, with the chain up to the CA.")
    key_file: InputFile = Field(description="PEM private key, without a passphrase.")
    client_ca_file: InputFile | None = Field(
        default=None, description="PEM certificates of CAs; clients must show a certificate from one of them."
    )


class RenewedTls:
    """Server contexts that follow their files.

    Making a context takes about 15 ms, so all connections share one. Each handshake compares the files'
    stamps and, if they changed, goes on with a new context; files half written leave the old one in use.
    """

    def __init__(self, settings: TlsSettings, logger: structlog.stdlib.BoundLogger) -> None:
        self._settings = settings
        self._logger = logger
        self._seen = self._look()
        self._current = self._make()

    def context(self) -> ssl.SSLContext:
        """The context to listen with; it hands each connection to the newest one."""
        listening = self._make()
        listening.sni_callback = self._on_hello
        return listening

    def _on_hello(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        seen = self._look()
        if seen != self._seen:
            self._seen = seen
            try:
                self._current = self._make()
            except (OSError, ValueError) as error:
                self._logger.warning("changed TLS files cannot be used; the earlier stay", reason=str(error))
            else:
                self._logger.info("TLS files renewed", cert_file=str(self._settings.cert_file))
        connection.context = self._current

    def _make(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # TLS 1.2 and later
        # A resumed session would skip the check of the client's certificate against renewed CAs.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
        context.load_cert_chain(self._settings.cert_file, self._settings.key_file, password=_no_passphrase)
        if self._settings.client_ca_file:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self._settings.client_ca_file)
        return context

    def _look(self) -> tuple[Stamp, ...]:
        settings = self._settings
        return tuple(stamp(path) for path in (settings.cert_file, settings.key_file, settings.client_ca_file) if path)


def _no_passphrase() -> str:
    # Without this OpenSSL would ask for it on the terminal, and the daemon would wait there for ever.
    raise ValueError("the private key has a passphrase; give one without")
