"""What the answer of an HTTP service has to be."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from email.message import Message
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from chassis.settings import Settings
from chassis.units import found
from exporter.services.failure import Fault, ProbeFailed

# A search for an ill-chosen pattern takes time by the square of the text, and keeps all threads of Python waiting.
SEARCHED = 16_384  # characters

_STATUS = re.compile(r"[1-5](?:\d\d|xx)")
_STEP = re.compile(r"(?:^|\.)([^.\[\]]+)|\[(\d+)\]")
Scalar = str | int | float | bool | None


def _status(value: object) -> str:
    text = str(value).lower() if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not _STATUS.fullmatch(text):
        raise ValueError(f"{found(value)} is no status; write e.g. 200, 2xx or [200, 404]")
    return text


def _listed(value: Any) -> Any:
    if isinstance(value, list | tuple):
        if not value:
            raise ValueError("an empty list; write e.g. 200, 2xx or [200, 404]")
        return value
    return [value]


def pattern_problem(value: str) -> str:
    """`value`, if it is a regular expression; ValueError otherwise."""
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"no regular expression: {error.msg} at position {error.pos}") from None
    return value


def _paths(value: Mapping[str, Scalar]) -> Mapping[str, Scalar]:
    for path in value:
        list(_steps(path))
    return value


def _steps(path: str) -> Iterator[str | int]:
    end = 0
    for step in _STEP.finditer(path):
        if step.start() != end:
            break
        end = step.end()
        yield step[1] if step[1] is not None else int(step[2])
    if end != len(path) or not path:
        raise ValueError(f"{found(path)} is no path into JSON; write e.g. checks.database[0].status")


Pattern = Annotated[str, AfterValidator(pattern_problem)]
Statuses = Annotated[tuple[Annotated[str, BeforeValidator(_status)], ...], BeforeValidator(_listed)]


class ExpectOptions(Settings):
    """What the answer has to be. Everything that is given has to hold."""

    status: Statuses = Field(("2xx",), description="Status, or a list of them: `200`, `2xx`.")
    body: str | None = Field(None, min_length=1, description="Text that the body has to contain.")
    regex: Pattern | None = Field(
        None, description="Regular expression that has to match somewhere in the body's first 16,384 characters."
    )
    json_: Annotated[Mapping[str, Scalar], AfterValidator(_paths)] = Field(
        default_factory=dict,
        alias="json",
        description="By path into the body, e.g. `checks.database[0].status`, the value that has to be there.",
    )
    headers: Mapping[str, str] = Field(
        default_factory=dict, description="By name of a header, text that it has to contain; case does not matter."
    )


def status_allowed(options: ExpectOptions, status: int) -> bool:
    """Whether it is one of those expected."""
    return any(each in (str(status), f"{status // 100}xx") for each in options.status)


def check(options: ExpectOptions, headers: Message, body: bytes, charset: str) -> None:
    """Raises ProbeFailed (`body`) for the first expectation that does not hold. Never quotes the answer."""
    for name, wanted in options.headers.items():
        given = headers.get(name)
        if given is None or wanted.lower() not in given.lower():
            problem = "is missing" if given is None else f"does not contain {wanted!r}"
            raise ProbeFailed(Fault.BODY, f"header {name} {problem}")
    if options.body is None and options.regex is None and not options.json_:
        return
    try:
        text = body.decode(charset, "replace")
    except LookupError:
        text = body.decode("utf-8", "replace")
    size = f"{len(body):,} bytes"
    if options.body is not None and options.body not in text:
        raise ProbeFailed(Fault.BODY, f"{options.body!r} is not in the body of {size}")
    if options.regex is not None and not re.search(options.regex, text[:SEARCHED]):
        raise ProbeFailed(Fault.BODY, f"{options.regex!r} does not match in the body of {size}")
    if options.json_:
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            raise ProbeFailed(Fault.BODY, f"the body of {size} is no JSON") from None
        for path, value in options.json_.items():
            _check_value(document, path, value)


def _check_value(document: Any, path: str, wanted: Scalar) -> None:
    here = document
    for step in _steps(path):
        try:
            here = here[step]
        except (KeyError, IndexError, TypeError):
            raise ProbeFailed(Fault.BODY, f"the JSON holds no {path}") from None
    # In Python True is 1; in JSON it is not.
    if here != wanted or isinstance(here, bool) is not isinstance(wanted, bool):
        raise ProbeFailed(Fault.BODY, f"{path} in the JSON is not {json.dumps(wanted)}")
