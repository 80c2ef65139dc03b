"""The whole pipeline: WAT files in, shards, tables and an index out, in four rounds of jobs.

    extract    for each WAT file: its pictures with a text, their language         links/*.parquet
    download   for each group of hosts: robots.txt, opt-outs, pictures, hashes     hosts/*.parquet, hosts/*.bytes
    compare    once: pictures that were there before                               plan/*.parquet
    score      for each part of the plan: CLIP, tags, a shard                      shards/*.tar, shards/*.parquet

and the index at the end. Each job writes its account, a JSON file, last of all, and a job whose account is there is
done: so a run that was killed goes on where it was. Only the accounts hold times; all else is the same, byte for byte,
whenever the same files are read with the same settings on the same machine, by any engine.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from helpers.files import code_digest, whole, write_json
from helpers.laion import wat
from helpers.laion.alt import alt_step
from helpers.laion.download import Gateway, Host, Manners, visit_all
from helpers.laion.duplicates import exact_step, look_step
from helpers.laion.engine import engine, run_jobs
from helpers.laion.language import language_step
from helpers.laion.optout import MEANS, opt_out_step, robots_step
from helpers.laion.pictures import examine, picture_step
from helpers.laion.steps import DROPPED, TYPES, Ledger, empty, total, with_columns
from helpers.laion.urls import buckets, seen_step, url_step

if TYPE_CHECKING:
    import pyarrow as pa

ROUNDS = ("extract", "download", "compare", "score")
STEPS = {  # every step in order, and what it counts
    "wat": "records",
    "alt": "links",
    "language": "links",
    "address": "links",
    "seen": "links",
    "robots": "links",
    "opt-out": "links",
    "download": "links",
    "picture": "pictures",
    "same bytes": "pictures",
    "same look": "pictures",
    "similarity": "pictures",
    "tags": "pictures",
}


@dataclass(frozen=True)
class Settings:
    """What decides what comes out.

    Args:
        threshold: the least cosine of a picture and its text.
        distance: perceptual hashes that differ in at most so many bits are those of one picture; -1: none is dropped.
        languages: those that are kept, () for all.
        honour: which refusals are honoured, of `optout.MEANS`.
        least_alt, least_bytes, least_side: characters, bytes and pixels below which a picture is dropped.
        part: pictures that one shard is made of, before CLIP drops some.
        manners: how hosts are asked.
    """

    threshold: float = 0.3
    distance: int = 6
    languages: tuple[str, ...] = ()
    honour: tuple[str, ...] = MEANS
    least_alt: int = 5
    least_bytes: int = 1_000
    least_side: int = 48
    part: int = 1_000
    manners: Manners = field(default_factory=Manners)

    def __post_init__(self) -> None:
        if unknown := set(self.honour) - set(MEANS):
            raise ValueError(f"honour: {', '.join(sorted(unknown))} is not among {', '.join(MEANS)}")
        if not -1 <= self.threshold <= 1:
            raise ValueError(f"threshold: {self.threshold!r} is not a cosine from -1 to 1")
        if not -1 <= self.distance <= 32:
            raise ValueError(f"distance: {self.distance!r} is not a number of bits from -1 to 32")
        if self.part < 1:
            raise ValueError(f"part: {self.part!r} is not a number of pictures from 1")


@dataclass(frozen=True)
class Job:
    """One piece of work of a round: its name, the folder of the run, and what it works on."""

    name: str
    out: Path
    settings: Settings
    given: Any = None
    gateway: Gateway | None = None

    @property
    def account(self) -> Path:
        """The JSON file that is there once the job is done."""
        return self.out / "accounts" / f"{self.name}.json"

    def finish(self, ledger: Ledger, **facts: Any) -> dict[str, Any]:
        """Write what was dropped, and the account; returns the account."""
        import pyarrow as pa

        from helpers.laion.shards import write_table

        schema = pa.schema([(n, pa.string() if n in ("step", "reason") else TYPES[n]) for n in _LOST])
        write_table(self.out / "dropped" / f"{self.name}.parquet", pa.Table.from_pylist(ledger.dropped, schema=schema))
        account = {"counts": ledger.facts()} | facts
        write_json(self.account, account)
        return account


_LOST = ("step", "reason", *DROPPED)


# Extract: a WAT file.


def extract(job: Job) -> dict[str, Any]:
    """From a WAT file to a table of pictures with texts, sorted by nothing, a few hundred pages at a time."""
    import pyarrow.parquet as pq

    ledger, hosts, settings = Ledger(), Counter(), job.settings
    with whole(job.out / "links" / f"{job.name}.parquet") as temporary:
        writer = None
        for table, seen, dropped in wat.pages(job.given):
            ledger.count("wat", "records", seen, dropped)
            table = ledger.run("alt", partial(alt_step, least=settings.least_alt), table, "links")
            table = ledger.run("language", partial(language_step, languages=settings.languages), table, "links")
            table = ledger.run("address", partial(url_step, suffix=_suffix(job)), table, "links")
            hosts.update(table["host"].to_pylist())
            writer = writer or pq.ParquetWriter(temporary, table.schema)
            writer.write_table(table)
        if writer is None:
            pq.write_table(empty(*LINKS), temporary)
        else:
            writer.close()
    return job.finish(ledger, hosts=dict(sorted(hosts.items())))


LINKS = (*wat.COLUMNS, "language", "language_sure", "host")


def _suffix(job: Job) -> str:
    return job.gateway.suffix if job.gateway else Gateway("", 0).suffix


# Download: a group of hosts.


def download(job: Job) -> dict[str, Any]:
    """Ask the hosts of a group for their pictures. A host whose table is there already is not asked again."""
    # In a thread of its own, as a notebook's kernel has an event loop running in this one.
    with ThreadPoolExecutor(1) as thread:
        visited = [host for host in job.given if not _host_account(job.out, host).exists()]
        visit = partial(_visit, job=job)
        thread.submit(
            asyncio.run, visit_all(visited, job.gateway, job.settings.manners, visit, lambda _: None)
        ).result()
    return {"hosts": len(job.given)}


def _host_account(out: Path, host: str) -> Path:
    return out / "accounts" / f"host-{host}.json"


async def _visit(host: Host, job: Job) -> None:
    """Everything that is asked of one host, in the order in which the pages name it."""
    out, settings, ledger = job.out, job.settings, Ledger()
    links = sorted((out / "links").glob("*.parquet"))
    table = await asyncio.to_thread(_links_of, links, host.name)
    table = ledger.run("seen", seen_step, table, "links")
    start = time.perf_counter()
    await host.introduce("tdm" in settings.honour)
    if "robots" in settings.honour:
        table = ledger.run("robots", partial(robots_step, robots=host.robots), table, "links")
    opt_out = partial(opt_out_step, reservations=host.reservations, honour=settings.honour)
    table = ledger.run("opt-out", opt_out, table, "links")
    with whole(out / "hosts" / f"{host.name}.bytes") as temporary, temporary.open("w+b") as file:
        table = await _pictures(host, table, settings, file, ledger, start)

        def read(offset: int, length: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        own = Job(f"host-{host.name}", out, settings)
        step = partial(
            picture_step,
            read=read,
            least_bytes=settings.least_bytes,
            least_side=settings.least_side,
            honour=settings.honour,
        )
        # Pictures are opened in another thread, so that the other hosts' answers are not kept waiting.
        table = await asyncio.to_thread(ledger.run, "picture", step, table)
    from helpers.laion.shards import write_table

    write_table(out / "hosts" / f"{host.name}.parquet", table)
    own.finish(ledger)


def _links_of(files: Sequence[Path], host: str) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pa.concat_tables(pq.read_table(file, filters=[("host", "==", host)]) for file in files)


async def _pictures(
    host: Host, table: pa.Table, settings: Settings, file: BinaryIO, ledger: Ledger, start: float
) -> pa.Table:
    """Ask for each picture of `table` and write its bytes to `file`; adds `offset`, `length` and `content_type`."""
    columns: dict[str, list[Any]] = {name: [] for name in ("offset", "length", "content_type", "drop")}
    for url in table["url"].to_pylist():
        answer, reason = await host.picture(url, settings.honour)
        columns["offset"].append(file.tell() if answer else None)
        columns["length"].append(len(answer.body) if answer else None)
        columns["content_type"].append(wat.clean(answer.header("content-type"))[:100] if answer else None)
        columns["drop"].append(reason)
        if answer:
            file.write(answer.body)
    file.flush()
    return ledger.take("download", with_columns(table, **columns), "links", time.perf_counter() - start)


# Compare: all pictures with one another.


def compare(job: Job) -> dict[str, Any]:
    """Drop duplicates among all hosts' pictures, in the order of their pages, and plan the shards.

    Of each picture only its two hashes are in memory here.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from helpers.laion.shards import write_table

    ledger, files = Ledger(), sorted((job.out / "hosts").glob("*.parquet"))
    hashes = ["page", "link", "url", "alt", "host", "offset", "length", "sha256", "phash"]
    parts = [pq.read_table(file, columns=hashes) for file in files] or [empty(*hashes)]
    # The first page to show a picture keeps it, whichever host answered first.
    table = pa.concat_tables(parts).sort_by([("page", "ascending"), ("link", "ascending"), ("url", "ascending")])
    table = with_columns(table, key=[f"{i:09d}" for i in range(table.num_rows)])
    table = ledger.run("same bytes", exact_step, table)
    table = ledger.run("same look", partial(look_step, distance=job.settings.distance), table)
    places = table.select(["key", "host", "offset"])
    n = 0
    for start in range(0, places.num_rows, job.settings.part):
        part = places.slice(start, job.settings.part)
        rows = []
        for host in sorted(set(part["host"].to_pylist())):
            facts = pq.read_table(job.out / "hosts" / f"{host}.parquet")
            rows.append(part.filter(pc.equal(part["host"], host)).join(facts, ["host", "offset"], join_type="inner"))
        joined = pa.concat_tables(rows).sort_by("key")
        write_table(job.out / "plan" / f"{n:05d}.parquet", joined.select(PLANNED))
        n += 1
    return job.finish(ledger, parts=n)


PLANNED = [
    "key", "page", "link", "url", "host", "alt", "language", "language_sure", "offset", "length", "content_type",
    "sha256", "phash", "width", "height", "format", "licence", "rights", "no_training",
]  # fmt: skip


# Score: a part of the plan.


def score(job: Job) -> dict[str, Any]:
    """CLIP's similarity, the tags and the shard of one part of the plan."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from helpers.laion.shards import with_features, write_shard, write_table
    from helpers.laion.similarity import clip, image_features, similarity_step
    from helpers.laion.tags import tag_step

    ledger, settings = Ledger(), job.settings
    table = pq.read_table(job.out / "plan" / f"{job.given:05d}.parquet")
    pictures = [picture for picture in map(partial(_picture, job.out), table.select(_PLACE).to_pylist())]
    features = image_features(pictures)
    step = partial(similarity_step, images=features, threshold=settings.threshold)
    numbered = table.append_column("row", pa.array(range(table.num_rows), pa.int64()))
    kept = ledger.run("similarity", step, numbered)
    rows = kept["row"].to_pylist()
    kept = ledger.run("tags", partial(tag_step, images=features[rows]), kept.drop_columns("row"))
    name = f"{job.given:05d}"
    side = clip().model.visual.image_size[0]
    write_shard(job.out / "shards" / f"{name}.tar", kept, [pictures[i] for i in rows], side)
    write_table(job.out / "shards" / f"{name}.parquet", with_features(kept, features[rows]))
    return job.finish(ledger, kept=kept.num_rows)


_PLACE = ["host", "offset", "length"]


def _picture(out: Path, row: dict[str, Any]) -> Any:
    """The picture uint8 [H, W, 3] at a place among the downloaded bytes."""
    with (out / "hosts" / f"{row['host']}.bytes").open("rb") as file:
        file.seek(row["offset"])
        picture, _, reason = examine(file.read(row["length"]))
    if picture is None:
        raise ValueError(f"{row['host']}.bytes has changed: a picture in it is {reason}; delete {out} and start again")
    return picture


# All of it.


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
        for left in out.rglob("*.tmp"):  # by processes that were killed
            left.unlink()
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
            do("download", download, jobs, lambda job: all(_host_account(out, host).exists() for host in job.given))
            (planned,) = do("compare", compare, [Job("compare", out, settings)])
            jobs = [Job(f"part-{i:05d}", out, settings, i) for i in range(planned["parts"])]
            do("score", score, jobs)
        _index(out, planned["parts"])
    return report(out)


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
    from helpers.laion.index import write_index

    tables = [out / "shards" / f"{i:05d}.parquet" for i in range(parts)]
    # The tables are written before the accounts, and an index of them is made in seconds: so it is made anew.
    write_index(out, tables)


def report(out: Path) -> dict[str, Any]:
    """What each step of the run in `out` did: {"steps": [{step, unit, in, out, dropped, seconds}], "kept", …}.

    The seconds are those of all workers together. Raises FileNotFoundError if there is no run, RuntimeError if the
    counts do not add up.
    """
    if not (out / "run.json").is_file():
        raise FileNotFoundError(f"{out} holds no run: start one with `python -m experiments laion run --out {out}`")
    accounts = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((out / "accounts").glob("*.json"))]
    counts = {count.step: count for count in total(c for account in accounts for c in account["counts"])}
    steps = []
    for name in STEPS:
        if name in counts:
            counts[name].check()
            steps.append(
                {
                    "step": name,
                    "unit": counts[name].unit,
                    "in": counts[name].entered,
                    "out": counts[name].left,
                    "dropped": dict(sorted(counts[name].dropped.items())),
                    "seconds": round(counts[name].seconds, 3),
                }
            )
    finished = (out / "index.json").is_file()
    if finished:
        for before, after in zip(steps[1:], steps[2:], strict=False):
            if before["out"] != after["in"]:
                raise RuntimeError(
                    f"{before['out']} left the step {before['step']!r} and {after['in']} entered {after['step']!r}"
                )
    return {"finished": finished, "steps": steps, "kept": steps[-1]["out"] if finished and steps else None}
