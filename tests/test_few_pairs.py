"""The arms differ in what they are named for, begin as they should, and are judged by the rule."""

from __future__ import annotations

import pytest
import torch

from experiments.few_pairs import EXPERIMENT, PAIRS, SEP, STARTS, WAYS, build, judge, loss
from helpers.weights.pretrained import load


def test_arms_differ_in_start_way_and_pairs_alone() -> None:
    first = EXPERIMENT.arms["scratch, residual, 32"]
    assert len(EXPERIMENT.arms) == len(STARTS) * len(WAYS) * len(PAIRS) == 16 and len(EXPERIMENT.seeds) >= 4
    for name, own in EXPERIMENT.arms.items():
        assert {key for key in own if own[key] != first[key]} <= {"start", "way", "pairs"}
        assert name == f"{own['start']}, {own['way']}, {own['pairs']}" and own["pairs"] <= own["drawn"]


def test_a_pretrained_arm_begins_with_the_weights_of_the_text_decoder_and_all_learn() -> None:
    text = load("street-text").model.state_dict()
    for way in WAYS:
        scratch, pretrained = build("scratch", way, 0), build("pretrained", way, 0)
        for name, value in pretrained.state_dict().items():
            if name in text:
                assert torch.equal(value, text[name])
            else:  # the cross-attention is new in both, and the same
                assert "cross" in name and torch.equal(value, scratch.state_dict()[name])
        assert not torch.equal(scratch.token_embedding.weight, text["token_embedding.weight"])
        generator = torch.Generator().manual_seed(0)
        ids = torch.tensor([[1, 50, SEP, 60, 70, 511], [1, 50, SEP, 80, 511, 0]])
        loss(pretrained, torch.randn(2, 37, 128, generator=generator), ids).backward()
        assert all(p.requires_grad for p in pretrained.parameters())
        assert sum(p.grad is None for p in pretrained.parameters()) == 0


def runs(language: list[float], unit: list[float], base: float = 0.7, noise: float = 0.005) -> dict:
    """Figures of five seeds: the pretrained decoder leads by `language`, the unit by `unit`, at the numbers of pairs;
    the lead is a little more or less with each seed."""
    figures = {}
    for n, lead, gain in zip(PAIRS, language, unit, strict=True):
        for start in STARTS:
            for way in WAYS:
                value = base + lead * (start == "pretrained") + gain * (way == "srau")
                steps = [noise * (s - 2) * (start == "pretrained") * (1 + (way == "srau")) for s in range(5)]
                figures[f"{start}, {way}, {n}"] = [{"caption f1": value + step} for step in steps]
    return figures


@pytest.mark.parametrize(
    ("language", "unit", "expected"),
    [
        ([0.2, 0.2, 0.1, 0.0], [0.1, 0.1, 0.0, 0.0], ("confirmed", "confirmed", "confirmed")),
        ([0.2, 0.2, 0.1, 0.0], [0.0, 0.0, 0.0, 0.0], ("refuted", "confirmed", "refuted")),
        ([0.1, 0.1, 0.1, 0.2], [0.1, 0.1, 0.0, 0.0], ("refuted", "refuted", "confirmed")),
        ([-0.1, -0.1, 0.0, 0.0], [0.1, 0.1, 0.0, 0.0], ("refuted", "refuted", "confirmed")),
        ([0.2, 0.2, 0.1, 0.0], [0.02, 0.02, 0.0, 0.0], ("undecided", "confirmed", "undecided")),
    ],
)
def test_each_claim_is_judged_by_its_rule(
    language: list[float], unit: list[float], expected: tuple[str, str, str]
) -> None:
    found = judge(runs(language, unit))
    assert (found["verdict"], found["language"]["verdict"], found["unit"]["verdict"]) == expected


@pytest.mark.parametrize("base", [0.3, 0.98])
def test_arms_that_have_not_learned_or_have_nothing_left_to_win_say_nothing(base: float) -> None:
    found = judge(runs([0.2, 0.2, 0.1, 0.0], [0.1, 0.1, 0.0, 0.0], base))
    assert found["language"]["verdict"] == found["unit"]["verdict"] == "undecided"
