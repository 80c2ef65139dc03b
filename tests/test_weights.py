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
from collections import OrderedDict
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision import models

from helpers.files import DATA
from helpers.weights import pretrained, store
from helpers.weights.pretrained import OURS, UNTRAINED, fetch, load
from helpers.weights.store import WeightsError, load_result, load_state, manifest
from helpers.worlds.photographs import photo

BODY = random.Random(0).randbytes(300_000)
SHA256 = hashlib.sha256(BODY).hexdigest()


@dataclass
class Plan:
    """What the server does with the next requests."""

    body: bytes = BODY
    status: int = 200
    stop_after: int | None = None  # break the connection after so many bytes
    stall_after: int | None = None  # or fall silent
    announce: int | str | None = "true length"  # the Content-Length; None sends none
    location: str = ""
    seen: list[str] = field(default_factory=list)  # the path of each request


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
        plan.seen.append(self.path)
        self.send_response(plan.status)
        if plan.status != 200:
            if plan.location:
                self.send_header("Location", plan.location)
                plan.status = 200
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if plan.announce is not None:
            length = plan.announce if isinstance(plan.announce, int) else len(plan.body)
            self.send_header("Content-Length", str(length))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(
                plan.body[: min(x for x in (plan.stop_after, plan.stall_after, len(plan.body)) if x is not None)]
            )
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


def get(server: Server, target: Path, sha256: str = SHA256) -> None:
    fetch(server.url, target, sha256)


def names(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


# --- downloads that succeed --------------------------------------------------------------------------------------


@pytest.mark.parametrize("sha256", [SHA256, SHA256[:8]])
@pytest.mark.parametrize("announce", ["true length", None])
def test_a_download_is_whole_leaves_nothing_else_and_shows_its_progress(server, target, sha256, announce, capsys):
    server.plan.announce = announce
    get(server, target, sha256)
    assert target.read_bytes() == BODY
    assert names(target) == ["weights.bin"]
    assert ("300k" if announce else "0.00B") in capsys.readouterr().err


def test_a_redirect_is_followed(server, target):
    server.plan.status, server.plan.location = 302, "/elsewhere.bin"
    get(server, target)
    assert target.read_bytes() == BODY and len(server.plan.seen) == 2


# --- interruptions: pooch's downloader starts anew, and `whole` keeps what is half there from getting the name ---


PROGRAM = """
import sys
from pathlib import Path
from helpers.weights.pretrained import fetch
fetch(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
"""


def start(server: Server, target: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, server.url, str(target), SHA256],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_killed_download_never_gets_the_name_and_is_made_again(server, target):
    server.plan.stall_after = 100_000
    process = start(server, target)
    try:
        deadline = time.monotonic() + 100
        while not server.plan.seen:
            assert process.poll() is None and time.monotonic() < deadline, "the download never got under way"
            time.sleep(0.02)
    finally:
        process.kill()
        process.communicate()
    assert not target.exists()
    server.plan = Plan()
    get(server, target)
    assert target.read_bytes() == BODY


def test_processes_that_start_together_end_with_one_good_file(server, target):
    processes = [start(server, target) for _ in range(2)]
    errors = [process.communicate(timeout=100)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    assert target.read_bytes() == BODY and names(target) == ["weights.bin"]


# --- failures ----------------------------------------------------------------------------------------------------

OTHER = BODY[:-1] + bytes([BODY[-1] ^ 1])
FAULTS = {
    "not found": (Plan(status=404), r"answered 404.*update torchvision"),
    "server error": (Plan(status=500), r"answered 500.*later"),
    "forbidden": (Plan(status=403), r"answered 403"),
    "stalls at once": (Plan(stall_after=0), r"broke off \(.*\); check the network"),
    "stalls midway": (Plan(stall_after=1000), r"broke off \(.*\); check the network"),
    "breaks off": (Plan(stop_after=1000), r"broke off \(.*1000 bytes read.*\); check the network"),
    "breaks off, length unknown": (Plan(stop_after=1000, announce=None), r"sha256 .*expected"),
    "announces too much": (Plan(announce=400_000), r"broke off \(.*300000 bytes read"),
    "announces too little": (Plan(announce=200_000), r"sha256 .*expected"),
    "one bit is wrong": (Plan(body=OTHER), rf"sha256 {hashlib.sha256(OTHER).hexdigest()}, expected {SHA256}"),
    "a login page": (Plan(body=b"<html>Log in</html>"), r"sha256 .*expected .*thrown away.*another network"),
    "empty": (Plan(body=b""), r"sha256 e3b0c442"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failure_is_one_sentence_and_costs_no_file(server, target, fault, monkeypatch):
    plan, words = FAULTS[fault]
    server.plan = Plan(**{**plan.__dict__, "seen": []})
    monkeypatch.setattr(pretrained, "TIMEOUT", 0.3 if plan.stall_after is not None else 100)
    target.parent.mkdir()
    target.write_bytes(b"an older version, good in its day")
    with pytest.raises(WeightsError, match=words) as caught:
        get(server, target)
    assert str(caught.value).startswith("weights.bin") and str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)
    assert target.read_bytes() == b"an older version, good in its day" and names(target) == ["weights.bin"]
    server.plan = Plan()
    get(server, target)
    assert target.read_bytes() == BODY and names(target) == ["weights.bin"]


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
    with pytest.raises(WeightsError, match=r"weights\.bin .*weights\.invalid cannot be reached .*check the network"):
        get(server, target)


def test_a_full_disk_while_writing(server, target, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    target.parent.mkdir()
    target.write_bytes(b"old")
    monkeypatch.setattr("pooch.HTTPDownloader.__call__", full)
    with pytest.raises(WeightsError, match=r"weights\.bin .*No space left.*free some disk space"):
        get(server, target)
    assert target.read_bytes() == b"old" and names(target) == ["weights.bin"]


def test_a_folder_that_cannot_be_written(server, target):
    target.parent.write_text("a file where the folder should be")
    with pytest.raises(WeightsError, match=r"weights\.bin .*cannot be written.*choose another folder"):
        get(server, target)


@pytest.mark.parametrize("wrong", ["", "abc", "g" * 64, SHA256.upper()])
def test_a_hash_that_is_none_lets_nothing_through(server, target, wrong):
    with pytest.raises(WeightsError, match="hex digits"):
        get(server, target, wrong)
    assert not target.exists()
    target.write_bytes(b"a")
    with pytest.raises(ValueError, match="hex digits"):
        load_state(target, wrong)


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


def publish(
    name: str,
    folder: Path,
    monkeypatch,
    base: str = "https://weights.invalid/models",
    convert=lambda state: state,
    **build,
) -> tuple[torch.nn.Module, Path]:
    """Write random weights of torchvision's `name` as torchvision publishes them; return the model and the file."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = models.get_model(name, weights=None, **build)
    folder.mkdir(parents=True)
    torch.save(convert(model.state_dict()), folder / "unnamed")
    sha256 = hashlib.sha256((folder / "unnamed").read_bytes()).hexdigest()
    file = (folder / "unnamed").rename(folder / f"{name}-{sha256[:8]}.pth")
    published = models.get_model_weights(name).DEFAULT.value
    monkeypatch.setattr(published, "url", f"{base}/{file.name}")
    monkeypatch.setitem(published.meta, "_file_size", round(file.stat().st_size / 2**20, 3))
    return model.eval(), file


def logits(model: torch.nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return model(inputs)


def test_offline_the_shipped_network_says_why_it_is_there(torch_home, no_network):
    found = load("alexnet")
    assert found.tier == "shipped" and found.name == "SqueezeNet 1.1"
    line = str(found)
    assert line == repr(found) and "\n" not in line
    for words in (
        "shipped weights: SqueezeNet 1.1, because alexnet-",
        "no download was asked for",
        "load('alexnet', download=True) fetches 244 MB",
    ):
        assert words in line
    assert not found.model.training
    assert logits(found.model, found.preprocess(photo("cat"))).shape == (1, len(found.classes)) == (1, 1000)
    assert not torch_home.exists()
    assert "asked for by name" in str(load("squeezenet1_1"))


def test_ours_are_ready_for_use(no_network):
    before = torch.get_rng_state()
    picture = photo("cat")
    for name in [name for name in OURS if name not in UNTRAINED]:
        found = load(name)
        assert found.tier == "shipped" and str(found).endswith("because it was asked for by name")
        assert not found.model.training and not any(p.requires_grad for p in found.model.parameters())
        assert (found.classes is None) == (name != "squeezenet1_1")
        speakers = ("street-clip", "street-text", "street-simvlm", "street-visualgpt", "street-vilbert", "palm-e")
        assert (found.tokenizer is not None) == (name in speakers)
        assert (found.preprocess is None) == (name in ("words", "street-text", "street-eye", "table-eye"))
        if name in ("street-resnet", "street-vit"):
            inputs = found.preprocess(picture)
            assert inputs.shape == (1, 3, 96, 96) and inputs.dtype == torch.uint8
            assert logits(found.model, inputs)["vehicle"].shape == (1, 7)
        if found.preprocess:
            with pytest.raises(ValueError, match="uint8 array"):
                found.preprocess(picture / 255)
    assert torch.equal(before, torch.get_rng_state()), "loading drew from the global generator"


def test_an_untrained_model_is_named_with_its_command_and_the_list_of_them_is_honest(no_network, monkeypatch):
    listed = manifest()
    for name in OURS:
        if name not in ("squeezenet1_1", "words"):
            assert (f"weights/{name}.safetensors" in listed) == (name not in UNTRAINED), name
    assert set(UNTRAINED) <= OURS.keys()
    monkeypatch.setattr(pretrained, "UNTRAINED", ("street-simvlm", "palm-e"))
    for name in pretrained.UNTRAINED:
        command = f"`python -m experiments train {name}`"
        with pytest.raises(WeightsError, match=f"'{name}' has not been trained yet: {command}"):
            load(name)


def test_alexnet_in_the_torch_cache_is_used(torch_home, no_network, monkeypatch):
    model, file = publish("alexnet", torch_home, monkeypatch)
    before = torch.get_rng_state()
    found = load("alexnet")
    assert torch.equal(before, torch.get_rng_state()), "loading drew from the global generator"
    assert (found.tier, found.name) == ("real", "alexnet")
    assert file.name in str(found) and str(found).startswith("real weights: alexnet")
    assert sum(p.numel() for p in found.model.parameters()) == 61_100_840
    picture = photo("cat")
    inputs = found.preprocess(picture)
    assert inputs.shape == (1, 3, 224, 224)
    with pytest.raises(ValueError, match="uint8 array"):
        found.preprocess(picture / 255)
    assert torch.equal(inputs[0], models.AlexNet_Weights.IMAGENET1K_V1.transforms()(Image.fromarray(picture)))
    assert torch.equal(logits(found.model, inputs), logits(model, inputs))
    assert not torch.allclose(
        logits(found.model, inputs.flip(1)), logits(model, inputs)
    )  # swapped channels would be seen


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_what_the_weights_need_of_the_network_is_kept(torch_home, no_network, monkeypatch, name):
    """The published weights of these two expect the pictures in another range, which `transform_input` sees to."""
    right, _ = publish(name, torch_home, monkeypatch, transform_input=True, init_weights=False)
    found = load(name)
    assert found.tier == "real" and found.model.transform_input
    inputs = found.preprocess(photo("cat"))
    assert torch.equal(logits(found.model, inputs), logits(right, inputs))
    right.transform_input = False
    assert not torch.allclose(logits(found.model, inputs), logits(right, inputs))


def old_names(state: dict[str, torch.Tensor]) -> OrderedDict:
    """A DenseNet's state as it was saved in 2017: points inside the layers' names, no counters, no version."""
    dotted = ((re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", key), value) for key, value in state.items())
    return OrderedDict((key, value) for key, value in dotted if not key.endswith("num_batches_tracked"))


@pytest.mark.parametrize("convert", [old_names, lambda state: state])
def test_the_old_names_in_densenets_are_read(torch_home, no_network, monkeypatch, convert):
    right, file = publish("densenet121", torch_home, monkeypatch, convert=convert)
    assert ("features.denseblock1.denselayer1.norm.1.weight" in torch.load(file)) == (convert is old_names)
    found = load("densenet121")
    assert found.tier == "real", found.why
    inputs = found.preprocess(photo("cat"))
    assert torch.equal(logits(found.model, inputs), logits(right, inputs))


def test_a_mnasnet_keeps_the_version_of_its_file(torch_home, no_network, monkeypatch):
    right, _ = publish("mnasnet0_5", torch_home, monkeypatch)
    found = load("mnasnet0_5")
    assert found.tier == "real", found.why
    inputs = found.preprocess(photo("cat"))
    assert torch.equal(logits(found.model, inputs), logits(right, inputs))


@pytest.mark.parametrize(("size", "fits"), [(518, True), (224, False)])
def test_vit_h_14_has_the_picture_size_of_its_weights(torch_home, no_network, monkeypatch, size, fits):
    """On the meta device, as its 632 million numbers are too many for a test; names and shapes are compared as ever."""
    with torch.device("meta"):
        state = models.get_model("vit_h_14", weights=None, image_size=size).state_dict()
    file = torch_home / Path(models.ViT_H_14_Weights.DEFAULT.url).name
    torch_home.mkdir(parents=True)
    file.touch()
    monkeypatch.setattr(pretrained, "load_state", lambda *_: state)
    if not fits:
        monkeypatch.setattr(pretrained, "_ours", lambda name, why: (name, why))
    with torch.device("meta"):
        found = load("vit_h_14")
    if fits:
        assert (found.tier, found.model.image_size) == ("real", 518)
        with torch.device("cpu"):
            assert found.preprocess(photo("cat")).shape == (1, 3, 518, 518)
    else:
        assert found[0] == "squeezenet1_1" and "does not fit torchvision's vit_h_14" in found[1]


def test_a_file_that_would_run_code_is_not_used_although_its_hash_is_right(
    torch_home, no_network, monkeypatch, tmp_path
):
    made = tmp_path / "made"
    _, file = publish("squeezenet1_0", torch_home, monkeypatch, convert=lambda state: {**state, "x": Malice(made)})
    found = load("squeezenet1_0")
    assert found.tier == "shipped" and file.name in found.why and not made.exists()


def test_a_damaged_file_in_the_cache_is_named_kept_and_not_used(torch_home, no_network, monkeypatch):
    _, file = publish("squeezenet1_0", torch_home, monkeypatch)
    assert load("squeezenet1_0").tier == "real"
    damaged = file.read_bytes()[:-1]
    file.write_bytes(damaged)
    found = load("squeezenet1_0")
    assert found.tier == "shipped" and found.name == "SqueezeNet 1.1"
    assert file.name in found.why and "damaged" in found.why and "download=True) fetches it again" in found.why
    assert file.read_bytes() == damaged


def test_a_download_that_was_asked_for(server, tmp_path, monkeypatch):
    base = server.url.rpartition("/")[0]
    model, source = publish("squeezenet1_0", tmp_path / "published", monkeypatch, base)
    cache = tmp_path / "my cache"
    server.plan = Plan(status=404)
    found = load("squeezenet1_0", download=True, cache=cache)
    assert found.tier == "shipped" and source.name in found.why and "404" in found.why

    server.plan = Plan(body=source.read_bytes())
    found = load("squeezenet1_0", download=True, cache=cache)
    assert found.tier == "real" and [path.name for path in cache.iterdir()] == [source.name]
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in found.model.state_dict().items())
    assert load("squeezenet1_0", download=True, cache=cache).tier == "real"
    assert len(server.plan.seen) == 1, "a good copy was downloaded again"

    (cache / source.name).write_bytes(b"damaged")
    server.plan = Plan(body=source.read_bytes()[:-1] + b"x")
    assert load("squeezenet1_0", download=True, cache=cache).tier == "shipped"
    assert (cache / source.name).read_bytes() == b"damaged"
    server.plan = Plan(body=source.read_bytes())
    assert load("squeezenet1_0", download=True, cache=cache).tier == "real"


def test_weights_of_another_network_are_not_loaded(torch_home, monkeypatch, no_network):
    _, file = publish("squeezenet1_0", torch_home, monkeypatch)
    monkeypatch.setattr(models.ResNet18_Weights.DEFAULT.value, "url", f"https://weights.invalid/{file.name}")
    found = load("resnet18")
    assert found.tier == "shipped" and "does not fit torchvision's resnet18" in found.why
    assert "\n" not in found.why


def test_an_unknown_network_is_refused():
    with pytest.raises(ValueError, match=r"no model 'alexnett'.*'alexnet'"):
        load("alexnett")


def test_a_damaged_shipped_file_is_an_error(tmp_path, monkeypatch, torch_home):
    shutil.copytree(DATA, tmp_path / "data", ignore=shutil.ignore_patterns("results"))
    file = tmp_path / "data" / "weights" / "squeezenet1_1.safetensors"
    data = np.frombuffer(file.read_bytes(), np.uint8).copy()
    data[-1] ^= 1
    file.write_bytes(data.tobytes())
    monkeypatch.setattr(store, "DATA", tmp_path / "data")
    with pytest.raises(WeightsError, match=r"squeezenet1_1\.safetensors .*damaged.*git checkout"):
        load("alexnet")


def test_every_classifier_of_torchvision_can_be_asked_for():
    """Its published file is named with the start of its hash, its size is known, and it has ImageNet's classes."""
    for name in models.list_models(module=models):
        published = models.get_model_weights(name).DEFAULT
        assert re.search(r"-[0-9a-f]{8,64}\.pth$", published.url), name
        assert published.meta["_file_size"] > 1, name
        assert len(published.meta["categories"]) == 1000, name


# --- stored figures ----------------------------------------------------------------------------------------------


def test_stored_figures_of_experiments_and_models(tmp_path, monkeypatch):
    assert load_result("depth")["name"] == "depth"
    assert load_result("street-vit")["model"] == "street-vit"
    with pytest.raises(FileNotFoundError, match=r"'nothing'.*experiments run nothing.*experiments train nothing"):
        load_result("nothing")
    (tmp_path / "weights").mkdir()
    shutil.copy(DATA / "manifest.json", tmp_path)
    (tmp_path / "weights" / "street-vit.json").write_text("{}")
    (tmp_path / "weights" / "new.json").write_text("{}")
    monkeypatch.setattr(store, "DATA", tmp_path)
    with pytest.raises(WeightsError, match=r"street-vit\.json .*damaged"):
        load_result("street-vit")
    with pytest.raises(WeightsError, match=r"new\.json is not listed.*make_manifest"):
        load_result("new")
