"""Find pairs by words or by a picture: the nearest features among all that were kept, by faiss."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from helpers.files import whole, write_json
from helpers.laion.shards import features_of

SHOWN = ("key", "url", "page", "alt", "language", "licence", "rights", "width", "height", "p_unsafe", "p_watermark")


def write_index(out: Path, tables: Sequence[Path]) -> int:
    """Put the features of the Parquet files into `out`/index.faiss, in their order, and return how many they are.

    The search is exact: at 512 bytes a picture the index of a hundred thousand takes 50 MB.
    """
    import faiss
    import pyarrow.parquet as pq

    index, rows = None, {}
    for path in tables:
        features = features_of(pq.read_table(path, columns=["feature"]))
        if index is None:
            index = faiss.IndexFlatIP(features.shape[1])
        index.add(features)
        rows[path.name] = len(features)
    with whole(out / "index.faiss") as temporary:
        faiss.write_index(index if index is not None else faiss.IndexFlatIP(1), str(temporary))
    write_json(out / "index.json", rows)
    return sum(rows.values())


def search(out: Path, query: np.ndarray, n: int = 10) -> list[dict[str, Any]]:
    """The `n` kept pairs whose pictures are nearest to the feature `query`, float [D] of length 1, the nearest first.

    Each is a dictionary of its similarity and the columns SHOWN. Raises FileNotFoundError, with the remedy, if there is
    no index below `out`.
    """
    import faiss
    import pyarrow.parquet as pq

    if not (out / "index.faiss").is_file() or not (out / "index.json").is_file():
        raise FileNotFoundError(f"{out} has no index: make it with `python -m experiments laion run --out {out}`")
    index = faiss.read_index(str(out / "index.faiss"))
    rows = json.loads((out / "index.json").read_text(encoding="utf-8"))
    if not index.ntotal:
        return []
    scores, places = index.search(query[None].astype(np.float32), min(n, index.ntotal))
    found = []
    for score, place in zip(scores[0].tolist(), places[0].tolist(), strict=True):
        for name, count in rows.items():
            if place < count:
                row = pq.read_table(out / "shards" / name, columns=list(SHOWN)).slice(place, 1).to_pylist()[0]
                found.append({"similarity": round(score, 4), "shard": name, **row})
                break
            place -= count
    return found
