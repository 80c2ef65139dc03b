"""The tag heads: they find the warning sign, they say what they cannot find, and they remove nothing."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
import torch

from helpers.files import DATA
from helpers.laion.similarity import image_features, one_thread, similarity_step
from helpers.laion.tags import TAGS, WEIGHTS, TagHead, tag_step
from helpers.weights.store import manifest
from helpers.worlds.street.drawing.render import render
from helpers.worlds.street.sample import scene_at
from helpers.worlds.web.files import with_warning
from tools.make_laion_tags import area, measure


def test_a_warning_sign_is_found_and_nothing_is_dropped() -> None:
    plain = [render(scene_at("validation", i), 96, seed=i) for i in range(3)]
    features = image_features([*plain, *map(with_warning, plain)])
    assert features.dtype == np.float32 and np.allclose((features**2).sum(1), 1, atol=1e-5)
    marked = tag_step(pa.table({"key": list("abcdef")}), features)
    assert marked["drop"].null_count == 6
    unsafe = marked["p_unsafe"].to_numpy()
    assert (unsafe[:3] < 0.5).all() and (unsafe[3:] > 0.5).all()
    assert ((marked["p_watermark"].to_numpy() >= 0) & (marked["p_watermark"].to_numpy() <= 1)).all()


def test_the_page_of_the_heads_tells_what_they_reach() -> None:
    figures = json.loads((DATA / "weights" / "laion-tags.json").read_text(encoding="utf-8"))["figures"]
    assert set(figures) == set(TAGS) and figures["unsafe"]["area"] > 0.95
    assert 0.6 < figures["watermark"]["area"] < figures["unsafe"]["area"], "CLIP's features hold little of a watermark"
    assert manifest()[WEIGHTS]["bytes"] < 300_000


@pytest.mark.parametrize(
    ("scores", "truth", "expected"),
    [([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], 1.0), ([0.9, 0.1], [0, 1], 0.0), ([0.5] * 4, [0, 1, 0, 1], 0.5)],
)
def test_the_area_is_how_often_the_tagged_one_scores_higher(scores: list, truth: list, expected: float) -> None:
    assert area(torch.tensor(scores), torch.tensor(truth)) == expected


def test_precision_and_recall_are_counted_at_a_half() -> None:
    head = TagHead(2)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.zero_()
        head.hidden.weight[0, 0], head.out.weight[0, 0], head.out.bias[0] = 1.0, 1.0, -1.0
        head.out.bias[1] = 1.0  # calls every picture watermarked
    features = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    found = measure(head, features, torch.tensor([[1.0, 1.0], [0.0, 0.0], [0.0, 0.0], [1.0, 0.0]]))
    assert found["unsafe"] == {"area": 0.5, "precision": 0.5, "recall": 0.5}
    assert found["watermark"]["precision"] == 0.25 and found["watermark"]["recall"] == 1.0


def test_pairs_at_the_threshold_stay_and_below_it_go() -> None:
    images = np.eye(3, dtype=np.float32)
    texts = {"same": images[0], "half": np.array([0.0, 0.5, 0.75**0.5], np.float32), "none": images[0]}
    table = pa.table({"alt": list(texts)})

    def of(words: list[str]) -> np.ndarray:
        return np.stack([texts[word] for word in words])

    marked = similarity_step(table, images, of, threshold=0.5)
    assert marked["similarity"].to_pylist() == [1.0, 0.5, 0.0]
    assert marked["drop"].to_pylist() == [None, None, "unlike its text"]
    assert similarity_step(table, images, of, threshold=0.51)["drop"].null_count == 1
    with pytest.raises(ValueError, match="images: 2 rows of features for 3 pictures"):
        similarity_step(table, images[:2], of)


def test_threads_are_put_back_also_after_an_error() -> None:
    before = torch.get_num_threads()
    with pytest.raises(KeyError), one_thread():
        assert torch.get_num_threads() == 1
        raise KeyError
    assert torch.get_num_threads() == before
