"""A refusal that comes late: what is taken out is gone from shards, tables, index and bytes, and the rest is whole."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helpers.laion.index import SHOWN, search, write_index
from helpers.laion.removal import remove
from helpers.laion.shards import with_features, write_shard, write_table
from helpers.training.shards import count
from tests.laion_web import pixels


def table(keys: range) -> pa.Table:
    columns = {name: [f"{name} {i}" for i in keys] for name in SHOWN}
    columns |= {"key": [f"{i:09d}" for i in keys], "url": [f"http://site-{i % 3:03d}.example/{i}.jpg" for i in keys]}
    columns |= {"host": ["a.example"] * len(keys), "offset": [10 * i for i in keys], "length": [10] * len(keys)}
    return pa.table(columns)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A finished run of three shards with four pairs each; the features of pair i point along axis i."""
    (tmp_path / "hosts").mkdir()
    (tmp_path / "hosts" / "a.example.bytes").write_bytes(b"x" * 120)
    for shard in range(3):
        keys = range(4 * shard, 4 * shard + 4)
        write_shard(tmp_path / "shards" / f"{shard:05d}.tar", table(keys), [pixels(i, 48) for i in keys], 48)
        rows = with_features(table(keys), np.eye(12, dtype=np.float32)[list(keys)])
        write_table(tmp_path / "shards" / f"{shard:05d}.parquet", rows)
    write_index(tmp_path, sorted((tmp_path / "shards").glob("*.parquet")))
    return tmp_path


def found(out: Path) -> set[str]:
    return {hit["url"] for hit in search(out, np.ones(12, np.float32), 99)}


def test_what_is_refused_is_gone_everywhere_and_the_rest_is_whole(out: Path) -> None:
    untouched = (out / "shards" / "00001.tar").read_bytes()
    assert len(found(out)) == 12
    gone = remove(out, lambda row: row["url"] in {f"http://site-00{i % 3}.example/{i}.jpg" for i in (0, 3, 9)})
    assert [row["key"] for row in gone] == ["000000000", "000000003", "000000009"]
    assert len(found(out)) == 9 and not found(out) & {row["url"] for row in gone}
    assert [count(str(out / "shards" / f"{i:05d}.tar")) for i in range(3)] == [2, 4, 3]
    assert (out / "shards" / "00001.tar").read_bytes() == untouched
    for shard in range(3):
        with tarfile.open(out / "shards" / f"{shard:05d}.tar") as tar:
            names = {name.partition(".")[0] for name in tar.getnames()}
        assert names == set(pq.read_table(out / "shards" / f"{shard:05d}.parquet")["key"].to_pylist())
    kept = (out / "hosts" / "a.example.bytes").read_bytes()
    assert [kept[10 * i] == 0 for i in range(12)] == [i in (0, 3, 9) for i in range(12)]
    assert (out / "removed.json").read_text().count("0000") >= 3
    (hit,) = search(out, np.eye(12, dtype=np.float32)[10], 1)
    assert hit["key"] == "000000010" and hit["similarity"] == 1.0, "the rows of index and tables no longer agree"


def test_nothing_refused_changes_nothing_and_all_refused_leaves_empty_shards(out: Path) -> None:
    before = {path.name: path.read_bytes() for path in (out / "shards").iterdir()}
    assert remove(out, lambda row: False) == []
    assert {path.name: path.read_bytes() for path in (out / "shards").iterdir()} == before
    assert len(remove(out, lambda row: True)) == 12
    assert found(out) == set() and count(str(out / "shards" / "00000.tar")) == 0


def test_a_run_that_is_not_finished_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no finished run: finish it with"):
        remove(tmp_path, lambda row: True)
