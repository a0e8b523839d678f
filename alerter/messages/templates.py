"""Templates of the configuration: rendered elsewhere within limits, and what is built in when one fails."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, StringConstraints

from alerter.messages import sandbox
from alerter.messages.clean import clean
from alerter.messages.telling import Telling
from chassis.log import get_logger

log = get_logger(__name__)

LONGEST = 32_000  # characters of a rendered text, unless the receiver takes less
REST = 300.0  # seconds for which a template that went beyond its time or memory is not tried again
_PATIENCE = sandbox.SECONDS + 3.0  # seconds, with the start of the process


def _compiled(source: str) -> str:
    room = _Room()
    try:
        told = room.ask(source, {"check": True, "source": source})
    except TemplateFailed as failure:
        raise ValueError(str(failure)) from None
    finally:
        room.close()
    if "error" in told:
        raise ValueError(told["error"])
    return source


Template = Annotated[str, StringConstraints(min_length=1, max_length=20_000), AfterValidator(_compiled)]
"""Jinja2, compiled within the same limits when the configuration is read."""


class TemplateFailed(Exception):
    """A template gave no text; the reason is fit for logs."""


class Templates:
    """Renders templates, those of each receiver in a process of their own. Safe to share among threads."""

    def __init__(self, on_failure: Callable[[str], None] = lambda _receiver: None) -> None:
        """`on_failure` is called with the receiver's name for each template that failed."""
        self._on_failure = on_failure
        self._lock = threading.Lock()
        self._rooms: dict[str, _Room] = {}

    def text(
        self,
        receiver: str,
        source: str | None,
        telling: Telling,
        builtin: Callable[[], str],
        *,
        html: bool = False,
        escape: Callable[[str], str] | None = None,
        limit: int = LONGEST,
    ) -> str:
        """What the template `source` makes of `telling`, or `builtin()` without one, or if it fails.

        `html` escapes data for HTML, `escape` by any other rule; `limit` is in characters.
        """
        if source is None:
            return builtin()
        data = telling.data()
        try:
            shown = _escaped(data, escape) if escape else data
            text = self.render(receiver, source, shown, html=html, limit=limit).strip()
        except TemplateFailed as failure:
            log.warning("template_failed", receiver=receiver, reason=str(failure), instead="the built-in text is sent")
            self._on_failure(receiver)
            return builtin()
        return text or builtin()

    def render(
        self, receiver: str, source: str, data: Mapping[str, Any], *, html: bool = False, limit: int = LONGEST
    ) -> str:
        """The text. Raises TemplateFailed after 5 seconds at the latest."""
        with self._lock:
            room = self._rooms.setdefault(receiver, _Room())
        told = room.ask(source, {"source": source, "data": data, "html": html, "limit": limit})
        if "text" not in told:
            raise TemplateFailed(clean(str(told.get("error", "no text")), 200))
        return clean(str(told["text"]), limit)

    def close(self) -> None:
        """End the processes; a later rendering starts another."""
        with self._lock:
            rooms = list(self._rooms.values())
        for room in rooms:
            room.close()


class _Room:
    """One process for templates, from the first that needs it until one goes beyond its limits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._resting: dict[str, float] = {}  # templates, and when to try them again, by the monotonic clock

    def ask(self, source: str, request: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:
            if time.monotonic() < self._resting.get(source, 0.0):
                raise TemplateFailed("it went beyond its limits lately")
            answer = self._exchange(json.dumps(request).encode() + b"\n")
            if not answer.endswith(b"\n"):
                self._end()
                self._resting[source] = time.monotonic() + REST
                raise TemplateFailed(f"it takes more than {sandbox.SECONDS} s, or more memory than it may")
        told: dict[str, Any] = json.loads(answer)
        return told

    def close(self) -> None:
        with self._lock:
            self._end()

    def _exchange(self, request: bytes) -> bytes:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = _start()
        try:
            return _exchange(self._process, request, time.monotonic() + _PATIENCE)
        except OSError:  # it ended meanwhile
            return b""

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()


def _start() -> subprocess.Popen[bytes]:
    # Isolated, without our environment: what escapes from it finds no secrets there. `-I` finds Jinja2 all the same.
    command = [sys.executable, "-I", str(Path(sandbox.__file__))]
    process = subprocess.Popen(  # noqa: S603  # our own interpreter and our own file
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"LC_ALL": "C.UTF-8"},
        cwd="/",
        bufsize=0,
    )
    for pipe in (process.stdin, process.stdout):
        if pipe:
            os.set_blocking(pipe.fileno(), False)
    return process


def _exchange(process: subprocess.Popen[bytes], request: bytes, deadline: float) -> bytes:
    """Writes the request and reads a line, until `deadline`; less than a line if there is no more."""
    assert process.stdin and process.stdout  # noqa: S101  # both were asked for
    sender, receiver = process.stdin.fileno(), process.stdout.fileno()
    answer = b""
    with selectors.DefaultSelector() as ready:
        ready.register(receiver, selectors.EVENT_READ)
        ready.register(sender, selectors.EVENT_WRITE)
        while not answer.endswith(b"\n") and (left := deadline - time.monotonic()) > 0:
            for key, _ in ready.select(left):
                if key.fd == sender:
                    request = request[os.write(sender, request[:65536]) :]
                    if not request:
                        ready.unregister(sender)
                elif piece := os.read(receiver, 65536):
                    answer += piece
                else:
                    return answer
    return answer


def _escaped(value: Any, escape: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, dict):
        return {escape(key): _escaped(each, escape) for key, each in value.items()}
    if isinstance(value, list):
        return [_escaped(each, escape) for each in value]
    return value
