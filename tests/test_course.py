"""course.py on the days when things go wrong, each played through in a copy of the course with a tiny package list."""

from __future__ import annotations

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import course
from tools import ROOT

posix = pytest.mark.skipif(os.name == "nt", reason="sends a signal that Windows does not have")

# Stands in for the course's programs in the copies: tells which Python runs it, where, with what.
TELLTALE = """import os, sys
from importlib import metadata
names = sorted(d.metadata["name"] for d in metadata.distributions() if d.metadata["name"].startswith("tiny"))
print("STARTED", sys.prefix, os.getcwd(), sys.argv[1:], names, sep="\\n")
"""

# A package whose installation takes as long as the file "hold" exists.
SLOW = """import os, sys, time
sys.path.insert(0, "..")
from wheels import write_wheel
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    open("building", "w").close()
    while os.path.exists("hold"):
        time.sleep(0.05)
    return write_wheel(wheel_directory, "tiny_slow", "1.0")
"""

# The least that pip accepts as a wheel.
WHEELS = """import os, zipfile
def write_wheel(folder, name, version):
    file, info = f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    with zipfile.ZipFile(os.path.join(folder, file), "w") as wheel:
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return file
"""


class Tree:
    """A copy of the course in a path with a blank and a letter beyond ASCII."""

    def __init__(self, folder: Path):
        self.root = folder / "with blänk" / "course"
        (self.root / "tools").mkdir(parents=True)
        (self.root / "notebooks").mkdir()
        source = (ROOT / "course.py").read_text(encoding="utf-8")
        assert "(10, 4) if" in source
        # The copies install nothing large, and a full disk here is no fault of theirs.
        (self.root / "course.py").write_text(source.replace("(10, 4) if", "(0, 0) if"), encoding="utf-8")
        shutil.copy(ROOT / "tools" / "__init__.py", self.root / "tools")
        (self.root / "tools" / "execute.py").write_text(TELLTALE, encoding="utf-8")
        (self.root / "notebooks" / "00_start_here.ipynb").write_text("{}", encoding="utf-8")
        (self.root / "pyproject.toml").write_text("", encoding="utf-8")
        (self.root / "tests").mkdir()
        (self.root / "tests" / "offline.py").write_text(TELLTALE, encoding="utf-8")
        (self.root / "requirements-dev.txt").write_text("-r requirements.txt\n", encoding="utf-8")
        self.need("")
        self.venv = self.root / ".venv"

    def need(self, requirements: str) -> None:
        (self.root / "requirements.txt").write_text(requirements, encoding="utf-8")

    def add_slow_package(self) -> Path:
        """Require the package whose installation hangs; return its folder."""
        slow = self.root / "slow"
        slow.mkdir()
        (self.root / "wheels.py").write_text(WHEELS, encoding="utf-8")
        (slow / "hold").touch()
        (slow / "backend.py").write_text(SLOW, encoding="utf-8")
        (slow / "pyproject.toml").write_text(
            '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n', encoding="utf-8"
        )
        self.need("./slow\n")
        return slow

    def add_wheel(self, version: str) -> None:
        """Require the package tiny in this version, from a file."""
        self.need(f"./{self.wheel('tiny', version)}\n")

    def add_maintainers_wheel(self, version: str) -> None:
        """Require the package tiny_dev in this version for the checks, from a file."""
        lines = f"-r requirements.txt\n./{self.wheel('tiny_dev', version)}\n"
        (self.root / "requirements-dev.txt").write_text(lines, encoding="utf-8")

    def wheel(self, name: str, version: str) -> str:
        names: dict = {}
        exec(WHEELS, names)
        return names["write_wheel"](self.root, name, version)

    def start(
        self, *arguments: str, cwd: Path | None = None, python: str = sys.executable, **variables: str
    ) -> subprocess.Popen[str]:
        inherited = {name: value for name, value in os.environ.items() if name not in ("CONDA_PREFIX", "VIRTUAL_ENV")}
        environment = inherited | {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": "http://127.0.0.1:9",  # where nobody answers
            "PIP_EXTRA_INDEX_URL": "",
            "PIP_FIND_LINKS": "",
            "PYTHONUTF8": "1",
        }
        return subprocess.Popen(
            [python, str(self.root / "course.py"), *(arguments or ["run"])],
            cwd=cwd,
            env=environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            # A shell's background job ignores Ctrl-C, and its children inherit that; a program in a terminal does not.
            preexec_fn=None if os.name == "nt" else partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
            start_new_session=True,
        )

    def run(
        self, *arguments: str, cwd: Path | None = None, python: str = sys.executable, **variables: str
    ) -> tuple[int, str, str]:
        """Start to end: exit code, stdout, stderr."""
        process = self.start(*arguments, cwd=cwd, python=python, **variables)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def assert_works(self, *packages: str, command: str = "run") -> str:
        """The next start succeeds, with these packages; return what it said."""
        code, out, err = self.run(command)
        assert (code, err) == (0, "")
        assert out.splitlines()[-1] == str(list(packages))
        assert not (self.venv / "tmp").exists()
        return out


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """A copy whose environment is complete."""
    tree = Tree(tmp_path_factory.mktemp("made"))
    assert "Making the environment" in tree.assert_works()
    return tree


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something has come about that surely comes."""
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("waited a minute in vain")


def assert_refused(result: tuple[int, str, str], *words: str) -> None:
    """Accept only exit code 2 and one sentence on stderr that has these words."""
    code, _, err = result
    assert code == 2
    assert err.startswith("course.py: ") and err.count("\n") == 1, err
    for word in words:
        assert word in err


def test_old_python_can_read_the_file() -> None:
    source = (ROOT / "course.py").read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 6))
    with pytest.raises(SyntaxError):
        ast.parse(source + "\nif (n := 1): pass", feature_version=(3, 6))


def test_old_python_is_refused() -> None:
    for version in [(2, 7, 18, "final", 0), (3, 6, 15, "final", 0), (3, 10, 99, "final", 0)]:
        with pytest.raises(course.Refusal, match=f"needs Python 3.11 or newer, and this is Python {version[0]}"):
            course.check_python(version)
    for version in [(3, 11, 0, "alpha", 1), (3, 14, 0), (4, 0, 0)]:
        course.check_python(version)


def test_a_python_newer_than_those_tried_is_warned_of_but_not_refused() -> None:
    for version in [(3, 11, 7), (3, 12, 1), (3, 13, 99)]:
        assert course.warning(version) is None
    said = course.warning((3, 14, 0, "final", 0))
    assert "Python 3.14, newer than those that the course was tried with, 3.11 to 3.13" in said


def test_the_warning_comes_when_the_environment_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    move_to(tmp_path, monkeypatch)
    monkeypatch.setattr(course, "GIGABYTES", 0)
    monkeypatch.setattr(course, "follow", lambda *arguments, **variables: (1, ""))  # no environment can be made
    for newest, warned in [((3, 10), True), (sys.version_info[:2], False)]:
        monkeypatch.setattr(course, "NEWEST_PYTHON", newest)
        assert course.main(["lab"]) == 2
        assert ("newer than those" in capsys.readouterr().out) == warned


def move_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the course, in this process, lie in another folder."""
    for name, value in [("ROOT", folder), ("VENV", folder / ".venv"), ("BUILD", folder / "build")]:
        monkeypatch.setattr(course, name, str(value))
    for name in ("OWNER", "STAMP", "PYTHON"):
        monkeypatch.setattr(course, name, str(folder / ".venv" / name))
    monkeypatch.setattr(course, "LOG", str(folder / "build" / "install.log"))


def test_too_little_disk_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = namedtuple("usage", "total used free")
    move_to(tmp_path, monkeypatch)
    free = course.GIGABYTES - 0.5
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, free * 1e9))
    assert course.main(["lab"]) == 2
    assert f"needs {course.GIGABYTES} GB" in (told := capsys.readouterr().err) and f"has {free} GB" in told
    assert told.count("\n") == 1
    assert not (tmp_path / ".venv").exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, course.GIGABYTES * 1e9))
    course.check_disk()


def test_no_network_is_told_and_leaves_nothing(tree: Tree) -> None:
    tree.need("no-such-package==1.0\n")
    assert_refused(
        tree.run(), "could not be installed", "there is no network", str(tree.root / "build" / "install.log")
    )
    assert "no-such-package" in (tree.root / "build" / "install.log").read_text(encoding="utf-8")
    assert not tree.venv.exists()


def test_a_package_that_does_not_exist_is_told(made: Tree) -> None:
    made.need("no-such-package==1.0\n")
    assert_refused(made.run(PIP_NO_INDEX="1"), "No matching distribution found for no-such-package==1.0")
    made.need("")


def test_an_update_without_network_keeps_the_environment(made: Tree) -> None:
    made.need("no-such-package==1.0\n")
    assert_refused(made.run(), "there is no network")
    made.need("")
    assert "environment" not in made.assert_works(), "nothing had to be made or installed"


def test_another_environment_is_left_alone(tree: Tree) -> None:
    tree.venv.mkdir()
    (tree.venv / "mine.txt").write_text("mine", encoding="utf-8")
    assert_refused(tree.run(), "was not made by course.py", str(tree.venv))
    assert [path.name for path in tree.venv.iterdir()] == ["mine.txt"]


def test_a_second_start_from_anywhere_installs_nothing(made: Tree, tmp_path: Path) -> None:
    code, out, err = made.run("run", "0", cwd=tmp_path)
    assert (code, err) == (0, "")
    started, prefix, cwd, arguments, _ = out.splitlines()
    assert started == "STARTED", "nothing else was said before"
    assert Path(prefix).samefile(made.venv)
    assert Path(cwd).samefile(made.root)
    assert arguments == "['run', '0']"


def test_changed_requirements_are_installed_in_place(made: Tree) -> None:
    made.add_wheel("1.0")
    said = made.assert_works("tiny")
    assert "Installing" in said and "Making" not in said
    made.add_wheel("2.0")
    assert "Installing" in made.assert_works("tiny")
    assert "Installing" not in made.assert_works("tiny")


def test_the_checks_without_network_leave_a_student_what_he_has(made: Tree) -> None:
    (made.root / "requirements-dev.txt").write_text("-r requirements.txt\nno-such-package==1.0\n", encoding="utf-8")
    assert_refused(made.run("test"), "there is no network")
    assert "Installing" not in made.assert_works("tiny")


def test_an_environment_whose_python_broke_is_made_anew(made: Tree) -> None:
    (made.venv / Path(course.PYTHON).relative_to(course.VENV)).unlink()
    assert "Making the environment" in made.assert_works("tiny")


def test_an_environment_that_moved_is_made_anew(made: Tree) -> None:
    moved = made.root.with_name("moved")
    made.root.rename(moved)
    made.root, made.venv = moved, moved / ".venv"
    assert "Making the environment" in made.assert_works("tiny")


def test_the_checks_need_more_and_get_it_in_place(made: Tree) -> None:
    made.add_wheel("1.0")
    made.add_maintainers_wheel("1.0")
    made.assert_works("tiny")
    said = made.assert_works("tiny", "tiny_dev", command="test")
    assert "Installing what requirements-dev.txt names" in said and "Making" not in said
    for command in ("test", "run"):
        assert "Installing" not in made.assert_works("tiny", "tiny_dev", command=command), "it has what both need"
    made.add_maintainers_wheel("2.0")
    assert "Installing" not in made.assert_works("tiny", "tiny_dev"), "a student needs nothing of it"
    assert "Installing" in made.assert_works("tiny", "tiny_dev", command="test")
    made.add_wheel("2.0")
    assert "Installing what requirements.txt names" in made.assert_works("tiny", "tiny_dev")
    assert "Installing what requirements-dev.txt names" in made.assert_works("tiny", "tiny_dev", command="test")


class Activated:
    """An environment that the user made and activated, with the tiny packages and the course of a folder."""

    def __init__(self, folder: Path, course_folder: Path, **packages: str):
        self.folder = folder
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        self.python = str(folder / Path(course.PYTHON).relative_to(course.VENV))
        query = "import sysconfig; print(sysconfig.get_path('purelib'))"
        self.site = Path(subprocess.check_output([self.python, "-c", query], text=True).strip())
        for name, version in packages.items():
            self.add(name, version)
        source = {"url": course_folder.as_uri(), "dir_info": {"editable": True}}
        (self.add("pixels_to_palme", "0.1.0") / "direct_url.json").write_text(json.dumps(source), encoding="utf-8")

    def add(self, name: str, version: str) -> Path:
        """What pip leaves of a package's installation."""
        info = self.site / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
        return info


PINS = "tiny==1.0  # the one\ntiny_torch==2.0\n-e .\n"


def mine_runs(tree: Tree, mine: Activated, variable: str, command: str = "run") -> tuple[int, str, str]:
    """A start with the environment's Python, while the variable says that the environment is activated."""
    return tree.run(command, python=mine.python, **{variable: str(mine.folder)})


@pytest.mark.parametrize("variable", ["CONDA_PREFIX", "VIRTUAL_ENV"])
def test_an_activated_environment_that_has_all_is_used(tree: Tree, tmp_path: Path, variable: str) -> None:
    tree.need(PINS)
    mine = Activated(tmp_path / "mine", tree.root, tiny="1.0", tiny_torch="2.0+cpu")
    code, out, err = mine_runs(tree, mine, variable)
    assert (code, err) == (0, "")
    first, started, prefix, *_ = out.splitlines()
    assert first == f"Using the activated environment {mine.folder}: it has all that requirements.txt names."
    assert started == "STARTED" and Path(prefix).samefile(mine.folder)
    assert not tree.venv.exists()


@pytest.fixture
def sealed(tree: Tree) -> Tree:
    """A copy that may not make an environment of its own: another one lies there."""
    tree.need(PINS)
    tree.venv.mkdir()
    (tree.venv / "mine.txt").write_text("mine", encoding="utf-8")
    return tree


def assert_not_used(result: tuple[int, str, str], mine: Activated, lacks: str) -> None:
    """Accept only a start that names what the activated environment lacks, and turns to .venv."""
    assert result[1] == f"Not using the activated environment {mine.folder}: it lacks {lacks}.\n"
    assert_refused(result, "was not made by course.py")


def test_an_activated_environment_that_lacks_something_is_not_used(sealed: Tree, tmp_path: Path) -> None:
    mine = Activated(tmp_path / "mine", sealed.root, tiny="1.1")
    assert_not_used(mine_runs(sealed, mine, "CONDA_PREFIX"), mine, "tiny==1.0 and 1 more")


def test_an_activated_environment_with_another_copy_of_the_course_is_not_used(sealed: Tree, tmp_path: Path) -> None:
    # What an installation leaves beside course.py says nothing of where this Python finds the course.
    beside = sealed.root / "pixels_to_palme.egg-info"
    beside.mkdir()
    (beside / "PKG-INFO").write_text("Name: pixels-to-palme\nVersion: 0.1.0\n", encoding="utf-8")
    mine = Activated(tmp_path / "mine", tmp_path / "elsewhere", tiny="1.0", tiny_torch="2.0")
    assert_not_used(mine_runs(sealed, mine, "CONDA_PREFIX"), mine, "this copy of the course")


def test_an_environment_that_is_not_activated_is_not_used(sealed: Tree, tmp_path: Path) -> None:
    mine = Activated(tmp_path / "mine", sealed.root, tiny="1.0", tiny_torch="2.0")
    (tmp_path / "other").mkdir()
    for activated in ({}, {"CONDA_PREFIX": str(tmp_path / "other")}):
        result = sealed.run(python=mine.python, **activated)
        assert result[1] == ""
        assert_refused(result, "was not made by course.py")


def test_the_checks_use_an_activated_environment_only_with_the_maintainers_packages(
    sealed: Tree, tmp_path: Path
) -> None:
    (sealed.root / "requirements-dev.txt").write_text("-r requirements.txt\ntiny_dev==1.0\n", encoding="utf-8")
    mine = Activated(tmp_path / "mine", sealed.root, tiny="1.0", tiny_torch="2.0")
    assert_not_used(mine_runs(sealed, mine, "CONDA_PREFIX", "test"), mine, "tiny_dev==1.0")
    mine.add("tiny_dev", "1.0")
    code, out, _ = mine_runs(sealed, mine, "CONDA_PREFIX", "test")
    assert code == 0 and "it has all that requirements-dev.txt names" in out


@posix
def test_an_install_that_was_killed_is_repaired(tree: Tree) -> None:
    slow = tree.add_slow_package()
    first = tree.start()
    wait_for((slow / "building").exists)
    first.kill()
    first.communicate(timeout=60)
    assert tree.venv.exists() and not (tree.venv / "complete.txt").exists()
    second = tree.start()
    time.sleep(1)
    assert second.poll() is None, "pip of the first start still works in the environment"
    assert "waiting" in second.stdout.readline()
    (slow / "hold").unlink()
    out, err = second.communicate(timeout=60)
    assert (second.returncode, err) == (0, "")
    assert "Making the environment" in out and out.endswith("['tiny_slow']\n")


@posix
def test_ctrl_c_during_an_install_leaves_nothing(tree: Tree) -> None:
    slow = tree.add_slow_package()
    process = tree.start()
    wait_for((slow / "building").exists)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process in the foreground
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "course.py: stopped" in err and "Traceback" not in err
    assert not tree.venv.exists()


def test_two_starts_at_once_wait_for_each_other(tree: Tree) -> None:
    slow = tree.add_slow_package()
    first = tree.start()
    wait_for((slow / "building").exists)
    second = tree.start()
    assert "waiting" in second.stdout.readline()
    (slow / "hold").unlink()
    told = [process.communicate(timeout=60) for process in (first, second)]
    assert [(process.returncode, err) for process, (_, err) in zip((first, second), told, strict=True)] == [(0, "")] * 2
    assert [out.count("Making the environment") for out, _ in told] == [1, 0]
    assert all(out.endswith("['tiny_slow']\n") for out, _ in told)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["dance"], "There is no command dance."), (["run", "99"], "There is no notebook 99: choose from 00.")],
)
def test_a_wrong_command_line_is_answered_with_the_usage(tree: Tree, arguments: list[str], words: str) -> None:
    code, _, err = tree.run(*arguments)
    assert code == 2
    assert words in err and "usage: python3 course.py COMMAND" in err
    assert not tree.venv.exists()


def test_help_is_printed(tree: Tree) -> None:
    assert [tree.run(word)[:2] for word in ("help", "-h", "--help")] == [(0, course.USAGE + "\n")] * 3
