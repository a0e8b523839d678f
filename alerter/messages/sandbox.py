"""Renders templates in a process of its own: `python -I sandbox.py`, one JSON document a line in and out.

The system ends it at its limits of memory and time, whatever a template does; a thread could not be ended. It
inherits no environment and no files. In: `source`, `data`, `html`, `limit` (characters). Out: `text` or `error`.
With `check` in it, the template is compiled only, which evaluates its constants: that too may go on for ever.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

MEMORY = 256 << 20  # bytes of address space; Python and Jinja2 take about 40 MiB of it
SECONDS = 2  # for one rendering


def environment(html: bool) -> ImmutableSandboxedEnvironment:
    """What templates are compiled with; data is escaped if the result is HTML."""
    made = ImmutableSandboxedEnvironment(
        autoescape=html, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, auto_reload=False
    )
    # Texts for people need none of these; they only make large ones.
    for name in ("lipsum", "cycler", "joiner"):
        del made.globals[name]
    return made


def problem(source: str) -> str:
    """Why `source` is no template, with its line; nothing if it is one."""
    try:
        environment(html=False).from_string(source)
    except TemplateSyntaxError as error:
        return f"line {error.lineno}: {error.message}"
    except MemoryError:
        return "too much memory"
    except Exception as error:  # its constants may raise whatever they like
        return f"no template: {type(error).__name__}"
    return ""


def render(request: dict[str, Any]) -> dict[str, str]:
    """The answer to one request."""
    if "check" in request:
        found = problem(request["source"])
        return {"error": found} if found else {"text": ""}
    room = int(request["limit"])
    pieces: list[str] = []
    try:
        for piece in environment(bool(request["html"])).from_string(request["source"]).generate(request["data"]):
            room -= len(piece)
            if room < 0:
                return {"error": f"more than {request['limit']} characters"}
            pieces.append(piece)
    except MemoryError:
        return {"error": "too much memory"}
    except Exception as error:  # whatever a template may raise, it ends here
        # Only the kind and what Jinja2 itself says of it: other texts may quote data.
        said = error.message if isinstance(error, TemplateError) else None
        return {"error": f"{type(error).__name__}: {said or 'failed'}"[:200]}
    return {"text": "".join(pieces)}


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    for line in sys.stdin:
        signal.alarm(SECONDS)  # without a handler it ends the process
        answer = render(json.loads(line))
        signal.alarm(0)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
