"""Honour a refusal that comes afterwards: take pictures out of the shards, the tables and the index.

What was trained on them before stays as it is: a model has no rows to take out.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock

from helpers.files import write_json
from helpers.laion.index import SHOWN, write_index
from helpers.laion.shards import filter_shard, write_table


def remove(out: Path, refused: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """Take every pair for which `refused` says so out of the finished run in `out`, and return what was taken.

    refused: given a pair's columns `index.SHOWN` as a dictionary. The downloaded bytes of the pictures are overwritten
    with zeros; the keys that are gone are noted in `out`/removed.json.
    Raises FileNotFoundError, with the remedy, if the run is not finished.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not (out / "index.json").is_file():
        raise FileNotFoundError(f"{out} holds no finished run: finish it with `python -m experiments laion run`")
    gone: list[dict[str, Any]] = []
    with FileLock(out / "lock", timeout=0):
        tables = sorted((out / "shards").glob("*.parquet"))
        for path in tables:
            table = pq.read_table(path)
            verdicts = [bool(refused(row)) for row in table.select(SHOWN).to_pylist()]
            if not any(verdicts):
                continue
            kept = table.filter(pa.array([not verdict for verdict in verdicts]))
            taken = table.filter(pa.array(verdicts))
            for place in taken.select(["host", "offset", "length"]).to_pylist():
                with (out / "hosts" / f"{place['host']}.bytes").open("r+b") as file:
                    file.seek(place["offset"])
                    file.write(bytes(place["length"]))
            filter_shard(path.with_suffix(".tar"), set(kept["key"].to_pylist()))
            write_table(path, kept)
            gone += taken.select(SHOWN).to_pylist()
        write_index(out, tables)
        noted = out / "removed.json"
        before = json.loads(noted.read_text(encoding="utf-8")) if noted.exists() else []
        write_json(noted, before + [row["key"] for row in gone])
    return gone
