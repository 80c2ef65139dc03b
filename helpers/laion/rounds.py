"""The jobs of the pipeline's four rounds: each reads files, runs steps, writes files, and its account last of all."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from helpers.files import whole
from helpers.laion import wat
from helpers.laion.alt import alt_step
from helpers.laion.download import Gateway, Host, visit_all
from helpers.laion.duplicates import exact_step, look_step
from helpers.laion.jobs import Job, Settings
from helpers.laion.language import language_step
from helpers.laion.optout import opt_out_step, robots_step
from helpers.laion.pictures import examine, picture_step
from helpers.laion.shards import with_features, write_shard, write_table
from helpers.laion.steps import TYPES, Ledger, empty, with_columns
from helpers.laion.urls import seen_step, url_step

if TYPE_CHECKING:
    import pyarrow as pa


# Extract: a WAT file.


def extract(job: Job) -> dict[str, Any]:
    """From a WAT file to a table of pictures with texts, some hundred pages at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    hosts, settings = Counter(), job.settings
    schema = pa.schema([(name, TYPES[name]) for name in LINKS])
    with (
        job.ledger() as ledger,
        whole(job.out / "links" / f"{job.name}.parquet") as temporary,
        pq.ParquetWriter(temporary, schema) as writer,
    ):
        for table, seen, dropped in wat.pages(job.given):
            ledger.count("wat", "records", seen, dropped)
            table = ledger.run("alt", partial(alt_step, least=settings.least_alt), table, "links")
            table = ledger.run("language", partial(language_step, languages=settings.languages), table, "links")
            table = ledger.run("address", partial(url_step, suffix=_suffix(job)), table, "links")
            hosts.update(table["host"].to_pylist())
            writer.write_table(table)
    return job.finish(ledger, hosts=dict(sorted(hosts.items())))


LINKS = (*wat.COLUMNS, "language", "language_sure", "host")


def _suffix(job: Job) -> str:
    return job.gateway.suffix if job.gateway else Gateway("", 0).suffix


# Download: a group of hosts.


def download(job: Job) -> dict[str, Any]:
    """Ask the hosts of a group for their pictures. A host whose table is there already is not asked again."""
    # In a thread of its own, as a notebook's kernel has an event loop running in this one.
    with ThreadPoolExecutor(1) as thread:
        visited = [host for host in job.given if not host_account(job.out, host).exists()]
        visits = visit_all(visited, job.gateway, job.settings.manners, partial(_visit, job=job))
        try:
            thread.submit(asyncio.run, visits).result()
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
    return {"hosts": len(job.given)}


def host_account(out: Path, host: str) -> Path:
    return out / "accounts" / f"host-{host}.json"


async def _visit(host: Host, job: Job) -> None:
    """Everything that is asked of one host, in the order in which the pages name it."""
    out, settings, own = job.out, job.settings, Job(f"host-{host.name}", job.out, job.settings)
    table = await asyncio.to_thread(_links_of, sorted((out / "links").glob("*.parquet")), host.name)
    with (
        own.ledger() as ledger,
        whole(out / "hosts" / f"{host.name}.bytes") as temporary,
        temporary.open("w+b") as file,
    ):
        table = ledger.run("seen", seen_step, table, "links")
        start = time.perf_counter()
        await host.introduce("tdm" in settings.honour)
        if "robots" in settings.honour:
            table = ledger.run("robots", partial(robots_step, robots=host.robots), table, "links")
        opt_out = partial(opt_out_step, reservations=host.reservations, honour=settings.honour)
        table = ledger.run("opt-out", opt_out, table, "links")
        table = await _pictures(host, table, settings, file, ledger, start)

        def read(offset: int, length: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        step = partial(
            picture_step,
            read=read,
            least_bytes=settings.least_bytes,
            least_side=settings.least_side,
            honour=settings.honour,
        )
        # Pictures are opened in another thread, so that the other hosts' answers are not kept waiting.
        table = await asyncio.to_thread(ledger.run, "picture", step, table)
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

    files = sorted((job.out / "hosts").glob("*.parquet"))
    hashes = ["page", "link", "url", "alt", "host", "offset", "length", "sha256", "phash"]
    parts = [pq.read_table(file, columns=hashes) for file in files] or [empty(*hashes)]
    # The first page to show a picture keeps it, whichever host answered first.
    table = pa.concat_tables(parts).sort_by([("page", "ascending"), ("link", "ascending"), ("url", "ascending")])
    table = with_columns(table, key=[f"{i:09d}" for i in range(table.num_rows)])
    with job.ledger() as ledger:
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

    from helpers.laion.similarity import clip, image_features, similarity_step
    from helpers.laion.tags import tag_step

    table = pq.read_table(job.out / "plan" / f"{job.given:05d}.parquet")
    pictures = [picture_at(job.out, row) for row in table.select(_PLACE).to_pylist()]
    features = image_features(pictures)
    step = partial(similarity_step, images=features, threshold=job.settings.threshold)
    numbered = table.append_column("row", pa.array(range(table.num_rows), pa.int64()))
    with job.ledger() as ledger:
        kept = ledger.run("similarity", step, numbered)
        rows = kept["row"].to_pylist()
        kept = ledger.run("tags", partial(tag_step, images=features[rows]), kept.drop_columns("row"))
    name = f"{job.given:05d}"
    side = clip().model.visual.image_size[0]
    write_shard(job.out / "shards" / f"{name}.tar", kept, [pictures[i] for i in rows], side)
    write_table(job.out / "shards" / f"{name}.parquet", with_features(kept, features[rows]))
    return job.finish(ledger, kept=kept.num_rows)


_PLACE = ["host", "offset", "length"]


def picture_at(out: Path, row: dict[str, Any]) -> Any:
    """The picture uint8 [H, W, 3] at a place among the downloaded bytes."""
    with (out / "hosts" / f"{row['host']}.bytes").open("rb") as file:
        file.seek(row["offset"])
        picture, _, reason = examine(file.read(row["length"]))
    if picture is None:
        raise ValueError(f"{row['host']}.bytes has changed: a picture in it is {reason}; delete {out} and start again")
    return picture
