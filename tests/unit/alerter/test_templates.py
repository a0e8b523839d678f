"""Templates of the configuration: what they see, and how the worst of them end."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerter.messages import blocks, sandbox
from alerter.messages.sandbox import MEMORY, problem
from alerter.messages.telling import Telling, tell
from alerter.messages.templates import TemplateFailed, Templates
from alerter.model import Action
from alerter.receivers.slack import Options
from chassis.settings import SettingsError, parse
from tests.support.telling import HOME, NOON, alert, message

BOMBS = {
    "loops": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "a power": "{{ 9 ** (9 ** 9) }}",
    "a product": "{{ 'x' * 10 ** 12 }}",
    "output": "{% for i in range(99999) %}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{% endfor %}",
    "doubling": "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}",
    "a width": "{{ '%99999999999d' % 1 }}",
    "padding": "{{ 'x'.ljust(99999999999) }}",
    "recursion": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "a list": "{% set x = [0] * 99999999999 %}{{ x }}",
}
ESCAPES = {
    "classes": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "globals": "{{ self.__init__.__globals__ }}",
    "format": "{{ '{0.__class__.__init__.__globals__}'.format(title) }}",
    "map": "{{ [title] | map(attribute='__class__') | join }}",
    "import": "{% import 'os' as os %}{{ os }}",
    "include": "{% include '/etc/passwd' %}",
    "unknown": "{{ nobody_knows }}",
    "mutation": "{% set _ = alerts.append(1) %}",
}


CONFIGURATION = '{name: a, kind: slack, token: xoxb-1234, channel: c, templates: {text: "%s"}}'


@pytest.fixture
def failures() -> list[str]:
    return []


@pytest.fixture
def templates(failures: list[str]) -> Iterator[Templates]:
    made = Templates(failures.append)
    yield made
    made.close()


@pytest.fixture
def telling() -> Telling:
    return tell(message(), NOON + 720, HOME)


def text(templates: Templates, source: str, telling: Telling) -> str:
    return templates.text("ops", source, telling, lambda: "the built-in text")


def test_what_a_template_sees(templates: Templates, telling: Telling) -> None:
    source = (
        "{{ word }} {{ service }} {{ count }}/{{ firing }} {{ url }}"
        "{% for a in alerts %} {{ a.where }}; {{ a.since }}; {{ a.lasted }}; {{ a.labels.queue }}; "
        "{{ a.annotations.summary }}; {{ a.runbook_url }}{% endfor %}"
    )
    assert text(templates, source, telling) == (
        f"CRITICAL queues 1/1 {HOME} queue email-sending, priority high; 2023-11-14 22:13 UTC; 12 min; email-sending; "
        "12,431 jobs wait in email-sending; https://runbooks.example.com/backlog"
    )


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_ends_at_its_limit(templates: Templates, telling: Telling, failures: list[str], name: str) -> None:
    began = time.monotonic()
    assert text(templates, BOMBS[name], telling) == "the built-in text"
    assert time.monotonic() - began < 10
    assert failures == ["ops"]
    # The next is well again.
    assert text(templates, "{{ word }}", telling) == "CRITICAL"


def test_a_template_that_took_too_long_rests(templates: Templates, telling: Telling, failures: list[str]) -> None:
    text(templates, BOMBS["loops"], telling)
    began = time.monotonic()
    assert text(templates, BOMBS["loops"], telling) == "the built-in text"
    assert time.monotonic() - began < 1
    assert failures == ["ops", "ops"]


@pytest.mark.parametrize("name", ESCAPES)
def test_nothing_gets_out(templates: Templates, telling: Telling, failures: list[str], name: str) -> None:
    assert text(templates, ESCAPES[name], telling) in ("the built-in text", "{0.__class__.__init__.__globals__}")
    assert failures == ["ops"]


def test_the_process_inherits_no_environment_and_has_its_limits(
    templates: Templates, telling: Telling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTWATCH_SECRET", "hunter2-hunter2")
    text(templates, "{{ word }}", telling)
    process = templates._rooms["ops"]._process
    assert process is not None
    about = Path(f"/proc/{process.pid}")
    assert b"hunter2" not in (about / "environ").read_bytes()
    # And it has its limits of memory and of files from the system, not from Python.
    limits = (about / "limits").read_text()
    assert re.search(rf"Max address space +{MEMORY} +{MEMORY} ", limits)
    assert re.search(r"Max file size +0 +0 ", limits)


def test_the_system_ends_what_takes_too_long() -> None:
    """Even if nobody waits for it any more."""
    command = [sys.executable, "-I", sandbox.__file__]
    bomb = {"source": BOMBS["loops"], "data": {}, "html": False, "limit": 100}
    done = subprocess.run(command, input=json.dumps(bomb), text=True, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGALRM, "")


def test_an_ended_process_is_replaced(templates: Templates, telling: Telling, failures: list[str]) -> None:
    text(templates, "{{ word }}", telling)
    process = templates._rooms["ops"]._process
    assert process is not None
    process.kill()
    process.wait()
    assert text(templates, "{{ word }}", telling) == "CRITICAL"
    assert failures == []


def test_data_is_no_template(templates: Templates) -> None:
    told = tell(message(Action.TRIGGER, alert(labels={"queue": "{{ 7 * 191 }}"})), NOON, HOME)
    assert text(templates, "{{ alerts[0].labels.queue }}", told) == "{{ 7 * 191 }}"


def test_slack_s_templates_see_escaped_data(templates: Templates) -> None:
    told = tell(message(Action.TRIGGER, alert(labels={"queue": "<!channel> & co"})), NOON, HOME)
    shown = templates.text("ops", "{{ alerts[0].labels.queue }}", told, lambda: "", escape=blocks.escape)
    assert shown == "&lt;!channel&gt; &amp; co"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from(
            [
                "{{ ",
                " }}",
                "{% ",
                " %}",
                "for x in ",
                "if ",
                "endfor",
                "endif",
                "alerts",
                "x",
                "title",
                "|",
                "join",
                "'",
            ]
        )
        | st.text(max_size=8),
        min_size=1,
        max_size=12,
    ).map("".join)
)
def test_whatever_somebody_writes_gives_a_text(templates: Templates, telling: Telling, source: str) -> None:
    try:
        shown = templates.render("ops", source, telling.data())
    except TemplateFailed as failure:
        assert "\n" not in str(failure)
    else:
        assert len(shown) <= 32_000


# In the configuration


@pytest.mark.parametrize(
    ("source", "told"),
    [("{{ title", "line 1"), ("{% if x %}", "line 1"), ("a\n{% bad %}", "line 2"), ("{{ x | nope }}", "line 1")],
)
def test_a_template_that_is_none_is_a_mistake_with_its_line(source: str, told: str) -> None:
    assert problem(source).startswith(told)
    configuration = f"{{name: a, kind: slack, token: xoxb-1234, channel: c, templates: {{text: {source!r}}}}}"
    with pytest.raises(SettingsError) as caught:
        parse(configuration.replace("\\n", " "), Options, {})
    assert "templates.text: line 1" in str(caught.value)


def test_a_bomb_that_goes_off_when_it_is_compiled_is_a_mistake() -> None:
    began = time.monotonic()
    with pytest.raises(SettingsError, match=r"templates\.text: it takes more than 2 s"):
        parse(CONFIGURATION % BOMBS["a power"], Options, {})
    assert time.monotonic() - began < 10
