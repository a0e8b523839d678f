"""Who follows the feed misses nothing from the moment that he is told to be heard."""

import asyncio
import json
import threading
from pathlib import Path

from starlette.requests import Request
from starlette.responses import StreamingResponse

from alerter.web import feed
from tests.support.booked import World, firing


def test_what_comes_right_after_the_greeting_is_told(tmp_path: Path) -> None:
    world = World(f"sqlite:///{tmp_path / 'alerter.db'}")
    world.hear(firing("Before"))
    stopping = threading.Event()
    routes = feed.routes(world.store, world.clock, lambda: 86400.0, lambda _number, _who: True, stopping)
    (stream,) = [route.endpoint for route in routes if route.path.endswith("/stream")]

    async def follow() -> str:
        answer = await stream(Request({"type": "http", "query_string": b"", "headers": []}))
        assert isinstance(answer, StreamingResponse)
        pieces = aiter(answer.body_iterator)
        assert await anext(pieces) == ": listening\n\n"
        await asyncio.to_thread(world.hear, firing("After"))
        return str(await asyncio.wait_for(anext(pieces), 20))

    told = asyncio.run(follow())
    stopping.set()
    assert json.loads(told.partition("data: ")[2])["message"] == "After"
    world.store.close()
