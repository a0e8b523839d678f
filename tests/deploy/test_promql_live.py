"""Every PromQL expression that is shipped has an answer, from a real Prometheus that scrapes the demo."""

import pytest

from exporter.docs.rules import labels
from tests.deploy.living import Living
from tests.deploy.promql import GUIDE, QUERIES, expressions, plain, relaxed, selectors
from tests.deploy.rules import rules
from tests.support.documents import blocks
from tests.support.wait import eventually

pytestmark = [pytest.mark.xdist_group("living"), pytest.mark.timeout(300)]

# What the demo has no series for, in any of its troubles, and why.
EXEMPT: dict[str, str] = {}
WITHIN = 60.0  # seconds; it ends as soon as all have answered


def unanswered(demo: Living, asked: dict[str, str], within: float = WITHIN) -> str:
    """Of queries by where they stand, those without an answer after that time, in lines."""
    left = dict(asked)

    def all_answered() -> bool:
        for where, text in list(left.items()):
            if demo.prometheus.query(text):
                del left[where]
        return not left

    try:
        eventually(all_answered, within=within, every=0.5)
    except AssertionError:
        return "\n".join(f"{where}: {text}" for where, text in left.items())
    return ""


def test_every_expression_has_an_answer(demo: Living) -> None:
    # Without its conditions: most are alerts, which are empty as long as all is well. See `relaxed`.
    asked = {f"{each} [{number}]": relaxed(plain(each.text)) for number, each in enumerate(expressions())}
    assert unanswered(demo, asked) == ""


def test_every_selector_finds_something(demo: Living) -> None:
    # Each side of an `or`, and what is only compared, too.
    first = {one: each for each in reversed(expressions()) for one in selectors(plain(each.text))}
    asked = {f"{each} reads {one}": one for one, each in first.items() if one not in EXEMPT}
    assert unanswered(demo, asked) == ""
    assert set(EXEMPT) <= set(first), "exempt, and not asked for"


def test_every_recording_rule_records_and_every_page_of_queries_answers_as_it_stands(demo: Living) -> None:
    asked = {f"record {rule}": rule.name for rule in rules() if not rule.alert}
    asked |= {str(block): block.text for block in blocks(QUERIES, "promql")}
    asked |= {f"guide {number}": text for number, text in enumerate(GUIDE, 1)}
    assert unanswered(demo, asked) == ""


def test_every_rule_is_evaluated_without_an_error(demo: Living) -> None:
    loaded = demo.prometheus.rules()
    assert sorted(rule["name"] for rule in loaded) == sorted(rule.name for rule in rules())
    assert {(rule["name"], rule.get("lastError", "")) for rule in loaded if rule["health"] != "ok"} == set()


def test_recorded_series_have_the_labels_that_the_documents_say(demo: Living) -> None:
    for rule in rules():
        if rule.alert:
            continue
        told = set(labels(rule.body))
        for series, _ in demo.prometheus.query(rule.name):
            # Beside the constant labels of the demo's source, which it has where it is of one source.
            assert set(series) - {"__name__", "team"} == told, rule.name
