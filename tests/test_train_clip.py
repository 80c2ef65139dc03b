"""Two processes train as one does, every pair is seen once, and a run that was killed loses nothing."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import webdataset as wds
from filelock import FileLock
from torch.nn.parallel import DistributedDataParallel

from experiments import train_clip
from helpers.files import ROOT
from helpers.models.clip import build_clip
from helpers.training.shards import count, dealt, steps_of, write_shards
from helpers.weights.store import load_state
from helpers.worlds.streets import load_street

SIZES = (7, 5, 6, 8, 4)  # pairs of each shard
PAIRS, BATCH, EPOCHS = sum(SIZES), 4, 3
CONFIGURATION = {
    "embed_dim": 8,
    "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 16, "layers": 2, "head_width": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 512, "width": 16, "layers": 2, "heads": 2},
}

# A server that has imported the libraries forks the processes, where the system can; each would import for seconds.
METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
CONTEXT = multiprocessing.get_context(METHOD)
CONTEXT.set_forkserver_preload(["experiments.train_clip", "open_clip"])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with shards in which each pair has a number and two sentences, and with a model's configuration."""
    folder = tmp_path_factory.mktemp("clip")
    (folder / "tiny.json").write_text(json.dumps(CONFIGURATION))
    generator, number = np.random.default_rng(0), iter(range(PAIRS))
    for shard, size in enumerate(SIZES):
        with wds.TarWriter(str(folder / f"{shard}.tar")) as tar:
            for i in (next(number) for _ in range(size)):
                picture = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                tar.write({"__key__": f"{i:04d}", "png": picture, "json": [f"{i} is a car", f"{i} is a bus"]})
    return folder


def line(place: Path, run: Path, **changes: object) -> list[str]:
    """The arguments of a run; `changes` replace some of them."""
    arguments = {
        "shards": f"{place}/{{0..{len(SIZES) - 1}}}.tar",
        "folder": run,
        "configuration": place / "tiny.json",
        "epochs": EPOCHS,
        "batch": BATCH,
        "buffer": 3,
        "warm_up": 2,
        "every": 3,
    }
    return [word for k, v in (arguments | changes).items() for word in (f"--{k.replace('_', '-')}", str(v))]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _start(variables: dict[str, str], target: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    os.environ |= variables
    torch.set_num_threads(1)
    target(*arguments)


def together(target: Callable[..., None], *arguments: object, world: int = 2) -> list[int]:
    """Run `target` in `world` processes with the variables that torchrun sets; returns how they ended."""
    variables = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(world)}
    processes = []
    for rank in map(str, range(world)):
        own = variables | {"RANK": rank, "LOCAL_RANK": rank, "COURSE_DEVICE": "cpu"}
        processes.append(CONTEXT.Process(target=_start, args=(own, target, arguments)))
        processes[-1].start()
    for process in processes:
        process.join(600)
        process.kill()
        process.join()
    return [process.exitcode for process in processes]


def records(run: Path) -> list[dict[str, Any]]:
    told = [json.loads(text) for text in (run / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in one.items() if key != "samples_per_second"} for one in told]


def same(a: Path, b: Path) -> bool:
    one, other = (load_state(run / "model.safetensors") for run in (a, b))
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# Loss and gradients


def pairs() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8, generator=generator)
    ids = torch.randint(5, 511, (8, 16), generator=generator)
    ids[:, -1] = 511  # the end of the text
    return images, ids


def losses(rank: int, world: int) -> dict[str, torch.nn.Module]:
    from open_clip import ClipLoss

    return {
        "ours": train_clip.gathered_loss(rank, world),
        "gathered without gradient": ClipLoss(local_loss=True, rank=rank, world_size=world),
        "not gathered": ClipLoss(),
    }


def _gradients(configuration: Path, target: Path) -> None:
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    dist.init_process_group("gloo")
    rows = slice(rank * 8 // world, (rank + 1) * 8 // world)
    images, ids = pairs()
    found = {}
    for name, loss_of in losses(rank, world).items():
        model = build_clip(configuration)
        towers = DistributedDataParallel(train_clip.Towers(model))
        loss = loss_of(*towers(images[rows], ids[rows]))
        loss.backward()
        mean = loss.detach() / world
        dist.all_reduce(mean)
        found[name] = {"loss": mean} | {name: p.grad for name, p in model.named_parameters()}
    if rank == 0:
        torch.save(found, target)


def test_two_processes_have_the_loss_and_the_gradients_of_one(place: Path, tmp_path: Path) -> None:
    model = build_clip(place / "tiny.json")
    loss = train_clip.gathered_loss(0, 1)(*train_clip.Towers(model)(*pairs()))
    loss.backward()
    one = {"loss": loss.detach()} | {name: p.grad for name, p in model.named_parameters()}
    assert together(_gradients, place / "tiny.json", tmp_path / "found") == [0, 0]
    found = torch.load(tmp_path / "found")

    def apart(variant: str) -> dict[str, float]:
        """The largest difference of each parameter's gradient, as a share of its largest entry."""
        return {name: ((found[variant][name] - one[name]).abs().max() / one[name].abs().max()).item() for name in one}

    assert found["ours"].keys() == one.keys()
    assert min(gradient.abs().max() for gradient in one.values()) > 1e-3  # no parameter is left out
    assert max(apart("ours").values()) < 1e-5
    without = apart("gathered without gradient")
    assert without["loss"] < 1e-5 and without["logit_scale"] < 1e-5  # these two would hide the mistake
    assert max(without.values()) > 1e-2
    local = apart("not gathered")
    assert min(local["loss"], local["logit_scale"], max(local.values())) > 1e-2


# Each pair once


def numbers(sentences: list[str]) -> list[int]:
    return [int(sentence.split()[0]) for sentence in sentences]


@pytest.mark.parametrize(("world", "workers"), [(1, 0), (2, 0), (2, 2), (5, 0)])
def test_an_epoch_gives_each_pair_once_at_most(
    place: Path, world: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = [str(place / f"{i}.tar") for i in range(len(SIZES))]

    def epoch(number: int, batch: int, split: bool = True) -> list[list[list[str]]]:
        """The batches of every process."""
        given = []
        for rank in range(world):
            monkeypatch.setenv("RANK", str(rank if split else 0))
            monkeypatch.setenv("WORLD_SIZE", str(world if split else 1))
            given.append([said for _, said in train_clip.batches(shards, 32, batch, 0, number, workers, buffer=3)])
        return given

    counts = dict(zip(shards, SIZES, strict=True))
    held = [counts[shard] for shard in dealt(shards, 0, 0)]
    steps = steps_of(held, 2, world, max(1, workers))
    given = epoch(0, 2)
    assert min(map(len, given)) == steps > 0  # no process can wait for another
    seen = [i for process in given for batch in process for i in numbers(batch)]
    assert len(seen) == len(set(seen))
    everything = [i for process in epoch(0, 1) for batch in process for i in numbers(batch)]
    assert sorted(everything) == list(range(PAIRS))  # what is left out is left out by full batches only
    assert epoch(0, 2) == given
    assert epoch(1, 2) != given
    if world > 1:
        twice = [i for process in epoch(0, 1, split=False) for batch in process for i in numbers(batch)]
        assert len(twice) > len(set(twice))


# Whole runs


def _train(arguments: list[str], seen: Path | None = None, dies_by: str | None = None) -> None:
    """`main`; what each process saw is written to the folder `seen`, and the third checkpoint is its death."""
    batches, save, calls, history = train_clip.batches, torch.save, iter(range(1, 99)), []

    def watched(shards: list[str], side: int, batch: int, seed: int, epoch: int, *rest: int) -> Iterator[Any]:
        for images, sentences in batches(shards, side, batch, seed, epoch, *rest):
            history.append((epoch, sentences))
            yield images, sentences

    def deadly(state: dict[str, Any], path: Path) -> None:
        if next(calls) == 3:
            Path(path).write_bytes(b"half of a checkpoint")
            os.kill(os.getpid(), getattr(signal, dies_by))
        save(state, path)

    train_clip.batches = watched
    if dies_by:
        torch.save = deadly
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have told its children to ignore it
    train_clip.main(arguments)
    if seen:
        (seen / os.environ["RANK"]).write_text(json.dumps(history))


@pytest.fixture(scope="module")
def whole_run(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("run")
    assert together(_train, line(place, run), run) == [0, 0]
    return run


def test_the_log_tells_every_third_step_and_the_last(whole_run: Path) -> None:
    steps = [one["step"] for one in records(whole_run)]
    history = [json.loads((whole_run / str(rank)).read_text()) for rank in range(2)]
    taken = len(history[0])
    assert len(history[1]) == taken and steps == [*range(3, taken, 3), taken]
    assert all(one["loss"] > 0 for one in records(whole_run))
    for epoch in range(EPOCHS):
        seen = [i for process in history for of, said in process if of == epoch for i in numbers(said)]
        assert len(seen) == len(set(seen)) > 0
    sentences = {text for process in history for _, said in process for text in said}
    assert len(sentences) > PAIRS  # another sentence of the same picture in another epoch


def test_the_model_is_one_of_the_configuration_and_was_trained(whole_run: Path, place: Path) -> None:
    model = build_clip(place / "tiny.json")
    state = load_state(whole_run / "model.safetensors")
    assert not any(torch.equal(model.state_dict()[name], tensor) for name, tensor in state.items())
    model.load_state_dict(state, strict=True)


@pytest.mark.parametrize(("dies_by", "code"), [("SIGKILL", -9), ("SIGTERM", -15), ("SIGINT", 1)])
def test_a_run_that_was_killed_ends_as_one_that_was_not(
    whole_run: Path, place: Path, tmp_path: Path, dies_by: str, code: int
) -> None:
    run = tmp_path / "run"
    codes = together(_train, line(place, run), None, dies_by)
    assert codes[0] == code and codes[1] != 0
    assert not (run / "model.safetensors").exists()
    assert bool(list(run.glob("*.tmp"))) == (dies_by != "SIGINT")
    kept = torch.load(run / "checkpoint.pt")
    assert kept["step"] == 6
    with open(run / "log.jsonl", "a") as log:
        log.write('{"step": 1')  # a line cut short
    shutil.copytree(run, tmp_path / "other")
    assert together(_train, line(place, run)) == [0, 0]
    assert same(run, whole_run)
    assert records(run) == records(whole_run)
    assert sorted(path.name for path in run.iterdir()) == ["lock", "log.jsonl", "model.safetensors"]
    # Had it gone on at another pair, the weights would tell.
    torch.save(kept | {"step": kept["step"] - 1}, tmp_path / "other" / "checkpoint.pt")
    assert together(_train, line(place, tmp_path / "other")) == [0, 0]
    assert not same(tmp_path / "other", whole_run)


def test_torchrun_does_the_same(whole_run: Path, place: Path, tmp_path: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1"]
    command = [*torchrun, "--master-port", str(free_port()), "-m", "experiments.train_clip", *line(place, tmp_path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COURSE_DEVICE": "cpu"}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert same(tmp_path, whole_run)


@pytest.mark.parametrize(("start", "end"), [(9.0, 100.0), (-5.0, 1.0)])
def test_the_scale_of_the_logits_is_held(place: Path, tmp_path: Path, start: float, end: float) -> None:
    configuration = tmp_path / "tiny-scaled.json"
    configuration.write_text(json.dumps(CONFIGURATION | {"init_logit_scale": start}))
    train_clip.main(line(place, tmp_path, configuration=configuration, epochs=1, batch=30, every=1, rate=1e-5))
    assert records(tmp_path)[-1]["scale"] == pytest.approx(end, rel=1e-6)


# Refusals


def refused(arguments: list[str], capsys: pytest.CaptureFixture) -> str:
    with pytest.raises(SystemExit) as ended:
        train_clip.main(arguments)
    return f"{ended.value} {capsys.readouterr().err}"


@pytest.fixture(scope="module")
def stopped_run(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("stopped")
    together(_train, line(place, run), None, "SIGKILL", world=1)
    for left in run.glob("*.tmp"):
        left.unlink()
    return run


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"seed": 1}, "seed = 0, not 1"),
        ({"rate": 0.5}, "rate = 0.001, not 0.5"),
        ({"epochs": 9}, r"steps = \d+, not \d+"),
        (
            {"shards": "{place}/{{0..3}}.tar"},
            r"steps = \d+, not \d+|shard 4 = '4\.tar of 4 pictures, \d+ bytes', not None",
        ),
        ({"buffer": 4}, "buffer = 3, not 4"),
    ],
    ids=str,
)
def test_a_checkpoint_of_other_settings_is_refused(
    stopped_run: Path, place: Path, changes: dict, told: str, capsys: pytest.CaptureFixture
) -> None:
    before = {path: path.read_bytes() for path in stopped_run.iterdir()}
    if "shards" in changes:
        changes = {"shards": changes["shards"].format(place=place)}
    said = refused(line(place, stopped_run, **changes), capsys)
    assert re.search(rf"checkpoint\.pt was made with {told}.*move it away", said), said
    assert {path: path.read_bytes() for path in stopped_run.iterdir()} == before


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "other"])
def test_a_damaged_checkpoint_is_refused(
    stopped_run: Path, place: Path, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture
) -> None:
    path, good = tmp_path / "checkpoint.pt", (stopped_run / "checkpoint.pt").read_bytes()
    middle = len(good) // 2
    changed = good[:middle] + bytes(b ^ 255 for b in good[middle : middle + 64]) + good[middle + 64 :]
    path.write_bytes({"cut": good[:middle], "changed": changed, "empty": b"", "other": b"a text"}[damage])
    before = path.read_bytes()
    said = refused(line(place, tmp_path), capsys)
    assert "checkpoint.pt is damaged" in said and "move it away" in said
    assert path.read_bytes() == before


def _missing(path: Path) -> None:
    path.unlink()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:9_000])


def _cut_between_files(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.read_bytes().index(b"0017.json")])


def _no_header(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"0017.json", b"0017:json"))


def _picture(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 100] ^= 255
    path.write_bytes(data)


def _no_sentence(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'["17 is a car", "17 is a bus"]', b'[["7 is a car"],"17 is a bus"]'))


@pytest.mark.parametrize("fault", [_missing, _cut, _cut_between_files, _no_header, _picture, _no_sentence])
def test_a_bad_shard_is_named(
    place: Path, tmp_path: Path, fault: Callable[[Path], None], capsys: pytest.CaptureFixture
) -> None:
    shutil.copytree(place, tmp_path / "shards")
    bad = tmp_path / "shards" / "2.tar"
    before = bad.read_bytes()
    fault(bad)
    assert not bad.exists() or bad.read_bytes() != before
    said = refused(line(tmp_path / "shards", tmp_path / "run", batch=2), capsys)
    assert re.search(rf"the shard {re.escape(str(bad))} is (missing|damaged).*--make-shards", said), said
    assert not (tmp_path / "run" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"batch": 31}, "5 shards of 30 pictures do not give .* a full batch of 31.*lower --batch"),
        ({"workers": 5, "batch": 9}, "a full batch.*lower --batch or --workers"),
        ({"batch": 0}, "'0' is not a whole number from 2"),
        ({"rate": -1}, "learning rate: -1"),
        ({"rate": 1e30}, r"the loss is (nan|inf) in step \d+: lower the rate"),
        ({"configuration": "nowhere.json"}, "nowhere.json is missing"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused(
    place: Path, tmp_path: Path, changes: dict, told: str, capsys: pytest.CaptureFixture
) -> None:
    assert re.search(told, refused(line(place, tmp_path, **changes), capsys))
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is not a model configuration"),
        ("{}", "is not a model configuration"),
        (CONFIGURATION | {"text_cfg": CONFIGURATION["text_cfg"] | {"vocab_size": 99}}, "vocab_size is 99, not 512"),
        (
            CONFIGURATION | {"vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8}},
            "the image tower ModifiedResNet",
        ),
        (CONFIGURATION | {"vision_cfg": CONFIGURATION["vision_cfg"] | {"image_size": 64}}, r"the model needs \[3, 64"),
    ],
    ids=["no JSON", "empty", "vocabulary", "ResNet", "size"],
)
def test_other_configurations_are_refused(
    place: Path, tmp_path: Path, content: str | dict, told: str, capsys: pytest.CaptureFixture
) -> None:
    path = tmp_path / "other.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    assert re.search(told, refused(line(place, tmp_path / "run", configuration=path), capsys))


def test_a_folder_of_another_run_is_left_alone(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with FileLock(tmp_path / "lock"):
        assert "is in use by another run" in refused(line(place, tmp_path), capsys)
    (tmp_path / "model.safetensors").write_bytes(b"precious")
    assert "holds the model of a run that has ended" in refused(line(place, tmp_path), capsys)
    assert (tmp_path / "model.safetensors").read_bytes() == b"precious"
    assert "--folder" in refused(["--shards", "a.tar"], capsys)


# Shards of street scenes


def test_shards_hold_the_scenes_and_replace_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    street = load_street("train", 5, seed=2, cache=False, progress=False, workers=1)
    monkeypatch.setattr(train_clip, "load_street", lambda split, n, seed: street)
    shards = [str(tmp_path / f"{i}.tar") for i in range(2)]
    command = ["--shards", f"{tmp_path}/{{0..1}}.tar", "--make-shards", "5", "--seed", "2"]
    train_clip.main(command)
    assert [count(shard) for shard in shards] == [3, 2]
    read = [pair for batch in train_clip.batches(shards, 96, 1, 0, 0) for pair in zip(*batch, strict=True)]
    assert len(read) == 5
    for picture, sentence in read:
        (i,) = (i for i in range(5) if torch.equal(picture, street.images[i]))
        assert sentence in street.captions[i]
    before = [Path(shard).read_bytes() for shard in shards]
    assert f"{shards[0]} exists already" in refused(command, capsys)
    assert [Path(shard).read_bytes() for shard in shards] == before
    Path(shards[1]).unlink()
    Path(shards[0]).unlink()
    train_clip.main(command)
    assert [Path(shard).read_bytes() for shard in shards] == before


def test_a_shard_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    street = load_street("train", 5, seed=2, cache=False, progress=False, workers=1)
    street.captions[4] = {1}  # JSON has no sets
    with pytest.raises(TypeError):
        write_shards([str(tmp_path / f"{i}.tar") for i in range(2)], street)
    assert [path.name for path in tmp_path.iterdir()] == ["0.tar"]
