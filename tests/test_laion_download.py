"""The crawler is polite, ends whatever a server does, and never connects to any other address than its gateway."""

from __future__ import annotations

import asyncio
import itertools
import socket
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from helpers.laion.download import Answer, Gateway, Host, Manners, Refused, session, unpacked, visit_all
from helpers.laion.optout import MEANS
from helpers.worlds.web.plan import ELSEWHERE, HOSTILE, PRIVATE
from helpers.worlds.web.server import ADDRESS, Server, serve
from tests.laion_web import OPEN, HandMade, picture, sites

QUICK = Manners(delay=0.0, timeout=4.0, max_bytes=400_000)
CONNECTED: list[object] = []


def note_connections(event: str, arguments: tuple) -> None:
    if event == "socket.connect":
        CONNECTED.append(arguments[1])


@pytest.fixture(scope="module", autouse=True)
def connections() -> list[object]:
    """Every address that this process tries to connect to from now on, by whatever library."""
    sys.addaudithook(note_connections)  # it cannot be taken away again, and costs nothing
    return CONNECTED


# The reason with which each behaviour ends.
REASONS = {
    "redirect": None,
    "redirect loop": "too many redirects",
    "drip": "timeout",
    "gzip bomb": "unpacks too large",
    "picture bomb": None,
    "oversize": "too large",
    "endless": "too large",
    "html as jpeg": None,
    "text type": "no picture by its type",
    "truncated": None,
    "damaged": None,
    "short": "cut short",
    "reset": "cut short",
    "header bomb": "malformed answer",
    "empty": "empty",
    "server error": "status 500",
    "unknown encoding": "unknown encoding",
    "missing": "status 404",
}
REFUSALS = {
    "http://10.0.0.1/a.jpg": "address in figures",
    "http://127.0.0.1:22/": "address in figures",
    "http://[::1]/a.jpg": "address in figures",
    "http://169.254.169.254/latest/meta-data": "address in figures",
    "http://2130706433/a.jpg": "address in figures",
    "http://0x7f.1/a.jpg": "address in figures",
    "http://0177.0.0.1/a.jpg": "address in figures",
    "http://localhost/a.jpg": "outside the allowed hosts",
    "file:///etc/passwd": "scheme file",
    "http://elsewhere.invalid/a.jpg": "outside the allowed hosts",
    "https://elsewhere.invalid/a.jpg": "scheme https",
    "//elsewhere.invalid/a.jpg": "outside the allowed hosts",
    "http://site-011.example/a.jpg": "to another host",
    "http://site-000.example:8080/a.jpg": "port",
    "http://site-000.example@10.0.0.1/a.jpg": "name and password in the address",
    "http://[broken/": "redirect to a malformed address",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = HandMade(tmp_path_factory.mktemp("web") / "web")
    for behaviour in REASONS:
        data = b"" if behaviour in ("empty", "oversize", "endless", "drip") else picture(1)
        kind = "text/html" if behaviour == "text type" else "image/jpeg"
        made.file(f"/{behaviour.replace(' ', '-')}.jpg", data, behaviour=behaviour, type=kind, target="/redirect.jpg?2")
    for i, target in enumerate(REFUSALS):
        made.file(f"/to-{i}.jpg", b"", behaviour="redirect private", target=target)
    for host in sites().values():
        for folder in ("pictures", "private"):
            made.file(f"/{folder}/a.jpg", picture(2), host)
            made.file(f"/{folder}/a.webp", picture(2, "webp"), host)
    headers = {"X-Robots-Tag": "otherbot: noai"}
    made.file("/not-for-another.jpg", picture(3), headers=headers)
    made.file("/not-for-us.jpg", picture(3), headers={"X-Robots-Tag": "PixelsBot: noai"})
    made.rows = [row for row in made.rows if row[1] != "/missing.jpg"]
    made.page([])
    with serve(made.web()) as running:
        yield running


def visits(server: Server, hosts: dict[str, list[str]], manners: Manners = QUICK) -> dict[str, object]:
    """What became of the paths of each host: the answer, or the reason why there is none; and the hosts' rules."""
    found: dict[str, object] = {}

    async def visit(host: Host) -> None:
        await host.introduce()
        found[host.name] = host
        for path in hosts[host.name]:
            answer, reason = await host.picture(f"http://{host.name}{path}", MEANS)
            found[f"{host.name}{path}"] = reason or answer

    gateway = Gateway(ADDRESS, server.port)
    asyncio.run(visit_all(list(hosts), gateway, manners, visit))
    return found


def test_every_behaviour_ends_with_its_reason(server: Server) -> None:
    assert set(HOSTILE) - {"redirect private", "redirect elsewhere", "address in link"} <= set(REASONS)
    paths = {behaviour: f"/{behaviour.replace(' ', '-')}.jpg" for behaviour in REASONS}
    found = visits(server, {OPEN: list(paths.values())})
    for behaviour, reason in REASONS.items():
        came = found[OPEN + paths[behaviour]]
        if reason is None:
            assert isinstance(came, Answer) and came.status == 200, (behaviour, came)
        else:
            assert came == reason, behaviour
    assert found[f"{OPEN}/redirect.jpg"].body == picture(1)


def test_no_redirect_leads_to_another_address(server: Server, connections: list) -> None:
    assert {*PRIVATE, *ELSEWHERE} <= set(REFUSALS)
    connections.clear()
    paths = [f"/to-{i}.jpg" for i in range(len(REFUSALS))]
    found = visits(server, {OPEN: paths})
    for path, reason in zip(paths, REFUSALS.values(), strict=True):
        assert str(found[OPEN + path]).removeprefix("redirect to: ").endswith(reason)
    assert connections and set(connections) == {(ADDRESS, server.port)}


async def fetched(client, url: str) -> str:
    from aiohttp import ClientError

    async with client:
        try:
            async with client.get(url, allow_redirects=True) as response:
                return f"status {response.status}"
        except (ClientError, OSError, TimeoutError) as error:
            return type(error).__name__


@pytest.mark.parametrize("url", ["http://192.0.2.1/a.jpg", "http://127.0.0.1:9/", "http://elsewhere.invalid/"])
def test_the_client_itself_connects_to_the_gateway_only(server: Server, connections: list, url: str) -> None:
    async def both() -> None:
        connections.clear()
        assert not (await fetched(session(Gateway(ADDRESS, server.port), QUICK), url)).startswith("status")
        assert connections == [], "a connection was tried"

    asyncio.run(both())


def test_a_plain_client_would_have_gone_there(server: Server, connections: list) -> None:
    async def plain() -> None:
        import aiohttp

        connections.clear()
        client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2))
        assert await fetched(client, f"http://127.0.0.1:{server.port}/nowhere") == "status 404"
        client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2))
        await fetched(client, "http://127.0.0.1:9/")
        assert (ADDRESS, 9) in connections

    asyncio.run(plain())


def test_names_are_not_looked_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_, **__):
        pytest.fail("a name was looked up")

    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    assert isinstance(visits(server, {OPEN: ["/redirect.jpg"]})[f"{OPEN}/redirect.jpg"], Answer)


def test_a_host_is_asked_for_its_rules_first_and_then_no_faster_than_it_wants(server: Server) -> None:
    slow = sites()["robots delay"]  # its robots.txt asks for 0.15 s
    server.requests.clear()
    paths = ["/pictures/a.jpg", "/private/a.jpg", "/pictures/a.webp"]
    found = visits(server, {OPEN: paths, slow: paths}, Manners(delay=0.05))
    for host, pause in ((OPEN, 0.05), (slow, 0.15)):
        asked = [(moment, path) for moment, name, path in server.requests if name == host]
        assert [path for _, path in asked] == ["/robots.txt", "/.well-known/tdmrep.json", *paths]
        assert found[host].pause == pause
        moments = [moment for moment, _ in asked]
        gaps = [b - a for a, b in itertools.pairwise(moments)]  # its wish is known after the first
        assert all(gap > pause * 0.95 for gap in gaps)


def test_what_each_site_forbids_is_known_before_its_pictures_are_asked_for(server: Server) -> None:
    hosts = sites()
    found = visits(server, {key: [] for key in hosts.values()})
    url = {policy: f"http://{host}/pictures/a.jpg" for policy, host in hosts.items()}
    reasons = {policy: found[host].robots.reason(url[policy]) for policy, host in hosts.items()}
    assert {policy: reason for policy, reason in reasons.items() if reason} == {
        "robots all": "robots.txt",
        "robots error": "robots.txt out of order",
    }
    pattern = found[hosts["robots pattern"]].robots
    assert pattern.reason(f"http://{hosts['robots pattern']}/private/a.jpg") == "robots.txt"
    assert pattern.reason(f"http://{hosts['robots pattern']}/pictures/a.webp") == "robots.txt"
    assert found[hosts["tdm file"]].reservations == [("/", True)]
    assert all(not found[host].reservations for policy, host in hosts.items() if policy != "tdm file")


def test_robots_txt_is_found_where_a_redirect_leads_and_nowhere_else() -> None:
    rules = b"User-agent: *\nDisallow: /private/\n"

    async def redirected(target: str) -> object:
        answers = {"/robots.txt": Answer(301, [("Location", target)], b""), "/rules.txt": Answer(200, [], rules)}
        host = Host(OPEN, None, QUICK, ".example")

        async def get(url: str, max_bytes: int) -> Answer:
            return answers.get(url.removeprefix(f"http://{OPEN}"), Answer(404, [], b""))

        host.get = get
        await host.introduce()
        return host.robots.reason(f"http://{OPEN}/private/a.jpg")

    assert asyncio.run(redirected("/rules.txt")) == "robots.txt"
    for target in ("/robots.txt", "http://10.0.0.1/rules.txt", "/nowhere", ""):
        assert asyncio.run(redirected(target)) is None


def test_what_an_answer_forbids_is_not_kept(server: Server) -> None:
    found = visits(server, {OPEN: ["/not-for-another.jpg", "/not-for-us.jpg"]})
    assert isinstance(found[f"{OPEN}/not-for-another.jpg"], Answer)
    assert found[f"{OPEN}/not-for-us.jpg"] == "noai of the picture"


def test_packed_bodies_are_unpacked_up_to_the_limit() -> None:
    import gzip
    import zlib

    data = bytes(1_000)
    for encoding, packed in (("identity", data), ("gzip", gzip.compress(data)), ("deflate", zlib.compress(data))):
        assert unpacked(packed, encoding, 1_000) == data
    refused = partial(pytest.raises, Refused)
    with refused(match="unpacks too large"):
        unpacked(gzip.compress(data), "gzip", 999)
    with refused(match="malformed"):
        unpacked(data, "gzip", 1_000)
    with refused(match="unknown"):
        unpacked(data, "br", 1_000)


def test_the_server_listens_on_this_machine_only_and_stops(tmp_path: Path) -> None:
    made = HandMade(tmp_path / "web")
    made.file("/a.jpg", b"x")
    made.page([])
    with serve(made.web()) as server:
        with socket.create_connection((ADDRESS, server.port)) as probe:
            assert probe.getpeername()[0] == "127.0.0.1"
        port = server.port
    with pytest.raises(OSError):
        socket.create_connection((ADDRESS, port), 1)
