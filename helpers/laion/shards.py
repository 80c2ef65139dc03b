"""What is kept, as LAION gives it out: tar shards of pictures and texts, and beside each a table of all that is known.

The shards are those of `helpers.training.shards`: of each pair KEY.png, the centre square at the side that the models
take, and KEY.json, a list with its text. So `python -m experiments.train_clip --shards …` trains on them as they are.
The names in a shard are our own numbers: no address and no text of a stranger becomes a name of a file.
"""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from helpers.files import whole
from helpers.worlds.photographs import centre_square

if TYPE_CHECKING:
    import pyarrow as pa


def write_shard(path: Path, table: pa.Table, pictures: list[np.ndarray], side: int) -> None:
    """Write the pairs of `table` (columns `key` and `alt`) and their pictures uint8 [H, W, 3] as the tar file `path`.

    Equal pairs make equal bytes. A table without rows makes an empty tar.
    """
    import webdataset as wds

    with whole(path) as temporary, wds.TarWriter(str(temporary), mtime=0) as tar:
        for key, alt, picture in zip(table["key"].to_pylist(), table["alt"].to_pylist(), pictures, strict=True):
            tar.write({"__key__": key, "png": centre_square(picture, side), "json": [alt]})


def filter_shard(path: Path, keys: set[str]) -> None:
    """Leave in the tar file `path` only the pairs whose keys are among `keys`, their bytes as they are."""
    with whole(path) as temporary, tarfile.open(path) as old, tarfile.open(temporary, "w") as new:
        for member in old:
            if member.name.partition(".")[0] in keys:
                new.addfile(member, old.extractfile(member))


def with_features(table: pa.Table, features: np.ndarray) -> pa.Table:
    """`table` with a column `feature`, a list of D half-precision numbers for each of the rows of float [n, D]."""
    import pyarrow as pa

    flat = pa.array(features.astype(np.float16).ravel())
    return table.append_column("feature", pa.FixedSizeListArray.from_arrays(flat, features.shape[1]))


def features_of(table: pa.Table) -> np.ndarray:
    """The features of a table that `with_features` made, float32 [n, D]."""
    column = table["feature"].combine_chunks()
    return column.flatten().to_numpy().astype(np.float32).reshape(len(column), column.type.list_size)


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table as Parquet, whole or not at all; equal tables make equal bytes."""
    import pyarrow.parquet as pq

    with whole(path) as temporary:
        pq.write_table(table.combine_chunks(), temporary, compression="zstd")
