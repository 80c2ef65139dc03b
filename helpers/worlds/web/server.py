"""The miniature web's server, on the loopback address of this machine: every site of the web, by the name asked for.

Besides pages, pictures, robots.txt and TDM reservations it plays the behaviours of `plan.HOSTILE`. It runs in a thread,
so that a program can start it, crawl, and stop it: `with serve(web) as server: …`.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from helpers.worlds.web.build import Web
from helpers.worlds.web.pages import TDM_FILE, robots, tdm
from helpers.worlds.web.plan import Plan

if TYPE_CHECKING:
    from aiohttp import web as aiohttp_web

ADDRESS = "127.0.0.1"
DRIP = 0.5  # seconds between two bytes of a server that never ends
HUGE = 1 << 30  # bytes that a server announces, or sends if it is let


class Resource(NamedTuple):
    """What the server has for one address."""

    type: str
    behaviour: str
    target: str
    headers: str
    offset: int
    length: int


@dataclass
class Server:
    """A running server: its port, and every request that reached it, as (moment in seconds, host, path)."""

    port: int
    requests: list[tuple[float, str, str]] = field(default_factory=list)


@contextmanager
def serve(web: Web) -> Iterator[Server]:
    """Run the server of `web` on a free port of the loopback address until the block ends."""
    server, ready, failure = Server(0), threading.Event(), []
    _bomb()  # made now, so that no request waits for it
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def main() -> None:
        from aiohttp import web as http

        with (web.folder / "files.pack").open("rb") as pack:
            runner = http.AppRunner(_application(web, pack.fileno(), server), access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            site = http.TCPSite(runner, ADDRESS, 0, backlog=512)
            await site.start()
            server.port = site._server.sockets[0].getsockname()[1]
            ready.set()
            await stop.wait()
            await runner.cleanup()

    def run() -> None:
        try:
            loop.run_until_complete(main())
        except BaseException as error:
            failure.append(error)
        finally:
            ready.set()
            loop.close()

    thread = threading.Thread(target=run, name="web server", daemon=True)
    thread.start()
    ready.wait()
    if failure:
        raise RuntimeError(f"the web server did not start: {failure[0]}") from failure[0]
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def _application(web: Web, pack: int, server: Server) -> aiohttp_web.Application:
    from aiohttp import web as http

    columns = [web.resources[name].to_pylist() for name in ("host", "path", *Resource._fields)]
    resources = {(host, path): Resource(*rest) for host, path, *rest in zip(*columns, strict=True)}
    sites = {site.host: site for site in Plan(web.facts["pages"], web.facts["seed"]).sites}

    async def answer(request: aiohttp_web.Request) -> aiohttp_web.StreamResponse:
        host = request.host.partition(":")[0].lower()
        server.requests.append((time.monotonic(), host, request.path_qs))
        if host not in sites:
            return http.Response(status=404, text="no such site")
        for path, told in (("/robots.txt", robots), (TDM_FILE, tdm)):
            if request.path == path:
                status, text = told(sites[host])
                return http.Response(status=status, text=text)
        resource = resources.get((host, request.path))
        if resource is None:
            return http.Response(status=404, text="not found")
        body = os.pread(pack, resource.length, resource.offset)
        return await _behave(request, resource, body)

    application = http.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    return application


async def _behave(request: aiohttp_web.Request, resource: Resource, body: bytes) -> aiohttp_web.StreamResponse:
    """The answer to `request`, as `resource.behaviour` wants it."""
    from aiohttp import web as http

    headers = {"Content-Type": resource.type} | json.loads(resource.headers)
    behaviour = resource.behaviour
    if behaviour.startswith("redirect"):
        if behaviour == "redirect" and request.query_string:
            return http.Response(body=body, headers=headers)
        target = f"{request.path}?{time.monotonic_ns()}" if behaviour == "redirect loop" else resource.target
        return http.Response(status=302, headers={"Location": target})
    if behaviour == "server error":
        return http.Response(status=500, text="out of order")
    if behaviour == "empty":
        return http.Response(body=b"", headers=headers)
    if behaviour == "header bomb":
        return http.Response(body=body, headers=headers | {"X-Bomb": "b" * 100_000})
    if behaviour == "gzip bomb":
        return http.Response(body=_bomb(), headers=headers | {"Content-Encoding": "gzip"})
    if behaviour == "unknown encoding":
        return http.Response(body=b"?" * 5_000, headers=headers | {"Content-Encoding": "rot13"})
    if behaviour in ("oversize", "endless", "drip", "short", "reset"):
        return await _stream(request, behaviour, headers, body)
    return http.Response(body=body, headers=headers)


async def _stream(
    request: aiohttp_web.Request, behaviour: str, headers: dict[str, str], body: bytes
) -> aiohttp_web.StreamResponse:
    """An answer that announces one length and sends another, or never ends."""
    from aiohttp import web as http

    response = http.StreamResponse(headers=headers)
    if behaviour in ("oversize", "short"):
        response.content_length = HUGE if behaviour == "oversize" else len(body) + 1_000
    await response.prepare(request)
    try:
        if behaviour in ("short", "reset"):
            await response.write(body or bytes(2_000))
            request.transport.abort() if behaviour == "reset" else request.transport.close()
        elif behaviour == "drip":
            while request.transport is not None and not request.transport.is_closing():
                await response.write(b"\xff")
                await asyncio.sleep(DRIP)
        else:
            block, sent = bytes(1 << 16), 0
            while sent < HUGE:
                await response.write(block)
                sent += len(block)
    except (ConnectionError, RuntimeError):  # the client had enough
        pass
    return response


@cache
def _bomb() -> bytes:
    """A few hundred kilobytes that unpack to 256 MB."""
    return gzip.compress(bytes(1 << 22), mtime=0) * 64  # members of a gzip file follow one another
