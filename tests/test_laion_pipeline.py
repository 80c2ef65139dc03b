"""The whole pipeline over a web made by hand: its counts are those of the truth, its bytes are the same every time."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
from PIL import Image

from experiments import __main__ as command_line
from helpers.files import ROOT
from helpers.laion.download import Gateway, Manners
from helpers.laion.engine import engine, run_jobs
from helpers.laion.jobs import Settings
from helpers.laion.pipeline import run
from helpers.laion.report import report
from helpers.laion.shards import features_of
from helpers.training.shards import batches, count
from helpers.worlds.web.build import Web
from helpers.worlds.web.server import ADDRESS, Server, serve
from tests.laion_web import OPEN, HandMade, picture, sites

posix = pytest.mark.skipif(os.name == "nt", reason="sends a signal that Windows does not have")
GOOD = 14  # pictures on the open site that nothing is wrong with
SETTINGS = Settings(threshold=-1.0, part=10, manners=Manners(delay=0.0, timeout=20.0))

# What each step is to drop of the web below.
TRUTH = {
    "wat": {},
    "alt": {"no alt text": 2, "under 5 characters": 1},
    "language": {},
    "address": {"address in figures": 1, "outside the allowed hosts": 1, "scheme data": 1},
    "seen": {"address seen before": 2},
    "robots": {"robots.txt": 3, "robots.txt out of order": 1},
    "opt-out": {"noai of the page": 1, "tdm reservation": 1},
    "download": {
        "noai of the picture": 1,
        "tdm of the picture": 1,
        "redirect to: address in figures": 1,
        "status 404": 1,
    },
    "picture": {"damaged": 1, "no training, by its metadata": 1, "under 1000 bytes": 1, "under 48 pixels": 1},
    "same bytes": {"same bytes": 1},
    "same look": {"same look": 1},
    "similarity": {},
    "tags": {},
}


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Web:
    made, hosts = HandMade(tmp_path_factory.mktemp("made") / "web"), sites()
    good = [(made.file(f"/good/{i}.jpg", picture(i)), f"a picture of thing number {i}") for i in range(GOOD)]
    for i in range(0, GOOD, 2):
        made.page(good[i : i + 2])
    made.page([(good[0][0], "the first one again"), (f"{good[1][0]}#top", "the second one again")])
    made.page([(good[3][0], None), (good[4][0], ""), (good[5][0], "abc")])
    made.page(
        [("http://10.0.0.1/a.jpg", "an address"), ("http://else.invalid/a.jpg", "a host"), ("data:,x", "no address")]
    )
    made.page([(made.file("/z/same.jpg", picture(0)), "the bytes of the first one")])
    made.page([(made.file("/z/look.jpg", _saved_again(picture(2))), "the third one, saved again")])
    for policy, host in hosts.items():
        if policy not in ("open", "robots pattern"):
            noai = '<meta name="robots" content="noai">' if policy == "noai page" else ""
            headers = {"noimageai header": {"X-Robots-Tag": "noimageai"}, "tdm header": {"tdm-reservation": "1"}}
            number = 50 + list(hosts).index(policy)
            path = made.file("/pictures/a.jpg", picture(number), host, headers=headers.get(policy, {}))
            made.page([(path, f"a picture of the site with {policy}")], host, noai)
    pattern = hosts["robots pattern"]
    made.page([(made.file("/private/a.jpg", picture(70), pattern), "a private picture")], pattern)
    made.page([(made.file("/pictures/a.webp", picture(71, "webp"), pattern), "a picture in WebP")], pattern)
    made.page([(f"http://{OPEN}/missing.jpg", "a picture that is gone")])
    private = made.file("/to.jpg", b"", behaviour="redirect private", target="http://169.254.169.254/")
    made.page([(private, "a way to a private address")])
    made.page([(made.file("/cut.jpg", picture(80)[:2_000]), "a picture that is cut off")])
    made.page([(made.file("/no.jpg", picture(81, rights="no training", holder="x")), "not for training")])
    made.page([(made.file("/small.png", picture(82, "png", size=40)), "a small picture")])
    made.page([(made.file("/pixel.gif", b"GIF89a" + bytes(40)), "a pixel that counts visitors")])
    return made.web(pages_a_file=12)


def _saved_again(data: bytes) -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(data)).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def server(web: Web) -> Iterator[Server]:
    with serve(web) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(server: Server) -> Gateway:
    return Gateway(ADDRESS, server.port)


@pytest.fixture(scope="module")
def made(web: Web, server: Server, gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole run, in this process."""
    out = tmp_path_factory.mktemp("run") / "data"
    server.requests.clear()
    run(web.wats, out, gateway, SETTINGS, "here")
    (out / "requests.json").write_text(json.dumps(server.requests))
    return out


def contents(out: Path) -> dict[str, str]:
    """The sha256 of every file that a run made, but for the accounts, which tell seconds."""
    kept = ("links", "hosts", "plan", "dropped", "shards")
    paths = [path for folder in kept for path in (out / folder).rglob("*")]
    paths += [out / "index.faiss", out / "index.json", out / "run.json"]
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_every_picture_that_is_dropped_is_dropped_for_its_true_reason(made: Path) -> None:
    told = report(made)
    assert told["finished"] and [step["step"] for step in told["steps"]] == list(TRUTH)
    for step in told["steps"]:
        assert step["dropped"] == TRUTH[step["step"]], step["step"]
        assert step["in"] == step["out"] + sum(step["dropped"].values())
    assert told["kept"] == GOOD + 2  # and one of the site with a slow pace, one of the site that refuses another robot
    lost = [row for path in (made / "dropped").glob("*.parquet") for row in pq.read_table(path).to_pylist()]
    assert len(lost) == sum(sum(reasons.values()) for reasons in TRUTH.values())
    assert all(row["page"].startswith("http://site-") and row["reason"] in TRUTH[row["step"]] for row in lost)


def test_nothing_forbidden_was_asked_for_and_what_was_refused_is_not_kept(made: Path) -> None:
    hosts = sites()
    asked = {(host, path) for _, host, path in json.loads((made / "requests.json").read_text())}
    for policy in ("robots all", "robots pattern", "robots error", "noai page", "tdm file"):
        paths = {path for host, path in asked if host == hosts[policy]}
        assert paths <= {"/robots.txt", "/.well-known/tdmrep.json"}, policy
    for policy in ("noimageai header", "tdm header"):
        assert (made / "hosts" / f"{hosts[policy]}.bytes").stat().st_size == 0
    assert not any(path.startswith("/good/") and list(asked).count((OPEN, path)) > 1 for _, path in asked)


def test_the_shards_are_what_training_reads_and_the_tables_tell_of_the_same_pairs(made: Path) -> None:
    shards = sorted((made / "shards").glob("*.tar"))
    tables = [pq.read_table(shard.with_suffix(".parquet")) for shard in shards]
    assert [count(str(shard)) for shard in shards] == [table.num_rows for table in tables] == [10, GOOD + 2 - 10]
    names = []
    for shard in shards:
        with tarfile.open(shard) as tar:
            names += tar.getnames()
    assert all(re.fullmatch(r"\d{9}\.(png|json)", name) for name in names) and len(set(names)) == len(names)
    (batch,) = list(batches([str(shards[0])], 96, 10, seed=0, epoch=0))
    assert batch[0].shape == (10, 3, 96, 96) and set(batch[1]) == set(tables[0]["alt"].to_pylist())
    first = tables[0].slice(0, 1).to_pylist()[0]
    with tarfile.open(shards[0]) as tar:
        shown = np.asarray(Image.open(tar.extractfile(f"{first['key']}.png")))
    assert first["url"].endswith("/good/0.jpg")
    assert np.array_equal(shown, np.asarray(Image.open(io.BytesIO(picture(0))).convert("RGB")))


def test_features_and_similarities_are_open_clips(made: Path) -> None:
    import torch

    from helpers.laion.similarity import clip

    table, loaded = pq.read_table(made / "shards" / "00000.parquet"), clip()
    pictures = [picture(int(re.search(r"(\d+)\.jpg", url)[1])) for url in table["url"].to_pylist()]
    with torch.inference_mode():
        images = torch.cat([loaded.preprocess(np.asarray(Image.open(io.BytesIO(data)))) for data in pictures])
        image = loaded.model.encode_image(images, normalize=True).numpy()
        text = loaded.model.encode_text(loaded.tokenizer(table["alt"].to_pylist()), normalize=True).numpy()
    assert np.abs(features_of(table) - image).max() < 1e-3  # the table holds half precision
    similarity = table["similarity"].to_numpy()
    assert np.abs(similarity - (image * text).sum(1)).max() < 1e-4
    assert np.abs(similarity - (image * text[::-1]).sum(1)).max() > 1e-2, "other texts would do as well"


def test_the_same_again_in_another_folder_gives_the_same_bytes(
    made: Path, web: Web, gateway: Gateway, tmp_path
) -> None:
    run(web.wats, tmp_path / "again", gateway, SETTINGS, "here")
    assert contents(tmp_path / "again") == contents(made) and len(contents(made)) > 20
    run(web.wats[:1], tmp_path / "less", gateway, SETTINGS, "here")
    assert contents(tmp_path / "less") != contents(made)


def test_a_run_that_is_done_asks_nobody_and_changes_nothing(
    made: Path, web: Web, server: Server, gateway: Gateway
) -> None:
    before, told = contents(made), report(made)
    server.requests.clear()
    assert run(web.wats, made, gateway, SETTINGS, "here") == told
    assert server.requests == [] and contents(made) == before


@pytest.mark.parametrize("other", [{"threshold": 0.2}, {"distance": 3}, {"honour": ()}])
def test_another_run_does_not_go_into_the_same_folder(made: Path, web: Web, gateway: Gateway, other: dict) -> None:
    with pytest.raises(ValueError, match="holds a run with other settings: choose another folder"):
        run(web.wats, made, gateway, replace(SETTINGS, **other), "here")


# A process that kills itself, as `kill -9` would, when it is about to write its n-th file, or the one with a name.
KILLED = """
import os, signal, sys
from pathlib import Path
from helpers import files
from helpers.laion import index, jobs, pipeline, rounds, shards
from helpers.laion.download import Gateway
from tests.test_laion_pipeline import SETTINGS
left, named = (int(sys.argv[4]), "") if sys.argv[4].isdigit() else (-1, sys.argv[4])
whole = files.whole
def fatal(path):
    global left
    left -= 1
    if left == 0 or path.name == named:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(path.name + ".1.tmp").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(path)
files.whole = index.whole = jobs.whole = rounds.whole = shards.whole = fatal
gateway = Gateway(sys.argv[2], int(sys.argv[3]))
pipeline.run([Path(p) for p in sys.argv[5:]], Path(sys.argv[1]), gateway, SETTINGS, "here")
"""


@posix
def test_a_run_that_is_killed_again_and_again_goes_on_and_gives_the_same_bytes(
    made: Path, web: Web, server: Server, gateway: Gateway, tmp_path: Path
) -> None:
    def done(pattern: str = "*") -> set[str]:
        return {path.stem for path in (out / "accounts").glob(f"{pattern}.json")}

    out = tmp_path / "killed"
    # In the first round, twice among the hosts, in two parts of the scoring, and before the index.
    for at in ("7", "20", "20", "00000.tar", "00001.parquet", "index.faiss"):
        before, hosts = done(), {name.removeprefix("host-") for name in done("host-*")}
        server.requests.clear()
        arguments = [str(out), ADDRESS, str(server.port), at, *map(str, web.wats)]
        killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], cwd=ROOT, capture_output=True, text=True)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert not report(out)["finished"]
        assert before < done(), "what was done was lost, or nothing was done"
        assert not hosts & {host for _, host, _ in server.requests}, "hosts that were done were asked again"
    server.requests.clear()
    run(web.wats, out, gateway, SETTINGS, "here")
    assert contents(out) == contents(made) and not list(out.rglob("*.tmp"))
    assert server.requests == []


@posix
def test_dask_gives_the_same_bytes_though_a_worker_is_killed(
    made: Path, web: Web, gateway: Gateway, tmp_path: Path
) -> None:
    killed = []

    def told(name: str, done: int, jobs: int) -> None:
        if name == "download" and done == 1 and not killed:
            workers = [p for p in psutil.Process().children(recursive=True) if "spawn_main" in " ".join(p.cmdline())]
            killed.append(workers[0].pid)
            workers[0].kill()

    run(web.wats, tmp_path / "dask", gateway, SETTINGS, "dask", 2, told)
    assert killed and contents(tmp_path / "dask") == contents(made)
    ours, theirs = report(tmp_path / "dask"), report(made)
    for told_of in (ours, theirs):
        for step in told_of["steps"]:
            del step["seconds"]
    assert ours == theirs


def die(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@posix
def test_a_worker_that_is_killed_is_told_with_the_remedy(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match=r"a worker process was killed.*start again"),
        engine("processes", 1, tmp_path) as pool,
    ):
        run_jobs(pool, die, [1, 2], lambda _: None)
    with pytest.raises(ValueError, match="'spark' is not one of processes, dask, here"), engine("spark", 1, tmp_path):
        pass


PARENT = """
import sys, time
from pathlib import Path
from helpers.laion.engine import engine
if __name__ == "__main__":
    with engine("processes", 1, Path(".")) as pool:
        print(pool.submit(__import__("os").getpid).result(), flush=True)
        time.sleep(600)
"""


@posix
def test_no_worker_outlives_a_killed_parent(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(PARENT)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen([sys.executable, tmp_path / "parent.py"], stdout=subprocess.PIPE, env=environment)
    worker = psutil.Process(int(parent.stdout.readline()))
    assert worker.is_running()
    parent.kill()
    parent.communicate()
    psutil.wait_procs([worker], timeout=60)
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE


MEMORY = """
import resource, sys
from pathlib import Path
from helpers.laion.jobs import Job, Settings
from helpers.laion.rounds import extract
for name in sys.argv[2:]:
    account = extract(Job(name, Path(sys.argv[1]), Settings(), Path(sys.argv[1]) / f"{name}.wat.gz"))
    print(account["counts"][0]["entered"], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@posix
def test_memory_does_not_grow_with_the_pages(tmp_path: Path) -> None:
    from helpers.worlds.web.archive import write_warc, write_wat

    # Two texts of each page are kept, and eight dropped for being too short.
    texts = ["abc" if i % 5 else f"a picture of {'thing ' * 10}{i}" for i in range(10)]
    images = "".join(f'<img src="{"x" * 200}{i}.jpg" alt="{text}">' for i, text in enumerate(texts)).encode()
    for name, n in (("few", 250), ("many", 3_000)):
        pages = ((f"http://{OPEN}/{i}", {"Content-Type": "text/html"}, images) for i in range(n))
        write_warc(tmp_path / f"{name}.warc.gz", pages)
        write_wat(tmp_path / f"{name}.warc.gz", tmp_path / f"{name}.wat.gz")
    command = [sys.executable, "-c", MEMORY, str(tmp_path), "few", "many"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    pages, peaks = told[::2], [int(kilobytes) for kilobytes in told[1::2]]
    assert pages == ["250", "3000"]
    # The rows of the 2,750 more pages would take 27,500 times a kilobyte and more.
    assert peaks[1] - peaks[0] < 12_000


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> object:
    command_line.main(["laion", *map(str, arguments)])
    return json.loads(capsys.readouterr().out)


def test_the_command_searches_by_words_and_by_picture(made: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "mine.jpg").write_bytes(_saved_again(picture(7)))
    first, *others = said(capsys, "search", "--out", made, "-n", 3, "--picture", tmp_path / "mine.jpg")
    assert first["url"].endswith("/good/7.jpg") and first["page"].startswith(f"http://{OPEN}/page-")
    similarities = [hit["similarity"] for hit in (first, *others)]
    assert len(others) == 2 and similarities == sorted(similarities, reverse=True) and similarities[0] > 0.98
    assert len(said(capsys, "search", "--out", made, "-n", 99, "a red truck")) == GOOD + 2
    assert said(capsys, "report", "--out", made) == report(made)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["report", "--out", "{none}"], "holds no run: start one with"),
        (["search", "--out", "{none}", "x"], "has no index: make it with"),
        (["run", "--web", "{none}", "--out", "{none}/x"], "holds no web: make one with"),
        (["run", "--web", "{web}", "--out", "{none}/y", "--threshold", "2"], "threshold: 2.0 is not a cosine"),
        (["build", "--out", "{web}"], "is not an empty folder: name a new one"),
        (["search", "--out", "{made}", "--picture", "{none}/a.jpg"], "was not found: check its path"),
    ],
)
def test_the_command_ends_with_one_sentence(arguments: list[str], words: str, web: Web, made: Path, tmp_path) -> None:
    places = {"none": tmp_path, "web": web.folder, "made": made}
    with pytest.raises(SystemExit, match=words):
        command_line.main(["laion", *(argument.format(**places) for argument in arguments)])


def test_a_run_in_use_is_left_alone(made: Path, web: Web) -> None:
    from filelock import FileLock

    with FileLock(made / "lock"), pytest.raises(SystemExit, match="another process is at work"):
        command_line.main(["laion", "run", "--web", str(web.folder), "--out", str(made)])


def test_the_command_runs_from_a_web_to_a_report(web: Web, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "experiments",
        "laion",
        "run",
        "--web",
        str(web.folder),
        "--out",
        str(tmp_path / "d"),
    ]
    ran = subprocess.run([*command, "--workers", "1", "--threshold", "-1"], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["kept"] == GOOD + 2
    assert "download: 2 of 2" in ran.stderr and "score: 1 of 1" in ran.stderr
