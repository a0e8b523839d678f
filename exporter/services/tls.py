"""TLS towards what is probed: its options, contexts that many probes share, and when a certificate expires."""

from __future__ import annotations

import calendar
import ssl
import threading
import time
from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator

from chassis.settings import InputFile, Settings
from chassis.watch import Stamp, stamp
from exporter.services.failure import Fault, ProbeFailed


class TlsOptions(Settings):
    """How a target's certificate is verified, and which one we show."""

    verify: bool | None = Field(
        None, description="Whether the certificate has to be valid for the host; yes, but see `starttls: optional`."
    )
    ca_file: InputFile | None = Field(None, description="PEM certificates that are trusted instead of the system's.")
    cert_file: InputFile | None = Field(None, description="PEM certificate that we show, with its chain.")
    key_file: InputFile | None = Field(None, description="PEM private key of it; not needed if it is in `cert_file`.")
    server_name: str | None = Field(
        None, min_length=1, description="Name that the certificate has to be for, and that is asked for; the host's."
    )

    @field_validator("key_file")
    @classmethod
    def _key_has_certificate(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        if key and "cert_file" in info.data and not info.data["cert_file"]:
            raise ValueError("given without cert_file; give both")
        return key


_Key = tuple[bool, Path | None, Path | None, Path | None]


class Contexts:
    """One context for all who want the same: making one takes 15 ms and reads the system's certificates."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[_Key, tuple[tuple[Stamp, ...], ssl.SSLContext]] = {}

    def get(self, options: TlsOptions, *, verify: bool) -> ssl.SSLContext:
        """A context that follows its files when they change. Raises ProbeFailed (`tls`) if they cannot be used."""
        key = (verify, options.ca_file, options.cert_file, options.key_file)
        seen = tuple(stamp(path) for path in key[1:] if path)
        with self._lock:
            known = self._made.get(key)
            if known is None or known[0] != seen:
                try:
                    known = (seen, _make(options, verify=verify))
                except (OSError, ValueError) as error:
                    if known is None:
                        raise ProbeFailed(Fault.TLS, f"the files under `tls` cannot be used: {_why(error)}") from error
                    known = (seen, known[1])  # half written: the earlier ones stay, until they change again
                self._made[key] = known
            return known[1]


def _make(options: TlsOptions, *, verify: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # TLS 1.2 and later
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif options.ca_file:
        context.load_verify_locations(options.ca_file)
    else:
        context.load_default_certs()
    if options.cert_file:
        context.load_cert_chain(options.cert_file, options.key_file, password=_no_passphrase)
    return context


def _no_passphrase() -> str:
    # Without this OpenSSL would ask for it on the terminal, and the daemon would wait there for ever.
    raise ValueError("the private key has a passphrase; give one without")


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def expiry(certificate: bytes) -> float | None:
    """Epoch seconds of a certificate's end (DER; RFC 5280, 4.1), or None if it cannot be read.

    Python decodes verified certificates alone, and one that has expired is the very one to tell of.
    """
    try:
        _, inside, _ = _element(certificate, 0)
        _, place, _ = _element(certificate, inside)
        tag, _, end = _element(certificate, place)
        if tag == 0xA0:  # the version, left out in version 1
            place = end
        for _ in range(3):  # serial number, signature's algorithm, issuer
            _, _, place = _element(certificate, place)
        _, validity, _ = _element(certificate, place)
        _, _, not_after = _element(certificate, validity)
        tag, start, end = _element(certificate, not_after)
        text = certificate[start:end].decode("ascii")
        if tag == 0x17:  # UTCTime, of 1950 to 2049
            text = ("19" if int(text[:2]) >= 50 else "20") + text
        return float(calendar.timegm(time.strptime(text, "%Y%m%d%H%M%SZ")))
    except (IndexError, ValueError):
        return None


def _element(data: bytes, at: int) -> tuple[int, int, int]:
    """Of the DER element at a place: its tag, where its content starts and where it ends."""
    length, start = data[at + 1], at + 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[at + 2 : start])
    return data[at], start, start + length
