"""Run pytest with the network blocked; what follows on the command line goes to pytest.

On Linux the run gets a network of its own that holds nothing but this machine: no program in it can reach another.
Where the system does not permit that (macOS, Windows, some Linux settings) every Python process of the run refuses to
connect elsewhere; other programs, such as the browser, are then not held back.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40
GUARD = Path(__file__).parent / "guard"
MODE = "COURSE_OFFLINE"
WORKERS = 2  # processes that run tests at a time, on two cores or more: a notebook's may take 2 GB of memory


def enter_empty_network() -> None:
    """Move this process into a network that holds only the loopback device. Raises OSError if that is not permitted."""
    import fcntl
    import socket

    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWNET):
        # Not as root: a user namespace comes first, in which everybody stays who they are.
        if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP | IFF_RUNNING))


def block() -> str:
    """Block the network for this process and all that it starts; return in words how."""
    if sys.platform == "linux":
        try:
            enter_empty_network()
            return "blocked for every program (a network namespace of its own)"
        except OSError as error:
            reason = f"the system does not permit a network namespace: {error}"
    else:
        reason = f"{sys.platform} has no network namespaces"
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(GUARD), os.environ.get("PYTHONPATH")]))
    return f"blocked for Python ONLY, not for other programs ({reason})"


def shared_out(arguments: list[str], cores: int) -> list[str]:
    """What pytest gets, of these arguments, so that `cores` cores share the work; [] leaves it in one process.

    A file stays in one process, for a notebook's cells share a kernel. Whoever names tests, or wants to see what they
    print or step through them, gets one process, which is sooner there.
    """
    whole = all(argument.startswith("--durations") or argument in ("-q", "-x") for argument in arguments)
    return ["-n", str(min(WORKERS, cores)), "--dist", "loadfile"] if whole and cores > 1 else []


def main(arguments: list[str]) -> int:
    """Block the network and go on as pytest; return its exit code where that needs a second process."""
    os.environ[MODE] = block()
    cores = os.cpu_count() or 1
    shared = shared_out(arguments, cores)
    if shared:
        # Else each process, and each kernel that it starts, computes with all cores, and they wait for one another.
        os.environ.setdefault("OMP_NUM_THREADS", str(cores // WORKERS))
    command = [sys.executable, "-m", "pytest", *shared, *arguments]
    if os.name != "nt":
        os.execv(command[0], command)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for pytest
    return subprocess.call(command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
