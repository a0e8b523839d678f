"""Structured logs on one stream: JSON for machines, console for people, nothing secret in either."""

import logging
import sys
import threading
from collections.abc import Iterable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import structlog
from pydantic import Field
from structlog.typing import EventDict, Processor, WrappedLogger

from chassis.secrets import MASK, Secret, names_secret, sought, without
from chassis.settings import Settings

Format = Literal["json", "console"]
Level = Literal["debug", "info", "warning", "error"]

_FIRST = ("timestamp", "level", "logger", "event", "request_id")


class LogSettings(Settings):
    """The `log` section."""

    level: Level = Field(default="info", description="The least severe level that is written.")
    format: Format = Field(default="json", description="`json` for machines, `console` for people.")


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger whose lines bear `name` as `logger`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


class Redactor:
    """A structlog processor that masks every secret it was told of, and whatever looks like a credential."""

    def __init__(self) -> None:
        self._secrets: frozenset[Secret] = frozenset()
        self._read: tuple[Secret, ...] = ()  # from files: these alone can become others
        self._known: tuple[tuple[str, ...], ...] = ()  # what those were
        self._values: tuple[str, ...] = ()

    def learn(self, secrets: Iterable[Secret]) -> None:
        """From now on also masks `secrets`; those of an earlier configuration stay masked."""
        self._secrets = self._secrets.union(secrets)
        self._read = tuple(secret for secret in self._secrets if secret.path is not None)
        self._look_up()

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        # A thousand URLs are taken apart once, not for each line.
        if tuple(secret.known() for secret in self._read) != self._known:
            self._look_up()
        # The formatter's own fields (`_record`) are no part of the line.
        return {k: v if k.startswith("_") else self._field(k, v) for k, v in event.items()}

    def _look_up(self) -> None:
        self._known = tuple(secret.known() for secret in self._read)
        self._values = sought(self._secrets)

    def _field(self, key: object, value: object) -> object:
        if isinstance(value, str):
            return MASK if value and names_secret(str(key)) else without(value, self._values)
        if isinstance(value, Mapping):
            return {self._field("", k): self._field(k, v) for k, v in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._field("", each) for each in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return without(str(value) if isinstance(value, Exception) else repr(value), self._values)


def configure(level: Level, format: Format, stream: TextIO | None = None) -> Redactor:
    """Sends all logs of the process, those of libraries too, to `stream` (standard output).

    Called once, by `__main__`; again replaces what was. Tell the redactor of the settings' secrets.
    """
    stream = stream or sys.stdout
    redactor = Redactor()
    common: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        _timestamp,
    ]
    console = format == "console"
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*common, structlog.stdlib.ExtraAdder(), _without_uvicorn_colours],
        processors=[
            structlog.processors.format_exc_info,
            redactor,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _in_order,
            structlog.dev.ConsoleRenderer(colors=stream.isatty())
            if console
            else structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *common,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # else a logger would keep the pipeline that it met first
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    return redactor


def _timestamp(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event["timestamp"] = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return event


def _in_order(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    first = {key: event[key] for key in _FIRST if key in event}
    return first | {key: value for key, value in event.items() if key not in first}


def _without_uvicorn_colours(
    _logger: WrappedLogger, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    event.pop("color_message", None)  # uvicorn's copy of the message with terminal codes
    return event


class Repeats:
    """Says a failure that goes on once, again only when its reason changes, and once when it is over.

    Safe to share among threads.
    """

    def __init__(self, logger: structlog.stdlib.BoundLogger) -> None:
        self._logger = logger
        self._lock = threading.Lock()
        self._reasons: dict[str, str] = {}

    def failed(self, key: str, event: str, *, reason: str, **fields: Any) -> bool:
        """Logs a warning unless `key` last failed for the same `reason`; answers whether it did."""
        with self._lock:
            if self._reasons.get(key) == reason:
                return False
            self._reasons[key] = reason
        self._logger.warning(event, reason=reason, **fields)
        return True

    def recovered(self, key: str, event: str, **fields: Any) -> bool:
        """Logs that `key` is well again if it had failed; answers whether it had."""
        with self._lock:
            if self._reasons.pop(key, None) is None:
                return False
        self._logger.info(event, **fields)
        return True

    def forget(self, key: str) -> None:
        """Drops what is known of `key`, of which nothing more will come."""
        with self._lock:
            self._reasons.pop(key, None)
