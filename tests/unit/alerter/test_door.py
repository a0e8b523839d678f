"""Whose page may have a browser post to the alerter."""

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from alerter.tally import Tally
from alerter.web.webhook import Door

HOST = "alerter:9798"
HOME = "https://alerts.example.com"


def answer(home: str, origin: str | None, method: str = "POST") -> int:
    """The status that is answered."""

    async def take(_request: Request) -> Response:
        return Response()

    async def ask() -> int:
        app = Starlette(routes=[Route("/x", take, methods=["GET", "POST"])])
        door = Door(app, Tally(), lambda: None, lambda _address, _path: None, home)
        headers = {} if origin is None else {"Origin": origin}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url=f"http://{HOST}") as client:
            return (await client.request(method, "/x", headers=headers)).status_code

    return asyncio.run(ask())


@pytest.mark.parametrize("home", ["", HOME])
@pytest.mark.parametrize(
    "origin", ["null", "", "https://elsewhere.example.com", f"http://{HOST}.example.com", "http://["]
)
def test_a_page_of_somebody_else_s_is_refused(home: str, origin: str) -> None:
    assert answer(home, origin) == 403
    assert answer(home, origin, "GET") == 200


@pytest.mark.parametrize(
    ("home", "origin"), [("", None), ("", f"http://{HOST}"), (HOME, HOME), (HOME, f"https://{HOST}")]
)
def test_programs_and_the_own_page_are_heard(home: str, origin: str | None) -> None:
    assert answer(home, origin) == 200


def test_a_sender_that_breaks_off_was_answered_nothing() -> None:
    tally = Tally()

    async def takes(_scope: Scope, _receive: Receive, send: Send) -> None:
        await Response(status_code=503)(_scope, _receive, send)

    async def hears_no_more(_scope: Scope, _receive: Receive, _send: Send) -> None:
        pass

    async def nowhere(_message: Message) -> None:
        pass

    async def nothing() -> Message:
        return {"type": "http.disconnect"}

    for app in (takes, hears_no_more):
        door = Door(app, tally, lambda: None, lambda _address, _path: None)
        asyncio.run(door({"type": "http", "method": "POST", "path": "/webhook", "headers": []}, nothing, nowhere))
    counted = {each.labels["code"]: each.value for each in tally.readings([]) if "webhooks_total" in each.metric}
    assert {code: count for code, count in counted.items() if count} == {"503": 1.0}
