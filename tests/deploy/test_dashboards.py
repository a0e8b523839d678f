"""The dashboards of deploy/grafana: what the code makes, and what a person under stress and a Grafana need."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
import yaml

from deploy.grafana.all import BOARDS
from tests.deploy.dashboards import ALERTS, DATASOURCE, FILES, GRAFANA, Board, Panel, boards, panels
from tests.deploy.rules import FOLDER, rules, written
from tests.support.documents import REPOSITORY

ALL = boards()
PANELS = panels()
TABLES = [panel for panel in PANELS if panel.body["type"] == "table"]
# A laptop of 1366 by 768 shows about 16 rows of the grid of 24 columns below Grafana's own bars.
COLUMNS, SCREEN = 24, 16
WANTED = {
    "postwatch-overview": {
        "Queue depth over time", "Task submission rate", "Task completion rate", "Failure rate",
        "Average processing time",
    },
    "postwatch-queue": set(),
    "postwatch-workers": {
        "Worker utilization", "Task rate by worker", "Error rate by worker", "Uptime by worker", "Task distribution",
    },
    "postwatch-services": {"State of services over time", "Infrastructure alerts"},
    "postwatch-reputation": {"Addresses, worst first"},
    "postwatch-system": {
        "CPU usage", "Memory usage", "Disk usage", "Disk I/O", "Network throughput", "Database connections",
    },
    "postwatch-errors": set(),
    "postwatch-slo": set(),
    "postwatch-itself": set(),
}  # fmt: skip

each_board = pytest.mark.parametrize("board", ALL, ids=str)
each_table = pytest.mark.parametrize("panel", TABLES, ids=str)


def test_the_files_are_what_the_code_makes() -> None:
    assert {path.name: path.read_text() for path in FILES} == {board.file: board.written() for board in BOARDS}


def test_there_are_nine_with_the_panels_that_are_asked_for_by_name() -> None:
    assert {board.uid for board in ALL} == set(WANTED)
    missing = {board.uid: WANTED[board.uid] - {panel.title for panel in board.panels} for board in ALL}
    assert not any(missing.values()), missing


@each_board
def test_grafana_10_to_13_import_it(board: Board) -> None:
    body = board.body
    assert body["schemaVersion"] in {41, 42}
    assert not {"id", "__inputs", "__requires", "__elements"} & set(body)
    assert "${DS_" not in str(body)
    assert re.fullmatch(r"postwatch-[a-z]+", board.uid)
    assert len(board.uid) <= 40
    assert body["tags"] == ["postwatch"]
    assert body["editable"] is False
    assert body["timezone"] == "browser"
    assert body["refresh"] in {"5s", "10s", "30s"}


def test_each_answers_one_question_under_a_title_of_its_own() -> None:
    assert len({board.body["title"] for board in ALL}) == len(ALL)
    for board in ALL:
        assert re.fullmatch(r"[A-Z][^?.]+\?", board.body["description"]), board


@each_board
def test_its_variables_follow_the_time_and_offer_all(board: Board) -> None:
    first, job, *others = board.variables.values()
    assert (first["name"], first["type"], first["query"]) == ("datasource", "datasource", "prometheus")
    assert job["name"] == "job"
    for variable in (job, *others):
        assert variable["type"] == "query"
        assert variable["label"]
        assert variable["datasource"] == DATASOURCE
        assert variable["refresh"] == 2, "when the time changes"
        if variable["includeAll"]:
            assert variable["multi"]
            assert variable["allValue"] == ".*"
            assert variable["current"]["value"] == "$__all"
        else:
            # What admits one value is compared: Grafana escapes no regular expression in it.
            assert f'{variable["name"]}=~"${variable["name"]}"' not in str(board.body)
            assert f'{variable["name"]}="${variable["name"]}"' in str(board.body)


@each_board
def test_it_leads_to_the_others_and_keeps_the_time(board: Board) -> None:
    (link,) = board.body["links"]
    assert (link["type"], link["tags"], link["keepTime"]) == ("dashboards", ["postwatch"], True)
    assert "placement" not in link, "a menu would hide it"


@each_board
def test_it_marks_its_alerts(board: Board) -> None:
    (marks,) = board.body["annotations"]["list"]
    assert marks["enable"] is True
    assert marks["datasource"] == DATASOURCE
    (chosen,) = re.findall(r'alertname=~"([^"]+)"', marks["expr"])
    for part in chosen.split("|") if "(" not in chosen else [chosen]:
        assert any(re.fullmatch(part, name) for name in ALERTS), part


def test_every_alert_leads_to_a_dashboard_that_has_its_variables() -> None:
    known = {board.uid: set(board.variables) for board in ALL}
    for rule in (rule for rule in rules() if rule.alert):
        url = rule.body["annotations"]["dashboard_url"]
        (uid,) = re.findall(r"/d/([\w-]+)", url)
        assert set(re.findall(r"var-(\w+)=", url)) <= known[uid], rule


@each_board
def test_a_panel_says_what_it_is_in_which_unit_and_from_where(board: Board) -> None:
    for panel in board.panels:
        body = panel.body
        assert re.fullmatch(r"[A-Z0-9].*[^.:]", panel.title)
        assert len(panel.title) <= 6 * panel.body["gridPos"]["w"], "cut off on a laptop"
        assert re.fullmatch(r"[A-Z0-9].*[\w%]\.", body["description"], re.DOTALL), panel
        assert panel.defaults["unit"], panel
        assert panel.defaults["noValue"], "what is said when there is nothing to show"
        assert body["datasource"] == DATASOURCE, panel
        assert body["targets"], panel
        for target in body["targets"]:
            assert target["datasource"] == DATASOURCE, panel
            assert target["legendFormat"], panel
        assert len({target["refId"] for target in body["targets"]}) == len(body["targets"]), panel


def test_nothing_to_show_is_never_said_to_be_good_news() -> None:
    """The words for no data are shown as well when the exporter is dead. Of alerts see promql.firing."""
    said = {str(panel): str(panel.defaults["noValue"]) for panel in PANELS}
    good = {panel: word for panel, word in said.items() if re.search(r"fail|waits|fires|Grow", word)}
    assert set(good.values()) == {"No alert fires"}, good
    for panel in (panel for panel in PANELS if panel.defaults["noValue"] == "No alert fires"):
        assert 'absent(ALERTS{alertname="Watchdog"' in panel.queries[0].expr


@each_board
def test_ids_and_titles_are_its_panels_own(board: Board) -> None:
    ids = [body["id"] for body in board.body["panels"]]
    titles = [panel.title for panel in board.panels]
    assert len(set(ids)) == len(ids)
    assert len(set(titles)) == len(titles)


@each_board
def test_the_grid_is_filled_without_gaps_or_overlaps(board: Board) -> None:
    places = [body["gridPos"] for body in board.body["panels"]]
    taken = {(x, y): 0 for place in places for x, y in _cells(place)}
    for place in places:
        assert 0 <= place["x"] < place["x"] + place["w"] <= COLUMNS
        for cell in _cells(place):
            taken[cell] += 1
    assert set(taken.values()) == {1}
    assert len(taken) == COLUMNS * max(place["y"] + place["h"] for place in places)


def _cells(place: dict[str, int]) -> list[tuple[int, int]]:
    rows = range(place.get("y", 0), place.get("y", 0) + place["h"])
    return [(x, y) for y in rows for x in range(place.get("x", 0), place.get("x", 0) + place["w"])]


@each_board
def test_the_first_screen_tells_the_story(board: Board) -> None:
    seen = [panel for panel in board.panels if panel.body["gridPos"]["y"] + panel.body["gridPos"]["h"] <= SCREEN]
    kinds = {panel.body["type"] for panel in seen}
    assert "stat" in kinds
    assert kinds & {"table", "timeseries"}
    first = [panel.body["type"] for panel in board.panels if panel.body["gridPos"]["y"] == 0]
    assert set(first) == {"stat"}


@each_board
def test_colours_come_with_words_or_with_numbers_that_rise(board: Board) -> None:
    for panel in board.panels:
        for field in [panel.defaults, *(panel.options_of(column) for column in _columns(panel))]:
            for mapping in field.get("mappings", []):
                given = mapping["options"]
                results = given.values() if mapping["type"] == "value" else [given["result"]]
                assert all(result["text"] and result["color"] for result in results), panel
            steps = field.get("thresholds", {}).get("steps", [])
            assert not steps or steps[0]["value"] is None, panel
            assert all(low["value"] < high["value"] for low, high in pairwise(steps[1:])), panel


def _columns(panel: Panel) -> list[str]:
    found = panel.body.get("transformations", [])
    organized: list[dict[str, Any]] = [one["options"] for one in found if one["id"] == "organize"]
    return list(organized[0]["renameByName"].values()) if organized else []


@each_table
def test_a_table_has_its_columns_and_shows_the_worst_first(panel: Panel) -> None:
    assert [one["id"] for one in panel.body["transformations"]] == ["merge", "organize"]
    columns = _columns(panel)
    assert len(set(columns)) == len(columns)
    for one in panel.body["options"]["sortBy"]:
        assert one["displayName"] in columns
    for query in panel.queries:
        assert query.target["format"] == "table"
        assert query.target["instant"] is True
    values = {name for name in panel.body["transformations"][1]["options"]["renameByName"] if name.startswith("Value")}
    refs = {query.target["refId"] for query in panel.queries}
    assert values == ({"Value"} if len(refs) == 1 else {f"Value #{ref}" for ref in refs})


@each_table
def test_a_row_leads_to_what_it_is_about(panel: Panel) -> None:
    known = {board.uid: set(board.variables) for board in ALL}
    for column in _columns(panel):
        for link in panel.options_of(column).get("links", []):
            (uid,) = re.findall(r"/d/([\w-]+)\?", link["url"])
            assert {"datasource", *re.findall(r"var-(\w+)=", link["url"])} <= known[uid]
            assert set(re.findall(r"__data\.fields\.(\w+)", link["url"])) <= set(_columns(panel))
            assert link["url"].endswith("${__url_time_range}")


def test_states_of_services_and_pauses_are_shown_over_time() -> None:
    found = {(panel.board.uid, panel.title) for panel in PANELS if panel.body["type"] == "state-timeline"}
    assert found >= {
        ("postwatch-services", "State of services over time"),
        ("postwatch-overview", "Pauses"),
        ("postwatch-queue", "Pauses"),
    }


def test_each_stands_in_the_readme_with_its_question_and_a_picture() -> None:
    text = (GRAFANA / "README.md").read_text()
    for board in ALL:
        assert f"| [{board.body['title']}](dashboards/{board.uid}.json) | {board.body['description']} |" in text
        picture = REPOSITORY / "docs" / "images" / f"dashboard-{board}.png"
        assert f"(../../docs/images/{picture.name})" in text
        assert picture.stat().st_size <= 200 * 1024


def test_grafana_finds_prometheus_and_the_dashboards() -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/postwatch.yml").read_text())["datasources"]
    assert (source["type"], source["uid"]) == ("prometheus", "postwatch")
    scraped = {
        job["job_name"]: job.get("scrape_interval") for job in written(FOLDER / "prometheus.yml")["scrape_configs"]
    }
    assert source["jsonData"]["timeInterval"] == scraped["postwatch-exporter"]
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/postwatch.yml").read_text())["providers"]
    assert (provider["type"], provider["folder"], provider["allowUiUpdates"]) == ("file", "Postwatch", False)
    assert provider["options"]["path"]
