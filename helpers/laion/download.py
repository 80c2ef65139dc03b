"""Download pictures as a polite guest, and as one whom no host can lead astray, keep waiting or fill up.

Each host is asked by one coroutine alone, one request after the other with a pause between, after its robots.txt and
its TDM reservations. No connection is ever made but to the one `Gateway`: names are resolved to it and to nothing else,
and the socket itself is refused for any other address, whatever a page or a redirect says.
"""

from __future__ import annotations

import asyncio
import socket
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from helpers.laion.optout import MAX_ROBOTS, Robots, forbids, tdm_reservations
from helpers.laion.urls import host_of, refusal

if TYPE_CHECKING:
    import aiohttp

TDM_FILE = "/.well-known/tdmrep.json"


@dataclass(frozen=True)
class Gateway:
    """Where all requests go: hosts whose names end in `suffix` answer at this address and port, no others do."""

    address: str
    port: int
    suffix: str = ".example"


@dataclass(frozen=True)
class Manners:
    """How hosts are asked.

    Args:
        robot: the name given to hosts, and sought in their robots.txt.
        delay: seconds between two requests to one host, unless its robots.txt asks for more.
        timeout: seconds for one request in all. A server that sends a byte now and then is left after them.
        max_bytes: of a file, packed and unpacked.
        redirects: how many are followed for one picture.
        hosts: how many are asked at the same time.
    """

    robot: str = "PixelsBot"
    delay: float = 0.1
    timeout: float = 5.0
    max_bytes: int = 2_000_000
    redirects: int = 5
    hosts: int = 50


class Refused(Exception):
    """A request that brought no picture; `args[0]` is the reason."""


@dataclass
class Answer:
    """What a host answered: the status, the headers as pairs, the body, unpacked."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """The first header of this name, "" if there is none."""
        return next((value for key, value in self.headers if key.lower() == name), "")


def session(gateway: Gateway, manners: Manners) -> aiohttp.ClientSession:
    """A client that can reach `gateway` and nothing else, whose requests follow no redirect and unpack nothing."""
    import aiohttp
    from aiohttp.abc import AbstractResolver

    class OnlyGateway(AbstractResolver):
        async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[dict[str, Any]]:
            if not host.endswith(gateway.suffix):
                raise OSError(f"{host} is outside {gateway.suffix}")
            place = {"host": gateway.address, "port": gateway.port, "family": socket.AF_INET, "proto": 0, "flags": 0}
            return [{"hostname": host, **place}]

        async def close(self) -> None:
            pass

    def guarded(info: tuple) -> socket.socket:
        # The client asks no resolver about an address in figures; here nothing passes that is not the gateway.
        family, kind, protocol, _, place = info
        if tuple(place[:2]) != (gateway.address, gateway.port):
            raise OSError(f"{place} is not the gateway")
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(resolver=OnlyGateway(), socket_factory=guarded, limit=manners.hosts),
        timeout=aiohttp.ClientTimeout(total=manners.timeout),
        headers={"User-Agent": manners.robot, "Accept-Encoding": "identity"},
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    )


async def ask(client: aiohttp.ClientSession, url: str, manners: Manners, max_bytes: int) -> Answer:
    """One request. Raises Refused with the reason if there is no whole answer of at most `max_bytes`."""
    import aiohttp
    from yarl import URL

    try:
        async with client.get(URL(url, encoded=True), allow_redirects=False) as response:
            if (response.content_length or 0) > max_bytes:
                raise Refused("too large")
            parts, size = [], 0
            async for part in response.content.iter_chunked(1 << 16):
                size += len(part)
                if size > max_bytes:
                    raise Refused("too large")
                parts.append(part)
            headers = list(response.headers.items())
            encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
            return Answer(response.status, headers, unpacked(b"".join(parts), encoding, max_bytes))
    except TimeoutError:
        raise Refused("timeout") from None
    except aiohttp.ClientPayloadError:
        raise Refused("cut short") from None
    except aiohttp.ClientConnectorError:
        raise Refused("no connection") from None
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
        raise Refused("connection lost") from None
    except (aiohttp.ClientError, ValueError):  # headers or a status line that are none
        raise Refused("malformed answer") from None


def unpacked(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """`body` without its Content-Encoding. Raises Refused if it unpacks to more than `max_bytes`, or is none."""
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise Refused("unknown encoding")
    unpack = zlib.decompressobj(47)  # gzip or zlib, as the data says
    try:
        data = unpack.decompress(body, max_bytes + 1)
    except zlib.error:
        raise Refused("malformed answer") from None
    if len(data) > max_bytes:
        raise Refused("unpacks too large")
    return data


@dataclass
class Host:
    """One host and what it said of itself before any picture was asked for.

    `pause` seconds pass between the end of one request and the next one.
    """

    name: str
    client: aiohttp.ClientSession
    manners: Manners
    suffix: str
    robots: Robots = field(init=False)
    reservations: list[tuple[str, bool]] = field(default_factory=list)
    pause: float = field(init=False)
    asked: bool = False

    def __post_init__(self) -> None:
        self.pause = self.manners.delay

    async def get(self, url: str, max_bytes: int) -> Answer:
        """One request after the pause."""
        if self.asked and self.pause:
            await asyncio.sleep(self.pause)
        self.asked = True
        return await ask(self.client, url, self.manners, max_bytes)

    async def introduce(self, tdm: bool = True) -> None:
        """Read the host's robots.txt and, if `tdm`, its TDM reservations."""
        status, body = None, b""
        try:
            answer = await self._followed(f"http://{self.name}/robots.txt", MAX_ROBOTS)
            status, body = answer.status, answer.body
        except Refused as reason:
            # A status below 500, or a way that leads nowhere, is that of a file that is not there.
            told = str(reason.args[0])
            status = 404 if told.startswith(("status 4", "redirect", "too many")) else None
        self.robots = Robots(status, body, self.manners.robot)
        self.pause = max(self.pause, self.robots.delay)
        if tdm and not self.robots.unreachable:
            try:
                answer = await self.get(f"http://{self.name}{TDM_FILE}", MAX_ROBOTS)
                self.reservations = tdm_reservations(answer.body) if answer.status == 200 else []
            except Refused:
                self.reservations = []

    async def picture(self, url: str, honour: tuple[str, ...]) -> tuple[Answer | None, str | None]:
        """The answer for a picture, or None and the reason why there is none."""
        try:
            answer = await self._followed(url, self.manners.max_bytes, self.robots)
        except Refused as reason:
            return None, reason.args[0]
        kind = answer.header("content-type").partition(";")[0].strip().lower()
        if kind and not kind.startswith("image/") and kind != "application/octet-stream":
            return None, "no picture by its type"
        means = forbids(answer.headers, robot=self.manners.robot)
        if means in honour:
            return None, f"{means} of the picture"
        return (answer, None) if answer.body else (None, "empty")

    async def _followed(self, url: str, max_bytes: int, robots: Robots | None = None) -> Answer:
        """The answer with status 200 that `url` leads to, within this host and, if given, its `robots`."""
        for _ in range(self.manners.redirects + 1):
            answer = await self.get(url, max_bytes)
            if answer.status == 200:
                return answer
            if answer.status not in (301, 302, 303, 307, 308):
                raise Refused(f"status {answer.status}")
            try:
                url = urljoin(url, answer.header("location")).partition("#")[0]
            except ValueError:
                raise Refused("redirect to a malformed address") from None
            if reason := refusal(url, self.suffix):
                raise Refused(f"redirect to: {reason}")
            if host_of(url) != self.name:
                # Another host's robots.txt and pace are another coroutine's.
                raise Refused("redirect to another host")
            if robots and robots.reason(url):
                raise Refused("redirect to: robots.txt")
        raise Refused("too many redirects")


async def visit_all(
    hosts: list[str], gateway: Gateway, manners: Manners, visit: Callable[[Host], Awaitable[None]]
) -> None:
    """Call the coroutine `visit` for every host, some at a time. What one raises ends all, in an ExceptionGroup."""
    places = asyncio.Semaphore(manners.hosts)
    async with session(gateway, manners) as client:

        async def one(name: str) -> None:
            async with places:
                await visit(Host(name, client, manners, gateway.suffix))

        async with asyncio.TaskGroup() as group:
            for name in hosts:
                group.create_task(one(name))
