"""The recipe of palm-e: its batches are lessons, its figures are right on minds that are known, its command runs."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from experiments import palm_e
from experiments.palm_e import Answered, as_text, batches, f1, street_lessons, text_rows, yes_counts
from helpers.files import DATA
from helpers.models.palm_e import answer_loss
from helpers.training.fit import Recipe
from helpers.weights.pretrained import UNTRAINED, load
from helpers.worlds.street.questions import questions as street_questions
from helpers.worlds.street.sample import scene_at as street_at
from helpers.worlds.table.lessons import Lesson, lessons
from helpers.worlds.table.sentences import seen, turn

PLACES = 36


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory):
    """Batches of 8 on 24 pictures of tables and 8 of streets; of 50 steps the first reads text, the next 14 ask."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield batches(24, 8, Recipe(50, 1e-3))


def told(ids: torch.Tensor, target: torch.Tensor) -> list[str]:
    """The answers of a sentence."""
    tokenizer, found = palm_e._tokenizer(), [[]]
    for token in ids[target].tolist():
        found[-1].append(token)
        if token == tokenizer.sep_id:
            found.append([])
    assert found.pop() == []
    return [tokenizer.decode(answer) for answer in found]


def groups(batch: tuple[torch.Tensor, ...]) -> list[tuple[torch.Tensor, ...]]:
    """The groups of lessons of a batch: shown, of, ids, real, places, target."""
    return [batch[i : i + 6] for i in range(1, len(batch), 6)]


def test_first_come_texts_then_questions_and_then_all_lessons(drawn) -> None:
    texts = next(iter(drawn(0)))
    assert len(texts) == 4 and len(texts[0]) == 64 and not texts[2].any() and torch.equal(texts[1], texts[3])
    for step, kinds in ((3, {1}), (20, {1, 2})):  # of how many pictures there is talk
        read, found, prompts = iter(drawn(step)), Counter(), []
        for _ in range(6):
            batch = next(read)
            assert batch[0].dtype == torch.uint8 and batch[0].shape[1:] == (3, 96, 96) and len(batch[0]) >= 8
            for shown, of, ids, real, places, target in groups(batch):
                assert (places.sum(1) == PLACES * shown.shape[1]).all() and of.max() < len(shown) and of.min() == 0
                assert not (target & places).any() and not (target & ~real).any()
                assert all(len(told(*row)) == 1 for row in zip(ids, target, strict=True))
                prompts += [palm_e._tokenizer().decode(row) for row in ids]
                found[shown.shape[1]] += len(ids)
        assert found.keys() == kinds
        assert any("human :" in x or "human:" in x for x in prompts) == (step == 20)


def test_a_batch_is_the_same_whenever_it_is_asked_for(drawn) -> None:
    first = iter(drawn(10))
    next(first)
    for a, b in zip(next(first), next(iter(drawn(11))), strict=True):
        assert torch.equal(a, b)


def test_the_pictures_are_those_that_the_answers_are_about(drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(palm_e, "STREETS", 0.0)
    from helpers.worlds.table.captions import caption
    from helpers.worlds.table.drawing.render import render
    from helpers.worlds.table.lessons import image_seed, moment

    told_of, numbers = {}, defaultdict(set)  # after a step that failed the picture may be the same
    for i in range(24):
        scene = moment("train", 0, i // 3).scenes[i % 3]
        picture = render(scene, 96, image_seed("train", 0, i)).transpose(2, 0, 1).tobytes()
        told_of[picture] = caption(scene)
        numbers[picture].add(i)
    read, checked = iter(drawn(20)), Counter()
    for _ in range(6):
        batch = next(read)
        for shown, of, ids, _, _, target in groups(batch):
            for row in range(len(ids)):
                about = [batch[0][k].numpy().tobytes() for k in shown[of[row]]]
                prompt, (answer,) = palm_e._tokenizer().decode(ids[row]), told(ids[row], target[row])
                if "describe the table" in prompt:
                    assert answer == told_of[about[-1]]
                    checked["caption"] += 1
                if "successful" in prompt:
                    before, after = (numbers[picture] for picture in about)
                    assert {i + 1 for i in before} & after
                    checked["success"] += 1
    assert checked["caption"] > 10 and checked["success"] > 5


def test_an_answer_counts_by_the_root_of_its_length(drawn) -> None:
    model, batch = palm_e.SHIPPED.build(0).eval(), next(iter(drawn(20)))
    with torch.inference_mode():
        value, each, tokens = palm_e.loss(model, *batch), [], []
        for shown, of, ids, real, places, target in groups(batch):
            for k in range(len(ids)):
                row = (tensor[k : k + 1] for tensor in (ids, real, places, target))
                each.append(answer_loss(model, *row, batch[0][shown[of[k]]]))
                tokens.append(target[k].sum())
    each, tokens = torch.stack(each), torch.stack(tokens)
    assert tokens.max() > 4 * tokens.median()
    for power, same in ((0.5, True), (0, False), (1, False)):  # the broken rules: each answer alike, each token alike
        weighted = (each * tokens**power).sum() / (tokens**power).sum()
        assert torch.isclose(value, weighted, atol=1e-4) == same


def test_texts_are_no_pictures_lessons_and_differ_from_step_to_step() -> None:
    assert text_rows(3, 8, 0) == text_rows(3, 8, 0) != text_rows(4, 8, 0)
    _, real, places, target = as_text(text_rows(3, 8, 0))
    assert target.sum() == real.sum() and not places.any()


def test_street_lessons_are_the_street_worlds_own() -> None:
    about = street_lessons(5)
    asked = {qa.question: qa.answer for qa in street_questions(street_at("train", 5), [0, 5])}
    assert {x.prompt: x.answer for x in about if x.kind == "question"} == asked
    assert about[-1].kind == "caption" and about[-1].prompt != lessons("train", 0, 0)[4].prompt


# Figures


def test_f1_is_the_harmonic_mean_of_precision_and_recall() -> None:
    rng = np.random.default_rng(0)
    said, true = rng.random(400) < 0.5, rng.random(400) < 0.4
    words = {True: "yes", False: "no"}
    pairs = [(words[bool(t)], words[bool(s)]) for t, s in zip(true, said, strict=True)]
    figure = f1(yes_counts([Answered(Lesson("affordance", "?", answer), written) for answer, written in pairs]))
    precision, recall = true[said].mean(), said[true].mean()
    assert figure["value"] == pytest.approx(2 / (1 / precision + 1 / recall), abs=1e-4) and figure["n"] == 400
    low, high = figure["interval"]
    assert low < figure["value"] < high and 0.05 < high - low < 0.25
    assert f1([(1, 1, 1)] * 9)["interval"] == [1, 1] and f1([(0, 0, 0)] * 4)["value"] == 0


def test_an_answer_is_right_letter_by_letter() -> None:
    lesson = Lesson("question", "?", "back left")
    assert Answered(lesson, "back left").right and not Answered(lesson, "back").right


class Knowing:
    """A robot that knows all answers, or none."""

    def __init__(self, share: float) -> None:
        self.share, self.rng = share, np.random.default_rng(0)

    def answer_lessons(self, asked, pictures):
        from helpers.models.robot import Said

        assert all(len(shown) == len(lesson.pictures) for shown, lesson in zip(pictures, asked, strict=True))
        right = self.rng.random(len(asked)) < self.share
        return [Said(x.answer if r else "maybe", 1.0) for x, r in zip(asked, right, strict=True)]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_lessons_are_answered_and_counted(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(palm_e, "render", lambda scene, size, seed: np.zeros((size, size, 3), np.uint8))
    found = palm_e.answered(Knowing(share), 60, seed=5)
    assert {kind: len(of_kind) for kind, of_kind in found.items()} == {
        "step": 80, "question": 120, "affordance": 60, "caption": 60, "plan": 20, "success": 20,
    }  # fmt: skip
    rate = np.mean([a.right for a in found["question"]])
    assert rate == share if share in (0, 1) else 0.3 < rate < 0.7


def test_the_oracle_and_the_blind_are_measured_on_the_episodes_of_the_callers_seed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tests.test_robot import Scripted, knowing

    monkeypatch.setattr(palm_e, "SIZE", 32)
    assert palm_e.oracle(6, seed=3).float().mean() > 0.8
    robot = Scripted(knowing)
    assert palm_e.episodes(robot, 3, 3, "composition").sum() >= 2
    asked = [prompt for prompt, _ in robot.asked]
    again = Scripted(knowing)
    palm_e.episodes(again, 3, 3, "composition")
    assert [prompt for prompt, _ in again.asked] == asked
    other = Scripted(knowing)
    palm_e.episodes(other, 3, 4, "composition")
    assert [prompt for prompt, _ in other.asked] != asked
    silent = Scripted(lambda prompt, pictures: "i do not understand")
    assert not palm_e.episodes(silent, 3, 3).any()


# The model that is to be shipped


def test_the_weights_will_fit_and_the_longest_sentence_too() -> None:
    model = palm_e.SHIPPED.build(0)
    size = sum(p.numel() * 4 for p in model.parameters())
    assert size < 12_000_000
    longest, tokenizer = 0, palm_e._tokenizer()
    for i in range(90):
        for lesson in lessons("train", 0, i):
            rows = [[*seen(len(lesson.pictures), PLACES), *turn(lesson.prompt, lesson.answer)]]
            longest = max(longest, palm_e.sentences(tokenizer, rows).ids.shape[1])
    assert longest < palm_e.LANGUAGE["length"] - 20
    assert tokenizer.vocab_size == palm_e.LANGUAGE["vocabulary"]


def test_a_trial_trains_measures_and_stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.shipped.BUILD", tmp_path)
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(palm_e, "LANGUAGE", palm_e.LANGUAGE | {"width": 32, "layers": 1})
    monkeypatch.setattr(palm_e, "GRID", {"image": palm_e.SIZE, "patch": 16, "size": 32, "layers": 1})
    monkeypatch.setattr(palm_e, "CONFIGURATION", {"language": palm_e.LANGUAGE, "encoder": "grid", **palm_e.GRID})
    small = replace(
        palm_e.SHIPPED,
        build=lambda seed: palm_e.build_palm_e(palm_e.LANGUAGE, "grid", **palm_e.GRID),
        measure=lambda model, n, seed: {"vqa": {"accuracy": 0.5, "n": n}},
        facts={"configuration": palm_e.CONFIGURATION},
    )
    from experiments import shipped

    def fewer(model: object, **changes: object) -> object:  # a trial's own numbers would take a minute
        return replace(model, **(changes | {"scenes": 32, "batch": 16} if "scenes" in changes else changes))

    monkeypatch.setattr(shipped, "replace", fewer)
    shipped.train(small, quick=True)
    page = json.loads((tmp_path / "quick/palm-e/weights/palm-e.json").read_text())
    assert page["figures"]["vqa"]["n"] == 8 and page["configuration"]["encoder"] == "grid" and page["code"]
    state = palm_e.build_palm_e(palm_e.LANGUAGE, "grid", **palm_e.GRID).state_dict()
    from safetensors.torch import load_file

    stored = load_file(tmp_path / "quick/palm-e/weights/palm-e.safetensors")
    assert {k: v.shape for k, v in stored.items()} == {k: v.shape for k, v in state.items()}


def test_stored_weights_come_back_through_the_one_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from helpers.weights import pretrained

    model = palm_e.SHIPPED.build(3).eval()
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, tmp_path / "palm-e.safetensors")
    monkeypatch.setattr(pretrained, "UNTRAINED", ())
    monkeypatch.setattr(pretrained, "load_result", lambda name: {"configuration": palm_e.CONFIGURATION})
    monkeypatch.setattr(pretrained, "shipped", lambda file: tmp_path / Path(file).name)
    found = pretrained.load("palm-e")
    assert found.tier == "shipped" and found.tokenizer.vocab_size == 704
    images = found.preprocess(np.zeros((120, 200, 3), np.uint8))
    assert images.shape == (1, 3, 96, 96)
    torch.testing.assert_close(found.model.encoder(images), model.encoder(images), atol=1e-3, rtol=1e-3)


@pytest.mark.skipif("palm-e" in UNTRAINED, reason="its weights are not in data/ yet")
def test_the_shipped_robot_does_on_fresh_tables_what_its_page_says_and_an_untrained_one_does_not() -> None:
    page = json.loads((DATA / "weights/palm-e.json").read_text())["figures"]
    untrained = palm_e.build_palm_e(palm_e.LANGUAGE, "grid", **palm_e.GRID)
    found, fresh = palm_e.measure(load("palm-e").model, 48, 77), palm_e.measure(untrained, 2, 77)
    for name in ("success_closed", "success_unseen", "success_blind", "oracle", "next_step", "vqa"):
        p, n = page[name]["accuracy"], found[name]["n"]
        assert abs(found[name]["accuracy"] - p) < 5 * math.sqrt(max(p * (1 - p), 0.02) / n), name
    assert abs(found["caption_f1"]["value"] - page["caption_f1"]["value"]) < 0.08
    assert page["success_closed"]["accuracy"] > page["success_blind"]["accuracy"] + 0.2
    assert fresh["next_step"]["accuracy"] < 0.2 < page["next_step"]["accuracy"]
