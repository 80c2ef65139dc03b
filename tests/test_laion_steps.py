"""The accounts of the steps add up, and a step that loses rows is found out."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.laion.alt import alt_step
from helpers.laion.language import language_of, language_step
from helpers.laion.steps import Count, Ledger, empty, total, with_columns
from helpers.worlds.street.sample import scene_at
from helpers.worlds.web.words import GRAMMARS


def table(drop: list[str | None]) -> pa.Table:
    rows = range(len(drop))
    return pa.table({"page": [f"p{i}" for i in rows], "alt": [f"a{i}" for i in rows], "drop": pa.array(drop, "string")})


reasons = st.lists(st.sampled_from([None, "small", "late", "rude"]))


@settings(deadline=None, max_examples=30)
@given(st.lists(reasons, min_size=1, max_size=5))
def test_in_is_out_and_dropped_by_reason_however_the_work_is_cut(parts: list[list[str | None]]) -> None:
    ledger, kept = Ledger(), 0
    for part in parts:
        kept += ledger.run("step", lambda t: t, table(part)).num_rows
    (count,) = total(ledger.facts())
    flat = [reason for part in parts for reason in part]
    assert (count.entered, count.left) == (len(flat), kept) == (len(flat), flat.count(None))
    assert count.dropped == {reason: flat.count(reason) for reason in set(flat) - {None}}
    assert [row["reason"] for row in ledger.dropped] == [reason for reason in flat if reason]


def test_rows_are_kept_in_order_and_dropped_ones_with_what_is_known_of_them() -> None:
    ledger = Ledger()
    kept = ledger.run("step", lambda t: t, table(["bad", None, None, "worse"]))
    assert kept.to_pydict() == {"page": ["p1", "p2"], "alt": ["a1", "a2"]}
    assert ledger.dropped[1] == {"step": "step", "reason": "worse", "page": "p3", "alt": "a3"}


@pytest.mark.parametrize("broken", [lambda t: t.slice(1), lambda t: pa.concat_tables([t, t])])
def test_a_step_that_loses_or_doubles_rows_is_refused(broken) -> None:
    with pytest.raises(RuntimeError, match="step 'step' made"):
        Ledger().run("step", broken, table([None, None, "bad"]))


def test_accounts_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(RuntimeError, match="5 links entered, 3 left and 1 were dropped"):
        Count("step", "links", 5, 3, {"bad": 1}).check()


def test_a_column_is_added_once_and_then_replaced() -> None:
    twice = with_columns(with_columns(table([None]), host=["a"]), host=["b"])
    assert twice["host"].to_pylist() == ["b"] and twice.column_names.count("host") == 1


@pytest.mark.parametrize(
    ("alt", "reason"),
    [(None, "no alt text"), ("", "no alt text"), ("cats", "under 5 characters"), ("a cat", None), ("犬と赤い車", None)],
)
def test_texts_that_are_too_short_are_dropped(alt: str | None, reason: str | None) -> None:
    marked = alt_step(pa.table({"alt": pa.array([alt], "string")}))
    assert marked["drop"].to_pylist() == [reason]


def test_the_languages_of_the_web_are_told_apart() -> None:
    scenes = [scene_at("train", i, 5) for i in range(40)]
    for code, grammar in GRAMMARS.items():
        right = [language_of(grammar.sentence(scene))[0] == code for scene in scenes]
        assert sum(right) >= 34, (code, sum(right))


def test_other_languages_are_dropped_only_if_some_are_named() -> None:
    texts = pa.table({"alt": ["a red truck is parked on a wet street at night", "ein alter roter Lastwagen bei Nacht"]})
    assert language_step(texts)["drop"].to_pylist() == [None, None]
    assert language_step(texts, ("en",))["drop"].to_pylist() == [None, "language de"]
    assert language_step(empty("alt"))["language"].to_pylist() == []
