"""The checks run without a network: here is the proof that the block is in force, and that the proof can fail."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from tests.offline import GUARD, MODE
from tools.execute import execute

ELSEWHERE = "192.0.2.1"  # reserved for documentation (RFC 5737): no machine has it

# Connecting a UDP socket only asks the system for a way there; it sends nothing.
PROBE = f"""
import socket
def way_to(host):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 9))
        except OSError as error:
            return f"none: {{error}}"
    return "open"
print(way_to("{ELSEWHERE}"), "|", way_to("127.0.0.1"))
"""


def assert_blocked(answer: str) -> None:
    """Accept what PROBE prints only if the way elsewhere is closed and the one to this machine open."""
    elsewhere, here = answer.strip().split(" | ")
    if not elsewhere.startswith("none"):
        pytest.fail("The network is open. Run the checks with: python3 course.py test")
    assert here == "open"


def python(code: str, **environment: str) -> str:
    """What a Python process started from this one prints."""
    return subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=True
    ).stdout


def kernel(code: str, folder: Path) -> str:
    """What a cell prints in a kernel like those that run the notebooks."""
    path = folder / "probe.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)]), path)
    result = execute(path)
    assert result.failure is None
    return result.notebook.cells[0].outputs[0].text


def test_this_process_is_blocked(capsys: pytest.CaptureFixture[str]) -> None:
    exec(PROBE, {})
    assert_blocked(capsys.readouterr().out)


def test_a_process_started_from_here_is_blocked() -> None:
    assert_blocked(python(PROBE))


def test_a_kernel_is_blocked(tmp_path: Path) -> None:
    assert_blocked(kernel(PROBE, tmp_path))


def test_the_run_says_how_it_is_blocked() -> None:
    assert os.environ.get(MODE), "The network is open. Run the checks with: python3 course.py test"


def test_the_proof_fails_where_the_network_is_open(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class OpenSocket(socket.socket):
        def connect(self, address: tuple) -> None:
            pass

    monkeypatch.setattr(socket, "socket", OpenSocket)
    exec(PROBE, {})
    with pytest.raises(pytest.fail.Exception, match="network is open"):
        assert_blocked(capsys.readouterr().out)


# The guard is in force only where there is no namespace, and must be right on every machine. Its own words tell its
# refusals from the system's.
GUARDED = """
import socket
def refused(act):
    try:
        act()
    except OSError as error:
        return "not on this machine" in str(error)
    return False
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
    print("local", end=" ")
"""


@pytest.mark.parametrize(
    "act",
    [
        f'socket.create_connection(("{ELSEWHERE}", 9), 1)',
        f'udp.connect(("{ELSEWHERE}", 9))',
        f'udp.connect_ex(("{ELSEWHERE}", 9))',
        f'udp.sendto(b"", ("{ELSEWHERE}", 9))',
        'socket.getaddrinfo("example.org", 80)',
        '__import__("urllib.request").request.urlopen("http://example.org", timeout=1)',
    ],
)
def test_the_guard_refuses(act: str) -> None:
    assert python(f"{GUARDED}print(refused(lambda: {act}))", PYTHONPATH=str(GUARD)) == "local True\n"


def test_the_guard_admits_this_machine() -> None:
    act = 'socket.getaddrinfo("localhost", 80)'
    assert python(f"{GUARDED}print(refused(lambda: {act}))", PYTHONPATH=str(GUARD)) == "local False\n"


@pytest.mark.parametrize("permitted", [True, False])
def test_the_launcher_says_which_block_is_in_force(permitted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests import offline

    def refuse() -> None:
        raise PermissionError("Operation not permitted")

    enter: Callable[[], None] = (lambda: None) if permitted else refuse
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(offline, "enter_empty_network", enter)
    monkeypatch.setenv("PYTHONPATH", "before")
    words = offline.block()
    assert ("every program" in words) == permitted
    assert ("Python ONLY" in words) != permitted
    assert (str(GUARD) in os.environ["PYTHONPATH"]) != permitted


@pytest.mark.parametrize(
    ("arguments", "cores", "shared"),
    [
        ([], 2, ["-n", "2", "--dist", "loadfile"]),
        ([], 16, ["-n", "2", "--dist", "loadfile"]),
        (["-x", "--durations=40"], 2, ["-n", "2", "--dist", "loadfile"]),
        ([], 1, []),
        (["-k", "images"], 2, []),
        (["tests/test_style.py"], 2, []),
        (["-n", "4"], 2, []),
        (["-s"], 2, []),
    ],
)
def test_only_the_whole_run_is_shared_out(arguments: list[str], cores: int, shared: list[str]) -> None:
    from tests.offline import shared_out

    assert shared_out(arguments, cores) == shared
