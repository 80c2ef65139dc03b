"""Every file below data/ has its row in manifest.json, with true size and sha256, and README.md shows the same rows."""

from __future__ import annotations

import json

import pytest

from helpers.files import DATA
from helpers.weights import store
from helpers.weights.store import WeightsError, manifest, shipped
from tools.make_manifest import BEGIN, END, main, measured, with_table

TOLD = {"origin": "here", "licence": "CC0", "made_by": "me"}


def test_data_is_as_listed_and_the_page_shows_it():
    rows = manifest()
    assert rows == measured(rows), "a file has changed: run `python -m tools.make_manifest`"
    page = (DATA / "README.md").read_text(encoding="utf-8")
    assert page == with_table(page, rows), "the table is not that of the manifest: run `python -m tools.make_manifest`"
    assert page != with_table(page, dict(list(rows.items())[1:]))
    assert all(f"| `{file}` | `{row['sha256']}` | {row['bytes']:,} |" in page for file, row in rows.items())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A small data folder in order."""
    (tmp_path / "weights").mkdir()
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "any.json").write_text("{}")
    (tmp_path / "weights" / "a.bin").write_bytes(b"abc")
    (tmp_path / "README.md").write_text(f"# Data\n{BEGIN}{END}The end.\n")
    (tmp_path / "manifest.json").write_text(json.dumps({"weights/a.bin": TOLD}))
    monkeypatch.setattr(store, "DATA", tmp_path)
    assert main(tmp_path) == 0
    return tmp_path


def test_the_tool_fills_in_what_can_be_measured_and_keeps_the_rest(folder, capsys):
    row = manifest()["weights/a.bin"]
    assert row == {"sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "bytes": 3} | TOLD
    page = (folder / "README.md").read_text()
    assert page.startswith("# Data\n") and page.endswith("The end.\n")
    assert f"| `weights/a.bin` | `{row['sha256']}` | 3 | here | CC0 | me |\n" in page
    (folder / "weights" / "a.bin").write_bytes(b"abcd")
    assert main(folder) == 0 and capsys.readouterr().out.endswith("changed: weights/a.bin\n")
    assert manifest()["weights/a.bin"]["bytes"] == 4 and "| 4 | here |" in (folder / "README.md").read_text()
    assert main(folder) == 0 and capsys.readouterr().out.endswith("changed: none\n")


def test_each_fault_is_caught_and_changes_nothing(folder, capsys):
    def said() -> str:
        before = [(folder / file).read_text() for file in ("manifest.json", "README.md")]
        assert main(folder) == 1
        assert [(folder / file).read_text() for file in ("manifest.json", "README.md")] == before
        return capsys.readouterr().err

    new, file, rows = folder / "weights" / "new.bin", folder / "weights" / "a.bin", manifest()
    new.write_bytes(b"x")
    assert "weights/new.bin has no row" in said()
    new.unlink()
    file.rename(new)
    assert "weights/a.bin has a row and is not there; weights/new.bin has no row" in said()
    new.rename(file)
    (folder / "manifest.json").write_text(json.dumps({"weights/a.bin": rows["weights/a.bin"] | {"licence": ""}}))
    assert "weights/a.bin does not tell its licence" in said()
    (folder / "manifest.json").write_text(json.dumps(rows))
    (folder / "README.md").write_text("# Data\n")
    assert "lost the marks" in said()


def test_shipped_refuses_what_is_unlisted_missing_or_damaged(folder):
    file = folder / "weights" / "a.bin"
    assert shipped("weights/a.bin") == file
    with pytest.raises(WeightsError, match=r"data/weights/b\.bin is not listed in data/manifest\.json"):
        shipped("weights/b.bin")
    file.write_bytes(b"abd")
    with pytest.raises(WeightsError, match=r"a\.bin in .* is damaged.*git checkout -- data/weights/a\.bin"):
        shipped("weights/a.bin")
    file.unlink()
    with pytest.raises(WeightsError, match=r"a\.bin is not in .*git checkout -- data/weights/a\.bin"):
        shipped("weights/a.bin")
