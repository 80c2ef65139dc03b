"""The truth beside the pairs that reached the filter: the cosines are the pipeline's, the facts are the web's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from helpers.laion.download import Gateway, Manners
from helpers.laion.jobs import Settings
from helpers.laion.pipeline import run
from helpers.laion.report import losses, report
from helpers.laion.truth import files_of, scored, with_truth
from helpers.page.laion_flow import PARTS, flow
from helpers.worlds.web.build import Web, build
from helpers.worlds.web.server import ADDRESS, serve
from tools.make_laion_run import columns


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Web:
    return build(tmp_path_factory.mktemp("truth") / "web", 12, seed=5, size=64, progress=False)


@pytest.fixture(scope="module")
def out(web: Web, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "data"
    with serve(web) as server:
        gateway = Gateway(ADDRESS, server.port)
        run(web.wats, folder, gateway, Settings(least_bytes=100, manners=Manners(delay=0.0, timeout=2.0)), "here")
    return folder


def test_the_cosines_are_those_by_which_the_pipeline_kept(out: Path) -> None:
    pairs, features = scored(out)
    assert features.shape == (len(pairs), 128) and np.allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)
    (step,) = [step for step in report(out)["steps"] if step["step"] == "similarity"]
    kept = {row["key"]: row["similarity"] for path in (out / "shards").glob("*.parquet") for row in _rows(path)}
    assert step["in"] == len(pairs) > len(kept) > 0
    assert {p["key"] for p in pairs if p["similarity"] >= Settings().threshold} == kept.keys()
    assert all(abs(p["similarity"] - kept[p["key"]]) < 1e-5 for p in pairs if p["key"] in kept)


def _rows(path: Path) -> list[dict]:
    return pq.read_table(path).to_pylist()


def test_each_pair_gets_the_truth_of_its_own_link(web: Web, out: Path) -> None:
    judged = with_truth(web, scored(out)[0])
    truth = {(row["page"], row["link"]): row for row in web.truth.to_pylist()}
    for pair in judged:
        row = truth[pair["page"], pair["link"]]
        assert pair["url"] == row["url"] and pair["kind"] == row["kind"]
        assert pair["fits"] == (row["kind"] in ("clean", "partial"))
        assert (pair["vehicle"] is None) == (row["scene"] < 0) == (pair["new_pair"] is None)
    told = columns(judged)
    values, numbers = told["kind"]
    assert [values[k] for k in numbers] == [pair["kind"] for pair in judged]
    assert len(told["similarity"]) == len(judged)


def test_what_was_dropped_can_be_looked_at_without_a_request(web: Web, out: Path) -> None:
    lost = losses(out)
    steps = report(out)["steps"]
    assert len(lost) == sum(sum(step["dropped"].values()) for step in steps if step["unit"] != "records")
    found = files_of(web, [row["url"] for row in lost] + ["http://nowhere.example/a.jpg"])
    assert found and "http://nowhere.example/a.jpg" not in found
    assert any(data[:2] == b"\xff\xd8" for data in found.values())


def test_the_diagram_shows_every_count(out: Path) -> None:
    steps = {step["step"]: step for step in report(out)["steps"]}
    assert [name for part in PARTS.values() for name in part.steps] == [name for name in steps if name != "wat"]
    for lit in ((), ("CLIP",)):
        fig = flow(report(out), {"CLIP": [np.zeros((8, 8, 3), np.uint8)]}, lit)
        texts = [text.get_text() for text in fig.axes[0].texts]
        for name, part in PARTS.items():
            assert f"{steps[part.steps[0]]['in']:,}" in texts
            assert name == "tags" or f"− {steps[part.steps[0]]['in'] - steps[part.steps[-1]]['out']:,}" in texts
