"""Values that must never be seen: held, revealed on demand, masked everywhere else."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Self
from urllib.parse import unquote

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

MASK = "***"
_SHORTEST = 4  # a value of three characters or less stands in too many innocent words to be searched for
_LARGEST = 1 << 20  # bytes; a secret file beyond that is a mistake, and may be an endless device

_NAME = r"[\w.-]*(?:passw(?:or)?d|passphrase|pwd|secret|token|credential|api[_-]?key|signature)[\w.-]*"
_USERINFO = re.compile(r"""([a-z][a-z0-9+.-]*://[^\s/:@?#'"]*):(?!\d+[/?#])[^\s'"]*@""", re.IGNORECASE)
_ASSIGNED = re.compile(
    rf"""\b({_NAME})(\s*=\s*|["']\s*[:=]\s*(?=["']))('(?:[^'\\]|\\.)*(?:'|$)|"(?:[^"\\]|\\.)*(?:"|$)|[^\s&,;"')\]}}]+)""",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(bearer|authorization:?\s+basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE)
_SECRET_NAME = re.compile(_NAME, re.IGNORECASE)


class SecretUnavailable(Exception):
    """A secret's file cannot be read; the text names the path and the reason, never content."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class Refusal:
    """Stands for a secret that was given wrongly, so that its mistake is told along with all the others."""

    def __init__(self, message: str) -> None:
        self.message = message


class Secret:
    """A value, or the path of a file that holds it. Only `reveal()` shows it."""

    __slots__ = ("_known", "_value", "path")

    def __init__(self, value: str) -> None:
        self._value: str | None = value
        self.path: Path | None = None
        self._known: tuple[str, ...] = (value,)

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """A secret that is read from `path` each time, so that a rotated file counts at once."""
        secret = cls("")
        secret._value, secret.path, secret._known = None, path, ()
        return secret

    def reveal(self) -> str:
        """The value itself. One newline at the end of a file does not belong to it.

        Raises SecretUnavailable if the file is missing, unreadable, empty or no text.
        """
        if self.path is None:
            return self._value or ""
        try:
            with self.path.open("rb") as file:
                content = file.read(_LARGEST + 1)
        except OSError as error:
            raise SecretUnavailable(self.path, error.strerror or type(error).__name__) from None
        if len(content) > _LARGEST:
            raise SecretUnavailable(self.path, "too large for a secret")
        try:
            text = content.decode()
        except UnicodeDecodeError:
            raise SecretUnavailable(self.path, "not UTF-8 text") from None
        text = text.removesuffix("\n").removesuffix("\r")
        if not text:
            raise SecretUnavailable(self.path, "empty")
        if text not in self._known:
            # The one before stays known: what still runs with it may fail and say so in a log.
            self._known = (text, *self._known[:1])
        return text

    def known(self) -> tuple[str, ...]:
        """What redaction has to look for, without reading any file."""
        return self._known

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path or MASK})"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return (type(self), self._value, self.path) == (type(other), other._value, other.path)

    def __hash__(self) -> int:
        return hash((type(self), self._value, self.path))

    @classmethod
    def _validate(cls, value: object) -> Self:
        if isinstance(value, cls):
            return value
        if isinstance(value, Refusal):
            raise ValueError(value.message)  # noqa: TRY004  # pydantic collects ValueError, not TypeError
        if not isinstance(value, str):
            raise ValueError("not a text; put it into quotes")  # noqa: TRY004  # likewise
        if not value:
            raise ValueError("empty")
        return cls(value)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validate, serialization=core_schema.to_string_ser_schema()
        )


class SecretUrl(Secret):
    """A URL or libpq keyword string that may bear a password."""

    __slots__ = ()

    @property
    def safe(self) -> str:
        """The address for logs, without password or credentials. Raises SecretUnavailable."""
        return safe_url(self.reveal())

    def known(self) -> tuple[str, ...]:
        # A store's URL without credentials is an address, and logs are to name it; one for HTTP may be a secret by
        # its path.
        values = [value for value in super().known() if value.startswith("http") or safe_url(value) != value]
        parts = [part for value in values for part in (value, *_passwords(value))]
        return tuple(dict.fromkeys(parts))


def safe_url(url: str) -> str:
    """`url` without its password and its parameters that bear credentials.

    The user information ends at the last `@` of all: passwords with an unescaped `@`, `/` or `?` are met in
    the field, and showing too little is better than too much. What is neither URL nor keywords is all masked.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or not re.fullmatch(r"[\w+.-]+", scheme):
        return mask(url) if re.match(r"\s*\w+\s*=", url) else MASK
    userinfo, at, address = rest.rpartition("@")
    if at:
        user, colon, _ = userinfo.partition(":")
        if scheme.startswith("http") and not colon:
            user = MASK  # a token in the user's place, as in https://TOKEN@host
        address = f"{user}{':' + MASK if colon else ''}@{address}"
    return f"{scheme}://{mask(address)}"


def _passwords(url: str) -> list[str]:
    _, _, rest = url.partition("://")
    userinfo, _, _ = rest.rpartition("@")
    _, _, password = userinfo.partition(":")
    values = [password, *(match[3].strip("'\"") for match in _ASSIGNED.finditer(url))]
    return [form for value in values if value for form in (value, unquote(value))]


def mask(text: str) -> str:
    """`text` without what looks like credentials: `scheme://user:PASSWORD@`, `password=…`, bearer tokens."""
    text = _USERINFO.sub(rf"\1:{MASK}@", text)
    text = _ASSIGNED.sub(lambda match: f"{match[1]}{match[2]}{MASK}", text)
    return _BEARER.sub(rf"\1 {MASK}", text)


def sought(secrets: Iterable[Secret]) -> tuple[str, ...]:
    """The texts that redaction looks for, longest first: a whole is masked before its part."""
    values = {value for secret in secrets for value in secret.known() if len(value) >= _SHORTEST}
    return tuple(sorted(values, key=len, reverse=True))


def redact(text: str, secrets: Iterable[Secret]) -> str:
    """`text` without the values of `secrets` (of four characters or more) and what looks like credentials."""
    return without(text, sought(secrets))


def without(text: str, values: Iterable[str]) -> str:
    """As `redact`, for many texts: what `sought` answered is worked out once."""
    for value in values:
        text = text.replace(value, MASK)
    return mask(text)


def names_secret(name: str) -> bool:
    """Whether a field called so holds a secret by its name."""
    return _SECRET_NAME.fullmatch(name) is not None
