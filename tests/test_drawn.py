"""Drawn worlds: the same pictures however they are drawn, and a cache that no accident makes lie."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from helpers import cores
from helpers import files as our_files
from helpers.cores import available_cores
from helpers.worlds import drawn
from helpers.worlds.drawn import CHUNK, CacheError, chunk, chunks, key
from helpers.worlds.street.captions import captions
from helpers.worlds.street.drawing.render import render
from helpers.worlds.street.sample import CLASSES, scenes
from helpers.worlds.streets import OneVehicle, Streets, TwoVehicles, load_street

ROOT = Path(__file__).parents[1]
MANY = 2 * CHUNK + 5  # three chunks, so that two processes share them


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache folder for one test."""
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pictures"


def load(split="train", n=10, size=32, **rest):
    return load_street(split, n, size, progress=False, **rest)


def files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.name != ".gitignore")


def equal(a, b) -> bool:
    return (
        torch.equal(a.images, b.images)
        and a.captions == b.captions
        and all(torch.equal(a.labels[label], b.labels[label]) for label in CLASSES)
    )


def python(script: str, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, env=os.environ | environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


DIGEST = """
import hashlib
from helpers.worlds.streets import load_street
street = load_street("train", 40, 32, progress=False, workers=1)
print(hashlib.sha256(street.images.numpy().tobytes() + repr(street.captions).encode()).hexdigest())
"""


# What is in a data set


def test_pictures_labels_and_words_belong_to_their_scene(cache):
    street = load("validation", 20, 48, seed=3, captions=3)
    assert street.images.shape == (20, 3, 48, 48) and street.images.dtype == torch.uint8
    assert tuple(street.scenes) == scenes("validation", 20, 3) and street.scenes[-1] == street.scenes[19]
    assert street.scenes[2:5] == scenes("validation", 5, 3)[2:]
    world = Streets("validation", 20, 48, 3)
    for i, scene in enumerate(street.scenes):
        picture = render(scene, 48, world.image_seed(i))
        assert np.array_equal(street.images[i].numpy(), picture.transpose(2, 0, 1))
        assert {label: classes[street.labels[label][i]] for label, classes in CLASSES.items()} == scene.labels
        assert street.captions[i] == captions(scene, 3, [3, i])
    with pytest.raises(IndexError):
        street.scenes[20]


def test_one_process_two_processes_and_the_cache_give_the_same(cache):
    alone = load(n=MANY, cache=False, workers=1)
    assert not cache.exists(), "cache=False must write nothing"
    assert equal(alone, load(n=MANY, cache=False, workers=2))
    assert equal(alone, load(n=MANY, workers=2)) and equal(alone, load(n=MANY))
    assert torch.equal(alone.images[:10], load(n=10, cache=False).images)
    assert not torch.equal(alone.images[:10], load(n=10, seed=1, cache=False).images)


def test_a_shift_redraws_the_same_scenes(cache):
    plain = load("test", 8, 64)
    for shift in ("v2", "rendition", "sketch", "objectnet"):
        shifted = load("test", 8, 64, shift=shift)
        assert tuple(shifted.scenes) == tuple(plain.scenes)
        if shift == "objectnet":  # vehicles on a beach: nothing is said of the street
            assert list(shifted.labels) == ["vehicle", "colour", "age"] and shifted.captions == [[]] * 8
        else:
            assert list(shifted.labels) == list(CLASSES) and shifted.captions == plain.captions
        assert all(torch.equal(shifted.labels[label], plain.labels[label]) for label in shifted.labels)
        assert all(not torch.equal(a, b) for a, b in zip(plain.images, shifted.images, strict=True)), shift


def test_simpler_streets_are_worlds_too(cache):
    one = drawn.load(OneVehicle("test", 12, styles=("photo", "sketch")), progress=False)
    assert one.images.shape == (12, 3, 48, 48) and list(one.labels) == ["vehicle"]
    assert all(len(scene.vehicles) == 1 for scene in one.scenes) and one.captions == [[]] * 12
    two = drawn.load(TwoVehicles("test", 40), progress=False, workers=2)
    same = [scene.vehicles[0].colour == scene.vehicles[1].colour for scene in two.scenes]
    assert two.labels["same colour"].tolist() == same and 10 < sum(same) < 30
    assert len(files(cache)) == 2 and repr(two) == "40 pictures of 48 px"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "dev"}, "split: 'dev' is not one of train, validation, test, composition"),
        ({"n": 0}, "n: 0 is not a whole number from 1"),
        ({"n": 2.5}, "n: 2.5 is not a whole number"),
        ({"seed": -1}, "seed: -1 is not a whole number from 0"),
        ({"captions": None}, "captions: None is not a whole number from 0"),
        ({"size": 8}, "size: 8 is not a whole number of pixels from 32 to 1024"),
        ({"shift": "fog"}, "shift: 'fog' is not one of v2, rendition"),
        ({"workers": 0}, "workers: 0 is not a whole number from 1"),
    ],
)
def test_arguments_out_of_range_are_refused_by_name(cache, arguments, message):
    with pytest.raises(ValueError, match=message):
        load(**arguments)
    assert not cache.exists()


# The cache


def test_a_second_load_draws_nothing(cache, monkeypatch):
    first = load()
    monkeypatch.setattr(drawn, "chunks", lambda *_: pytest.fail("drawn again"))
    assert equal(first, load())
    assert (cache / ".gitignore").read_text() == "*\n" and len(files(cache)) == 1


def test_changing_a_picture_does_not_change_the_file(cache):
    before = load().images.clone()
    load().images.zero_()
    assert torch.equal(load().images, before)


@pytest.mark.parametrize("damage", ["empty", "three bytes", "half", "one byte less", "one byte more", "one bit"])
def test_a_damaged_file_is_detected_and_drawn_again(cache, damage):
    good = load(cache=False)
    load()
    (path,) = files(cache)
    data = path.read_bytes()
    middle = len(data) // 2
    flipped = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    path.write_bytes(
        {
            "empty": b"", "three bytes": data[:3], "half": data[:middle], "one byte less": data[:-1],
            "one byte more": data + b"\0", "one bit": flipped,
        }[damage]
    )  # fmt: skip
    assert equal(good, load())
    assert path.read_bytes() == data


def test_each_request_has_its_own_file(cache):
    load()
    for change in ({"n": 11}, {"size": 33}, {"seed": 1}, {"split": "test"}, {"shift": "sketch"}, {"captions": 2}):
        before = len(files(cache))
        load(**change)
        assert len(files(cache)) == before + 1, change


WORLD = """
from helpers import colours


class Dots:
    pass
"""
COLOURS = """
RED = 250  # a comment


def red():
    return RED
"""


def test_the_key_changes_with_code_that_draws_and_not_with_a_comment(tmp_path, monkeypatch):
    """In a tree of its own: a world's module, and one that it imports."""
    package = tmp_path / "helpers"
    package.mkdir()
    (package / "dots.py").write_text(WORLD)
    (package / "colours.py").write_text(COLOURS)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "list.json").write_text("[]")

    def digest(file: str, text: str) -> str:
        (package / file).write_text(text)
        moment = time.time_ns() + len(text) * 10**9  # no two versions within one tick of a coarse clock
        os.utime(package / file, ns=(moment, moment))
        return our_files.code_digest("helpers.dots", data=("list.json",), root=tmp_path)

    first = digest("colours.py", COLOURS)
    assert first == digest("colours.py", COLOURS.replace("a comment", "another comment, longer"))
    assert first == digest("colours.py", COLOURS.replace("():", '():\n    """A docstring."""'))
    assert first == digest("colours.py", "\n\n\n" + COLOURS.replace("= 250", "=  250"))
    assert first != digest("colours.py", COLOURS.replace("250", "251"))
    assert first == digest("colours.py", COLOURS)
    assert first != digest("dots.py", WORLD.replace("pass", "size = 3"))
    assert first == digest("dots.py", WORLD)
    (package / "unused.py").write_text("x = 1")
    assert first == digest("dots.py", WORLD)
    (tmp_path / "data" / "list.json").write_text("[1]")
    assert first != digest("dots.py", WORLD)
    with pytest.raises(FileNotFoundError, match=r"module helpers\.none is not below"):
        our_files.code_digest("helpers.none", root=tmp_path)


def test_the_key_changes_with_the_world_the_code_and_the_libraries(monkeypatch):
    world = Streets("train", 5, 32)
    first = key(world)
    assert first == key(Streets("train", 5, 32)) != key(Streets("train", 5, 32, seed=1))
    assert key(OneVehicle("test", 5)) != key(TwoVehicles("test", 5)), "the same fields but one, and another class"
    monkeypatch.setattr(drawn, "version", lambda package: "0.1")
    assert key(world) != first
    monkeypatch.undo()
    monkeypatch.setattr(drawn, "code_digest", lambda *modules, data: f"{modules} {data}")
    assert key(world) != first
    assert key(Streets("test", 5, 32, shift="adversarial")) != key(Streets("test", 5, 32))


def test_the_oldest_are_forgotten_when_the_cache_is_full(cache, monkeypatch):
    one = 10 * 3 * 32**2 / 1e9  # the pictures of one file, in GB
    monkeypatch.setenv("COURSE_CACHE_GB", str(3.9 * one))
    for age, seed in enumerate((0, 1, 2)):
        load(seed=seed)
        (new,) = (path for path in files(cache) if path.stat().st_mtime > time.time() - 1000)
        os.utime(new, (time.time() - 9000 + 1000 * age,) * 2)
    monkeypatch.setattr(drawn, "chunks", lambda *_: pytest.fail("drawn again"))
    load(seed=0)  # read just now, so that seed 1 is the one not read for the longest time
    monkeypatch.undo()
    monkeypatch.setenv("COURSE_CACHE", str(cache.parent))
    monkeypatch.setenv("COURSE_CACHE_GB", str(3.9 * one))
    load(seed=3)
    assert len(files(cache)) == 3
    drawings = []
    monkeypatch.setattr(drawn, "chunks", lambda world, workers: drawings.append(world.seed) or chunks(world, workers))
    for seed in (0, 2, 3, 1):
        load(seed=seed)
    assert drawings == [1]
    monkeypatch.setenv("COURSE_CACHE_GB", "0")
    load(seed=9)
    assert len(files(cache)) == 1, "a limit below one file keeps that one"


def test_a_limit_that_is_no_number_is_named(cache, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE_GB", "4 GB")
    with pytest.raises(CacheError, match="COURSE_CACHE_GB: '4 GB' is not a number"):
        load()


def test_a_file_may_vanish_between_listing_and_looking(cache, monkeypatch):
    """As when two processes make room at once."""
    load()
    left = cache / "left.tmp"
    left.write_text("")
    os.utime(left, (time.time() - 7200,) * 2)
    looked, stat = [], Path.stat

    def vanishing(path: Path, **options) -> os.stat_result:
        if path.parent == cache and path.suffix in (".tmp", ".drawn") and path not in looked:
            looked.append(path)
            path.unlink()
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", vanishing)
    drawn._make_room(cache, 1000)
    assert len(looked) == 2 and files(cache) == []
    left.write_text("")
    unlink = Path.unlink
    monkeypatch.setattr(Path, "stat", stat)
    os.utime(left, (time.time() - 7200,) * 2)
    monkeypatch.setattr(Path, "unlink", lambda path, **options: (unlink(path), unlink(path, **options)))
    drawn._make_room(cache, 1000)
    assert files(cache) == []


def test_two_processes_may_build_at_once(cache):
    both = [python(DIGEST) for _ in range(2)]
    answers = [process.communicate(timeout=120) for process in both]
    assert answers[0][0] == answers[1][0] != "", answers
    assert len(files(cache)) == 1
    assert python(DIGEST).communicate(timeout=60)[0] == answers[0][0]


def test_a_killed_build_leaves_nothing_that_could_be_read(cache):
    process = python(DIGEST.replace("40, 32", "20_000, 96"))
    deadline = time.time() + 60
    while not (cache.exists() and files(cache) and files(cache)[0].stat().st_size > 0):
        assert time.time() < deadline and process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    process.kill()
    process.communicate()
    (left,) = files(cache)
    assert left.suffix == ".tmp"
    load()
    assert left in files(cache), "it could be another process at work"
    os.utime(left, (time.time() - 7200,) * 2)
    load(n=11)
    assert [p.suffix for p in files(cache)] == [".drawn", ".drawn"]


def test_an_interrupted_build_cleans_up(cache, monkeypatch):
    def interrupted(world, workers):
        yield chunk(world, 0)
        raise KeyboardInterrupt

    monkeypatch.setattr(drawn, "chunks", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load(n=MANY)
    assert files(cache) == []


def remedy(error: CacheError, folder: Path) -> None:
    text = str(error)
    assert str(folder) in text and "COURSE_CACHE" in text and "cache=False" in text and "\n" not in text


def test_a_folder_that_cannot_be_made_is_named_with_the_remedy(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "file"))
    with pytest.raises(CacheError) as error:
        load()
    remedy(error.value, tmp_path / "file" / "pictures")
    assert len(load(cache=False)) == 10, "the remedy works"


def test_a_disk_without_room_is_noticed_before_drawing(cache, monkeypatch):
    monkeypatch.setattr(drawn.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 1000))
    monkeypatch.setattr(drawn, "chunks", lambda *_: pytest.fail("drawn for nothing"))
    with pytest.raises(CacheError, match="No space left") as error:
        load()
    remedy(error.value, cache)


@pytest.mark.skipif(sys.platform == "win32", reason="RLIMIT_FSIZE is of Unix")
def test_a_disk_that_fills_up_while_writing_ends_in_a_sentence(cache):
    script = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
from helpers.worlds.drawn import CacheError
from helpers.worlds.streets import load_street
try:
    load_street("train", 40, 32, progress=False)
except CacheError as error:
    print(error)
"""
    out, err = python(script).communicate(timeout=60)
    assert f"the cache folder {cache} cannot be used" in out and "File too large" in out, err
    assert files(cache) == []


# The processes that draw


def test_a_process_that_draws_never_imports_torch():
    script = "import sys, helpers.worlds.streets; print(sorted(m for m in ('torch', 'tqdm') if m in sys.modules))"
    out, err = python(script).communicate(timeout=60)
    assert out.strip() == "[]", err


def test_a_script_without_a_main_guard_may_ask_for_two_processes(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from helpers.worlds.streets import load_street\n"
        f"print('drew', len(load_street('train', {MANY}, 32, cache=False, progress=False, workers=2)))\n"
    )
    run = subprocess.run(
        [sys.executable, str(script)], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert run.stdout == f"drew {MANY}\n", run.stderr


def test_a_process_that_dies_is_reported_and_the_others_are_stopped():
    drawing = chunks(Streets("train", 10_000, 32), workers=2)
    next(drawing)
    me = psutil.Process()
    working = [p for p in me.children() if "helpers.worlds.drawn" in p.cmdline()]
    assert len(working) == 2
    working[0].kill()
    with pytest.raises(RuntimeError, match="a process that draws scenes stopped"):
        list(drawing)
    assert not [p for p in working if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def test_drawing_that_is_given_up_leaves_no_process(monkeypatch):
    started = []

    class Started(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            started.append(self)

    monkeypatch.setattr(drawn.subprocess, "Popen", Started)
    drawing = chunks(Streets("train", 10_000, 32), workers=2)
    next(drawing)
    drawing.close()
    assert len(started) == 2 and all(process.returncode not in (None, 0) for process in started)


def test_the_last_words_of_a_failing_process_are_passed_on():
    world = Streets("train", MANY, 32)
    object.__setattr__(world, "split", "nowhere")
    with pytest.raises(RuntimeError, match="split: 'nowhere' is not one of"):
        list(chunks(world, workers=2))


def test_a_process_that_says_very_much_does_not_wait_for_a_reader():
    """With PYTHONVERBOSE Python tells of each import on stderr, more than a pipe holds."""
    script = f"""
import os
os.environ["PYTHONVERBOSE"] = "2"
from helpers.worlds.streets import load_street
print(len(load_street("train", {MANY}, 32, cache=False, progress=False, workers=2)))
"""
    out, err = python(script).communicate(timeout=120)
    assert out == f"{MANY}\n", err


# The cores


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux ties a process to some of the cores")
def test_cores_are_those_that_the_process_is_tied_to(tmp_path):
    mine = os.sched_getaffinity(0)
    assert available_cores(tmp_path) == len(mine)
    try:
        os.sched_setaffinity(0, {min(mine)})
        assert available_cores(tmp_path) == 1
    finally:
        os.sched_setaffinity(0, mine)


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("max 100000", 64), ("200000 100000", 2), ("150000 100000", 2), ("10000 100000", 1), ("9900000 100000", 64),
     ("nonsense", 64), ("", 64)],
)  # fmt: skip
def test_cores_are_within_the_quota_of_a_container(tmp_path, monkeypatch, quota, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    (tmp_path / "cpu.max").write_text(quota + "\n")
    assert available_cores(tmp_path) == expected


def test_windows_waits_for_61_processes_at_most(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    with monkeypatch.context() as windows:
        windows.setattr(cores.os, "cpu_count", lambda: 96)
        assert available_cores(tmp_path) == 96
        windows.setattr(cores.os, "name", "nt")
        found = available_cores(tmp_path)
    assert found == 61
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cores(tmp_path) == 1
