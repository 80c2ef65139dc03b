"""The data sets: the same pictures however they are drawn, and a cache that no accident makes lie."""

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
from torch.utils.data import DataLoader

from helpers.street import build, dataset
from helpers.worlds.drawn import CHUNK, Job, chunks
from helpers.worlds.street.captions import captions
from helpers.worlds.streets import CacheError, StreetDataset, load_street
from helpers.worlds.street.drawing.render import render
from helpers.worlds.street.sample import CLASSES, scenes

ROOT = Path(__file__).parents[1]
MANY = 2 * CHUNK + 5  # three chunks, so that two processes share them


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache folder for one test."""
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "street"


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
    job = Job("validation", 20, 48, 3)
    for i, scene in enumerate(street.scenes):
        drawn = render(scene, 48, job.image_seed(i))
        assert np.array_equal(street.images[i].numpy(), drawn.transpose(2, 0, 1))
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


def test_a_data_loader_takes_it(cache):
    street = load(n=12)
    batches = list(DataLoader(StreetDataset(street, "colour", lambda x: x.float() / 255), batch_size=5))
    images, targets = (torch.cat(part) for part in zip(*batches, strict=True))
    assert torch.equal(images, street.images.float() / 255) and torch.equal(targets, street.labels["colour"])
    image, words = StreetDataset(street, "captions")[3]
    assert torch.equal(image, street.images[3]) and words == street.captions[3]
    with pytest.raises(ValueError, match="target: 'wheels' is not one of vehicle, colour"):
        StreetDataset(street, "wheels")


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
    monkeypatch.setattr(dataset, "chunks", lambda *_: pytest.fail("drawn again"))
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


def test_another_version_of_the_code_draws_again(tmp_path, monkeypatch):
    job = Job("train", 5, 32)
    key = dataset._key(job)
    assert key == dataset._key(Job("train", 5, 32))
    copy = shutil.copytree(ROOT / "helpers" / "street", tmp_path / "street")
    monkeypatch.setattr(dataset, "__file__", str(copy / "dataset.py"))
    assert dataset._key(job) == key
    (copy / "render.py").write_text((copy / "render.py").read_text() + "\n")
    assert dataset._key(job) != key


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
    assert [p.suffix for p in files(cache)] == [".street", ".street"]


def test_an_interrupted_build_cleans_up(cache, monkeypatch):
    def interrupted(job, workers):
        yield job.chunk(0)
        raise KeyboardInterrupt

    monkeypatch.setattr(dataset, "chunks", interrupted)
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
    remedy(error.value, tmp_path / "file" / "street")
    assert len(load(cache=False)) == 10, "the remedy works"


def test_a_disk_without_room_is_noticed_before_drawing(cache, monkeypatch):
    monkeypatch.setattr(dataset.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 1000))
    monkeypatch.setattr(dataset, "chunks", lambda *_: pytest.fail("drawn for nothing"))
    with pytest.raises(CacheError, match="No space left") as error:
        load()
    remedy(error.value, cache)


@pytest.mark.skipif(sys.platform == "win32", reason="RLIMIT_FSIZE is of Unix")
def test_a_disk_that_fills_up_while_writing_ends_in_a_sentence(cache):
    script = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
from helpers.worlds.streets import CacheError, load_street
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
    script = "import sys, helpers.worlds.drawn; print(sorted(m for m in ('torch', 'tqdm') if m in sys.modules))"
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
    drawing = chunks(Job("train", 10_000, 32), workers=2)
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

    monkeypatch.setattr(build.subprocess, "Popen", Started)
    drawing = chunks(Job("train", 10_000, 32), workers=2)
    next(drawing)
    drawing.close()
    assert len(started) == 2 and all(process.returncode not in (None, 0) for process in started)


def test_the_last_words_of_a_failing_process_are_passed_on(monkeypatch):
    job = Job("train", MANY, 32)
    object.__setattr__(job, "split", "nowhere")
    with pytest.raises(RuntimeError, match="split: 'nowhere' is not one of"):
        list(build.chunks(job, workers=2))
