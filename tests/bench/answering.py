"""Services that answer at once, in a process of their own, and remember when who came: many probes are measured on it.

`python -m tests.bench.answering CERT KEY` writes its ports as JSON; a line on its input is answered with the largest
gap between two visits of each caller in seconds, and the number of visits, and begins anew.
"""

import asyncio
import json
import ssl
import sys
import time
from collections import defaultdict
from itertools import pairwise

OK = b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\nConnection: close\r\n\r\n{"status":"ok"}'
SMTP = {b"EHLO": b"250-here\r\n250 PIPELINING\r\n", b"NOOP": b"250 ok\r\n", b"QUIT": b"221 bye\r\n"}

visits: dict[str, list[float]] = defaultdict(list)


async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Any page; the caller is its path."""
    head = await reader.readuntil(b"\r\n\r\n")
    visits[head.split(b" ", 2)[1].decode()].append(time.monotonic())
    writer.write(OK)
    writer.close()


async def smtp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A dialogue as far as probes lead it; the caller is the name it greets with."""
    writer.write(b"220 here\r\n")
    while line := await reader.readline():
        if line.startswith(b"EHLO"):
            visits[line.split()[1].decode()].append(time.monotonic())
        writer.write(SMTP[line[:4]])
        if line.startswith(b"QUIT"):
            break
    writer.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What it hears, which is who the caller is."""
    line = await reader.readline()
    visits[line.decode().strip()].append(time.monotonic())
    writer.write(line)
    writer.close()


def gaps() -> dict[str, tuple[float, int]]:
    """By caller."""
    found = {
        caller: (max((b - a for a, b in pairwise(each)), default=0.0), len(each)) for caller, each in visits.items()
    }
    visits.clear()
    return found


async def main(cert: str, key: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    servers = {
        "http": await asyncio.start_server(http, "127.0.0.1", 0, backlog=1024),
        "https": await asyncio.start_server(http, "127.0.0.1", 0, backlog=1024, ssl=context),
        "smtp": await asyncio.start_server(smtp, "127.0.0.1", 0, backlog=1024),
        "tcp": await asyncio.start_server(echo, "127.0.0.1", 0, backlog=1024),
    }
    ports = {name: server.sockets[0].getsockname()[1] for name, server in servers.items()}
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    while await asyncio.to_thread(sys.stdin.readline):
        sys.stdout.write(json.dumps(gaps()) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
