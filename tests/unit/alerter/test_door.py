"""Whose page may have a browser post to the alerter."""

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

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
