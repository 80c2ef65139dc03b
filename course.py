#!/usr/bin/env python3
"""The one command of the course: python3 course.py lab. On Windows: py course.py lab.

It makes the environment .venv beside this file the first time, and then starts the program asked for inside it; an
activated environment, conda's for instance, that has every package already is used as it is.
This file uses the standard library only, and even Python 3.6 can read it, to be told that it is too old.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys

ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, *(("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")))
OWNER = os.path.join(VENV, "made-by-course.txt")  # written first: this environment may be removed and made anew
STAMP = os.path.join(VENV, "complete.txt")  # written last: what this environment was made from
BUILD = os.path.join(ROOT, "build")
LOG = os.path.join(BUILD, "install.log")

# What a student's environment holds, and what the checks need on top of it.
STUDENTS, MAINTAINERS = "requirements.txt", "requirements-dev.txt"

OLDEST_PYTHON = (3, 11)
NEWEST_PYTHON = (3, 13)  # the newest that was tried; one beyond it is warned of, for it may well do
# What the packages take while they are installed, measured: on Linux 6.4 for a student's environment, to which torch
# brings the CUDA libraries, 6.8 for a maintainer's, and 3.3 for the files fetched. pip's cache would hold these again.
GIGABYTES, CACHE_GIGABYTES = (10, 4) if sys.platform.startswith("linux") else (3, 1)
START = os.path.join("notebooks", "00_start_here.ipynb")

USAGE = """usage: python3 course.py COMMAND

  lab               open JupyterLab at the first notebook
  run [NN ...]      execute the notebooks into build/executed, with times and peak memory
  slides [NN ...]   export the lecture's decks to build/slides
  site [NN ...]     build the site, pages and decks, in build/site, with the maintainers' packages
  test              run every check, with the maintainers' packages (what follows goes to pytest: test -k images)
  refresh [NN ...]  execute the notebooks in place, for those who change them
  bench [NN ...]    measure times, memory and sizes into build/bench.md

NN is the number of a notebook, or the letter of an appendix; without one, all are meant."""

NO_NETWORK = re.compile(
    "connection broken by|Max retries exceeded|Failed to establish a new connection|Connection(Reset|Aborted)?Error"
    "|Temporary failure in name resolution|ReadTimeout|IncompleteRead"
)
# Lines of pip's: a package of a megabyte or more, and the point from which pip changes the environment.
FETCHED = re.compile(r"\s*(?:Downloading|Using cached) (?:\S*/)?([^/\s]+\.(?:whl|gz)) \((.*[MG]B)\)")
INSTALLING = "Installing collected packages"
NO_SPACE = re.compile("No space left on device|not enough space on the disk|Errno 28|WinError 112")


class Refusal(Exception):
    """The reason, in one sentence for the user, why the course can't start."""


def check_python(version):
    """Raise Refusal unless this version (a tuple like sys.version_info) can run the course."""
    if tuple(version[:2]) < OLDEST_PYTHON:
        raise Refusal(
            "The course needs Python {}.{} or newer, and this is Python {}.{}: install Python {}.{} "
            "(python.org/downloads) and start course.py with it.".format(
                *(OLDEST_PYTHON + tuple(version[:2]) + NEWEST_PYTHON)
            )
        )


def warning(version):
    """A sentence for a Python (a tuple like sys.version_info) that is newer than any that was tried, or None."""
    if tuple(version[:2]) <= NEWEST_PYTHON:
        return None
    return (
        "This is Python {}.{}, newer than those that the course was tried with, {}.{} to {}.{}: if it fails, start it "
        "with Python {}.{}.".format(*(tuple(version[:2]) + OLDEST_PYTHON + NEWEST_PYTHON * 2))
    )


def free_gigabytes():
    """The free room on the disk that holds the course."""
    return shutil.disk_usage(ROOT).free / 1e9


def check_disk():
    """Raise Refusal unless a new environment fits on the disk."""
    free = free_gigabytes()
    if free < GIGABYTES:
        raise Refusal(
            "The course needs {} GB of free disk for its packages, and the disk that holds {} has {:.1f} GB: "
            "make room and start again.".format(GIGABYTES, ROOT, free)
        )


@contextlib.contextmanager
def only_one():
    """Hold a lock that the system lets go when this process and the pip it started are gone; wait if another has it."""
    os.makedirs(BUILD, exist_ok=True)
    with open(os.path.join(BUILD, "install.lock"), "a") as file:
        waiting = "Another start is preparing the environment; waiting for it."
        if os.name == "nt":
            import msvcrt
            import time

            while True:
                try:
                    msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                    break
                except OSError:
                    say(waiting)
                    time.sleep(5)
        else:
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(waiting)
                fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def say(line):
    """Print a line of progress, at once."""
    print(line, flush=True)


def read(path):
    """The text of a file, or None if there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None


def write(path, text):
    """Write a file whole or not at all."""
    with open(path + ".tmp", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".tmp", path)


def base():
    """Where the environment is and its Python's version, for it works with no other; None if its Python is broken."""
    question = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run([PYTHON, "-c", question], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return "{}\nPython {}\n".format(ROOT, answer.stdout.strip())


def digest(*names):
    """A line that changes with the content of these files."""
    content = hashlib.sha256()
    for name in names:
        with open(os.path.join(ROOT, name), "rb") as file:
            content.update(file.read())
    return content.hexdigest() + "\n"


def packages(requirements):
    """What decides which packages the environment holds: a line for the students', one more for the maintainers'."""
    students = digest(STUDENTS, "pyproject.toml")
    return students + digest(MAINTAINERS) if requirements == MAINTAINERS else students


def is_ready(requirements=STUDENTS):
    """Whether the environment is complete and holds what this file names now; it may hold more."""
    stamp = read(STAMP)
    return stamp is not None and stamp.startswith("{}{}".format(base(), packages(requirements)))


def is_same(one, other):
    """Whether two paths are the same folder."""
    return os.path.normcase(os.path.realpath(one)) == os.path.normcase(os.path.realpath(other))


def is_activated():
    """Whether this Python is that of an environment which the user activated, conda's or a venv, other than ours."""
    activated = [os.environ.get(name) for name in ("CONDA_PREFIX", "VIRTUAL_ENV")]
    return any(folder and is_same(folder, sys.prefix) for folder in activated) and not is_same(sys.prefix, VENV)


def unmet(requirements):
    """What a requirements file, and those that it includes, name and this Python's packages do not meet."""
    from importlib import metadata

    # Python looks first beside course.py, where the course itself lies whether it is installed or not.
    path = [folder for folder in sys.path if not is_same(folder or os.curdir, ROOT)]

    def is_met(line):
        name, _, version = line.partition("==")
        found = next(metadata.distributions(name="pixels-to-palme" if line == "-e ." else name, path=path), None)
        if found is None:
            return False
        if line == "-e .":
            return is_same(editable(found), ROOT)
        # A CPU or CUDA build of torch calls itself 2.14.1+cpu.
        return found.version.split("+")[0] == version

    wanting = []
    for line in read(os.path.join(ROOT, requirements)).splitlines():
        line = line.split("#")[0].strip()
        if line.startswith("-r "):
            wanting += unmet(line[3:].strip())
        elif line and not is_met(line):
            wanting.append("this copy of the course" if line == "-e ." else line)
    return wanting


def editable(distribution):
    """The folder from which a package was installed to be edited there; "/" if it was installed in another way."""
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    source = json.loads(distribution.read_text("direct_url.json") or "{}")
    return url2pathname(urlsplit(source["url"]).path) if source.get("dir_info", {}).get("editable") else os.sep


def choose(requirements):
    """The Python that has these packages: an activated environment's, or that of .venv, which is made ready."""
    if is_activated():
        wanting = unmet(requirements)
        if not wanting:
            say("Using the activated environment {}: it has all that {} names.".format(sys.prefix, requirements))
            return sys.executable
        if not is_ready(requirements):
            more = " and {} more".format(len(wanting) - 1) if wanting[1:] else ""
            say("Not using the activated environment {}: it lacks {}{}.".format(sys.prefix, wanting[0], more))
    prepare(requirements)
    return PYTHON


def prepare(requirements=STUDENTS):
    """Make the environment complete: nothing to do, an update in place, or all of it anew.

    Raises Refusal if that can't be done; then the environment is as it was before, or gone.
    """
    if is_ready(requirements):
        return
    if os.path.lexists(VENV) and not os.path.isfile(OWNER) and not is_empty(VENV):
        raise Refusal(
            "{} was not made by course.py, which therefore leaves it alone: move it away and start again.".format(VENV)
        )
    with only_one() as lock:
        if is_ready(requirements):  # by the start that was waited for
            return
        stamp = read(STAMP)
        if stamp is None or not stamp.startswith(base() or "no Python"):
            make(lock)
            stamp = None
        try:
            if stamp is not None:
                os.remove(STAMP)  # while pip works in it, the environment is not complete
            install(requirements, lock)
            write(STAMP, base() + packages(requirements))
        except BaseException:
            # pip first finds and fetches everything and then installs: up to there an update has changed nothing.
            if stamp is not None and INSTALLING not in (read(LOG) or ""):
                write(STAMP, stamp)
            else:
                remove()
            raise


def is_empty(folder):
    """Whether this is a folder with nothing in it: what a start leaves that ends before it has written OWNER."""
    return os.path.isdir(folder) and not os.listdir(folder)


def remove():
    """Remove the environment, with OWNER last, so that a removal that was interrupted can go on."""
    try:
        for name in os.listdir(VENV):
            path = os.path.join(VENV, name)
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            elif path != OWNER:
                os.remove(path)
        shutil.rmtree(VENV)
    except OSError as error:
        raise Refusal(
            "The environment {} must be made anew and could not be removed ({}): close the programs that use it and "
            "start again.".format(VENV, error)
        ) from error


def make(lock):
    """Make an empty environment, in place of what is there."""
    if is_same(sys.prefix, VENV):
        raise Refusal(
            "The environment must be made anew, and this is its own Python: type deactivate, and start again with "
            "the Python that you installed."
        )
    if os.path.lexists(VENV):
        say("The environment is incomplete or no longer fits: removing it to make it anew.")
        remove()
    check_disk()
    say("Making the environment in {}".format(VENV))
    if warning(sys.version_info):
        say(warning(sys.version_info))
    os.mkdir(VENV)
    write(OWNER, "course.py made this folder, and may remove it and make it anew.\n")
    try:
        code, _ = follow([sys.executable, "-m", "venv", VENV], lock)
        if code:
            raise Refusal(
                "Python could not make an environment (on Debian and Ubuntu: sudo apt install python3-venv); "
                "its words are in {}.".format(LOG)
            )
    except BaseException:
        remove()
        raise


def install(requirements, lock):
    """Install the packages that a requirements file names into the environment."""
    say("Installing what {} names; the first time this fetches gigabytes and takes minutes.".format(requirements))
    pip = [PYTHON, "-m", "pip", "install", "--retries=2", "--disable-pip-version-check", "-r", requirements]
    if free_gigabytes() < GIGABYTES + CACHE_GIGABYTES:
        pip.append("--no-cache-dir")
    # pip unpacks beside its target: the system's own temporary folder is often small, and this one goes with the rest.
    temporary = os.path.join(VENV, "tmp")
    os.makedirs(temporary, exist_ok=True)
    code, output = follow(pip, lock, TMPDIR=temporary, TEMP=temporary, TMP=temporary)
    shutil.rmtree(temporary)
    if code == 0:
        return
    if NO_SPACE.search(output):
        reason = "the disk is full: make room ({} GB) and start again".format(GIGABYTES)
    elif NO_NETWORK.search(output):
        reason = "there is no network, or it broke off: connect to it and start again"
    else:
        errors = [line[7:].strip() for line in output.splitlines() if line.startswith("ERROR: ")]
        reason = "pip says: {}".format(errors[-1] if errors else "nothing")
    raise Refusal("The packages could not be installed: {} (all of pip's words: {}).".format(reason, LOG))


def follow(command, lock, **variables):
    """Run a command that makes the environment, showing its main steps; return its exit code and all its words."""
    words = []
    inherited = {} if os.name == "nt" else {"pass_fds": [lock.fileno()]}
    environment = dict(os.environ, PYTHONIOENCODING="utf-8", PYTHONUNBUFFERED="1", **variables)
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    text = {"encoding": "utf-8", "errors": "replace"}
    with open(LOG, "w", encoding="utf-8") as log:
        with subprocess.Popen(command, cwd=ROOT, env=environment, **dict(pipes, **text, **inherited)) as process:
            try:
                for line in process.stdout:
                    log.write(line)
                    log.flush()
                    words.append(line)
                    fetched = FETCHED.match(line)
                    if fetched:
                        say("  {} ({})".format(*fetched.groups()))
                    elif line.startswith(INSTALLING):
                        say("  unpacking them: {} in all".format(line.count(",") + 1))
            except BaseException:
                process.kill()
                raise
    return process.returncode, "".join(words)


def program(command, arguments, python=PYTHON):
    """The command line that does what was asked for, with a Python that has the packages."""
    if command == "lab":
        # Lab is given the repository as its root, not the notebook's folder: the student sees the helpers and the data.
        page = "/lab/tree/" + START.replace(os.sep, "/")
        options = ["--ServerApp.root_dir=" + ROOT, "--LabApp.default_url=" + page]
        # No questions about news and no search for updates: the course asks nothing of the network.
        options.append("--LabApp.app_settings_dir=" + os.path.join(ROOT, "tools", "lab_settings"))
        return [python, "-m", "jupyterlab"] + options + arguments
    if command == "test":
        return [python, os.path.join("tests", "offline.py")] + arguments
    if command in ("run", "refresh"):
        return [python, "-m", "tools.execute", command] + arguments
    return [python, "-m", "tools." + command] + arguments


def hand_over(command):
    """Go on as another program in the repository's folder; return its exit code where that is not possible."""
    os.chdir(ROOT)
    if os.name != "nt":
        os.execv(command[0], command)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program
    return subprocess.call(command)


def main(arguments):
    """Do what the command line says; return the exit code: 2 if the course can't start."""
    try:
        check_python(sys.version_info)
        command, rest = (arguments or ["help"])[0], arguments[1:]
        if command in ("help", "-h", "--help"):
            print(USAGE)
            return 0
        if command not in ("lab", "test", "run", "slides", "site", "refresh", "bench"):
            raise Refusal("There is no command {}.\n\n{}".format(command, USAGE))
        if command in ("run", "slides", "site", "refresh"):
            from tools import find_notebooks, is_notebook

            try:
                find_notebooks([word for word in rest if is_notebook(word)])
            except ValueError as error:
                raise Refusal("{}\n\n{}".format(error, USAGE)) from error
        python = choose(MAINTAINERS if command in ("test", "site") else STUDENTS)
        return hand_over(program(command, rest, python))
    except Refusal as refusal:
        print("course.py: {}".format(refusal), file=sys.stderr)
        return 2
    except OSError as error:
        print("course.py: the system refused: {}".format(error), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ncourse.py: stopped; the next start makes good what is missing.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
