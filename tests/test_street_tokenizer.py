"""The tokenizer: spells any text, keeps <eot> highest and last, and is what its maker makes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from open_clip.transformer import text_global_pool

from helpers.worlds.street.captions import captions
from helpers.worlds.street.questions import ANSWERS, questions
from helpers.worlds.street.sample import scenes
from helpers.worlds.tokenizer import VOCABULARY, StreetTokenizer
from tools import make_street_tokenizer

tok = StreetTokenizer()
LECTURE = "a red truck is parked on a street lined with trees"


@settings(deadline=None)
@given(st.text())
@example("")
@example(" ")
@example("  A red\tTRUCK\n")
@example("<eot> <pad><sot>")
@example("İstanbul Σίσυφος ẞ ǅ 🚒 \x00 \U0010ffff")
def test_any_text_is_spelled_and_read_back_in_lower_case(text):
    ids = tok.encode(text)
    assert tok.decode(ids) == tok.normalise(text)
    assert all(len(("<pad>", "<sot>", "<mask>", "<sep>", "<img>")) <= i < tok.eot_id for i in ids)


@settings(deadline=None)
@given(st.text(alphabet=st.characters(max_codepoint=0x24F, exclude_characters="İ")))
def test_normalising_is_lower_casing(text):
    assert tok.normalise(text) == text.lower()


@settings(deadline=None)
@given(st.lists(st.text(max_size=80), min_size=1, max_size=5), st.integers(2, 40))
def test_rows_start_end_and_are_padded_as_open_clip_wants(texts, length):
    ids = tok(texts, context_length=length)
    assert ids.shape == (len(texts), length) and ids.dtype == torch.long
    for row, text in zip(ids.tolist(), texts, strict=True):
        end = row.index(tok.eot_id)
        assert row[0] == tok.sot_id and set(row[end + 1 :]) <= {tok.pad_id}
        assert row[1:end] == tok.encode(text)[: length - 2]


def test_open_clip_pools_at_the_end_of_each_text():
    ids = tok(["a bus", LECTURE, "", "x" * 100])
    states = torch.arange(32.0).expand(4, 32)[..., None]
    places = text_global_pool(states, ids, "argmax")[:, 0].tolist()
    assert places == [row.index(tok.eot_id) for row in ids.tolist()] and places[-1] == 31
    # Negative: with the end token's id lower than a piece's, the pooled place is another one.
    swapped = ids.clone()
    swapped[ids == tok.eot_id] = tok.sot_id
    assert text_global_pool(states, swapped, "argmax")[:, 0].tolist() != places


def test_a_single_text_and_the_default_length():
    assert torch.equal(tok(LECTURE), tok([LECTURE], context_length=32))
    assert StreetTokenizer(context_length=16)(LECTURE).shape == (1, 16)
    assert tok.decode(tok(LECTURE)[0]) == LECTURE


def test_words_of_the_world_are_short():
    drawn = scenes("test", 300)
    sentences = [text for i, s in enumerate(drawn) for text in captions(s, 6, i)]
    asked = [qa.question for i, s in enumerate(drawn) for qa in questions(s, i)]
    long = [t for t in sentences if len(tok.encode(t)) > 30]
    assert len(long) < 0.005 * len(sentences), long
    assert all(len(tok.encode(t)) <= 30 for t in asked)
    assert len(tok.encode(LECTURE)) == len(LECTURE.split())
    assert all(len(tok.encode(answer)) <= 3 for answer in ANSWERS)
    assert tok.vocab_size == 512 and tok.eot_id == 511 and tok.pad_id == 0


def test_the_stored_vocabulary_is_what_its_maker_makes():
    assert make_street_tokenizer.train() == VOCABULARY.read_text(encoding="utf-8")


def test_the_check_notices_another_file(tmp_path):
    other = tmp_path / "street.json"
    other.write_text(VOCABULARY.read_text(encoding="utf-8").replace("truck", "trunk"), encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "tools.make_street_tokenizer", "--check", "--out", str(other)],
        cwd=Path(__file__).parents[1], capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 1 and "is not what the sources give" in run.stderr


def test_bad_input_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(ValueError, match="context_length: 1 leaves no room"):
        tok("a", context_length=1)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.json is missing: restore it, or make it"):
        StreetTokenizer(path=tmp_path / "nowhere.json")
    for no_text in ("\ud800", None, 3):
        with pytest.raises(TypeError, match="texts: expected"):
            tok([no_text])
    broken = tmp_path / "broken.json"
    broken.write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"broken\.json is not a vocabulary"):
        StreetTokenizer(path=broken)
    broken.write_text(VOCABULARY.read_text(encoding="utf-8").replace('"<eot>"', '"<end>"'), encoding="utf-8")
    with pytest.raises(ValueError, match="special tokens have ids"):
        StreetTokenizer(path=broken)
