"""The bench's table, and what it answers to bad names and to measurements that fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools import bench
from tools.bench import Row, main


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build folder of its own, with two measurements: one good, one that fails."""

    def fails() -> list[Row]:
        raise RuntimeError("the cell broke")

    monkeypatch.setattr(bench, "ROOT", tmp_path)
    monkeypatch.setattr(bench, "find_notebooks", lambda numbers: [])
    good = [Row("quick", 1.25, "s", 3), Row("heavy", 2.5, "GB", 2), Row("free", 7, "s")]
    monkeypatch.setattr(bench, "MEASUREMENTS", {"good": lambda: good, "fails": fails})
    return tmp_path / "build"


def test_rows_become_a_table_and_a_file(build: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["good"]) == 0
    table = (build / "bench.md").read_text(encoding="utf-8")
    assert "| quick | 1.25 s | 3 s |\n" in table
    assert "| heavy | 2.50 GB | 2 GB (over) |\n" in table
    assert "| free | 7.00 s |  |\n" in table
    assert table in capsys.readouterr().out
    rows = json.loads((build / "bench.json").read_text(encoding="utf-8"))["rows"]
    assert rows[0] == {"name": "quick", "value": 1.25, "unit": "s", "budget": 3}
    assert sorted(path.name for path in build.iterdir()) == ["bench.json", "bench.md"]


def test_a_failed_measurement_is_named_and_the_others_are_kept(build: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 1
    assert "FAILED fails: the cell broke" in capsys.readouterr().out
    assert "quick" in (build / "bench.md").read_text(encoding="utf-8")


def test_without_transformers_clip_is_left_out_but_fails_if_asked_for(
    build: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "has_transformers", lambda: False)
    monkeypatch.setattr(bench, "MEASUREMENTS", {"clip": bench.clip})
    assert main([]) == 0 and "clip is left out: transformers is one of" in capsys.readouterr().out
    assert main(["clip"]) == 1 and "FAILED clip: transformers is one of" in capsys.readouterr().out


@pytest.mark.parametrize("word", ["7", "07", "A", "a"])
def test_notebooks_are_named_by_number_or_letter(build: Path, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    asked = []
    monkeypatch.setattr(bench, "find_notebooks", lambda numbers: asked.extend(numbers) or [Path("x.ipynb")])
    monkeypatch.setattr(bench, "notebooks", lambda paths: [Row("x, time", 1, "s")])
    assert main([word]) == 0
    assert asked == [word]
    assert "| x, time | 1.00 s |" in (build / "bench.md").read_text(encoding="utf-8")


def test_an_unknown_name_is_answered_with_the_known_ones(build: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["godo"]) == 2
    assert capsys.readouterr().err == "There is no measurement godo: choose from good, fails.\n"
    assert not build.exists()
