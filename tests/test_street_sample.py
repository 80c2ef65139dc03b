"""Natural scenes and their splits: balanced, visible, repeatable, and with nothing held out in training."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from helpers.worlds.street.sample import (
    CLASSES,
    HELD_OUT_TREES,
    HELD_OUT_VEHICLES,
    SPLITS,
    sample_scene,
    scene_at,
    scenes,
)
from helpers.worlds.street.scene import COLOURS, KINDS, SKIES, TREES

N = 4000
NATURAL = ("train", "validation", "test")


@pytest.fixture(scope="module")
def drawn():
    return {split: scenes(split, N if split == "train" else 1500) for split in SPLITS}


def held_out(scene) -> tuple[bool, bool]:
    """Whether the main vehicle, and whether trees and sky, are a held-out pair."""
    trees = scene.trees is not None and (scene.trees.kind, scene.sky) in HELD_OUT_TREES
    return (scene.main.colour, scene.main.kind) in HELD_OUT_VEHICLES, trees


def test_the_held_out_pairs_leave_every_part_in_training():
    assert len(set(HELD_OUT_VEHICLES)) >= 7 and 3 <= len(set(HELD_OUT_TREES)) <= 4
    assert not {("red", "truck"), ("yellow", "taxi"), ("red", "fire engine")} & set(HELD_OUT_VEHICLES)
    assert all(c in COLOURS and k in KINDS for c, k in HELD_OUT_VEHICLES)
    assert all(t in TREES and s in SKIES for t, s in HELD_OUT_TREES)
    assert max(Counter(c for c, _ in HELD_OUT_VEHICLES).values()) == 1
    assert max(Counter(k for _, k in HELD_OUT_VEHICLES).values()) <= 2


def test_natural_splits_hold_no_held_out_pair_in_any_vehicle(drawn):
    for split in NATURAL:
        for scene in drawn[split]:
            assert not any((v.colour, v.kind) in HELD_OUT_VEHICLES for v in scene.vehicles)
            assert not held_out(scene)[1]


def test_every_composition_scene_holds_a_new_pair_and_all_pairs_occur(drawn):
    new = [held_out(scene) for scene in drawn["composition"]]
    assert all(vehicle or trees for vehicle, trees in new)
    for kind in ((True, False), (False, True), (True, True)):
        assert 0.28 < np.mean([pair == kind for pair in new]) < 0.39, kind
    main = {(s.main.colour, s.main.kind) for s, (vehicle, _) in zip(drawn["composition"], new, strict=True) if vehicle}
    assert main == set(HELD_OUT_VEHICLES)


def test_all_other_pairs_are_trained(drawn):
    pairs = Counter((v.colour, v.kind) for s in drawn["train"] for v in s.vehicles)
    assert len(pairs) == len(COLOURS) * len(KINDS) - len(HELD_OUT_VEHICLES)
    assert min(pairs.values()) > 0.5 * sum(pairs.values()) / len(pairs)
    skies = Counter((s.trees.kind, s.sky) for s in drawn["train"] if s.trees)
    assert len(skies) == len(TREES) * len(SKIES) - len(HELD_OUT_TREES)


@pytest.mark.parametrize("label", CLASSES)
def test_classes_are_near_uniform(drawn, label):
    for split in NATURAL:
        counts = Counter(scene.labels[label] for scene in drawn[split])
        assert set(counts) == set(CLASSES[label])
        share = np.array([counts[c] for c in CLASSES[label]]) * len(CLASSES[label]) / len(drawn[split])
        assert share.min() > 0.75 and share.max() < 1.3, (split, counts)


def test_vehicles_do_not_hide_each_other_or_the_being(drawn):
    beings = 0
    for scene in (s for split in SPLITS for s in drawn[split]):
        assert all(b - a > 0.278 for a, b in pairwise(sorted(v.x for v in scene.vehicles)))
        assert 0.25 <= scene.main.x <= 0.751
        if scene.being:
            beings += 1
            assert all(abs(scene.being.x - v.x) > 0.21 for v in scene.vehicles)
    assert 0.2 < beings / sum(map(len, drawn.values())) < 0.5


def test_counts_and_places_vary(drawn):
    train = drawn["train"]
    assert all(0.28 < np.mean([len(s.vehicles) == n for s in train]) < 0.39 for n in (1, 2, 3))
    assert all(0.1 < np.mean([len(s.trees.places) == n for s in train if s.trees]) < 0.23 for n in range(1, 7))
    assert np.mean([s.main.lane == 0 for s in train]) > 0.6
    assert abs(np.mean([s.main.x for s in train]) - 0.5) < 0.01
    assert 0.4 < np.mean([v.parked for s in train for v in s.vehicles]) < 0.6


def test_a_scene_depends_on_its_number_alone():
    assert scenes("test", 50, 3)[20:30] == tuple(scene_at("test", i, 3) for i in range(20, 30))
    assert scenes("test", 50, 3) == scenes("test", 80, 3)[:50]
    assert scenes("test", 50, 3) != scenes("test", 50, 4)
    script = "from helpers.worlds.street.sample import scene_at; print(scene_at('test', 7, 3).to_json())"
    environment = {"PYTHONHASHSEED": "12345", "PATH": ""}
    other = subprocess.run(
        [sys.executable, "-c", script], cwd=Path(__file__).parents[1], capture_output=True, text=True, env=environment
    )
    assert other.stdout.strip() == scene_at("test", 7, 3).to_json(), other.stderr


def test_no_scene_is_in_two_splits(drawn):
    sets = {split: set(drawn[split]) for split in SPLITS}
    for a in SPLITS:
        for b in SPLITS:
            assert a == b or not sets[a] & sets[b]
    # By construction, so it holds for all seeds: each split has its own last digit of the main vehicle's place.
    digits = {split: {round(s.main.x * 10_000) % 10 for s in drawn[split]} for split in SPLITS}
    assert sorted(map(sorted, digits.values())) == [[0], [1], [2], [3]]


def test_an_unknown_split_is_refused_by_name():
    with pytest.raises(ValueError, match="split: 'dev' is not one of train, validation, test, composition"):
        sample_scene(np.random.default_rng(0), "dev")
    with pytest.raises(ValueError, match="split: 'dev'"):
        scenes("dev", 1)
