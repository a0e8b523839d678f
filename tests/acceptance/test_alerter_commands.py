"""The alerter's commands, by its command line: what somebody reads who sets it up, or mends it at night."""

from pathlib import Path

import pytest
import yaml

from tests.support.alerter import Alerter, alert, command, write
from tests.support.documents import REPOSITORY

EXAMPLE = (REPOSITORY / "docs" / "alerter.example.yml").read_text()


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The example as it stands, with its secrets in a folder of the test's."""
    for name in ("pagerduty-key", "slack-token", "smtp-password", "twilio-token", "webhook-secret"):
        (tmp_path / name).write_text(f"secret-{name}\n")
    text = EXAMPLE.replace("/etc/postwatch", str(tmp_path)).replace("/var/lib/postwatch", str(tmp_path))
    file = tmp_path / "alerter.yml"
    file.write_text(text)
    return file


# The example


def test_the_example_is_accepted_as_it_stands(example: Path) -> None:
    done = command("check", "--config", example)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"ok {example}: valid, with 5 receivers and 3 routes"]


def test_the_example_runs(example: Path, tmp_path: Path) -> None:
    settings = yaml.safe_load(example.read_text())
    with Alerter(tmp_path, {**settings, "web": {"listen": "127.0.0.1:0"}}) as alerter:
        assert alerter.send(alert("Backlog", severity="info")).status_code == 200
        assert alerter.feed()[0]["because"].startswith('routes[2] {severity="info"} matches')
    assert alerter.logged("remark") == []


def test_secrets_that_are_missing_are_warned_of_each_with_its_path(tmp_path: Path) -> None:
    file = tmp_path / "alerter.yml"
    file.write_text(EXAMPLE)
    done = command("check", "--config", file)
    assert done.returncode == 0
    assert done.stdout.count("warning receivers[") == 5
    assert "receivers[0].routing_key_file: /etc/postwatch/pagerduty-key: No such file or directory" in done.stdout


# Mistakes

MISTAKES = """
web: {listen: nowhere, max_body: lots, basic_auth: {jo: hunter2hunter2}}
storage: mysql://root:hunter2@db/alerts
external_url: alerts.example.com
receivers:
  - {name: on call, kind: pagerduty, routing_key: hunter2hunter2}
  - {name: ops, kind: slack, token: hunter2hunter2, follow_up: sometimes}
  - {name: mail, kind: email, smarthost: mail:25, tls: none, username: jo, from: nobody, to: []}
  - {name: ops, kind: pigeon}
  - {name: bus, kind: webhook, url: http://hooks.example.net, secret: hunter2hunter2, rate: often}
  - {name: text, kind: sms, account_sid: AC1, auth_token: hunter2hunter2, to: ["0170"]}
routes:
  - {match: [severity], receivers: [ops, opps], repeat: 5}
  - {match: ['severity="critical"'], receivers: [mail], escalate: {after: 10m, receivers: [boss]}, quiet: [holidays]}
quiet_periods:
  - {name: nights, timezone: Mars/Olympus, days: mon-sun, from: "25:00", to: "07:00"}
deadman: {match: [], receivers: [nobody]}
audit: {keep: 1d}
histroy: {keep: 10d}
"""
TOLD = [
    "web.listen: 'nowhere' is no address",
    "web.max_body: 'lots' is no size",
    "web.basic_auth.jo: no bcrypt hash; make one with: htpasswd -nB USER",
    "storage: no store; write sqlite:////absolute/path.db",
    "external_url: no URL",
    "receivers[0].name: ",
    "receivers[1].channel: missing; write the channel's name, e.g. '#ops-alerts', or its id",
    "receivers[1].follow_up: 'sometimes' is not allowed; allowed: update, thread, both",
    "receivers[2].tls: none is for a server on this machine; elsewhere write starttls or tls",
    "receivers[2].password: username and password (or password_file) belong together",
    "receivers[2].from: 'nobody' is no address",
    "receivers[2].to: ",
    "receivers[3].kind: 'pigeon' is not allowed; allowed: pagerduty, slack, email, sms, webhook",
    "receivers[3].name: 'ops' is taken",
    "receivers[4].url: is not encrypted",
    "receivers[4].rate: 'often' is no rate",
    "receivers[5].account_sid: 'AC1' is not of the form",
    "receivers[5].messaging_service_sid: either from or messaging_service_sid is needed",
    "receivers[5].to[0]: '0170' is not of the form",
    "routes[0].match[0]: 'severity' is no matcher",
    "routes[0].receivers[1]: no receiver is named 'opps'; there are: on call, ops, mail, bus, text",
    "routes[0].repeat: 5 is no duration",
    "routes[1].escalate.receivers[0]: no receiver is named 'boss'",
    "routes[1].quiet[0]: no quiet period is named 'holidays'; there are: nights",
    "quiet_periods[0].timezone: 'Mars/Olympus' is no time zone",
    "quiet_periods[0].from: '25:00' is no time of day",
    "deadman.match: ",
    "deadman.receivers[0]: no receiver is named 'nobody'",
    "audit.keep: ",
    "histroy: no such key; allowed: ",
]


@pytest.mark.parametrize("words", [("check",), ("run",), ("routes",), ("list",), ("send-test", "ops")])
def test_all_mistakes_are_told_at_once_by_each_command(words: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "alerter.yml"
    file.write_text(MISTAKES)
    done = command(*words, "--config", file)
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    for told in TOLD:
        assert [line for line in lines if line.startswith(told)], f"{told}\n{done.stderr}"
    assert lines[-1] == f"postwatch-alerter: {len(lines) - 1} mistakes in {file}"
    assert len(lines) - 1 == len(TOLD), done.stderr
    assert "hunter2" not in done.stderr


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    done = command("check", "--config", tmp_path / "nowhere.yml")
    assert done.returncode == 2
    assert "No such file or directory" in done.stderr


def test_what_is_probably_not_meant_is_noted(tmp_path: Path) -> None:
    hook = {"kind": "webhook", "url": "https://h.example.net", "secret": "s"}
    file = write(tmp_path, {"receivers": [{"name": "bus", **hook}, {"name": "spare", **hook}],
                            "default": {"receivers": ["bus"]}})  # fmt: skip
    told = command("check", "--config", file).stdout
    assert "note receiver 'spare' is told by no route" in told
    assert "note no deadman" in told
    assert "note nobody would be told" in command("check", "--config", write(tmp_path, {})).stdout


# Routes


def test_routes_say_who_would_be_told_and_why(example: Path) -> None:
    done = command("routes", "--config", example, "--alert", "severity=critical,service=smtp")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        'because routes[0] {severity="critical"} matches',
        "at once oncall",
        "  fallback oncall-sms, ops-mail, if it has not accepted after 30s",
        "at once ops",
        "  fallback oncall-sms, ops-mail, if it has not accepted after 30s",
        "escalate oncall-sms, if nobody has acknowledged after 10m",
    ]


@pytest.mark.parametrize(
    ("labels", "at", "told"),
    [
        ("severity=info", "2026-11-22T23:30:00+01:00", "nobody is told"),
        ("severity=info", "2026-11-22T12:00:00+01:00", "at once bus"),
        ("severity=warning", "2026-11-22T12:00:00Z", "at once ops, again every 4h"),
        ("severity=warning,alertname=QueueBacklogPredicted", "2026-11-22T12:00:00Z", "because default: no route"),
        ("alertname=Watchdog", "2026-11-22T12:00:00Z", "watchdog nobody is told of it; oncall, ops-mail if it stays"),
    ],
)
def test_routes_at_a_moment(example: Path, labels: str, at: str, told: str) -> None:
    assert told in command("routes", "--config", example, "--alert", labels, "--at", at).stdout


CASES = """
cases:
  - {name: pages, alert: {severity: critical}, receivers: [ops, oncall], fallback: [ops-mail, oncall-sms]}
  - {alert: {severity: info}, at: 2026-11-22T23:30:00+01:00, receivers: []}
  - {name: by day, alert: {severity: info}, at: 2026-11-22T12:00:00Z, receivers: [bus], escalate: []}
"""


def test_cases_as_expected(example: Path, tmp_path: Path) -> None:
    (tmp_path / "cases.yml").write_text(CASES)
    done = command("routes", "--config", example, "--cases", tmp_path / "cases.yml")
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 of 3 cases are as expected" in done.stdout


def test_a_case_that_differs_ends_with_1_and_says_how(example: Path, tmp_path: Path) -> None:
    (tmp_path / "cases.yml").write_text(CASES.replace("receivers: [bus]", "receivers: [oncall]"))
    done = command("routes", "--config", example, "--cases", tmp_path / "cases.yml")
    assert done.returncode == 1
    assert "differs cases[2] by day" in done.stdout
    assert 'receivers: oncall expected, bus found; routes[2] {severity="info"} matches' in done.stdout
    assert "2 of 3 cases are as expected" in done.stdout


@pytest.mark.parametrize(
    ("cases", "told"),
    [
        ("cases: []", "cases: "),
        ("cases: [{alert: {a: b}}]", "cases[0].receivers: missing"),
        ("cases: [{alert: {a: b}, receivers: [], at: 2026-11-22T23:30:00}]", "cases[0].at: "),
        ("cases: [{alert: {a: b}, receiver: [ops], receivers: []}]", "cases[0].receiver: no such key"),
    ],
)
def test_mistakes_in_a_file_of_cases_are_told(example: Path, tmp_path: Path, cases: str, told: str) -> None:
    file = tmp_path / "cases.yml"
    file.write_text(cases)
    done = command("routes", "--config", example, "--cases", file)
    assert done.returncode == 2
    assert done.stderr.startswith(told), done.stderr
    assert done.stderr.endswith(f"postwatch-alerter: 1 mistake in {file}\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("routes", "--alert", "critical"), "'critical' is no label"),
        (("routes", "--at", "tomorrow"), "--at: 'tomorrow' is no moment"),
        (("routes", "--at", "2026-11-22T23:30:00"), "is no moment"),
        (("render", "nobody"), "no receiver is named 'nobody'; there are: oncall, ops, ops-mail, oncall-sms, bus"),
        (("list", "--state", "lost"), "invalid choice"),
        (("lits",), "invalid choice"),
    ],
)
def test_mistakes_on_the_command_line_end_with_2(example: Path, words: tuple[str, ...], told: str) -> None:
    done = command(*words, "--config", example)
    assert done.returncode == 2
    assert told in done.stderr


# The command line itself


def test_each_command_explains_itself_within_80_columns() -> None:
    for words in ([], *([each] for each in ("run", "check", "routes", "render", "send-test", "list", "retry"))):
        done = command(*words, "--help")
        assert done.returncode == 0
        assert max(map(len, done.stdout.splitlines())) <= 80, done.stdout


@pytest.mark.parametrize("words", [("check", "--config"), ("--config",), ("-c",)])
def test_options_may_stand_before_the_command(example: Path, words: tuple[str, ...]) -> None:
    done = command(*words, example, *(() if words[0] == "check" else ("check",)))
    assert (done.returncode, done.stderr) == (0, "")
