"""Whatever values the schema allows: valid manifests, or a plain sentence that says what does not fit."""

import json
import re
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.helm.chart import CHART, HELMS, Refused, render
from tests.helm.checks import problems
from tests.helm.kube import ALL, invalid
from tests.helm.random_values import Values

VALUES = Values(json.loads((CHART / "values.schema.json").read_text()))
NUMBERS = count()
# What the chart's own `fail` says begins with the path of a key.
SENTENCE = re.compile(
    r"execution error at \([^)]*\): [a-zA-Z]+(?:\.[a-zA-Z_]+)*: \S+ .+|execution error at \([^)]*\): \w+\.enabled and ",
    re.S,
)
# Not shrunk: that takes Helm many minutes; the values are in the report as they were drawn.
QUICK = settings(deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate], database=None)


@pytest.mark.timeout(400)
# Always the same ones here; `make soak` draws others.
@settings(QUICK, max_examples=100, derandomize=True)
@given(data=st.data())
def test_random_values_are_valid_or_refused_with_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    # By each Helm in turn, and every fourth time by its schema, too: what is drawn from the schema passes it, and that
    # takes Helm as long as all else.
    number = next(NUMBERS)
    more = [] if number % 8 < 2 else ["--skip-schema-validation"]
    look(list(HELMS)[number % 2], data.draw(VALUES.strategy()), tmp_path_factory.getbasetemp(), *more)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@settings(QUICK, max_examples=2000)
@given(data=st.data())
def test_many_random_values(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    look("helm4", data.draw(VALUES.strategy()), tmp_path_factory.getbasetemp())


def look(which: str, values: dict[str, Any], folder: Path, *more: str) -> None:
    """Renders `values`, and fails unless that is valid or refused as it should be."""
    try:
        rendered = render(values, *more, which=which, folder=folder)
    except Refused as refused:
        assert SENTENCE.search(refused.text), refused.text
        return
    assert problems(rendered) == []
    assert [text for each in rendered for text in invalid(each, ALL[-1])] == []
