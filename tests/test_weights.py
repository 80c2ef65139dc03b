"""The door to weights, against a server on this machine that breaks off, stalls, lies and refuses."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from safetensors.torch import save_file
from torchvision import models

from helpers.worlds.photographs import photo
from helpers.weights.pretrained import WeightsError, fetch, load_classifier, load_state

BODY = random.Random(0).randbytes(300_000)
SHA256 = hashlib.sha256(BODY).hexdigest()


@dataclass
class Plan:
    """What the server does with the next requests."""

    body: bytes = BODY
    status: int = 200
    ranges: bool = True
    stop_after: int | None = None  # break the connection after so many bytes
    stall_after: int | None = None  # or fall silent
    announce: int | str | None = "true length"  # the Content-Length; None sends none
    wrong_range: bool = False  # answer a range request with 206 and the bytes from the start
    location: str = ""
    seen: list[str | None] = field(default_factory=list)  # the Range header of each request


class Server(ThreadingHTTPServer):
    """Serves `plan.body` under every path, in the manner of `plan`."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan = Plan()
        self.closing = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/weights.bin"


class Handler(BaseHTTPRequestHandler):
    """One request, answered as the server's plan says."""

    def do_GET(self):
        """Answer with the body, or with the fault that is planned."""
        plan = self.server.plan
        wanted = self.headers.get("Range")
        plan.seen.append(wanted)
        if plan.status != 200:
            self.send_response(plan.status)
            if plan.location:
                self.send_header("Location", plan.location)
                plan.status = 200
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and plan.ranges else 0
        if wanted and plan.ranges and start >= len(plan.body):
            self.send_error(416)
            return
        start = 0 if plan.wrong_range else start
        body = plan.body[start:]
        if wanted and plan.ranges:
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(plan.body) - 1}/{len(plan.body)}")
        else:
            self.send_response(200)
        if plan.announce is not None:
            self.send_header("Content-Length", str(plan.announce if isinstance(plan.announce, int) else len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            cut = min(x for x in (plan.stop_after, plan.stall_after, len(body)) if x is not None)
            self.wfile.write(body[:cut])
            self.wfile.flush()
            if plan.stall_after is not None:
                self.server.closing.wait(60)

    def log_message(self, *_):
        """Keep the tests' output free of the request log."""


@pytest.fixture
def server():
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.closing.set()
        server.shutdown()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "cache" / "weights.bin"


def get(server: Server, target: Path, **options) -> Path:
    return fetch(server.url, target, **{"sha256": SHA256, "progress": False, "timeout": 5, **options})


def part(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")


def names(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


# --- downloads that succeed --------------------------------------------------------------------------------------


@pytest.mark.parametrize("sha256", [SHA256, SHA256[:8]])
@pytest.mark.parametrize("announce", ["true length", None])
def test_a_download_is_whole_and_leaves_nothing_else(server, target, sha256, announce):
    server.plan.announce = announce
    assert get(server, target, sha256=sha256, size=len(BODY)) == target
    assert target.read_bytes() == BODY
    assert names(target) == ["weights.bin"]


def test_a_good_copy_is_not_downloaded_again(server, target):
    get(server, target)
    get(server, target)
    assert len(server.plan.seen) == 1


def test_a_redirect_is_followed(server, target):
    server.plan.status, server.plan.location = 302, "/elsewhere.bin"
    get(server, target)
    assert target.read_bytes() == BODY and len(server.plan.seen) == 2


def test_progress_is_reported_if_wanted(server, target, capsys):
    get(server, target)
    assert capsys.readouterr() == ("", "")
    target.unlink()
    get(server, target, progress=True)
    assert "weights.bin" in "".join(capsys.readouterr()) and target.exists()


# --- interruptions -----------------------------------------------------------------------------------------------


def test_a_broken_download_goes_on_where_it_stopped(server, target):
    server.plan.stop_after = 100_000
    with pytest.raises(WeightsError, match=r"weights\.bin .*broke.* 100,000 of 300,000.*run this again"):
        get(server, target)
    assert not target.exists() and part(target).read_bytes() == BODY[:100_000]
    server.plan = Plan()
    get(server, target)
    assert server.plan.seen == ["bytes=100000-"]
    assert target.read_bytes() == BODY and names(target) == ["weights.bin"]


@pytest.mark.parametrize(
    ("left", "plan", "requests"),
    [
        pytest.param(BODY[:1000], Plan(ranges=False), 1, id="the server knows no ranges"),
        pytest.param(b"x" * 1000, Plan(), 2, id="the rest of another file"),
        pytest.param(BODY[:1000], Plan(wrong_range=True), 2, id="the server sends another range"),
        pytest.param(BODY + b"too long", Plan(), 2, id="longer than the file"),
        pytest.param(BODY, Plan(), 1, id="complete, but not yet renamed"),
        pytest.param(b"", Plan(), 1, id="empty"),
    ],
)
def test_whatever_was_left_the_result_is_right(server, target, left, plan, requests):
    target.parent.mkdir()
    part(target).write_bytes(left)
    server.plan = plan
    get(server, target)
    assert target.read_bytes() == BODY and names(target) == ["weights.bin"]
    assert len(server.plan.seen) == requests


PROGRAM = """
import sys
from helpers.weights.pretrained import fetch
fetch(sys.argv[1], sys.argv[2], sha256=sys.argv[3], progress=False)
"""


def start(server: Server, target: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, server.url, str(target), SHA256],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_download_in_progress_is_left_alone_and_a_killed_one_goes_on(server, target):
    server.plan.stall_after = 100_000
    process = start(server, target)
    try:
        deadline = time.monotonic() + 100
        while not (part(target).exists() and part(target).stat().st_size == 100_000):
            assert process.poll() is None and time.monotonic() < deadline, "the download never got under way"
            time.sleep(0.02)
        with pytest.raises(WeightsError, match=r"weights\.bin is being downloaded by another process"):
            get(server, target)
        assert len(server.plan.seen) == 1
    finally:
        process.kill()
        process.communicate()
    assert not target.exists()
    server.plan = Plan()
    get(server, target)
    assert server.plan.seen == ["bytes=100000-"]
    assert target.read_bytes() == BODY and names(target) == ["weights.bin"]


def test_processes_that_start_together_end_with_one_good_file(server, target):
    processes = [start(server, target) for _ in range(2)]
    errors = [process.communicate(timeout=100)[1] for process in processes]
    codes = [process.returncode for process in processes]
    assert 0 in codes and target.read_bytes() == BODY
    assert all(code == 0 or "another process" in error for code, error in zip(codes, errors, strict=True))


# --- failures ----------------------------------------------------------------------------------------------------

OTHER = BODY[:-1] + bytes([BODY[-1] ^ 1])
FAULTS = {
    "not found": (Plan(status=404), {}, r"answered 404.*update torchvision"),
    "server error": (Plan(status=500), {}, r"answered 500.*later"),
    "forbidden": (Plan(status=403), {}, r"answered 403"),
    "stalls at once": (Plan(stall_after=0), {"timeout": 0.2}, r"sent nothing for 0\.2 s"),
    "stalls midway": (Plan(stall_after=1000), {"timeout": 0.2}, r"sent nothing for 0\.2 s.*again"),
    "breaks off": (Plan(stop_after=1000), {}, r"broke after 1,000 of 300,000"),
    "breaks off, length unknown": (Plan(stop_after=1000, announce=None), {}, r"sha256 .*expected"),
    "announces too much": (Plan(announce=400_000), {}, r"broke after 300,000 of 400,000"),
    "announces too little": (Plan(announce=200_000), {}, r"sha256 .*expected"),
    "announces another size": (Plan(body=BODY * 2), {"size": len(BODY)}, r"600,000 bytes .*expected 300,000"),
    "longer than expected": (Plan(body=BODY * 9, announce=None), {"size": len(BODY)}, r"longer than .*300,000"),
    "one bit is wrong": (Plan(body=OTHER), {}, rf"sha256 {hashlib.sha256(OTHER).hexdigest()}, expected {SHA256}"),
    "a login page": (Plan(body=b"<html>Log in</html>"), {"size": len(BODY)}, r"19 bytes .*expected 300,000"),
    "empty": (Plan(body=b"", ranges=False), {}, r"sha256 e3b0c442"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failure_is_one_sentence_and_costs_no_file(server, target, fault):
    plan, options, words = FAULTS[fault]
    server.plan = Plan(**{**plan.__dict__, "seen": []})
    target.parent.mkdir()
    target.write_bytes(b"an older version, good in its day")
    with pytest.raises(WeightsError, match=words) as caught:
        get(server, target, **options)
    assert str(caught.value).startswith("weights.bin ") and str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)
    assert target.read_bytes() == b"an older version, good in its day"
    server.plan = Plan()
    get(server, target)  # and nothing that the failure left stands in the way
    assert target.read_bytes() == BODY and names(target) == ["weights.bin"]


def test_a_file_much_too_long_is_not_stored_to_its_end(server, target):
    server.plan = Plan(body=BODY * 50, announce=None)
    with pytest.raises(WeightsError, match="longer"):
        get(server, target, size=len(BODY))
    assert part(target).stat().st_size <= len(BODY)


def test_a_refused_connection(server, target):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        server.url = f"http://127.0.0.1:{unused.getsockname()[1]}/weights.bin"
        with pytest.raises(WeightsError, match=r"weights\.bin .*127\.0\.0\.1 cannot be reached .*check the network"):
            get(server, target)


def test_no_network(server, target, monkeypatch):
    def unknown(*_):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    server.url = "http://weights.invalid/weights.bin"
    with pytest.raises(WeightsError, match=r"weights\.bin .*weights\.invalid cannot be looked up; check the network"):
        get(server, target)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_while_writing(server, target):
    target.parent.mkdir()
    target.write_bytes(b"old")
    part(target).symlink_to("/dev/full")
    with pytest.raises(WeightsError, match=r"weights\.bin .*no room.*free some disk space"):
        get(server, target)
    assert target.read_bytes() == b"old" and not part(target).is_symlink()


def test_a_full_disk_is_seen_before_the_first_byte(server, target, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": len(BODY) - 1}))
    with pytest.raises(WeightsError, match="no room"):
        get(server, target)
    assert not part(target).exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": len(BODY)}))
    get(server, target)


def test_a_folder_that_cannot_be_written(server, target, monkeypatch):
    target.parent.write_text("a file where the folder should be")
    with pytest.raises(WeightsError, match=r"weights\.bin .*cannot be written.*choose another folder"):
        get(server, target)
    target.parent.unlink()

    def forbidden(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "mkdir", forbidden)
    with pytest.raises(WeightsError, match=r"weights\.bin .*cannot be written.*Permission denied"):
        get(server, target)


def test_a_lock_in_another_hand_is_respected_and_an_old_one_is_not(server, target):
    target.parent.mkdir()
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    with lock, pytest.raises(WeightsError, match="another process"):
        get(server, target)
    Path(lock.lock_file).touch()
    get(server, target)


def test_a_hash_that_is_none_is_refused_before_anything_else(server, target):
    for wrong in ("", "abc", "g" * 64, SHA256.upper()):
        with pytest.raises(ValueError, match="hex digits"):
            get(server, target, sha256=wrong)
    assert server.plan.seen == [] and not target.parent.exists()


# --- files of tensors --------------------------------------------------------------------------------------------


@pytest.fixture(params=["safetensors", "pth", "old pth"])
def stored(request, tmp_path):
    """A state dict and its file, in each of the formats that are read."""
    generator = torch.Generator().manual_seed(0)
    state = {"a.weight": torch.randn(64, 8, generator=generator), "a.bias": torch.randn(64, generator=generator)}
    path = tmp_path / ("a.safetensors" if request.param == "safetensors" else "a.pth")
    if request.param == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=request.param == "pth")
    return state, path


def test_load_state(stored):
    state, path = stored
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    for expected in (None, sha256, sha256[:8]):
        loaded = load_state(path, sha256=expected)
        assert loaded.keys() == state.keys()
        assert all(torch.equal(loaded[name], state[name]) for name in state)


@pytest.mark.parametrize("keep", [0, 1, 7, 100, 0.5, -1])
def test_a_truncated_file_is_refused(stored, keep):
    _, path = stored
    data = path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    path.write_bytes(data[: int(len(data) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(WeightsError, match=rf"{path.name} in .*damaged.*get it again"):
        load_state(path)
    with pytest.raises(WeightsError, match=rf"{path.name} in .*expected {sha256}.*get it again"):
        load_state(path, sha256=sha256)


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth"])
def test_what_is_no_file_of_tensors_is_refused(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(WeightsError, match=rf"{name} is not in .*get it again"):
        load_state(path)
    path.mkdir()
    with pytest.raises(WeightsError, match=rf"{name} in .*cannot be read"):
        load_state(path)
    path.rmdir()
    path.write_text("<html>Log in</html>")
    with pytest.raises(WeightsError, match=rf"{name} in .*damaged"):
        load_state(path)


@pytest.mark.parametrize("content", [[torch.zeros(2)], {"a": 1}, torch.zeros(2)])
def test_tensors_without_names_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"a\.pth .*named tensors"):
        load_state(tmp_path / "a.pth")


class Malice:
    """Unpickled with full rights, this makes the folder of its argument."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("new_format", [True, False])
def test_a_torch_file_that_would_run_code_is_refused(tmp_path, new_format):
    path = tmp_path / "evil.pth"
    torch.save({"a": Malice(tmp_path / "made")}, path, _use_new_zipfile_serialization=new_format)
    with pytest.raises(WeightsError, match=r"evil\.pth "):
        load_state(path)
    assert not (tmp_path / "made").exists()
    torch.load(path, weights_only=False)
    assert (tmp_path / "made").is_dir(), "the file is harmless, so its refusal proves nothing"


# --- classifiers -------------------------------------------------------------------------------------------------


@pytest.fixture
def no_network(monkeypatch):
    """Make any use of the network fail the test."""

    def forbidden(*_, **__):
        pytest.fail("the network was used unasked")

    monkeypatch.setattr(socket.socket, "connect", forbidden)
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)


@pytest.fixture
def torch_home(tmp_path, monkeypatch):
    """An empty torch cache; returns the folder of its checkpoints."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


def publish(name: str, folder: Path, monkeypatch, base: str) -> tuple[dict[str, torch.Tensor], Path]:
    """Write random weights for torchvision's `name` as torchvision would publish them; return state and file."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = models.get_model(name, weights=None).state_dict()
    folder.mkdir(parents=True)
    torch.save(state, folder / "unnamed")
    sha256 = hashlib.sha256((folder / "unnamed").read_bytes()).hexdigest()
    file = (folder / "unnamed").rename(folder / f"{name}-{sha256[:8]}.pth")
    published = models.get_model_weights(name).DEFAULT.value
    monkeypatch.setattr(published, "url", f"{base}/{file.name}")
    monkeypatch.setitem(published.meta, "_file_size", round(file.stat().st_size / 2**20, 3))
    return state, file


def test_offline_the_shipped_network_says_why_it_is_there(torch_home, no_network):
    classifier = load_classifier("alexnet")
    assert classifier.tier == "shipped" and classifier.name == "SqueezeNet 1.1"
    line = str(classifier)
    assert line == repr(classifier) and "\n" not in line
    for words in ("shipped weights: SqueezeNet 1.1, because alexnet-", "no download was asked for", "download=True"):
        assert words in line
    assert not classifier.model.training
    with torch.inference_mode():
        assert classifier.model(classifier.preprocess(photo("cat"))).shape == (1, len(classifier.classes)) == (1, 1000)
    assert not torch_home.exists()
    assert "asked for by name" in str(load_classifier("squeezenet1_1"))


def test_alexnet_in_the_torch_cache_is_used(torch_home, no_network, monkeypatch):
    state, file = publish("alexnet", torch_home, monkeypatch, "https://weights.invalid/models")
    before = torch.get_rng_state()
    classifier = load_classifier("alexnet")
    assert torch.equal(before, torch.get_rng_state()), "loading drew from the global generator"
    assert (classifier.tier, classifier.name) == ("real", "alexnet")
    assert file.name in str(classifier) and str(classifier).startswith("real weights: alexnet")
    assert sum(p.numel() for p in classifier.model.parameters()) == 61_100_840
    model = models.alexnet()
    model.load_state_dict(state)
    picture = photo("cat")
    inputs = classifier.preprocess(picture)
    assert inputs.shape == (1, 3, 224, 224)
    with pytest.raises(ValueError, match="uint8 array"):
        classifier.preprocess(picture / 255)
    transform = models.AlexNet_Weights.IMAGENET1K_V1.transforms()
    assert torch.equal(inputs[0], transform(torch.from_numpy(picture.transpose(2, 0, 1).copy())))
    with torch.inference_mode():
        ours, theirs = classifier.model(inputs), model.eval()(inputs)
        assert torch.equal(ours, theirs)
        assert not torch.allclose(classifier.model(inputs.flip(1)), theirs)  # swapped channels would be seen


def test_a_damaged_file_in_the_cache_is_named_kept_and_not_used(torch_home, no_network, monkeypatch):
    _, file = publish("squeezenet1_0", torch_home, monkeypatch, "https://weights.invalid")
    assert load_classifier("squeezenet1_0").tier == "real"
    damaged = file.read_bytes()[:-1]
    file.write_bytes(damaged)
    classifier = load_classifier("squeezenet1_0")
    assert classifier.tier == "shipped"
    assert file.name in classifier.why and "damaged" in classifier.why and "download=True" in classifier.why
    assert file.read_bytes() == damaged


def test_a_download_that_was_asked_for(server, tmp_path, monkeypatch):
    base = server.url.rpartition("/")[0]
    state, source = publish("squeezenet1_0", tmp_path / "published", monkeypatch, base)
    cache = tmp_path / "my cache"
    server.plan = Plan(status=404)
    classifier = load_classifier("squeezenet1_0", download=True, cache=cache)
    assert classifier.tier == "shipped" and source.name in classifier.why and "404" in classifier.why

    server.plan = Plan(body=source.read_bytes())
    classifier = load_classifier("squeezenet1_0", download=True, cache=cache)
    assert classifier.tier == "real" and [path.name for path in cache.iterdir()] == [source.name]
    assert all(torch.equal(value, state[name]) for name, value in classifier.model.state_dict().items())

    (cache / source.name).write_bytes(b"damaged")
    server.plan = Plan(body=source.read_bytes()[:-1] + b"x")
    assert load_classifier("squeezenet1_0", download=True, cache=cache).tier == "shipped"
    assert (cache / source.name).read_bytes() == b"damaged"
    server.plan = Plan(body=source.read_bytes())
    assert load_classifier("squeezenet1_0", download=True, cache=cache).tier == "real"


def test_weights_of_another_network_are_not_loaded(torch_home, monkeypatch, no_network):
    _, file = publish("squeezenet1_0", torch_home, monkeypatch, "https://weights.invalid")
    monkeypatch.setattr(models.ResNet18_Weights.DEFAULT.value, "url", f"https://weights.invalid/{file.name}")
    classifier = load_classifier("resnet18")
    assert classifier.tier == "shipped" and "do not fit torchvision's resnet18" in classifier.why
    assert "\n" not in classifier.why


def test_an_unknown_network_is_refused():
    with pytest.raises(ValueError, match=r"no classifier 'alexnett'.*'alexnet'"):
        load_classifier("alexnett")


def test_a_damaged_shipped_file_is_an_error(tmp_path, monkeypatch, torch_home):
    from helpers import weights

    shutil.copytree(weights.DATA, tmp_path / "data", ignore=shutil.ignore_patterns("results"))
    file = tmp_path / "data" / "weights" / "squeezenet1_1.safetensors"
    data = np.frombuffer(file.read_bytes(), np.uint8).copy()
    data[-1] ^= 1
    file.write_bytes(data.tobytes())
    monkeypatch.setattr(weights, "DATA", tmp_path / "data")
    with pytest.raises(WeightsError, match=r"squeezenet1_1\.safetensors .*damaged.*git checkout"):
        load_classifier()


def test_every_classifier_of_torchvision_can_be_asked_for():
    """Its published file is named with the start of its hash, its size is known, and it has ImageNet's classes."""
    for name in models.list_models(module=models):
        published = models.get_model_weights(name).DEFAULT
        assert re.search(r"-[0-9a-f]{8,64}\.pth$", published.url), name
        assert published.meta["_file_size"] > 1, name
        assert len(published.meta["categories"]) == 1000, name
