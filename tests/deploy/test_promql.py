"""Every PromQL expression that is shipped is PromQL, and reads metrics that there are."""

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.promql import DASHBOARDS, KNOWN, QUERIES, Expression, expressions, plain, read, relaxed, selectors
from tests.support.documents import blocks

ALL = expressions()


def test_there_are_expressions_of_every_kind() -> None:
    files = {each.where.split()[0].partition(":")[0] for each in ALL}
    assert {"rule", "story", "guide", "example", "README.md", "queries.md", "QueueBacklog.md", "metrics.md"} <= files
    assert len(DASHBOARDS) == 9
    assert {path.stem for path in DASHBOARDS} <= files


def test_each_is_promql_over_what_there_is(tmp_path: Path) -> None:
    wrong = []
    for each in ALL:
        try:
            unknown = read(plain(each.text)) - KNOWN
        except ValueError as error:
            wrong.append(f"{each}: {error}\n{each.text}")
        else:
            wrong += [f"{each}: no such metric: {name}" for name in unknown]
    assert not wrong, "\n".join(wrong)


def test_prometheus_takes_each_with_its_conditions_and_without(tmp_path: Path) -> None:
    texts = [how(plain(each.text)) for each in ALL for how in (str, relaxed)]
    group = {"name": "all", "rules": [{"record": f"query:{n}", "expr": text} for n, text in enumerate(texts)]}
    (tmp_path / "all.yml").write_text(yaml.safe_dump({"groups": [group]}))
    done = subprocess.run(["promtool", "check", "rules", tmp_path / "all.yml"], text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ten_questions_have_a_query_each_and_so_have_the_guides_six() -> None:
    ten, guides = QUERIES.read_text().partition("## Ten questions")[2].split("## The task-queue guide's queries")
    questions = ten.split("\n### ")[1:]
    assert len(questions) == 10
    assert all(question.splitlines()[0].endswith("?") and "```promql" in question for question in questions)
    assert len([part for part in guides.split("\n### ")[1:] if "```promql" in part]) == 6 + 1  # and its objectives
    assert len(blocks(QUERIES, "promql")) >= 20


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a > 5", "a > bool 5"),
        ("a >= bool 5", "a >= bool 5"),
        ('a{x!="<1>",y=~"}>"} == 0 # b > c', 'a{x!="<1>",y=~"}>"} == bool 0 # b > c'),
        ('absent(up{job="x"})', 'count(up{job="x"})'),
        ("absent_over_time(a[5m])", "absent_over_time(a[5m])"),
        ("a unless on (x) b < 3", "a and on (x) b < bool 3"),
        ("max_over_time(a[1d] offset 1h)", "max_over_time(a[1d] )"),
    ],
)
def test_conditions_are_found_and_nothing_else(text: str, expected: str) -> None:
    assert relaxed(text) == expected


def test_what_an_expression_reads_is_all_seen() -> None:
    expression = (
        'sum by (job) (rate(a_total{x="b_c"}[5m] offset 1h)) / on (job) group_left (d) (e:f:g > bool 1e3 or absent(h))'
        " or topk(3, max_over_time(i[1h:1m]))  # j"
    )
    assert read(expression) == {"a_total", "e:f:g", "h", "i"}
    assert selectors(expression) == {'a_total{x="b_c"}', "e:f:g", "h", "i"}
    with pytest.raises(ValueError, match="unclosed left parenthesis"):
        read("sum(a")


def test_what_grafana_puts_in_is_put_in() -> None:
    text = 'rate(a{x=~"$x",y=~"${y:regex}"}[$__rate_interval]) and on () b{z=~"[[z]]"}[${__range}]'
    assert plain(text) == 'rate(a{x=~".*",y=~".*"}[1m]) and on () b{z=~".*"}[1h]'
    assert str(Expression("here", text)) == "here"
