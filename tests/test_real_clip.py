"""The door to CLIP models, against a model hub on this machine that breaks off, stalls, lies and refuses."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import warnings
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import open_clip
import pytest
import torch
from huggingface_hub import constants
from open_clip.pretrained import _PRETRAINED
from safetensors.torch import save

from helpers.models import clip
from helpers.weights.pretrained import load
from helpers.worlds.photographs import photo

FILE = "open_clip_model.safetensors"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 32, "layers": 2, "head_width": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 8, "layers": 2, "heads": 1},
}
TEXTS = ["a cat", "a cup of coffee"]


@dataclass
class Plan:
    """What the hub does with the next requests."""

    body: bytes
    status: int = 200  # of the answer that tells version, size and hash
    code: str = ""  # the hub's word for the error
    portal: bool = False  # another server answers in its place, with a page
    commit: str | None = COMMIT
    etag: str = ""  # told as the hash, if not the true one
    size: int | None = None  # told as the size, if not the true one
    silent: bool = False  # never answers
    blob_status: int = 200  # from here on: of the answer that holds the bytes
    sent: bytes = b""  # the bytes, if not the true ones
    announce: int | None = None  # the Content-Length, if not the true one
    stop_after: int | None = None  # break the connection after so many bytes
    stall_after: int | None = None  # or fall silent
    ranges: bool = True
    seen: list[tuple[str, str, str | None]] = field(default_factory=list)  # method, path, Range


class Hub(ThreadingHTTPServer):
    """A model hub: it tells a file's hash and size and sends one on to another host for the bytes."""

    daemon_threads = True

    def __init__(self, body: bytes):
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan = Plan(body)
        self.closing = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.elsewhere = f"http://localhost:{self.server_port}/blob"

    def ranges(self) -> list[str | None]:
        """The Range header of each request for the bytes."""
        return [wanted for method, path, wanted in self.plan.seen if method == "GET" and path == "/blob"]


class Handler(BaseHTTPRequestHandler):
    """One request, answered as the hub's plan says."""

    def do_HEAD(self):
        """Tell what there is."""
        self.answer()

    def do_GET(self):
        """Send the bytes, or send on to them."""
        self.answer()

    def answer(self):
        """Answer with what was asked for, or with the fault that is planned."""
        plan = self.server.plan
        plan.seen.append((self.command, self.path, self.headers.get("Range")))
        if plan.silent:
            self.server.closing.wait(60)
        elif self.path == "/blob":
            self.blob(plan)
        elif plan.portal:
            self.headers_of(200, {"Content-Type": "text/html", "Content-Length": "19"})
            if self.command == "GET":
                self.wfile.write(b"<html>Log in</html>")
        elif plan.status != 200:
            self.headers_of(plan.status, {"X-Error-Code": plan.code, "Content-Length": "0"})
        else:
            told = {
                "X-Repo-Commit": plan.commit,
                "ETag": '"of the redirect"',
                "X-Linked-ETag": f'"{plan.etag or hashlib.sha256(plan.body).hexdigest()}"',
                "X-Linked-Size": str(len(plan.body) if plan.size is None else plan.size),
                "Location": self.server.elsewhere,
                "Content-Length": "0",
            }
            self.headers_of(302, {name: value for name, value in told.items() if value is not None})

    def blob(self, plan: Plan):
        """Send the bytes, as Amazon's and the hub's own stores do."""
        if plan.blob_status != 200:
            self.headers_of(plan.blob_status, {"Content-Length": "0"})
            return
        body = plan.sent or plan.body
        wanted = self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and plan.ranges else 0
        rest = body[start:]
        told = {"Content-Length": str(len(rest) if plan.announce is None else plan.announce)}
        if start:
            told["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        self.headers_of(206 if start else 200, told)
        with contextlib.suppress(ConnectionError):
            self.wfile.write(rest[: min(x for x in (plan.stop_after, plan.stall_after, len(rest)) if x is not None)])
            self.wfile.flush()
            if plan.stall_after is not None:
                self.server.closing.wait(60)

    def headers_of(self, status: int, headers: dict[str, str]):
        """Send the head of an answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_):
        """Keep the tests' output free of the request log."""


def network(seed: int, **changes) -> torch.nn.Module:
    """A tiny CLIP with random weights that are large enough for the activation to matter."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = open_clip.CLIP(**json.loads(json.dumps({**TINY, **changes})))
        for name, value in model.named_parameters():
            if "mlp" in name:
                torch.nn.init.normal_(value, std=0.5)
    return model.eval().requires_grad_(False)  # with gradients torch sums attention in another order


@pytest.fixture(scope="module")
def reference() -> torch.nn.Module:
    """The model that the hub serves, in the activation of its file: QuickGELU."""
    return network(0, quick_gelu=True)


@pytest.fixture(scope="module")
def body(reference) -> bytes:
    return save(reference.state_dict())


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The tiny models are known to open_clip, with and without QuickGELU in the name."""
    folder = tmp_path_factory.mktemp("configurations")
    (folder / "tiny-clip.json").write_text(json.dumps(TINY))
    (folder / "tiny-clip-quickgelu.json").write_text(json.dumps({**TINY, "quick_gelu": True}))
    open_clip.add_model_config(folder)


@pytest.fixture
def hub(small, body, monkeypatch):
    """A hub in good health, which the library's client asks, and open_clip's records of three models on it."""
    quick = {"hf_hub": "stand-in/tiny-openai/", "quick_gelu": True, "interpolation": "bicubic"}
    plain = {"hf_hub": "stand-in/tiny-laion/", "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
    monkeypatch.setitem(_PRETRAINED, "tiny-clip", {"openai": quick, "laion2b_s1": plain})
    monkeypatch.setitem(_PRETRAINED, "tiny-clip-quickgelu", {"openai": quick})
    with Hub(body) as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 100)  # a busy machine is no failure
        monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 100)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        threading.Thread(target=hub.serve_forever, args=(0.02,), daemon=True).start()
        yield hub
        hub.closing.set()
        hub.shutdown()


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "hub cache"


def get(cache: Path, name: str = "tiny-clip/openai", download: bool = True):
    return load(name, download=download, cache=cache)


def features(model: torch.nn.Module, images: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return torch.cat([model.encode_image(images), model.encode_text(texts)])


def same(found, model: torch.nn.Module) -> bool:
    """Whether a loaded model computes what `model` does."""
    inputs = found.preprocess(photo("cat")), found.tokenizer(TEXTS)
    return torch.equal(features(found.model, *inputs), features(model, *inputs))


def snapshot(cache: Path, repository: str = "tiny-openai") -> Path:
    return cache / f"models--stand-in--{repository}" / "snapshots" / COMMIT / FILE


def files(cache: Path) -> set[str]:
    """The files that somebody could take for weights."""
    return {p.name for p in cache.rglob("*") if p.is_file() and p.stat().st_size > 1000 and not p.name.startswith(".")}


def sentence(why: str) -> bool:
    return "\n" not in why and why.endswith((".", ")")) and ("127.0.0.1" in why or FILE in why)


# --- the shipped model -------------------------------------------------------------------------------------------


@pytest.fixture
def no_network(monkeypatch):
    """Make any use of the network fail the test."""

    def forbidden(*_, **__):
        pytest.fail("the network was used unasked")

    monkeypatch.setattr(socket.socket, "connect", forbidden)
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)


def test_the_shipped_model_is_there_and_says_why(no_network, cache):
    found = load("ViT-B-32", cache=cache)
    assert (found.tier, found.name) == ("shipped", "street-clip") and sentence(found.why)
    line = str(found)
    for words in ("shipped weights: street-clip, because ", FILE, "no download was asked for", "about 605 MB"):
        assert words in line
    assert "load('ViT-B-32/laion2b_s34b_b79k', download=True)" in line
    assert not cache.exists()
    assert not found.model.training and not any(p.requires_grad for p in found.model.parameters())
    inputs, ids = found.preprocess(photo("cat")), found.tokenizer(TEXTS)
    assert (inputs.shape, inputs.dtype) == ((1, 3, 96, 96), torch.float32)
    assert (ids.shape, ids.dtype) == ((2, 32), torch.int64)
    assert features(found.model, inputs, ids).shape == (3, found.model.text_projection.shape[1])
    assert load("street-clip", download=True).why == "it was asked for by name"


def test_the_shipped_model_sees_what_it_was_trained_on():
    """The picture's values are what helpers.models.clip folds into the first layer, so both ways give one feature."""
    found = load("street-clip")
    picture = photo("cat")[:200, :200]
    inputs = found.preprocess(picture)
    white = found.preprocess(picture * 0 + 255)[0, :, 0, 0]
    mean, std = (torch.tensor(x) for x in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD))
    assert torch.allclose(white * std + mean, torch.ones(3), atol=1e-6)
    values = ((inputs[0] * std.view(3, 1, 1) + mean.view(3, 1, 1)) * 255).round().to(torch.uint8)[None]
    with torch.inference_mode():
        ours = clip.image_features(found.model, values)
        assert torch.allclose(ours, found.model.encode_image(inputs, normalize=True), atol=1e-5)
        assert not torch.allclose(ours, found.model.encode_image(inputs.flip(1), normalize=True), atol=1e-3)
    with pytest.raises(ValueError, match="uint8 array"):
        found.preprocess(picture / 255)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ViT-B/32", "'ViT-B-32/openai'"),
        ("ViT-B-32/opena", "'ViT-B-32/openai'"),
        ("street_clip", "'street-clip'"),
        ("ViT-B-32-quickgelu/laion2b_s34b_b79k", "'ViT-B-32/laion2b_s34b_b79k'"),
        ("", "'street-clip'"),
        ("alexnett", "'alexnet'"),
        ("ViT-B-16-SigLIP", "tokenizer of its own.*'ViT-B-32'"),
        ("xlm-roberta-base-ViT-B-32", "tokenizer of its own"),
    ],
)
def test_an_unknown_name_is_refused_with_some_that_are_known(name, words, no_network, cache):
    with pytest.raises(ValueError, match=rf"'{name}'.*{words}"):
        load(name, download=True, cache=cache)


def test_the_tag_is_chosen_as_the_docstring_says(hub, cache):
    assert get(cache, "tiny-clip").name == "tiny-clip/laion2b_s1"
    assert get(cache, "tiny-clip-quickgelu").name == get(cache, "tiny-clip-quickgelu/OpenAI").name
    assert get(cache, "tiny-clip-quickgelu").name == "tiny-clip-quickgelu/openai"


def test_open_clip_records_what_the_door_relies_on():
    records = {(model, tag): open_clip.get_pretrained_cfg(model, tag) for model, tag in open_clip.list_pretrained()}
    records = {key: record for key, record in records.items() if not key[0].startswith("tiny")}
    assert all(record["hf_hub"].count("/") == 2 for record in records.values())
    openai = [record for (_, tag), record in records.items() if tag == "openai"]
    assert len(openai) > 10 and all(record["quick_gelu"] for record in openai)
    assert "laion2b_s34b_b79k" in open_clip.list_pretrained_tags_by_model("ViT-B-32")


# --- downloads that succeed --------------------------------------------------------------------------------------


def test_a_download_that_was_asked_for(hub, cache, reference, monkeypatch):
    assert get(cache, download=False).tier == "shipped"
    assert hub.plan.seen == [] and not cache.exists()

    before = torch.get_rng_state()
    found = get(cache)
    assert torch.equal(before, torch.get_rng_state()), "loading drew from the global generator"
    assert (found.tier, found.name) == ("real", "tiny-clip/openai") and "\n" not in str(found)
    assert str(found).startswith("real weights: tiny-clip/openai, because ")
    assert FILE in found.why and "intact" in found.why and "QuickGELU" in found.why
    assert same(found, reference)
    assert not same(found, network(1, quick_gelu=True)), "other weights would not be noticed"
    assert not found.model.training and not any(p.requires_grad for p in found.model.parameters())
    assert hub.ranges() == [None]

    requests = len(hub.plan.seen)
    for download in (False, True):
        again = get(cache, download=download)
        assert again.tier == "real" and same(again, reference)
    assert len(hub.plan.seen) == requests, "what was there was asked for again"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    assert load("tiny-clip/openai").tier == "real"


def test_pictures_and_texts_are_prepared_as_the_record_of_the_weights_says(hub, cache):
    from PIL import Image

    picture = photo("coffee")
    for name, mean, std in (
        ("tiny-clip/openai", open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD),
        ("tiny-clip/laion2b_s1", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
    ):
        found = get(cache, name)
        transform = open_clip.image_transform(32, is_train=False, mean=mean, std=std)
        inputs = found.preprocess(picture)
        assert inputs.shape == (1, 3, 32, 32) and torch.equal(inputs[0], transform(Image.fromarray(picture)))
        with pytest.raises(ValueError, match="uint8 array"):
            found.preprocess(picture / 255)
        ids = found.tokenizer(TEXTS)
        assert ids.dtype == torch.int64 and torch.equal(ids, open_clip.tokenize(TEXTS))


def test_the_activation_is_the_one_that_the_weights_were_trained_with(hub, cache, reference):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick, also_quick, plain = (
            get(cache, name) for name in ("tiny-clip/openai", "tiny-clip-quickgelu/openai", "tiny-clip/laion2b_s1")
        )
    assert quick.tier == also_quick.tier == plain.tier == "real"
    assert same(quick, reference) and same(also_quick, reference) and not same(plain, reference)
    # The same weights in open_clip's own hands: it warns and computes something else.
    with pytest.warns(UserWarning, match="QuickGELU mismatch"):
        silent = open_clip.create_model("tiny-clip", pretrained="openai", cache_dir=cache).eval().requires_grad_(False)
    assert same(plain, silent)
    inputs = quick.preprocess(photo("cat")), quick.tokenizer(TEXTS)
    right, wrong = features(quick.model, *inputs), features(silent, *inputs)
    difference = float((right - wrong).norm() / right.norm())
    print(f"the wrong activation changes the features by {difference:.0%}")
    assert difference > 0.01


def test_a_file_that_the_hubs_client_brought_is_used(hub, cache, reference):
    huggingface_hub.hf_hub_download("stand-in/tiny-openai", FILE, cache_dir=cache)
    requests = len(hub.plan.seen)
    found = get(cache, download=False)
    assert found.tier == "real" and same(found, reference) and len(hub.plan.seen) == requests


def test_a_file_in_the_store_that_repositories_share_is_used(hub, cache, reference):
    """There the file has a name that is a hash, but not its sha256."""
    get(cache)
    blob = snapshot(cache).parent / os.readlink(snapshot(cache))
    shared = cache / "blobs" / "ab" / ("ab" * 32)
    shared.parent.mkdir(parents=True)
    blob.rename(shared)
    blob.symlink_to(shared)
    found = get(cache, download=False)
    assert found.tier == "real" and same(found, reference)
    shared.write_bytes(shared.read_bytes()[:-1] + b"x")
    assert "damaged" in get(cache, download=False).why


def test_where_there_are_no_links_one_copy_is_kept_and_a_cut_one_is_seen(hub, cache, reference, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_SYMLINKS", True)
    monkeypatch.setattr(huggingface_hub.file_download, "are_symlinks_supported", lambda *_: False)
    found = get(cache)
    assert found.tier == "real" and not snapshot(cache).is_symlink() and files(cache) == {FILE}
    assert get(cache, download=False).tier == "real"
    snapshot(cache).write_bytes(snapshot(cache).read_bytes()[:-1])
    cut = get(cache)  # nothing tells its sha256, so it is seen when it is read
    assert cut.tier == "shipped" and "is damaged" in cut.why and "delete it, then load('tiny-clip/openai'" in cut.why
    snapshot(cache).unlink()
    found = get(cache)
    assert found.tier == "real" and same(found, reference) and files(cache) == {FILE}


PROGRAM = """
import json, sys
import open_clip
from open_clip.pretrained import _PRETRAINED
from helpers.weights.pretrained import load
open_clip.add_model_config(sys.argv[1])
_PRETRAINED["tiny-clip"] = {"openai": {"hf_hub": "stand-in/tiny-openai/", "quick_gelu": True}}
print(load("tiny-clip", download=True))
"""


def test_the_hubs_own_variables_are_followed(hub, tmp_path, body):
    (tmp_path / "tiny-clip.json").write_text(json.dumps(TINY))
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGINGFACE"))}
    environment |= {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[1])
    arguments = [sys.executable, "-c", PROGRAM, str(tmp_path / "tiny-clip.json")]
    child = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=100)
    assert child.stdout.startswith("real weights: tiny-clip/openai"), child.stdout + child.stderr
    assert snapshot(tmp_path / "home" / "hub").read_bytes() == body


# --- failures ----------------------------------------------------------------------------------------------------


def faults(body: bytes) -> dict[str, tuple[Plan, str]]:
    """What can go wrong, and words of the sentence that says so."""
    flipped = body[:-1] + bytes([body[-1] ^ 1])
    foreign = save({"conv.weight": torch.zeros(64, 8)})
    other = save(network(0, embed_dim=32).state_dict())
    page = b"<html>Log in</html>"
    return {
        "no such file": (Plan(body, status=404, code="EntryNotFound"), "answered 404; its address has changed"),
        "no such repository": (Plan(body, status=401, code="RepoNotFound"), "answered 401"),
        "a bare 404": (Plan(body, status=404), "answered 404"),
        "broken inside": (Plan(body, status=500), "answered 500; try again later"),
        "overloaded": (Plan(body, status=503), "answered 503"),
        "never answers": (Plan(body, silent=True), "cannot be reached or broke off"),
        "a login page in its place": (Plan(body, portal=True), "login page"),
        "tells no version": (Plan(body, commit=None), "cannot be reached or broke off"),
        "tells no sha256": (Plan(body, etag="0" * 40), "told no sha256 as a model hub does"),
        "tells no size": (Plan(body, size=0), "it came so and was thrown away"),
        "store refuses": (Plan(body, blob_status=403), "answered 403"),
        "store has lost it": (Plan(body, blob_status=404), "answered 404"),
        "store is broken": (Plan(body, blob_status=500), "answered 500"),
        "store falls silent at once": (Plan(body, stall_after=0), "broke off (timed out)"),
        "store falls silent midway": (Plan(body, stall_after=1_000_000), "broke off (timed out)"),
        "breaks off": (Plan(body, stop_after=0), "cannot be reached or broke off"),
        "tells too large a size": (Plan(body, size=len(body) * 2), "Consistency check failed"),
        "tells too small a size": (Plan(body, size=len(body) // 2), "Consistency check failed"),
        "announces too much": (Plan(body, announce=len(body) + 1000), "cannot be reached or broke off"),
        "announces too little": (Plan(body, announce=len(body) - 1000), "Consistency check failed"),
        "tells another hash": (Plan(body, etag=hashlib.sha256(b"").hexdigest()), "it came so and was thrown away"),
        "one bit is wrong": (Plan(body, sent=flipped), hashlib.sha256(flipped).hexdigest()),
        "a page in place of the bytes": (Plan(body, sent=page), "Consistency check failed"),
        "a page was published": (Plan(page), "does not fit open_clip's tiny-clip or is damaged"),
        "a file cut short was published": (Plan(body[:-1]), "does not fit open_clip's tiny-clip or is damaged"),
        "names do not fit": (Plan(foreign), "does not fit open_clip's tiny-clip"),
        "shapes do not fit": (Plan(other), "does not fit open_clip's tiny-clip"),
    }


def test_each_fault_is_tried(body):
    assert sorted(FAULTS) == sorted(faults(body))


FAULTS = (
    "no such file",
    "no such repository",
    "a bare 404",
    "broken inside",
    "overloaded",
    "never answers",
    "a login page in its place",
    "tells no version",
    "tells no sha256",
    "tells no size",
    "store refuses",
    "store has lost it",
    "store is broken",
    "store falls silent at once",
    "store falls silent midway",
    "breaks off",
    "tells too large a size",
    "tells too small a size",
    "announces too much",
    "announces too little",
    "tells another hash",
    "one bit is wrong",
    "a page in place of the bytes",
    "a page was published",
    "a file cut short was published",
    "names do not fit",
    "shapes do not fit",
)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failure_is_one_sentence_and_leaves_nothing_that_is_taken_for_good(
    hub, cache, body, reference, fault, monkeypatch
):
    older = cache / "models--stand-in--tiny-openai" / "snapshots" / ("f" * 40) / FILE
    older.parent.mkdir(parents=True)
    older.write_bytes(b"an older version, good in its day" * 100)
    hub.plan, words = faults(body)[fault]
    with monkeypatch.context() as patch:
        patch.setattr(huggingface_hub.file_download.time, "sleep", lambda _: None)  # between the client's six tries
        if hub.plan.silent:
            patch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.3)
        if hub.plan.stall_after is not None:
            patch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.3)
        found = get(cache)
    assert (found.tier, found.name) == ("shipped", "street-clip")
    assert words in found.why and sentence(found.why), found.why

    hub.plan = Plan(body)
    assert get(cache, download=False).tier == "shipped" and hub.plan.seen == []
    if "delete it" in found.why:  # what was published whole, but is of no use
        snapshot(cache).unlink()
    found = get(cache)
    assert found.tier == "real" and same(found, reference)
    assert older.read_bytes() == b"an older version, good in its day" * 100


@pytest.mark.parametrize("ranges", [True, False])
def test_the_client_goes_on_where_a_connection_broke(hub, cache, body, reference, monkeypatch, ranges):
    """Within one call; after that, and where the server knows no ranges, it starts anew."""
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 100_000)
    monkeypatch.setattr(huggingface_hub.file_download.time, "sleep", lambda _: setattr(hub.plan, "stop_after", None))
    hub.plan.stop_after, hub.plan.ranges = 1_000_000, ranges
    found = get(cache)
    assert hub.ranges() == [None, "bytes=1000000-"]
    assert found.tier == "real" and same(found, reference)
    assert files(cache) == {FILE, hashlib.sha256(body).hexdigest()} and not list(cache.rglob("*.incomplete"))


def test_a_refused_connection(hub, cache, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
        found = get(cache)
    assert found.tier == "shipped" and sentence(found.why) and "127.0.0.1 cannot be reached" in found.why


def test_the_clients_offline_mode_is_respected(hub, cache, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    found = get(cache)
    assert found.tier == "shipped" and sentence(found.why) and "offline mode" in found.why and hub.plan.seen == []


def test_a_full_disk(hub, cache, reference, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(huggingface_hub.file_download, "http_get", full)
        found = get(cache)
    assert found.tier == "shipped" and sentence(found.why) and files(cache) == set()
    assert "No space left on device" in found.why and "free some disk space" in found.why
    assert same(get(cache), reference)


def test_a_cache_that_cannot_be_written(hub, cache):
    cache.write_text("a file where the folder should be")
    found = get(cache)
    assert found.tier == "shipped" and sentence(found.why) and "cannot be written" in found.why
    assert "HF_HOME" in found.why


def test_a_damaged_file_is_named_kept_and_not_used_until_a_good_one_is_there(hub, cache, body, reference):
    assert get(cache).tier == "real"
    damaged = body[:-1] + bytes([body[-1] ^ 1])
    snapshot(cache).write_bytes(damaged)
    hub.plan = Plan(body)
    found = get(cache, download=False)
    assert found.tier == "shipped" and sentence(found.why) and hub.plan.seen == []
    assert "damaged" in found.why and "load('tiny-clip/openai', download=True) fetches it again" in found.why
    hub.plan.blob_status = 500
    assert get(cache).tier == "shipped" and snapshot(cache).read_bytes() == damaged
    hub.plan = Plan(body)
    found = get(cache)
    assert found.tier == "real" and same(found, reference) and snapshot(cache).read_bytes() == body


def test_a_newer_version_takes_the_place_of_a_damaged_one(hub, cache, body):
    assert get(cache).tier == "real"
    snapshot(cache).write_bytes(b"damaged")
    newer = network(1, quick_gelu=True)
    hub.plan = Plan(save(newer.state_dict()), commit="f" * 40)
    found = get(cache)
    assert found.tier == "real" and same(found, newer)
    assert same(get(cache, download=False), newer)
