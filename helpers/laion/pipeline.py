"""The whole pipeline: WAT files in, shards, tables and an index out, in four rounds of jobs.

    extract    for each WAT file: its pictures with a text, their language         links/*.parquet
    download   for each group of hosts: robots.txt, opt-outs, pictures, hashes     hosts/*.parquet, hosts/*.bytes
    compare    once: pictures that were there before                               plan/*.parquet
    score      for each part of the plan: CLIP, tags, a shard                      shards/*.tar, shards/*.parquet

and the index at the end. Each job writes its account, a JSON file, last of all, and a job whose account is there is
done: so a run that was killed goes on where it was. Only the accounts hold times; all else is the same, byte for byte,
whenever the same files are read with the same settings on the same machine, by any engine, and the hosts answer as
before.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from helpers.files import code_digest, write_json
from helpers.laion.download import Gateway
from helpers.laion.engine import engine, run_jobs
from helpers.laion.index import write_index
from helpers.laion.jobs import Job, Settings
from helpers.laion.report import report
from helpers.laion.rounds import compare, download, extract, host_account, score
from helpers.laion.urls import buckets


def fingerprint(path: Path) -> str:
    """The sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def run(
    wats: Sequence[Path],
    out: Path,
    gateway: Gateway,
    settings: Settings | None = None,
    engine_name: str = "processes",
    workers: int = 2,
    told: Callable[[str, int, int], None] = lambda name, done, jobs: None,
) -> dict[str, Any]:
    """Bring the pictures of `wats` into `out` and return the report.

    told: called with a round's name, how many of its jobs are done, and of how many, after each.
    Raises ValueError if `out` holds a run of other files, settings or code, or no file is given; Timeout of filelock if
    another process is at work there; RuntimeError if a worker was killed.
    """
    from filelock import FileLock

    settings = settings or Settings()
    if not wats:
        raise ValueError("wats: no WAT file is given")
    out.mkdir(parents=True, exist_ok=True)
    with FileLock(out / "lock", timeout=0):
        _same_run(wats, out, gateway, settings)
        _sweep(out)
        with engine(engine_name, workers, out / "scratch") as executor:
            do = partial(_round, executor, told)
            jobs = [
                Job(f"wat-{i:05d}", out, settings, path, Gateway("", 0, gateway.suffix)) for i, path in enumerate(wats)
            ]
            hosts = Counter()
            for account in do("extract", extract, jobs):
                hosts.update(account["hosts"])
            # More groups than workers, so that none is idle while another works through a long one.
            groups = buckets(hosts, 2 * workers)
            jobs = [Job(f"group-{i}", out, settings, group, gateway) for i, group in enumerate(groups)]
            do("download", download, jobs, lambda job: all(host_account(out, host).exists() for host in job.given))
            (planned,) = do("compare", compare, [Job("compare", out, settings)])
            jobs = [Job(f"part-{i:05d}", out, settings, i) for i in range(planned["parts"])]
            do("score", score, jobs)
        _sweep(out)  # a worker that was killed while the others went on left its half-written files
        _index(out, planned["parts"])
    return report(out)


def _sweep(out: Path) -> None:
    """Remove what processes left that were killed, and Dask's scratch folder; nobody may be at work in `out`."""
    for left in out.rglob("*.tmp"):
        left.unlink()
    shutil.rmtree(out / "scratch", ignore_errors=True)


def _same_run(wats: Sequence[Path], out: Path, gateway: Gateway, settings: Settings) -> None:
    """Note what is run in `out`/run.json; ValueError if another run is noted there."""
    facts = {
        "wats": [[path.name, fingerprint(path)] for path in wats],
        "suffix": gateway.suffix,
        "settings": json.loads(json.dumps(asdict(settings))),
        "code": code_digest("helpers.laion.pipeline"),
    }
    path = out / "run.json"
    if not path.exists():
        return write_json(path, facts)
    kept = json.loads(path.read_text(encoding="utf-8"))
    if other := [name for name in facts if kept.get(name) != facts[name]]:
        raise ValueError(f"{out} holds a run with other {', '.join(other)}: choose another folder, or delete it")
    return None


def _round(
    executor: Executor,
    told: Callable[[str, int, int], None],
    name: str,
    function: Callable[[Job], dict[str, Any]],
    jobs: Sequence[Job],
    is_done: Callable[[Job], bool] = lambda job: job.account.exists(),
) -> list[dict[str, Any]]:
    """Run the jobs of a round that are not done; returns the accounts of all, in the order of the jobs."""
    missing = [job for job in jobs if not is_done(job)]
    ready = len(jobs) - len(missing)
    told(name, ready, len(jobs))

    def done(_: Any) -> None:
        nonlocal ready
        ready += 1
        told(name, ready, len(jobs))

    made = dict(zip([job.name for job in missing], run_jobs(executor, function, missing, done), strict=True))
    return [made[job.name] if job.name in made else _account(job) for job in jobs]


def _account(job: Job) -> dict[str, Any]:
    return json.loads(job.account.read_text(encoding="utf-8")) if job.account.exists() else {}


def _index(out: Path, parts: int) -> None:
    tables = [out / "shards" / f"{i:05d}.parquet" for i in range(parts)]
    # The tables are written before the accounts, and an index of them is made in seconds: so it is made anew.
    write_index(out, tables)
