"""A JupyterLab for the tests, of a user who has no settings yet."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import course


@contextmanager
def started(folder: Path, command: list[str]) -> Iterator[str]:
    """Start JupyterLab on a free port and yield the address that it prints, once it listens.

    The command is that of course.program; settings and log are written to the folder.

    Raises:
        AssertionError: it ended before; the message is its log.
    """
    command = [sys.executable, *command[1:], "--no-browser", "--allow-root", "--ServerApp.port=0"]
    places = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR")
    places += ("JUPYTERLAB_WORKSPACES_DIR",)
    new_user = {place: str(folder / place) for place in places} | {
        # Before what is there: the block of the network may be among it.
        "PYTHONPATH": os.pathsep.join(filter(None, [course.ROOT, os.environ.get("PYTHONPATH")]))
    }
    log = folder / "log"
    with (
        log.open("wb") as words,
        subprocess.Popen(
            command, cwd=folder, env=os.environ | new_user, stdin=subprocess.DEVNULL, stdout=words, stderr=words
        ) as server,
    ):
        try:
            yield _address(server, log)
        finally:
            server.terminate()


def _address(server: subprocess.Popen, log: Path) -> str:
    while True:
        said = log.read_text(encoding="utf-8")
        assert server.poll() is None, said
        if found := re.search(r"http://127\.0\.0\.1:([1-9]\d*)/\S+", said):
            try:
                socket.create_connection(("127.0.0.1", int(found[1])), timeout=1).close()
                return found.group()
            except OSError:
                pass
        time.sleep(0.1)
